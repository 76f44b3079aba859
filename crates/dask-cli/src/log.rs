use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::error::Error;

const DEFAULT: &str = "info";

/// What is logged on standard error.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to log: a level, or levels by module as in `dask_scheduler=debug,info`. RUST_LOG
    /// serves where neither this nor DASK_LOG is given [default: info].
    #[arg(long, global = true, env = "DASK_LOG", value_name = "FILTER")]
    log: Option<String>,
}

impl Args {
    /// Logs go to standard error from now on: standard output carries what programs read.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let filter = self.log.clone().or_else(|| std::env::var("RUST_LOG").ok());
        let filter = filter.filter(|filter| !filter.trim().is_empty());
        let filter = filter.unwrap_or_else(|| DEFAULT.to_owned());
        let parsed =
            EnvFilter::try_new(&filter).map_err(|source| Error::LogFilter { filter, source })?;
        tracing_subscriber::fmt()
            .with_env_filter(parsed)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .init();
        Ok(())
    }
}
