//! Dask, native to Rust: submit ordinary functions to a cluster and get futures back.
