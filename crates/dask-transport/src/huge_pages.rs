use std::ops::Range;
use std::time::{Duration, Instant};

/// Puts large pages behind large buffers that are about to be filled.
///
/// Fresh memory costs a fault for each page, which for pages of 4 KiB takes longer than the copy
/// out of the socket: a value of 256 MiB arrives twice as fast on pages of 2 MiB.
///
/// Not so in a virtual machine that hands free memory back to its host. It does that in pieces of
/// just this size, and to have one back takes hundreds of faults of the host; small pages are cut
/// from what was too small to be handed back. So the pages are timed, and when they take longer
/// than small ones would, the rest of the batch does without.
#[derive(Debug)]
pub(crate) struct HugePages {
    /// The buffer that was seen last: where it starts and how much it holds.
    place: (usize, usize),
    /// The address up to which it has its pages.
    prepared: usize,
    /// How much more time than small pages these may still take; `None` when they took more.
    patience: Option<Duration>,
}

/// Smaller buffers are not worth a system call, and the memory that a page more than fits wastes.
const WORTH_BYTES: usize = 8 << 20;

/// The size of a large page.
const LARGE: usize = 2 << 20;

/// The size of a small page.
const SMALL: usize = 4 << 10;

/// What small pages in place of a large one would take. A large one takes a quarter of it.
const SMALL_PAGES: Duration = Duration::from_millis(1);

/// The patience at first, and at most: a thread that is interrupted says nothing about its pages.
const PATIENCE: Duration = Duration::from_millis(4);

impl Default for HugePages {
    fn default() -> Self {
        Self { place: (0, 0), prepared: 0, patience: Some(PATIENCE) }
    }
}

impl HugePages {
    /// Prepares a buffer for what is read into it next.
    pub(crate) fn prepare(&mut self, buffer: &Vec<u8>) {
        let Some(patience) = self.patience else { return };
        let place = (buffer.as_ptr() as usize, buffer.capacity());
        if place.1 < WORTH_BYTES {
            return;
        }
        let next = place.0 + buffer.len();
        if self.place != place {
            self.place = place;
            self.prepared = next;
            advise(&whole_pages(buffer), Advice::Large);
        }
        // Memory is only committed for a peer that sends what it announced.
        if buffer.is_empty() || next + LARGE <= self.prepared {
            return;
        }
        let whole = whole_pages(buffer);
        let until = (next + LARGE).next_multiple_of(LARGE).min(whole.end);
        let start = Instant::now();
        advise(&(self.prepared / SMALL * SMALL..until), Advice::Now);
        self.prepared = until;
        let left = (patience + SMALL_PAGES).checked_sub(start.elapsed());
        self.patience = left.map(|left| left.min(PATIENCE));
        if left.is_none() {
            advise(&whole, Advice::Small);
        }
    }
}

/// The pages with any byte of the buffer. A part of them must not be advised: memory that is not
/// all of a kind cannot be extended, so a buffer that grows would be copied.
fn whole_pages(buffer: &Vec<u8>) -> Range<usize> {
    let start = buffer.as_ptr() as usize;
    let end = start + buffer.capacity();
    start / SMALL * SMALL..end.next_multiple_of(SMALL)
}

#[derive(Debug, Clone, Copy)]
enum Advice {
    /// Large pages from now on.
    Large,
    /// Small pages from now on.
    Small,
    /// Pages of the kind that was asked for, at once.
    Now,
}

#[cfg(target_os = "linux")]
fn advise(pages: &Range<usize>, advice: Advice) {
    let advice = match advice {
        Advice::Large => libc::MADV_HUGEPAGE,
        Advice::Small => libc::MADV_NOHUGEPAGE,
        Advice::Now => libc::MADV_POPULATE_WRITE,
    };
    // SAFETY: none of these changes a byte of the pages, whoever else has some in the first and the
    // last. They may fail, on a system without them, and are only advice then.
    unsafe {
        libc::madvise(pages.start as *mut libc::c_void, pages.len(), advice);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &Range<usize>, _: Advice) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The end of the piece of memory, all of a kind, in which this address lies.
    fn end_of_piece(address: usize) -> Option<usize> {
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        let parse = |text| usize::from_str_radix(text, 16).ok();
        let mut pieces = maps.lines().filter_map(|line| {
            let (range, _) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            Some(parse(start)?..parse(end)?)
        });
        pieces.find(|piece| piece.contains(&address)).map(|piece| piece.end)
    }

    #[test]
    fn a_prepared_buffer_keeps_its_bytes_and_can_be_extended_in_place() {
        let mut huge_pages = HugePages::default();
        let mut buffer = Vec::with_capacity(64 << 20);
        while buffer.len() < buffer.capacity() {
            huge_pages.prepare(&buffer);
            buffer.resize(buffer.len() + (1 << 20), 7);
        }
        assert!(buffer.iter().all(|&byte| byte == 7));
        let start = buffer.as_ptr() as usize;
        assert!(end_of_piece(start).is_some_and(|end| end >= start + buffer.capacity()));
    }

    #[test]
    fn no_memory_is_committed_before_the_first_byte() {
        let buffer = Vec::<u8>::with_capacity(64 << 20);
        let mut huge_pages = HugePages::default();
        huge_pages.prepare(&buffer);
        assert_eq!(huge_pages.prepared, buffer.as_ptr() as usize);
    }
}
