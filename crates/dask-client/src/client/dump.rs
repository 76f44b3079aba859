//! All that scheduler and workers know, in a file, for people who look for a fault.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use dask_proto::id::TaskId;
use dask_proto::message::{
    Inspect, Inspected, LogRecord, Question, Reply, RunningTask, SchedulerInfo, TaskDump, Versions,
};
use dask_proto::{Address, Key};
use serde::Serialize;

use super::question::{addresses, ask_each, inspect};
use crate::error::Kind;
use crate::{Client, Result};

/// What is in the file.
#[derive(Debug, Serialize)]
struct Dump {
    versions: DumpedVersions,
    scheduler: DumpedScheduler,
    workers: BTreeMap<Address, DumpedWorker>,
}

#[derive(Debug, Serialize)]
struct DumpedVersions {
    client: Versions,
    scheduler: Versions,
    workers: BTreeMap<Address, Versions>,
}

#[derive(Debug, Serialize)]
struct DumpedScheduler {
    info: SchedulerInfo,
    tasks: Vec<TaskDump>,
    finished: BTreeMap<Address, BTreeMap<String, u64>>,
    log: Vec<LogRecord>,
}

/// What one worker says; an error in place of what it could not be asked.
#[derive(Debug, Default, Serialize)]
struct DumpedWorker {
    tasks: Vec<DumpedTask>,
    running: Vec<RunningTask>,
    log: Vec<LogRecord>,
    errors: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DumpedTask {
    task: TaskId,
    /// As the scheduler knows it.
    key: Option<Key>,
    state: String,
}

impl Client {
    /// Writes all that scheduler and workers know to a file, as JSON (which is YAML too): Dask's
    /// `Client.dump_cluster_state`. Every task with its state, its dependencies and where it is,
    /// on the scheduler and on each worker; what runs; versions, memory and logs. To look for a
    /// fault in, or to send to somebody who does.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// # let path = std::env::temp_dir().join(format!("dump-{}.json", std::process::id()));
    /// let future = client.submit(inc, 1);
    /// client.dump_cluster_state(&path).await?;
    /// assert!(std::fs::read_to_string(&path)?.contains(future.key().as_str()));
    /// # std::fs::remove_file(&path)?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// What is not in it: the values of results and arguments. Keys, names of functions, errors and
    /// what tasks printed are.
    ///
    /// # Errors
    /// When the file cannot be written, or the scheduler is gone. What a worker does not say is
    /// missing, and the file says why.
    pub async fn dump_cluster_state(&self, path: impl AsRef<Path>) -> Result<()> {
        let dump = self.dump().await?;
        let path = path.as_ref().to_owned();
        let written = tokio::task::spawn_blocking(move || {
            let file = std::io::BufWriter::new(std::fs::File::create(path)?);
            serde_json::to_writer_pretty(file, &dump).map_err(std::io::Error::from)
        });
        Ok(written.await.map_err(std::io::Error::other)??)
    }

    async fn dump(&self) -> Result<Dump> {
        let info = self.scheduler_info().await?;
        let tasks = self.all_tasks().await?;
        let keys: HashMap<TaskId, Key> =
            tasks.iter().map(|task| (task.id, task.key.clone())).collect();
        let mut workers = self.dump_workers(&keys).await?;
        for (worker, log) in self.get_worker_logs().await? {
            workers.entry(worker).or_default().log = log;
        }
        let versions = self.get_versions().await?;
        let versions = DumpedVersions {
            client: versions.client,
            scheduler: versions.scheduler,
            workers: versions.workers,
        };
        let finished = self.finished_counts().await?;
        let log = self.get_scheduler_logs(None).await?;
        let scheduler = DumpedScheduler { info, tasks, finished, log };
        Ok(Dump { versions, scheduler, workers })
    }

    async fn all_tasks(&self) -> Result<Vec<TaskDump>> {
        let mut all = Vec::new();
        let mut from = 0;
        loop {
            match inspect(self.link(), Inspect::Tasks { from }).await? {
                Inspected::Tasks { tasks, next } => {
                    all.extend(tasks);
                    match next {
                        Some(next) => from = next,
                        None => return Ok(all),
                    }
                }
                _ => return Err(Kind::Answer.into()),
            }
        }
    }

    async fn dump_workers(
        &self,
        keys: &HashMap<TaskId, Key>,
    ) -> Result<BTreeMap<Address, DumpedWorker>> {
        let mut workers: BTreeMap<Address, DumpedWorker> = BTreeMap::new();
        let addresses = addresses(self.link(), Vec::new()).await?;
        let running = Question::Running { keys: Vec::new() };
        for question in [Question::Tasks, running] {
            for (worker, reply) in ask_each(self.link(), addresses.clone(), &question).await {
                let dump = workers.entry(worker).or_default();
                match reply {
                    Ok(Reply::Tasks(tasks)) => {
                        let task = |task: dask_proto::message::WorkerTaskDump| DumpedTask {
                            task: task.task,
                            key: keys.get(&task.task).cloned(),
                            state: task.state,
                        };
                        dump.tasks = tasks.into_iter().map(task).collect();
                    }
                    Ok(Reply::Running(tasks)) => dump.running = tasks,
                    Ok(_) => return Err(Kind::Answer.into()),
                    Err(error) => dump.errors.push(error.to_string()),
                }
            }
        }
        Ok(workers)
    }
}
