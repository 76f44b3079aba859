//! The attribute macros of dask-client.

use proc_macro::TokenStream;

/// Marks a function as a task.
#[proc_macro_attribute]
pub fn task(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}

/// Marks the main function of a program.
#[proc_macro_attribute]
pub fn main(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}
