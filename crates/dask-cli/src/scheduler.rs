use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::role::BUSY_POLL;
use dask_scheduler::record::Detail;
use dask_scheduler::{Config, Scheduler, WorkStealing};
use dask_tokenize::unique_key_name;
use dask_transport::{BusyPoll, Transports, keep_freed_memory};

use crate::config::Config as Configuration;
use crate::error::Error;
use crate::file;
use crate::quantity::{NoDuration, duration, ratio};
use crate::shutdown::{Shutdown, Stdin};

/// Starts a scheduler, until Ctrl-C or SIGTERM.
///
/// Prints one line on standard output once it listens: `Scheduler at: ` and its address.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address to listen on. Whoever can connect can run tasks, so by default only this
    /// machine can; `0.0.0.0` opens the scheduler to the network, as Dask does.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8786)]
    port: u16,
    /// Record everything that happens to this file, for `dask replay`. It holds what clients and
    /// workers send, arguments and small results among it.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Record what follows as well, not only digests of it, so that a difference can be read.
    #[arg(long, requires = "record")]
    record_instructions: bool,
    /// End when nothing has run and no client has said anything for this long: `300`, `90s`,
    /// `5 min`, `2h`. Without it the scheduler waits for ever.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    idle_timeout: Option<Duration>,
    /// Fail tasks that no worker came for that may run them within this long. Without it they wait
    /// for ever.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    no_workers_timeout: Option<Duration>,
    /// Give up a worker from which nothing was heard for this long: its tasks run elsewhere
    /// [default: 5 min].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    worker_ttl: Option<Duration>,
    /// How many workers may die under a task before the task fails [default: 3].
    #[arg(long, value_name = "N")]
    allowed_failures: Option<u32>,
    /// How many root tasks a worker is given per thread before the rest waits on the scheduler;
    /// `inf` hands them all out at once [default: 1.1].
    #[arg(long, value_name = "RATIO", value_parser = ratio, allow_negative_numbers = true)]
    worker_saturation: Option<f64>,
    /// Log why a task makes no progress once it has made none for this long; `never` for no such
    /// warning [default: 5 min].
    #[arg(long, value_name = "DURATION", value_parser = patience)]
    stuck_after: Option<Patience>,
    /// Log why no worker may run a task once there was none for this long; `never` for no such
    /// warning [default: 10 s].
    #[arg(long, value_name = "DURATION", value_parser = patience)]
    unrunnable_after: Option<Patience>,
    /// How long the workers of a program that agents started outlive its last client, as long as
    /// nothing of it is wanted [default: 30 s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    keep_programs: Option<Duration>,
    /// Look for messages for this many microseconds before going to sleep, where they come in quick
    /// succession; 0 for never. Worker processes read the variable too.
    #[arg(long, value_name = "MICROSECONDS", env = BUSY_POLL)]
    #[arg(default_value_t = BusyPoll::LIMIT.as_micros() as u64)]
    busy_poll: u64,
    /// Write the address to this file, for `dask worker --scheduler-file`.
    #[arg(long, value_name = "FILE")]
    scheduler_file: Option<PathBuf>,
    /// Write the id of this process to this file, for as long as it runs.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Also end when standard input is closed: for a parent that must not leave it behind.
    #[arg(long, hide = true)]
    exit_on_stdin_close: bool,
}

/// Tables from this size on have pages of their own, so that they grow without being moved.
const TABLE_BYTES: u32 = 1 << 20;

/// `dask scheduler`.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    keep_freed_memory(TABLE_BYTES);
    // One thread drives all connections and the state: a message is read, taken in and passed on
    // without waking another, which costs more than the work.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    runtime.block_on(serve(args))
}

async fn serve(args: &Args) -> Result<(), Error> {
    let shutdown = Shutdown::listen(args.stdin())?;
    let _pid = args.pid_file.as_deref().map(file::write_pid).transpose()?;
    let config = args.config(&Configuration::read()?)?;
    let id = config.id.clone();
    let address = args.address()?;
    let transports = Transports::default();
    let scheduler = Scheduler::bind(config, &address, &transports)
        .await
        .map_err(|source| Error::Bind { address, source })?;
    let scheduler = match &args.record {
        Some(file) => scheduler.record(file, args.detail())?,
        None => scheduler,
    };
    let scheduler = scheduler.busy_poll(Duration::from_micros(args.busy_poll));
    let at = scheduler.address();
    let file = args.scheduler_file.as_deref();
    let _file = file.map(|path| file::write_scheduler(path, &id, at)).transpose()?;
    announce(at).map_err(Error::Output)?;
    // As a task: the runtime turns to the system once more before it polls what it waits for.
    let running = tokio::spawn(scheduler.run(shutdown.asked()));
    running.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    Ok(())
}

/// The one line on standard output: programs that start a scheduler wait for it.
fn announce(address: &Address) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "Scheduler at: {address}")?;
    stdout.flush()
}

impl Args {
    /// What was asked for, under a name that no other scheduler has.
    fn config(&self, configuration: &Configuration) -> Result<Config, Error> {
        let default = Config::default();
        let time = |asked: Option<Duration>, key| match asked {
            Some(duration) => Ok(Some(duration)),
            None => configuration.get(key, duration),
        };
        let failures = configuration.get("distributed.scheduler.allowed-failures", str::parse)?;
        let saturation = configuration.get("distributed.scheduler.worker-saturation", ratio)?;
        let stealing = configuration.get("distributed.scheduler.work-stealing", stealing)?;
        let bandwidth = configuration.get("distributed.scheduler.bandwidth", bytes)?;
        let ttl = time(self.worker_ttl, "distributed.scheduler.worker-ttl")?;
        let unknown = time(None, "distributed.scheduler.unknown-task-duration")?;
        let contact =
            configuration.get("distributed.scheduler.contact-address", str::parse::<Address>)?;
        Ok(Config {
            id: unique_key_name("Scheduler"),
            contact_address: contact,
            idle_timeout: time(self.idle_timeout, "distributed.scheduler.idle-timeout")?,
            no_workers_timeout: time(
                self.no_workers_timeout,
                "distributed.scheduler.no-workers-timeout",
            )?,
            worker_ttl: ttl.unwrap_or(default.worker_ttl),
            allowed_failures: self
                .allowed_failures
                .or(failures)
                .unwrap_or(default.allowed_failures),
            worker_saturation: self
                .worker_saturation
                .or(saturation)
                .unwrap_or(default.worker_saturation),
            work_stealing: stealing.unwrap_or_default(),
            bandwidth: bandwidth.unwrap_or(default.bandwidth),
            unknown_task_duration: unknown.unwrap_or(default.unknown_task_duration),
            stuck_after: Patience::or(self.stuck_after, default.stuck_after),
            unrunnable_after: Patience::or(self.unrunnable_after, default.unrunnable_after),
            program_grace: self.keep_programs.unwrap_or(default.program_grace),
            ..default
        })
    }

    fn address(&self) -> Result<Address, Error> {
        let any: Address = format!("tcp://0:{}", self.port).parse()?;
        Ok(any.with_host(&self.host)?)
    }

    fn detail(&self) -> Detail {
        if self.record_instructions { Detail::Instructions } else { Detail::Digests }
    }

    fn stdin(&self) -> Stdin {
        if self.exit_on_stdin_close { Stdin::EndsProcess } else { Stdin::Ignored }
    }
}

/// How long to be patient.
#[derive(Clone, Copy, Debug)]
enum Patience {
    For(Duration),
    Endless,
}

impl Patience {
    fn or(asked: Option<Self>, default: Option<Duration>) -> Option<Duration> {
        match asked {
            Some(Self::For(duration)) => Some(duration),
            Some(Self::Endless) => None,
            None => default,
        }
    }
}

fn stealing(text: &str) -> Result<WorkStealing, std::str::ParseBoolError> {
    let is_on: bool = text.parse()?;
    Ok(if is_on { WorkStealing::On } else { WorkStealing::Off })
}

fn bytes(text: &str) -> Result<u64, std::num::ParseFloatError> {
    // Dask writes a speed as a number, such as 100000000 or 1e8. Casts saturate.
    text.parse::<f64>().map(|bytes| bytes as u64)
}

fn patience(text: &str) -> Result<Patience, NoDuration> {
    if text == "never" { Ok(Patience::Endless) } else { duration(text).map(Patience::For) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        let words = std::iter::once(&"scheduler").chain(words);
        <Cli as clap::Parser>::try_parse_from(words).unwrap().args
    }

    fn config(words: &[&str]) -> Config {
        args(words).config(&Configuration::default()).unwrap()
    }

    fn address(host: &str) -> String {
        args(&["--host", host]).address().unwrap().to_string()
    }

    #[test]
    fn what_is_not_asked_for_is_as_by_default() {
        let config = config(&[]);
        assert_eq!(config, Config { id: config.id.clone(), ..Config::default() });
    }

    #[test]
    fn durations_are_read_with_their_units() {
        let words = "--idle-timeout 90 --no-workers-timeout 1.5s --worker-ttl 2h";
        let words: Vec<&str> = words.split(' ').chain(["--stuck-after", "10 min"]).collect();
        let config = config(&words);
        assert_eq!(config.idle_timeout, Some(Duration::from_secs(90)));
        assert_eq!(config.no_workers_timeout, Some(Duration::from_millis(1500)));
        assert_eq!(config.worker_ttl, Duration::from_secs(7200));
        assert_eq!(config.stuck_after, Some(Duration::from_secs(600)));
        assert_eq!(super::tests::config(&["--stuck-after", "never"]).stuck_after, None);
    }

    #[test]
    fn a_saturation_is_above_zero() {
        assert_eq!(config(&["--worker-saturation", "inf"]).worker_saturation, f64::INFINITY);
        for wrong in ["-1", "0", "NaN", "much"] {
            let words = ["scheduler", "--worker-saturation", wrong];
            let parsed = <Cli as clap::Parser>::try_parse_from(words);
            let error = parsed.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("expected a number above zero, or `inf`"), "{error}");
        }
    }

    #[test]
    fn every_scheduler_has_a_name_of_its_own() {
        assert!(config(&[]).id.starts_with("Scheduler-"));
        assert_ne!(config(&[]).id, config(&[]).id);
    }

    #[test]
    fn a_host_of_any_kind_makes_an_address() {
        assert_eq!(address("127.0.0.1"), "tcp://127.0.0.1:8786");
        assert_eq!(address("localhost"), "tcp://localhost:8786");
        assert_eq!(address("::1"), "tcp://[::1]:8786");
        assert_eq!(address("[::1]"), "tcp://[::1]:8786");
    }
}
