use std::io::Write;
use std::path::PathBuf;

use dask_proto::Address;
use dask_scheduler::record::Detail;
use dask_scheduler::{Config, Scheduler};
use dask_tokenize::unique_key_name;
use dask_transport::Transports;

use crate::error::Error;
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
    /// Also end when standard input is closed: for a parent that must not leave it behind.
    #[arg(long, hide = true)]
    exit_on_stdin_close: bool,
}

/// `dask scheduler`.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    // One thread drives all connections and the state: a message is read, taken in and passed on
    // without waking another, which costs more than the work.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    runtime.block_on(serve(args))
}

async fn serve(args: &Args) -> Result<(), Error> {
    let shutdown = Shutdown::listen(args.stdin())?;
    let address = args.address()?;
    let transports = Transports::default();
    let scheduler = Scheduler::bind(config(), &address, &transports)
        .await
        .map_err(|source| Error::Bind { address, source })?;
    let scheduler = match &args.record {
        Some(file) => scheduler.record(file, args.detail())?,
        None => scheduler,
    };
    announce(scheduler.address()).map_err(Error::Output)?;
    scheduler.run(shutdown.asked()).await?;
    Ok(())
}

/// The defaults, under a name that no other scheduler has.
fn config() -> Config {
    Config { id: unique_key_name("Scheduler"), ..Config::default() }
}

/// The one line on standard output: programs that start a scheduler wait for it.
fn announce(address: &Address) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "Scheduler at: {address}")?;
    stdout.flush()
}

impl Args {
    fn address(&self) -> Result<Address, Error> {
        let Args { host, port, .. } = self;
        let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
        let text = if is_bare_ipv6 {
            format!("tcp://[{host}]:{port}")
        } else {
            format!("tcp://{host}:{port}")
        };
        Ok(text.parse()?)
    }

    fn detail(&self) -> Detail {
        if self.record_instructions { Detail::Instructions } else { Detail::Digests }
    }

    fn stdin(&self) -> Stdin {
        if self.exit_on_stdin_close { Stdin::EndsProcess } else { Stdin::Ignored }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> String {
        let args = Args {
            host: host.to_owned(),
            port: 8786,
            record: None,
            record_instructions: false,
            exit_on_stdin_close: false,
        };
        args.address().unwrap().to_string()
    }

    #[test]
    fn every_scheduler_has_a_name_of_its_own() {
        assert!(config().id.starts_with("Scheduler-"));
        assert_ne!(config().id, config().id);
    }

    #[test]
    fn a_host_of_any_kind_makes_an_address() {
        assert_eq!(address("127.0.0.1"), "tcp://127.0.0.1:8786");
        assert_eq!(address("localhost"), "tcp://localhost:8786");
        assert_eq!(address("::1"), "tcp://[::1]:8786");
        assert_eq!(address("[::1]"), "tcp://[::1]:8786");
    }
}
