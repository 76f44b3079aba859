use std::fmt;

use crate::Future;

/// Why a task is where it is: what [`Client::explain`](crate::Client::explain) answers. Displays
/// as lines, the more indented the deeper the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation(pub(crate) Vec<String>);

impl Explanation {
    /// The lines, from the state of the task down to the last cause.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Its key, for the verbs that take one.
impl<T> AsRef<str> for Future<T> {
    fn as_ref(&self) -> &str {
        self.key().as_str()
    }
}
