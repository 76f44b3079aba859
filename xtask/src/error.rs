use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command of xtask failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start `{command}`: {source}")]
    Spawn { command: String, source: std::io::Error },
    #[error("`{command}` failed: {status}")]
    Failed { command: String, status: ExitStatus },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot read the output of `{command}`: {source}")]
    Output { command: String, source: std::io::Error },
    #[error("cargo metadata is not what it is documented to be: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error("cargo built no executable named {0:?}")]
    NoExecutable(String),
    #[error("tidy found violations, listed above: {0}")]
    Untidy(usize),
    #[error("the test suite did not pass")]
    Tests,
    #[error("{name} ended although nobody asked it to: {status}")]
    Died { name: String, status: ExitStatus },
    #[error("{name} printed no line that begins with {pattern:?} within {} s", limit.as_secs())]
    NotReady { name: String, pattern: &'static str, limit: Duration },
    #[error("{name} printed {line:?}, which has no address after {pattern:?}")]
    NoAddress { name: String, line: String, pattern: &'static str },
    #[error("{}:{line}: this mutation is not as it should be", crate::sim::mutation::LIST)]
    Mutation { line: usize },
    #[error("mutations that no seed noticed: {0}")]
    MutantsAtLarge(usize),
    #[error("no workload has such a name; there are {names}")]
    NoWorkload { names: String },
    #[error(
        "`{name}` gave no answer to {question:?}: it ended, or took more than {} s",
        limit.as_secs()
    )]
    NoAnswer { name: String, question: String, limit: Duration },
    #[error("`{name}` could not measure {question:?}: {line}")]
    Answer { name: String, question: String, line: String },
    #[error("valgrind cannot be started: install it, for example with `apt-get install valgrind`")]
    NoValgrind,
    #[error(
        "the instructions for a task have changed by more than 3 %: {moved}; if that is meant, \
         record it with `cargo xtask bench instructions --update`"
    )]
    Instructions { moved: String },
    #[error("an answer lacks the figure {figure}")]
    NoFigure { figure: &'static str },
    #[error("interrupted")]
    Interrupted,
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(#[from] ctrlc::Error),
}
