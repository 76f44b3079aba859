//! A scheduler process, and workers that do nothing.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::time::Duration;

use dask_proto::graph::Function;
use dask_proto::message::{
    ClientToScheduler, Hello, Program, Role, SchedulerToClient, SchedulerToWorker, WorkerJoin,
    WorkerToScheduler,
};
use dask_proto::{Address, Payload};
use dask_transport::{Inbox, Outbox, Transports, channel, connect};
use rig::process::{Process, beside};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What `dask scheduler` prints before its address.
const SCHEDULER_READY: &str = "Scheduler at: ";

const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) type ToScheduler = Outbox<ClientToScheduler>;
pub(crate) type FromScheduler = Inbox<SchedulerToClient>;

/// The function that all tasks call, and no worker runs.
pub(crate) fn function() -> Function {
    Function { path: "zero::nothing".to_owned(), signature: "fn(i64) -> i64".to_owned() }
}

/// What a worker says of itself.
pub(crate) fn join(number: u32) -> WorkerJoin {
    let address = format!("tcp://127.0.0.1:{}", number % 65_000 + 1);
    WorkerJoin {
        address: address.parse().expect("a host and a port are an address"),
        name: number.to_string(),
        nthreads: 1,
        memory_limit: None,
        resources: BTreeMap::new(),
        functions: vec![function()],
        pid: number,
        program: None,
    }
}

/// Starts the scheduler; its address.
pub(crate) fn scheduler() -> io::Result<(Process, Address)> {
    let mut command = Command::new(beside("dask")?);
    command.args(["--log", "warn", "scheduler", "--port", "0", "--exit-on-stdin-close"]);
    let (process, line) = Process::start_and_read(&mut command)?;
    let address = line.trim_start_matches(SCHEDULER_READY).parse().map_err(io::Error::other)?;
    Ok((process, address))
}

/// Joins a scheduler in a role.
pub(crate) async fn enter<Out, In>(
    scheduler: &Address,
    role: Role,
) -> io::Result<(Outbox<Out>, Inbox<In>)>
where
    Out: Serialize + Send + 'static,
    In: DeserializeOwned,
{
    let hello = Hello { role, program: Program::default() };
    let joined = connect(&Transports::default(), scheduler, &hello, TIMEOUT).await;
    let (connection, _) = joined.map_err(io::Error::other)?;
    Ok(channel(connection))
}

/// A worker: whatever it is told to compute is done at once. It ends with the scheduler.
pub(crate) async fn worker(scheduler: Address, number: u32) -> io::Result<()> {
    let role = Role::Worker(Box::new(join(number)));
    let (outbox, mut inbox) =
        enter::<WorkerToScheduler, SchedulerToWorker>(&scheduler, role).await?;
    while let Ok(Some(messages)) = inbox.receive().await {
        if outbox.send(messages.into_iter().filter_map(done)).is_err() {
            break;
        }
    }
    Ok(())
}

/// The report of a task that is done without having run.
pub(crate) fn done(message: SchedulerToWorker) -> Option<WorkerToScheduler> {
    let SchedulerToWorker::Compute(compute) = message else {
        return None;
    };
    Some(WorkerToScheduler::Finished {
        task: compute.task,
        run: compute.run,
        nbytes: 8,
        duration_ns: 1000,
        value: Some(Payload::Bytes(bytes::Bytes::from_static(b"the sum!"))),
    })
}
