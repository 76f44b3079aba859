//! Names of addresses.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ffi::c_void;

use dask_proto::limits::{MAX_FRAME_TEXT_BYTES, MAX_STACK_FRAMES};
use dask_proto::message::StackFrame;
use dask_task::TaskDef;

use super::symbol;
use super::unwind::{self, Trace, Unwinder};

/// Stands for frames that are not shown.
const LEFT_OUT: &str = "[frames left out]";

/// Stands for all frames of a program that was stripped of its symbols.
const STRIPPED: &str = "[the program has no symbols]";

/// Functions that only call what they are given, and tell nobody where their time goes.
const GLUE: &[&str] = &[
    "__rust_try",
    "core::ops::function::FnOnce::call_once",
    "<core::panic::unwind_safe::AssertUnwindSafe<",
    "std::panic::catch_unwind",
    "std::panicking::catch_unwind",
    "std::panicking::try",
    "std::sys::backtrace::__rust_begin_short_backtrace",
    "dask_task::panic::catch",
    "dask_task::function::TaskDef::run",
    "dask_worker::executor::run::Thread::run",
    "dask_worker::executor::run::Thread::call",
];

/// The same, where they are inlined and the program has line tables alone.
const INLINED_GLUE: &[&str] = &["call_once", "catch_unwind", "do_call"];

/// The functions that addresses lie in, once they were looked up.
#[derive(Default)]
pub(super) struct Names {
    known: HashMap<u64, Vec<StackFrame>>,
}

impl Names {
    /// Looks up the addresses of these.
    pub(super) fn prepare<'a>(
        &mut self,
        traces: impl Iterator<Item = (&'static TaskDef, &'a Trace)>,
        unwinder: &Unwinder,
    ) {
        let mut unnamed = BTreeSet::new();
        self.known.insert(unwind::LEFT_OUT, vec![frame(LEFT_OUT)]);
        for (def, trace) in traces {
            for address in trace.addresses.iter().copied().chain([body(def)]) {
                let Entry::Vacant(entry) = self.known.entry(address) else { continue };
                let named = entry.insert(look_up(address, unwinder));
                // Line tables know functions by their last names alone.
                if !named.first().is_some_and(|outer| outer.function.contains("::")) {
                    unnamed.insert(address);
                }
            }
        }
        for (address, symbol) in symbol::find(&unnamed, unwinder) {
            let function = short(&plain(&symbol));
            match self.known.get_mut(&address).and_then(|named| named.first_mut()) {
                Some(outer) => outer.function = function,
                None => drop(self.known.insert(address, vec![frame(&function)])),
            }
        }
    }

    /// The stack of a task of this function, outermost first, which is the function itself.
    pub(super) fn stack(&self, def: &TaskDef, trace: &Trace) -> Vec<StackFrame> {
        let mut stack = vec![frame(def.path)];
        let Some(body) = self.at(body(def)).first() else {
            stack.push(frame(STRIPPED));
            return stack;
        };
        let addresses = trace.addresses.iter().rev();
        let frames: Vec<&StackFrame> = addresses.flat_map(|address| self.at(*address)).collect();
        // What called the body is the worker's.
        let body = frames.iter().position(|frame| frame.function == body.function);
        let inside = &frames[body.map_or(0, |body| body + 1)..];
        if body.is_none() && !trace.is_whole {
            stack.push(frame(LEFT_OUT));
        }
        let shown = inside.iter().copied().filter(|frame| !is_glue(&frame.function));
        stack.extend(shown.cloned());
        // The body calls the function, where the two are not one.
        let is_it = |first: &StackFrame| [def.path, def.name()].contains(&first.function.as_str());
        if stack.get(1).is_some_and(is_it) {
            let function = std::mem::take(&mut stack[0].function);
            stack.remove(0);
            stack[0].function = function;
        }
        cut(&mut stack);
        stack
    }

    /// The functions that this address lies in, outermost first: several where some are inlined.
    fn at(&self, address: u64) -> &[StackFrame] {
        self.known.get(&address).map_or(&[], Vec::as_slice)
    }
}

/// What is called for a task of this function, as an address behind a call.
fn body(def: &TaskDef) -> u64 {
    def.body as *const () as u64 + 1
}

/// The functions of an address that lies behind a call.
fn look_up(address: u64, unwinder: &Unwinder) -> Vec<StackFrame> {
    let mut found = Vec::new();
    backtrace::resolve(std::ptr::without_provenance_mut::<c_void>(address as usize), |symbol| {
        let Some(name) = symbol.name() else { return };
        let file = symbol.filename().map(|file| short(&file.to_string_lossy()));
        let function = short(&plain(&format!("{name:#}")));
        found.push(StackFrame { function, file, line: symbol.lineno() });
    });
    // The innermost came first.
    found.reverse();
    match unwinder.module(address - 1) {
        // A library without symbols, or what the kernel brings.
        Some(module) if found.is_empty() && !module.is_empty() => {
            vec![frame(&format!("[{module}]"))]
        }
        _ => found,
    }
}

/// A name as it is written in the program: without what `#[task]` puts around a function.
/// Names without a path are those of line tables; their types, which have all paths, go.
fn plain(name: &str) -> String {
    let name = name.strip_prefix("__task_").unwrap_or(name);
    match name.find('<') {
        Some(types) if types > 0 && !name[..types].contains("::") => name[..types].to_owned(),
        _ => name.replace("::_::", "::").replace("::__task_", "::"),
    }
}

fn is_glue(name: &str) -> bool {
    GLUE.iter().any(|glue| name.starts_with(glue))
        || INLINED_GLUE.contains(&name)
        || name.ends_with("::__body")
}

fn short(text: &str) -> String {
    let end =
        (0..=MAX_FRAME_TEXT_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_owned()
}

/// Leaves out the middle of a stack that is too deep.
fn cut(stack: &mut Vec<StackFrame>) {
    if stack.len() > MAX_STACK_FRAMES {
        let half = MAX_STACK_FRAMES / 2;
        let inner = stack.len() + 1 - half;
        stack.splice(half..inner, [frame(LEFT_OUT)]);
    }
}

fn frame(function: &str) -> StackFrame {
    StackFrame { function: function.to_owned(), file: None, line: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_program() {
        assert_eq!(plain("session::_::__task_inc"), "session::inc");
        assert_eq!(plain("session::_::__task_get::{{closure}}"), "session::get::{{closure}}");
        assert_eq!(plain("__task_inc"), "inc");
        assert_eq!(plain("{closure#0}<alloc::vec::Vec<i64>>"), "{closure#0}");
        assert_eq!(plain("<T as core::ops::Fn<A>>::call"), "<T as core::ops::Fn<A>>::call");
        assert!(is_glue(&plain("session::_::_::__body")));
        assert!(is_glue("core::ops::function::FnOnce::call_once{{vtable.shim}}"));
        assert!(!is_glue("std::sync::mutex::Mutex<T>::lock"));
    }

    #[test]
    fn the_middle_of_a_deep_stack_is_left_out() {
        let mut stack: Vec<StackFrame> = (0..1000).map(|i| frame(&i.to_string())).collect();
        cut(&mut stack);
        assert_eq!(stack.len(), MAX_STACK_FRAMES);
        assert_eq!((stack[0].function.as_str(), stack[1].function.as_str()), ("0", "1"));
        assert_eq!(stack[MAX_STACK_FRAMES / 2].function, LEFT_OUT);
        assert_eq!(stack[MAX_STACK_FRAMES - 1].function, "999");
    }
}
