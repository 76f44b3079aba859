//! The frames of a panic that are the user's.

/// What the standard library calls on its way from a panic to the hook.
const PANICKING: [&str; 7] = [
    "std::panicking::",
    "core::panicking::",
    "std::panic::panic_any",
    "__rust_end_short_backtrace",
    "rust_begin_unwind",
    "unwrap_failed",
    "expect_failed",
];

/// Where the user's code is called.
const CALLED_BY: [&str; 3] =
    ["::__body", "dask_task::function::TaskDef::run", "dask_task::panic::catch"];

/// The frames of the user's code, of a backtrace as the standard library writes it: without those
/// of the panic itself, and those of the worker that called the code. All of it, where it has no
/// frame that is known, or where `RUST_BACKTRACE=full` asks for all.
pub(crate) fn of_user(backtrace: &str) -> String {
    if std::env::var("RUST_BACKTRACE").is_ok_and(|style| style == "full") {
        return backtrace.to_owned();
    }
    trimmed(backtrace).unwrap_or_else(|| backtrace.to_owned())
}

fn trimmed(backtrace: &str) -> Option<String> {
    let frames = frames(backtrace);
    let end = frames.iter().position(|frame| frame.is_one_of(&CALLED_BY))?;
    let panics = frames[..end].iter().position(|frame| frame.is_one_of(&PANICKING))?;
    let own = frames[panics..end].iter().skip_while(|frame| frame.is_one_of(&PANICKING));
    let lines = own.enumerate().flat_map(|(number, frame)| {
        std::iter::once(format!("{number:>4}: {}", frame.name))
            .chain(frame.places.iter().map(|place| (*place).to_owned()))
    });
    let lines: Vec<_> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

struct Frame<'a> {
    name: &'a str,
    /// The lines that say where it is.
    places: Vec<&'a str>,
}

impl Frame<'_> {
    fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name.contains(name))
    }
}

/// Each begins with a line that is a number, a colon and the name of a function.
fn frames(backtrace: &str) -> Vec<Frame<'_>> {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    for line in backtrace.lines() {
        let numbered = line.trim_start().split_once(": ");
        match numbered.filter(|(number, _)| number.parse::<u32>().is_ok()) {
            Some((_, name)) => frames.push(Frame { name, places: Vec::new() }),
            None => {
                if let Some(frame) = frames.last_mut() {
                    frame.places.push(line);
                }
            }
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKTRACE: &str = "   0: {closure#0}
             at ./src/panic.rs:57:29
   1: core::panicking::panic_fmt
             at /rustc/library/core/src/panicking.rs:80:14
   2: index<i64, usize>
   3: program::helper
             at ./src/main.rs:5:55
   4: program::_::_::__body
             at ./src/main.rs:2:1
   5: dask_task::panic::catch
             at ./src/panic.rs:41:19
  46: clone3";

    #[test]
    fn what_is_left_is_from_the_panic_to_the_call_of_the_task() {
        let expected = "   0: index<i64, usize>
   1: program::helper
             at ./src/main.rs:5:55";
        assert_eq!(trimmed(BACKTRACE).as_deref(), Some(expected));
    }

    #[test]
    fn no_way_of_panicking_is_a_frame_of_the_user() {
        let ways = [
            &["core::panicking::panic_fmt", "core::option::unwrap_failed"][..],
            &["rust_begin_unwind", "core::panicking::panic_bounds_check"],
            &["std::panicking::begin_panic", "std::panic::panic_any"],
        ];
        for way in ways {
            let hook = ["std::panicking::panic_handler", "__rust_end_short_backtrace"];
            let names = hook.iter().chain(way).chain(&["user::code", "user::_::__body"]);
            let lines = names.enumerate().map(|(number, name)| format!("{number:>4}: {name}\n"));
            let backtrace: String = lines.collect();
            assert_eq!(trimmed(&backtrace).as_deref(), Some("   0: user::code"), "{backtrace}");
        }
    }

    #[test]
    fn a_backtrace_of_no_known_frames_stays_as_it_is() {
        for other in ["", "disabled backtrace", "   0: <unknown>\n   1: <unknown>"] {
            assert_eq!(trimmed(other), None, "{other:?}");
        }
        let without_frames_of_the_user = "   0: core::panicking::panic\n   1: a::__body";
        assert_eq!(trimmed(without_frames_of_the_user), None);
    }
}
