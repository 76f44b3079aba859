//! The `dask` command.
fn main() {}
