//! The client of the null scheduler, which measures.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use rig::figures::{Figures, mib};
use rig::process::{Process, memory};
use rig::question::{Question, Unknown};
use rig::work::{FIFTY_MICROSECONDS, work};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tcp::Pair;
use crate::{BUFFER, MESSAGE, relay};

/// What was started so far.
#[derive(Default)]
pub(crate) struct Null {
    cluster: Option<Cluster>,
    pair: Option<Pair>,
}

impl Null {
    pub(crate) async fn measure(&mut self, question: &Question) -> io::Result<Figures> {
        let size = question.size;
        match question.workload.as_str() {
            "relay" => self.cluster().await?.relays(size).await,
            "round-trip" => self.cluster().await?.round_trips(size, Duration::ZERO).await,
            "round-trip-idle" => {
                self.cluster().await?.round_trips(size, Duration::from_millis(5)).await
            }
            "work" => Ok(work_of_two_threads(size)),
            "start" => {
                let start = Instant::now();
                Cluster::start().await?;
                Ok(Figures::time(start.elapsed()))
            }
            "idle" => self.cluster().await?.idle(),
            "tcp" => match &mut self.pair {
                Some(pair) => pair.measure(size),
                none => none.insert(Pair::start()?).measure(size),
            },
            other => Err(io::Error::other(Unknown(other.to_owned()))),
        }
    }

    async fn cluster(&mut self) -> io::Result<&mut Cluster> {
        match &mut self.cluster {
            Some(cluster) => Ok(cluster),
            none => Ok(none.insert(Cluster::start().await?)),
        }
    }
}

/// What two threads compute that have nothing else to do.
fn work_of_two_threads(count: u64) -> Figures {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for seed in 0..count.div_ceil(2) {
                    std::hint::black_box(work(seed as i64, FIFTY_MICROSECONDS));
                }
            });
        }
    });
    Figures::tasks(count, start.elapsed())
}

/// A relay, two workers, and the connection of the client.
struct Cluster {
    stream: TcpStream,
    relay: Process,
    workers: [Process; 2],
}

impl Cluster {
    /// A cluster that has passed one message on and back.
    async fn start() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let (relay, address) = Process::start_and_read(Command::new(&program).arg("relay"))?;
        let worker = || Process::start(Command::new(&program).args(["worker", &address]));
        let workers = [worker()?, worker()?];
        let stream = relay::client(&address).await?;
        let mut cluster = Self { stream, relay, workers };
        cluster.round_trip().await?;
        Ok(cluster)
    }

    async fn round_trip(&mut self) -> io::Result<()> {
        let mut message = [0; MESSAGE];
        self.stream.write_all(&message).await?;
        self.stream.read_exact(&mut message).await?;
        Ok(())
    }

    /// One message at a time, with a pause after each.
    async fn round_trips(&mut self, count: u64, pause: Duration) -> io::Result<Figures> {
        let mut each = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            self.round_trip().await?;
            each.push(start.elapsed());
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(Figures::round_trips(each))
    }

    /// As many messages at a time as the links take.
    async fn relays(&mut self, count: u64) -> io::Result<Figures> {
        let start = Instant::now();
        let bytes = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(MESSAGE);
        let (mut from, mut to) = self.stream.split();
        let write = async {
            let chunk = vec![0; BUFFER];
            let mut left = bytes;
            while left > 0 {
                let part = left.min(chunk.len());
                to.write_all(&chunk[..part]).await?;
                left -= part;
            }
            io::Result::Ok(())
        };
        let read = async {
            let mut buffer = vec![0; BUFFER];
            let mut left = bytes;
            while left > 0 {
                match from.read(&mut buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => left -= read,
                }
            }
            Ok(())
        };
        tokio::try_join!(write, read)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Figures::new().with("relays_per_s", count as f64 / seconds))
    }

    fn idle(&self) -> io::Result<Figures> {
        let (scheduler, worker) = (memory(self.relay.id())?, memory(self.workers[0].id())?);
        Ok(Figures::new().with("scheduler_mib", mib(scheduler)).with("worker_mib", mib(worker)))
    }
}
