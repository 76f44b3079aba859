/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the log filter {filter:?} is not valid")]
    LogFilter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("this makes no address")]
    Address(#[from] dask_proto::ParseAddressError),
    #[error("cannot start a scheduler at {address}")]
    Bind { address: dask_proto::Address, source: dask_scheduler::Error },
    #[error("the scheduler failed")]
    Scheduler(#[from] dask_scheduler::Error),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("the recording cannot be replayed")]
    Recording(#[from] dask_scheduler::record::ReadError),
    #[error("the state does not do what it did: event {number} leads to something else")]
    Difference { number: u64 },
    #[error("an invariant does not hold after event {number}")]
    Invariant { number: u64, source: dask_scheduler::state::Violation },
    #[error("the state panicked at event {number}")]
    Panic { number: u64 },
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    #[error("the agent failed")]
    Agent(#[source] Box<dask_agent::Error>),
    #[error("the programs of this host cannot be kept")]
    Cache(#[source] Box<dask_agent::CacheError>),
    #[error("--allow-token-file")]
    Tokens(#[from] dask_agent::TokensError),
    #[error("say where the scheduler is: `dask worker ADDRESS`, or DASK_SCHEDULER_ADDRESS")]
    NoScheduler,
    #[error("the cluster did not answer")]
    Client(#[source] dask_client::Error),
    #[error("{key} is {text:?} in {place}: {reason}")]
    Setting { key: &'static str, text: String, place: String, reason: String },
    #[error("the configuration {} cannot be read: {reason}", path.display())]
    ConfigFile { path: std::path::PathBuf, reason: String },
    #[error(transparent)]
    SchedulerFile(#[from] dask_client::scheduler_file::SchedulerFileError),
    #[error("cannot write {}", path.display())]
    Write { path: std::path::PathBuf, source: std::io::Error },
}

impl From<dask_agent::Error> for Error {
    fn from(error: dask_agent::Error) -> Self {
        Self::Agent(Box::new(error))
    }
}

impl From<dask_agent::CacheError> for Error {
    fn from(error: dask_agent::CacheError) -> Self {
        Self::Cache(Box::new(error))
    }
}
