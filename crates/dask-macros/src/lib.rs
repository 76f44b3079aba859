//! The attribute macros `#[task]` and `#[main]` of dask-client.
