//! How fast could a cluster be at all? The same four processes as in `throughput`, a client, a
//! scheduler and two workers over TCP on the loopback interface, that do nothing but pass messages
//! of 100 bytes on and back. No scheduler that hears of every task can be faster than this one.
//!
//! It also measures what the loopback interface gives two processes for one large value.

mod client;
mod relay;
mod tcp;

use std::io;

use rig::question;

use crate::client::Null;

/// About what a task and its report cost on a link.
const MESSAGE: usize = 100;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["relay"] => relay::relay().await,
        ["worker", address] => relay::worker(address).await,
        ["sender", address] => tcp::sender(address),
        _ => {
            let mut null = Null::default();
            question::answer(async |question| null.measure(question).await).await;
            Ok(())
        }
    }
}
