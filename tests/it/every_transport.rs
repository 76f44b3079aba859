/// Makes tests of async functions that take a cluster: each runs with threads in this process,
/// with threads over TCP and with worker processes.
macro_rules! on_every_transport {
    ($shape:ident: $($name:ident),+ $(,)?) => {$(
        mod $name {
            use support::cluster::{Over, run};

            #[tokio::test]
            async fn inproc() {
                run(Over::Inproc, super::$shape, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn tcp() {
                run(Over::Tcp, super::$shape, super::$name).await;
            }

            #[tokio::test]
            async fn processes() {
                let fixture = Over::Processes(env!("CARGO_BIN_EXE_fixture"));
                run(fixture, super::$shape, super::$name).await;
            }
        }
    )+};
}
