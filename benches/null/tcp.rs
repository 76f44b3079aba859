//! One large value from process to process, with nothing around it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rig::figures::Figures;
use rig::process::Process;

/// A process that sends as many bytes as it is asked for.
pub(crate) struct Pair {
    stream: TcpStream,
    /// Holds the value that was received before: memory that the system has given already.
    buffer: Vec<u8>,
    _sender: Process,
}

impl Pair {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let program = std::env::current_exe()?;
        let sender = Process::start(Command::new(program).args(["sender", &address]))?;
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), _sender: sender })
    }

    /// Into memory that is fresh from the system, on small pages and on large ones, then into
    /// memory that was used before.
    pub(crate) fn measure(&mut self, bytes: u64) -> io::Result<Figures> {
        // The sender makes the value: that is not measured.
        self.receive(bytes)?;
        self.renew(bytes);
        let fresh = self.receive(bytes)?;
        self.renew(bytes);
        prefer_large_pages(&self.buffer);
        let large = self.receive(bytes)?;
        let reused = self.receive(bytes)?;
        let rate = |elapsed: Duration| bytes as f64 / 1e6 / elapsed.as_secs_f64();
        Ok(Figures::new()
            .with("fresh_mb_per_s", rate(fresh))
            .with("large_mb_per_s", rate(large))
            .with("reused_mb_per_s", rate(reused)))
    }

    /// Frees the buffer and has another.
    fn renew(&mut self, bytes: u64) {
        self.buffer = Vec::new();
        self.buffer = Vec::with_capacity(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    fn receive(&mut self, bytes: u64) -> io::Result<Duration> {
        self.buffer.clear();
        let start = Instant::now();
        self.stream.write_all(&bytes.to_le_bytes())?;
        let read = Read::by_ref(&mut self.stream).take(bytes).read_to_end(&mut self.buffer)?;
        let elapsed = start.elapsed();
        if read as u64 == bytes { Ok(elapsed) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Sends values of the asked size until the other side is gone.
pub(crate) fn sender(address: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut value = Vec::new();
    let mut size = [0; 8];
    while stream.read_exact(&mut size).is_ok() {
        let size = usize::try_from(u64::from_le_bytes(size)).unwrap_or(usize::MAX);
        value.resize(size, 7);
        stream.write_all(&value)?;
    }
    Ok(())
}

/// Asks for pages of 2 MiB behind a buffer, as the transport does.
#[cfg(target_os = "linux")]
fn prefer_large_pages(buffer: &Vec<u8>) {
    const PAGE_BYTES: usize = 4 << 10;
    let start = buffer.as_ptr() as usize / PAGE_BYTES * PAGE_BYTES;
    let end = (buffer.as_ptr() as usize + buffer.capacity()).next_multiple_of(PAGE_BYTES);
    // SAFETY: this changes no byte of the pages, whoever else has some in the first and the last.
    unsafe {
        libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn prefer_large_pages(_: &Vec<u8>) {}
