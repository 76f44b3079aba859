//! Keys are made by the million: a small call allocates its key and nothing else.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use dask_tokenize::{Tokenizer, key_name};

thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_small_call_allocates_nothing_but_its_key() {
    let mut function = Tokenizer::new();
    function.function("session::inc", "fn(i64) -> i64");
    let before = ALLOCATIONS.get();
    let mut call = function.clone();
    call.value(&10_i64).unwrap();
    let token = call.finish();
    assert_eq!(ALLOCATIONS.get(), before);
    let key = key_name("inc", token);
    assert_eq!(ALLOCATIONS.get(), before + 1);
    assert_eq!(key.len(), "inc-".len() + 32);
}

#[test]
fn a_long_flat_value_allocates_nothing() {
    let numbers: Vec<(f64, Option<u8>)> = vec![(0.5, Some(1)); 10_000];
    let before = ALLOCATIONS.get();
    let mut tokenizer = Tokenizer::new();
    tokenizer.value(&numbers).unwrap();
    tokenizer.finish();
    assert_eq!(ALLOCATIONS.get(), before);
}
