use std::collections::BTreeMap;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use dask_agent::{Agent, Cache, Config as AgentConfig, Ended, Lifetime, Nanny, Tokens};
use dask_proto::message::CodePolicy;
use dask_proto::role;
use dask_proto::{Address, ByteSize, Resources};
use dask_transport::Transports;

use crate::config::Config;
use crate::error::Error;
use crate::file;
use crate::machine::{self, MemoryLimit, Workers};
use crate::quantity::{duration, ports, ratio};
use crate::shutdown::{Shutdown, Stdin};

/// How much programs may take on disk unless it is said.
const CACHE_BYTES: u64 = 8 << 30;

/// Offers this host to a cluster, until Ctrl-C or SIGTERM.
///
/// It knows no user code: when a client connects whose program the cluster does not have, it is
/// fetched from the client, or from another host that has it, kept on disk under its SHA-256, and
/// started as workers. These are watched, started again when they die, killed at 95 % of their
/// memory limit, and stopped when nobody needs them any more. When several programs run, their
/// workers together get no more memory than those of one: the largest is killed then.
///
/// Whoever can connect to the scheduler can run code here: see --allow-token-file and --no-code.
///
/// Dask's --preload is left out: there is no interpreter into which a script could be loaded. What
/// has to run before the tasks belongs into the program.
///
/// Prints one line on standard output once it has joined: `Agent at: ` and its address.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scheduler's address, such as `10.0.0.1:8786`; `DASK_SCHEDULER_ADDRESS` unless given.
    scheduler: Option<String>,
    /// The scheduler's address is in this file, which `dask scheduler --scheduler-file` writes.
    #[arg(long, value_name = "FILE", conflicts_with = "scheduler")]
    scheduler_file: Option<PathBuf>,
    /// The interface to listen on; that from which the scheduler is reached unless given.
    #[arg(long)]
    host: Option<String>,
    /// The host at which others reach this one, where that is another than it listens on, as behind
    /// a translation of addresses.
    #[arg(long, value_name = "HOST")]
    contact_address: Option<String>,
    /// The port that the workers of programs listen on, or the first and the last of several, as
    /// in `4000:4010`; any free ones unless given.
    #[arg(long, value_name = "PORT[:PORT]", value_parser = ports)]
    worker_port: Option<RangeInclusive<u16>>,
    /// How many worker processes each program has: `auto`, or a number; -1 means one for each
    /// core, -2 one less [default: 1].
    #[arg(long, value_name = "N", value_parser = machine::workers, allow_hyphen_values = true)]
    nworkers: Option<Workers>,
    /// How many tasks each worker runs at once; the cores shared by the workers unless given, or
    /// for 0.
    #[arg(long, value_name = "N")]
    nthreads: Option<u32>,
    /// The name of the workers, unique on the cluster; several have it with `-0`, `-1` and so on.
    /// Their address unless given.
    #[arg(long)]
    name: Option<String>,
    /// The memory that each worker may use: bytes as in `8GiB`, a share of the machine's as in
    /// `0.5`, `0` for no limit, or `auto`, the machine's shared by its cores [default: auto].
    #[arg(long, value_name = "BYTES", value_parser = machine::memory_limit)]
    memory_limit: Option<MemoryLimit>,
    /// Abstract resources of each worker: `GPU=2 MEM=10e9`.
    #[arg(long)]
    resources: Option<Resources>,
    /// Where results go that do not fit in memory; a temporary directory unless given.
    #[arg(long, value_name = "DIRECTORY")]
    local_directory: Option<PathBuf>,
    /// Neither start workers again that died, nor kill those that take too much memory.
    #[arg(long)]
    no_nanny: bool,
    /// End when there was no scheduler for this long, at the start or later. Without it the
    /// scheduler is waited for for ever.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    death_timeout: Option<Duration>,
    /// End after this long: the workers hand over their results first.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    lifetime: Option<Duration>,
    /// By how much --lifetime may be shorter or longer, by chance, so that not all end at once.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    lifetime_stagger: Option<Duration>,
    /// Replace workers after --lifetime, in place of ending.
    #[arg(long)]
    lifetime_restart: bool,
    /// Take no programs from clients: only those of --program, and those in the cache, run here.
    #[arg(long)]
    no_code: bool,
    /// Run programs only of clients that know one of the tokens in this file, one a line; it is
    /// read once. A client has its token from DASK_TOKEN or from its program, and does not send it:
    /// it shows that it knows it. Use long random ones, as of `openssl rand -hex 32`. Without this,
    /// the code of any client runs here.
    #[arg(long, value_name = "FILE")]
    allow_token_file: Option<PathBuf>,
    /// A program that is on this host already, so that it need not be fetched.
    #[arg(long, value_name = "FILE")]
    program: Vec<PathBuf>,
    /// Where programs are kept [default: dask/programs in the user's directory for caches].
    #[arg(long, value_name = "DIRECTORY")]
    program_cache: Option<PathBuf>,
    /// How much they may take there; those that were not used for longest go first
    /// [default: 8GiB].
    #[arg(long, value_name = "BYTES")]
    program_cache_size: Option<ByteSize>,
    /// Write the id of this process to this file, for as long as it runs.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Also end when standard input is closed: for a parent that must not leave it behind.
    #[arg(long, hide = true)]
    exit_on_stdin_close: bool,
}

/// `dask worker`.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let ended = runtime.block_on(serve(args));
    // A file that is being read does not keep the process.
    runtime.shutdown_background();
    ended
}

async fn serve(args: &Args) -> Result<(), Error> {
    let stdin = if args.exit_on_stdin_close { Stdin::EndsProcess } else { Stdin::Ignored };
    let shutdown = Shutdown::listen(stdin)?;
    let mut shutdown = std::pin::pin!(shutdown.asked());
    let _pid = args.pid_file.as_deref().map(file::write_pid).transpose()?;
    let config = Config::read()?;
    let agent = async {
        let scheduler = args.scheduler(&config).await?;
        let config = args.config(scheduler, &config)?;
        let (nworkers, nthreads) = (config.nworkers, config.nthreads);
        let agent = Agent::connect(config, Transports::default()).await?;
        let (at, name) = (agent.address(), agent.name());
        let mut stdout = std::io::stdout();
        writeln!(stdout, "Agent at: {at} (name {name}, {nworkers} x {nthreads} threads)")
            .and_then(|()| stdout.flush())
            .map_err(Error::Output)?;
        Ok::<_, Error>(agent)
    };
    let agent = tokio::select! {
        agent = agent => agent?,
        () = &mut shutdown => return Ok(()),
    };
    match agent.run(shutdown).await? {
        Ended::Closed { reason } => tracing::info!(reason, "the scheduler closed the agent"),
        Ended::Expired => tracing::info!("its life is over (--lifetime)"),
        _ => {}
    }
    Ok(())
}

impl Args {
    async fn scheduler(&self, config: &Config) -> Result<Address, Error> {
        if let Some(file) = &self.scheduler_file {
            return file::read_scheduler(file, self.death_timeout.unwrap_or(file::PATIENCE)).await;
        }
        match &self.scheduler {
            Some(text) => Ok(text.parse()?),
            None => {
                let named = config.get("scheduler-address", str::parse::<Address>)?;
                named.ok_or(Error::NoScheduler)
            }
        }
    }

    /// What was asked for, here or in the configuration.
    fn config(&self, scheduler: Address, config: &Config) -> Result<AgentConfig, Error> {
        let directory = match &self.program_cache {
            Some(directory) => directory.clone(),
            None => default_cache(),
        };
        let limit = self.program_cache_size.map_or(CACHE_BYTES, |ByteSize(bytes)| bytes);
        let mut cache = Cache::open(directory, limit)?;
        for program in &self.program {
            cache.install(program.clone())?;
        }
        let nworkers = self.nworkers.unwrap_or(Workers::Number(1));
        let (nworkers, nthreads) = machine::split(nworkers, self.nthreads, machine::cores());
        let memory_limit = self.memory_limit.unwrap_or(MemoryLimit::Auto);
        let configured = config.get("distributed.worker.resources", Resources::from_str)?;
        let Resources(resources) = self.resources.clone().or(configured).unwrap_or_default();
        let path = |text: &str| Ok::<_, std::convert::Infallible>(PathBuf::from(text));
        let local = config.get("temporary-directory", path)?;
        let allowed = config.get("distributed.worker.allow-token-file", path)?;
        let allowed = self.allow_token_file.clone().or(allowed);
        let tokens = allowed.as_deref().map(Tokens::read).transpose()?;
        let terminate = config.get("distributed.worker.memory.terminate", share)?;
        let defaults = AgentConfig::new(scheduler, cache);
        Ok(AgentConfig {
            name: self.name.clone(),
            host: self.host.clone(),
            contact_host: self.contact_address.clone(),
            worker_ports: self.worker_port.clone(),
            nworkers,
            nthreads,
            memory_limit: machine::bytes(memory_limit, nthreads),
            memory_terminate: terminate.map_or(defaults.memory_terminate, Share::or_never),
            environ: environ(config)?,
            resources,
            local_directory: self.local_directory.clone().or(local),
            code: if self.no_code { CodePolicy::Installed } else { CodePolicy::FromClients },
            tokens,
            nanny: if self.no_nanny { Nanny::Off } else { Nanny::On },
            death_timeout: self.death_timeout,
            lifetime: self.lifetime(config)?,
            ..defaults
        })
    }

    fn lifetime(&self, config: &Config) -> Result<Option<Lifetime>, Error> {
        let configured = config.get("distributed.worker.lifetime.duration", duration)?;
        let stagger = config.get("distributed.worker.lifetime.stagger", duration)?;
        let restart = config.get("distributed.worker.lifetime.restart", str::parse::<bool>)?;
        Ok(self.lifetime.or(configured).map(|duration| Lifetime {
            duration,
            stagger: self.lifetime_stagger.or(stagger).unwrap_or_default(),
            restart: self.lifetime_restart || restart.unwrap_or_default(),
        }))
    }
}

/// What workers are told of the configuration by their variables.
fn environ(config: &Config) -> Result<BTreeMap<String, String>, Error> {
    let mut environ = BTreeMap::new();
    for (key, variable) in [
        ("distributed.worker.memory.target", role::MEMORY_TARGET),
        ("distributed.worker.memory.spill", role::MEMORY_SPILL),
        ("distributed.worker.memory.pause", role::MEMORY_PAUSE),
    ] {
        let checked = |text: &str| share(text).map(|_| text.to_owned());
        if let Some(text) = config.get(key, checked)? {
            environ.insert(variable.to_owned(), text);
        }
    }
    Ok(environ)
}

/// A share of the memory limit, or none at all.
enum Share {
    Of(f64),
    Never,
}

impl Share {
    fn or_never(self) -> Option<f64> {
        match self {
            Self::Of(share) => Some(share),
            Self::Never => None,
        }
    }
}

/// Dask writes `false` for never.
fn share(text: &str) -> Result<Share, crate::quantity::NoRatio> {
    if text == "false" { Ok(Share::Never) } else { ratio(text).map(Share::Of) }
}

/// Where programs are kept unless it is said.
fn default_cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
    match caches.or_else(home) {
        Some(caches) => caches.join("dask/programs"),
        // SAFETY: it takes nothing and changes nothing.
        None => std::env::temp_dir().join(format!("dask-programs-{}", unsafe { libc::geteuid() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn config(words: &str) -> AgentConfig {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().to_str().unwrap();
        let words = ["worker", "--program-cache", cache].into_iter().chain(words.split(' '));
        let words = words.filter(|word| !word.is_empty());
        let args = <Cli as clap::Parser>::try_parse_from(words).unwrap().args;
        let scheduler = "tcp://127.0.0.1:8786".parse().unwrap();
        args.config(scheduler, &Config::default()).unwrap()
    }

    #[test]
    fn what_is_not_asked_for_is_as_by_default() {
        let config = config("");
        assert_eq!((config.nworkers, config.nthreads), (1, machine::cores()));
        assert_eq!(config.memory_limit, machine::bytes(MemoryLimit::Auto, machine::cores()));
        assert_eq!(config.memory_terminate, Some(0.95));
        assert_eq!((config.code, config.nanny), (CodePolicy::FromClients, Nanny::On));
        assert_eq!((config.lifetime, config.death_timeout, config.name), (None, None, None));
    }

    #[test]
    fn what_is_asked_for_is_done() {
        let config = config(
            "--nworkers 2 --nthreads 3 --name alice --memory-limit 1GiB --resources GPU=2,MEM=1e9 \
             --no-nanny --no-code --death-timeout 60 --lifetime 1h --lifetime-stagger 5m \
             --lifetime-restart --worker-port 4000:4003 --host 127.0.0.1",
        );
        assert_eq!((config.nworkers, config.nthreads), (2, 3));
        assert_eq!(config.name.as_deref(), Some("alice"));
        assert_eq!(config.memory_limit, Some(1 << 30));
        assert_eq!(config.resources.get("GPU"), Some(&2.0));
        assert_eq!((config.code, config.nanny), (CodePolicy::Installed, Nanny::Off));
        assert_eq!(config.death_timeout, Some(Duration::from_secs(60)));
        let (duration, stagger) = (Duration::from_secs(3600), Duration::from_secs(300));
        assert_eq!(config.lifetime, Some(Lifetime { duration, stagger, restart: true }));
        assert_eq!(config.worker_ports, Some(4000..=4003));
        assert_eq!(config.host.as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn tokens_are_read_from_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "one\ntwo\n").unwrap();
        let tokens = config(&format!("--allow-token-file {}", file.path().display())).tokens;
        assert_eq!(tokens.unwrap().ids().len(), 2);
        assert_eq!(config("").tokens, None);
    }

    #[test]
    fn workers_are_told_when_to_act() {
        let mut config = Config::default();
        config.set("distributed.worker.memory.target", "0.5");
        config.set("distributed.worker.memory.pause", "false");
        let told = environ(&config).unwrap();
        let expected = [(role::MEMORY_TARGET, "0.5"), (role::MEMORY_PAUSE, "false")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(told, BTreeMap::from(expected));
        config.set("distributed.worker.memory.spill", "much");
        assert!(environ(&config).is_err());
    }

    #[test]
    fn fewer_workers_than_cores_are_counted_down() {
        let nworkers = config("--nworkers -1").nworkers;
        assert_eq!(nworkers, machine::cores());
    }
}
