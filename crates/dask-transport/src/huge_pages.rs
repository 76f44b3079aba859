/// Asks the system for large pages behind large buffers that are about to be filled.
///
/// Fresh memory costs a fault for each page, which for pages of 4 KiB takes longer than the copy
/// out of the socket: a value of 256 MiB arrives twice as fast on pages of 2 MiB.
#[derive(Debug, Default)]
pub(crate) struct HugePages {
    /// The buffer that was asked for last: where it starts and how much it holds.
    advised: (usize, usize),
}

/// Smaller buffers are not worth a system call, and the memory that a page more than fits wastes.
const WORTH_BYTES: usize = 8 << 20;

impl HugePages {
    /// Advises on a buffer, once.
    pub(crate) fn advise(&mut self, buffer: &mut Vec<u8>) {
        let place = (buffer.as_ptr() as usize, buffer.capacity());
        if place.1 >= WORTH_BYTES && self.advised != place {
            self.advised = place;
            prefer_huge_pages(buffer);
        }
    }
}

#[cfg(target_os = "linux")]
fn prefer_huge_pages(buffer: &mut Vec<u8>) {
    const PAGE_BYTES: usize = 4 << 10;
    let space = buffer.spare_capacity_mut();
    let skipped = space.as_ptr().align_offset(PAGE_BYTES);
    let Some(whole) = space.get_mut(skipped..) else { return };
    let length = whole.len() / PAGE_BYTES * PAGE_BYTES;
    // SAFETY: the range is inside of the buffer, and this advice changes no byte of it. It may
    // fail, on a system without huge pages, and is only advice then.
    unsafe {
        libc::madvise(whole.as_mut_ptr().cast(), length, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn prefer_huge_pages(_: &mut Vec<u8>) {}
