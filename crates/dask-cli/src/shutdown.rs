use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::error::Error;

/// The ways in which this process is asked to end.
pub(crate) struct Shutdown {
    interrupt: Signal,
    terminate: Signal,
    stdin_closed: Option<oneshot::Receiver<()>>,
}

/// What standard input means to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdin {
    Ignored,
    /// Its end asks the process to end: the pipe closes when the parent dies, however it dies.
    EndsProcess,
}

impl Shutdown {
    /// Listens from now on, so that nothing asked before [`Shutdown::asked`] is lost.
    pub(crate) fn listen(stdin: Stdin) -> Result<Shutdown, Error> {
        Ok(Shutdown {
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Signals)?,
            terminate: signal(SignalKind::terminate()).map_err(Error::Signals)?,
            stdin_closed: (stdin == Stdin::EndsProcess).then(watch_stdin),
        })
    }

    /// Resolves when the process is asked to end.
    pub(crate) async fn asked(mut self) {
        let stdin_closed = async {
            match self.stdin_closed {
                // The sender goes when the watching thread ends: either way the input is over.
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            _ = self.interrupt.recv() => "interrupted",
            _ = self.terminate.recv() => "asked to terminate",
            () = stdin_closed => "standard input was closed",
        };
        tracing::info!(reason, "stopping");
    }
}

/// A thread of its own: a blocking read in the runtime's pool would keep it from shutting down.
fn watch_stdin() -> oneshot::Receiver<()> {
    let (sender, closed) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    closed
}
