//! Tasks that wait for the test, so that no test has to guess how far they are.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where [`gated`](crate::fault_tasks::gated) tasks report and wait.
#[derive(Debug)]
pub struct Gate {
    listener: TcpListener,
}

/// A task that has started and waits.
#[derive(Debug)]
pub struct Waiting {
    /// The process that it runs in.
    pub pid: u32,
    /// Its argument.
    pub x: i64,
    stream: TcpStream,
}

impl Gate {
    /// A gate without anybody before it.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        Self { listener: listener.expect("a free port can be had") }
    }

    /// The first argument of its tasks.
    #[must_use]
    pub fn address(&self) -> String {
        let address = self.listener.local_addr();
        address.expect("a listener has an address").to_string()
    }

    /// The next task that starts.
    pub async fn arrival(&self) -> Waiting {
        let accepted = self.listener.accept().await;
        let (mut stream, _) = accepted.expect("tasks connect");
        let (pid, x) = (stream.read_u32_le().await, stream.read_i64_le().await);
        Waiting {
            pid: pid.expect("it says where it runs"),
            x: x.expect("it says who it is"),
            stream,
        }
    }
}

impl Waiting {
    /// Lets the task go on.
    pub async fn release(mut self) {
        // Its process may have been killed.
        let _ = self.stream.write_all(&[1]).await;
    }

    /// Resolves when the task's process has died, or the task was released.
    pub async fn gone(&mut self) {
        while matches!(self.stream.read(&mut [0; 8]).await, Ok(1..)) {}
    }
}
