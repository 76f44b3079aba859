//! The scheduler and the workers, as little as is left of them.

use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::LocalSet;

use crate::{BUFFER, MESSAGE};

/// The first byte on a connection: whose it is.
const CLIENT: u8 = b'c';
const WORKER: u8 = b'w';

/// Prints its address, takes a client and two workers, and passes messages between them until the
/// client is gone.
pub(crate) async fn relay() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        peers.push((stream.read_u8().await?, stream));
    }
    peers.sort_unstable_by_key(|(role, _)| *role);
    let mut peers = peers.into_iter().map(|(_, stream)| stream.into_split());
    let (Some(client), Some(first), Some(second)) = (peers.next(), peers.next(), peers.next())
    else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    let to_client = Rc::new(Mutex::new(client.1));
    let set = LocalSet::new();
    for from_worker in [first.0, second.0] {
        set.spawn_local(collect(from_worker, to_client.clone()));
    }
    set.run_until(distribute(client.0, [first.1, second.1])).await
}

/// Connects the client.
pub(crate) async fn client(address: &str) -> io::Result<TcpStream> {
    connect(address, CLIENT).await
}

/// Sends back whatever comes.
pub(crate) async fn worker(address: &str) -> io::Result<()> {
    let mut stream = connect(address, WORKER).await?;
    let mut buffer = vec![0; BUFFER];
    // The end of the relay is the end of the worker, however it comes.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..read]).await?;
    }
    Ok(())
}

async fn connect(address: &str, role: u8) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_u8(role).await?;
    Ok(stream)
}

/// From the client to the workers: to each half of what came at once, one message in turn.
async fn distribute(from: OwnedReadHalf, mut to: [OwnedWriteHalf; 2]) -> io::Result<()> {
    let mut messages = Messages::new(from);
    let mut turn = 0;
    while let Some(whole) = messages.next().await? {
        let count = whole.len() / MESSAGE;
        let (now, later) = whole.split_at(count.div_ceil(2) * MESSAGE);
        to[turn].write_all(now).await?;
        turn = 1 - turn;
        to[turn].write_all(later).await?;
        if count.is_multiple_of(2) {
            turn = 1 - turn;
        }
    }
    Ok(())
}

/// From a worker to the client.
async fn collect(from: OwnedReadHalf, to: Rc<Mutex<OwnedWriteHalf>>) -> io::Result<()> {
    let mut messages = Messages::new(from);
    while let Some(whole) = messages.next().await? {
        to.lock().await.write_all(whole).await?;
    }
    Ok(())
}

/// Whole messages, as many as came at once.
struct Messages {
    from: OwnedReadHalf,
    buffer: Vec<u8>,
    filled: usize,
    /// How many bytes at the front were handed out.
    taken: usize,
}

impl Messages {
    fn new(from: OwnedReadHalf) -> Self {
        Self { from, buffer: vec![0; BUFFER], filled: 0, taken: 0 }
    }

    async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        while self.filled < MESSAGE {
            match self.from.read(&mut self.buffer[self.filled..]).await? {
                0 => return Ok(None),
                read => self.filled += read,
            }
        }
        self.taken = self.filled - self.filled % MESSAGE;
        Ok(Some(&self.buffer[..self.taken]))
    }
}
