//! Finds the frames of a stack that was copied.

use std::ops::Range;

use framehop::{
    CacheNative, Error, ExplicitModuleSectionInfo, FrameAddress, MayAllocateDuringUnwind, Module,
    UnwindRegsNative, Unwinder as _, UnwinderNative,
};

use super::interrupt::{Copied, Registers, modules};

/// Frames that are looked for in one stack: as many as its words could be.
const LONGEST: usize = 1 << 15;

/// Addresses that are kept of each end of a stack that is deeper: far more than are shown.
const END: usize = 512;

/// Stands for addresses that are not kept.
pub(super) const LEFT_OUT: u64 = 0;

/// Where a thread was, and how it came there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trace {
    /// The addresses behind each call, innermost first.
    pub(super) addresses: Vec<u64>,
    /// Whether it reaches out to where the task was called.
    pub(super) is_whole: bool,
}

impl Trace {
    /// Keeps both ends of these, innermost first, of which it is not known how far they reach.
    pub(crate) fn new(mut addresses: Vec<u64>) -> Self {
        if addresses.len() > 2 * END + 1 {
            addresses.splice(END..addresses.len() - END, [LEFT_OUT]);
        }
        // There are many of them.
        addresses.shrink_to_fit();
        Self { addresses, is_whole: false }
    }
}

/// How many frames are kept of a stack.
pub(crate) fn depth(trace: &Trace) -> usize {
    trace.addresses.len()
}

/// Knows how the functions of this process lie on the stack.
pub(super) struct Unwinder {
    unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    modules: Vec<(Range<u64>, String)>,
    program: Option<(Range<u64>, u64)>,
}

impl Unwinder {
    /// For the code that is loaded now.
    pub(super) fn new() -> Self {
        let mut unwinder = UnwinderNative::new();
        let (mut known, mut program) = (Vec::new(), None);
        for module in modules() {
            let text = module.text.start as u64..module.text.end as u64;
            known.push((text.clone(), module.name.clone()));
            // The first is the program; it has no name.
            program.get_or_insert((text.clone(), module.bias as u64));
            // Sections are placed as the module was linked.
            let linked = |place: usize, data: &[u8]| {
                let start = place.wrapping_sub(module.bias) as u64;
                Some(start..start.saturating_add(data.len() as u64))
            };
            let (index, frames) = (&module.index, &module.frames);
            let sections = ExplicitModuleSectionInfo {
                eh_frame_hdr_svma: linked(index.0, &index.1),
                eh_frame_svma: linked(frames.0, &frames.1),
                text_svma: linked(module.text.start, &[]),
                eh_frame_hdr: Some(module.index.1),
                eh_frame: Some(module.frames.1),
                ..ExplicitModuleSectionInfo::default()
            };
            unwinder.add_module(Module::new(module.name, text, module.bias as u64, sections));
        }
        Self { unwinder, cache: CacheNative::new(), modules: known, program }
    }

    /// Where the program itself lies, and how far that is from where it was linked to be.
    pub(super) fn program(&self) -> Option<&(Range<u64>, u64)> {
        self.program.as_ref()
    }

    /// The file name of the module that has this address.
    pub(super) fn module(&self, address: u64) -> Option<&str> {
        let module = self.modules.iter().find(|(text, _)| text.contains(&address));
        module.map(|(_, name)| name.rsplit('/').next().unwrap_or(name))
    }

    /// The frames of a copied stack.
    pub(super) fn trace(&mut self, copied: &Copied<'_>) -> Trace {
        let Registers { pc, .. } = copied.registers;
        let mut registers = native(copied.registers);
        // The address of an instruction that runs, and not of one that a call returns to: the
        // place behind it stands for it.
        let mut addresses = vec![pc as u64 + 1];
        let mut at = FrameAddress::from_instruction_pointer(pc as u64);
        let mut read =
            |address: u64| copied.word(address as usize).map(|word| word as u64).ok_or(());
        let end = copied.range.end as u64;
        let mut is_whole = false;
        while addresses.len() < LONGEST {
            let next = self.unwinder.unwind_frame(at, &mut registers, &mut self.cache, &mut read);
            let caller = match next {
                Ok(Some(caller)) => FrameAddress::from_return_address(caller),
                // Its caller is further out than the task.
                Err(Error::CouldNotReadStack(address)) => {
                    is_whole = copied.is_whole && address >= end;
                    None
                }
                Ok(None) | Err(_) => None,
            };
            let Some(caller) = caller else { break };
            if registers.sp() > end {
                is_whole = copied.is_whole;
                break;
            }
            addresses.push(caller.address());
            at = caller;
        }
        Trace { is_whole, ..Trace::new(addresses) }
    }
}

#[cfg(target_arch = "x86_64")]
fn native(registers: Registers) -> UnwindRegsNative {
    let Registers { pc, sp, fp, .. } = registers;
    UnwindRegsNative::new(pc as u64, sp as u64, fp as u64)
}

#[cfg(target_arch = "aarch64")]
fn native(registers: Registers) -> UnwindRegsNative {
    let Registers { sp, fp, lr, .. } = registers;
    UnwindRegsNative::new(lr as u64, sp as u64, fp as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_stack_that_is_too_deep_both_ends_are_kept() {
        let trace = Trace::new((1..=LONGEST as u64).collect());
        assert_eq!(depth(&trace), 2 * END + 1);
        assert!(trace.addresses.capacity() < 4 * END);
        assert_eq!(trace.addresses[END - 1..=END + 1], [512, LEFT_OUT, LONGEST as u64 - 511]);
        assert_eq!(trace.addresses.last(), Some(&(LONGEST as u64)));
        let whole: Vec<u64> = (1..=2 * END as u64 + 1).collect();
        assert_eq!(Trace::new(whole.clone()).addresses, whole);
    }
}
