//! Tasks that do what the test says, when it says so: no test has to guess how far they are.

use std::io::{BufRead, BufReader as Buffered, Read, Write};
use std::net::TcpStream as Socket;
use std::time::Duration;

use dask_client::{is_cancelled, task};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::within;

/// Where the tasks come to be told what to do.
#[derive(Debug)]
pub struct Stage {
    listener: TcpListener,
    address: String,
}

/// A task that runs, and waits to be told what to do. When it is dropped the task fails.
#[derive(Debug)]
pub struct Performer {
    /// The name that it was given.
    pub name: String,
    stream: BufReader<TcpStream>,
}

impl Stage {
    /// A stage without performers.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port can be had");
        let address = listener.local_addr().expect("a listener has an address");
        let address = address.to_string();
        Self { listener, address }
    }

    /// The first argument of its tasks.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next task that starts.
    pub async fn entrance(&self) -> Performer {
        let accepted = within("a task to start", self.listener.accept()).await;
        let mut stream = BufReader::new(accepted.expect("tasks connect").0);
        let mut name = String::new();
        let read = within("a task to say its name", stream.read_line(&mut name)).await;
        read.expect("tasks say their name");
        let name = name.trim_end().to_owned();
        Performer { name, stream }
    }
}

impl Performer {
    /// Makes it return this.
    pub async fn give(self, x: i64) {
        self.tell(&format!("give {x}\n")).await;
    }

    /// Makes it fail for this reason.
    pub async fn fail(self, reason: &str) {
        self.tell(&format!("fail {reason}\n")).await;
    }

    /// Makes it panic with this message.
    pub async fn panic(self, message: &str) {
        self.tell(&format!("panic {message}\n")).await;
    }

    /// Resolves when it has seen that it is cancelled.
    pub async fn cancelled(mut self) {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        let read = within("a task to see that it is cancelled", read).await;
        assert_eq!((read.ok(), line.as_str()), (Some(10), "cancelled\n"));
    }

    async fn tell(mut self, line: &str) {
        let told = self.stream.write_all(line.as_bytes()).await;
        told.expect("the task listens");
    }
}

/// What a task fails with that is told to.
#[derive(Debug, thiserror::Error)]
#[error("{name} failed")]
pub struct Failed {
    name: String,
    #[source]
    reason: Reason,
}

/// Why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Reason(String);

/// Does what the stage says.
#[task]
pub fn perform(stage: &str, name: &str) -> Result<i64, Failed> {
    let mut line = String::new();
    let read = enter(stage, name).and_then(|socket| Buffered::new(socket).read_line(&mut line));
    follow(name, read.map(|_| line))
}

/// Does what the stage says, when this is there.
#[task]
pub fn perform_after(stage: &str, name: &str, _needed: &[i64]) -> Result<i64, Failed> {
    perform(stage, name)
}

/// Runs until it is cancelled.
#[task]
pub fn linger(stage: &str, name: &str) -> Result<i64, Failed> {
    let lingering = || {
        let mut socket = enter(stage, name)?;
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
        while !is_cancelled() {
            // The end of the stream says that nobody is there any more.
            if let Ok(0) = socket.read(&mut [0; 8]) {
                return Ok("fail it was left alone".to_owned());
            }
        }
        socket.write_all(b"cancelled\n")?;
        Ok("give 0".to_owned())
    };
    follow(name, lingering())
}

fn enter(stage: &str, name: &str) -> std::io::Result<Socket> {
    let mut socket = Socket::connect(stage)?;
    socket.write_all(format!("{name}\n").as_bytes())?;
    Ok(socket)
}

fn follow(name: &str, told: std::io::Result<String>) -> Result<i64, Failed> {
    let told = told.unwrap_or_else(|error| format!("fail {error}"));
    match told.trim_end().split_once(' ') {
        Some(("give", number)) => Ok(number.parse().expect("a number")),
        Some(("panic", message)) => panic!("{message}"),
        Some((_, reason)) => Err(failed(name, reason)),
        None => Err(failed(name, "the stage was torn down")),
    }
}

fn failed(name: &str, reason: &str) -> Failed {
    let (name, reason) = (name.to_owned(), Reason(reason.to_owned()));
    Failed { name, reason }
}
