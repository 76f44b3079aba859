//! `#[main]`, on a stand-in of the crate: what the functions do is another test's business.

/// Stands in for the crate to see what `#[main]` calls.
mod program {
    use std::cell::Cell;

    thread_local! {
        pub(crate) static ROLES: Cell<u32> = const { Cell::new(0) };
    }

    pub(crate) mod __private {
        pub(crate) fn role() {
            super::ROLES.set(super::ROLES.get() + 1);
        }

        pub(crate) fn run_main<F: Future>(main: impl FnOnce() -> F) -> F::Output {
            role();
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(main())
        }
    }
}

#[test]
fn a_main_function_asks_for_its_role_before_anything_else() {
    #[dask_client::main(crate = "crate::program")]
    fn plain() -> u32 {
        program::ROLES.get()
    }
    assert_eq!(plain(), 1);
}

#[test]
fn an_async_main_function_runs_on_a_runtime() {
    #[dask_client::main(crate = "crate::program")]
    async fn asynchronous() -> Result<u32, Box<dyn std::error::Error>> {
        tokio::task::yield_now().await;
        let one: u32 = "1".parse()?;
        Ok(one + program::ROLES.get())
    }
    assert_eq!(asynchronous().expect("it works"), 2);
}
