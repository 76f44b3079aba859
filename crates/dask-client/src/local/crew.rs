//! The workers of a local cluster, each watched by a task of its own, and how many there are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dask_proto::Address;
use dask_proto::message::{Refusal, WorkerInfo};
use dask_worker::{Config, Ended, Worker};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{LocalClusterBuilder, START_TIMEOUT, connect, process, until};
use crate::client::program::program;
use crate::running::companion::Companion;
use crate::{Client, Result};

/// The workers, and how to start more of them.
pub(super) struct Crew {
    recipe: LocalClusterBuilder,
    scheduler: Address,
    roster: Mutex<Roster>,
    /// Held while workers are started or let go: one after the other.
    scaling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Roster {
    members: Vec<Member>,
    /// The name of the next.
    next: u32,
    is_closed: bool,
}

/// A worker, in this process or in one of its own. It ends when this is dropped.
struct Member {
    name: String,
    /// Ends it when it is dropped.
    stop: watch::Sender<bool>,
    /// Runs until the worker has ended for good.
    task: JoinHandle<()>,
}

impl Crew {
    /// Nobody yet.
    pub(super) fn new(recipe: LocalClusterBuilder, scheduler: Address) -> Self {
        let (roster, scaling) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { recipe, scheduler, roster, scaling }
    }

    /// A client that nobody sees.
    pub(super) async fn observer(&self) -> Result<Client> {
        connect(&self.scheduler, &self.recipe.transports, false).await
    }

    /// Starts or lets go of workers until there are so many; returns once they have joined or left.
    pub(super) async fn scale(&self, n: u32) -> Result<()> {
        let _scaling = self.scaling.lock().await;
        let present = self.names().len();
        let wanted = n as usize;
        if wanted > present {
            self.start(wanted - present).await
        } else if wanted < present {
            self.let_go(present - wanted).await
        } else {
            Ok(())
        }
    }

    /// How many workers there are, those included that are being started again.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.names().len()).unwrap_or(u32::MAX)
    }

    /// Ends all workers; what resolves when they have ended.
    pub(super) fn close(&self) -> Vec<JoinHandle<()>> {
        let mut roster = self.roster();
        roster.is_closed = true;
        std::mem::take(&mut roster.members).into_iter().map(|member| member.task).collect()
    }

    async fn start(&self, count: usize) -> Result<()> {
        let names: Vec<String> = {
            let mut roster = self.roster();
            let first = roster.next;
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            roster.next = first.saturating_add(count);
            (first..roster.next).map(|name| name.to_string()).collect()
        };
        let members = if self.recipe.processes {
            self.start_processes(names.clone()).await?
        } else {
            self.start_threads(names.clone()).await?
        };
        {
            let mut roster = self.roster();
            // Dropped, they end.
            if !roster.is_closed {
                roster.members.extend(members);
            }
        }
        let observer = self.observer().await?;
        let named = names.into_iter().map(|name| (name, None)).collect();
        observer.await_workers(named, START_TIMEOUT).await?;
        observer.close().await
    }

    async fn start_processes(&self, names: Vec<String>) -> Result<Vec<Member>> {
        let processes = names.into_iter().map(|name| self.recipe.process(&self.scheduler, name));
        let started = process::start(processes.collect::<Result<_>>()?).await?;
        let watched = started.into_iter().map(|(setup, process)| {
            let (stop, stopped) = watch::channel(false);
            let name = setup.name.clone();
            Member { name, stop, task: tokio::spawn(process::watch(setup, process, stopped)) }
        });
        Ok(watched.collect())
    }

    async fn start_threads(&self, names: Vec<String>) -> Result<Vec<Member>> {
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let config = self.recipe.config(&self.scheduler, name.clone());
            let transports = self.recipe.transports.clone();
            let worker = Worker::connect(config.clone(), transports.clone()).await?;
            let (stop, stopped) = watch::channel(false);
            let again = async move || Worker::connect(config.clone(), transports.clone()).await;
            let task = tokio::spawn(serve(worker, again, stopped));
            members.push(Member { name, stop, task });
        }
        Ok(members)
    }

    /// Has workers hand over what they hold, those first that have nothing to do and hold least,
    /// and ends them, also those that could not hand over everything (as in Dask): what is still
    /// wanted of that is computed again.
    async fn let_go(&self, count: usize) -> Result<()> {
        let observer = self.observer().await?;
        let info = observer.scheduler_info().await?;
        let chosen = choose(&self.names(), &info.workers, count);
        if let Err(error) = retire(&observer, &chosen).await {
            tracing::warn!(%error, "workers end although they could not hand over what they hold");
        }
        observer.close().await?;
        let leaving: Vec<Member> = {
            let mut roster = self.roster();
            let members = std::mem::take(&mut roster.members).into_iter();
            let (leaving, staying) = members.partition(|member| chosen.contains(&member.name));
            roster.members = staying;
            leaving
        };
        for member in leaving {
            drop(member.stop);
            // One that panicked has ended too.
            let _ = member.task.await;
        }
        Ok(())
    }

    /// The names of the workers that have not ended for good.
    fn names(&self) -> Vec<String> {
        let mut roster = self.roster();
        roster.members.retain(|member| !member.task.is_finished());
        roster.members.iter().map(|member| member.name.clone()).collect()
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").field("workers", &self.names()).finish_non_exhaustive()
    }
}

/// Those that are to leave: first what the scheduler does not know, then idle ones, of these those
/// that hold least, and of these the youngest.
fn choose(names: &[String], workers: &[WorkerInfo], count: usize) -> Vec<String> {
    let mut ranked: Vec<_> = names.iter().enumerate().collect();
    ranked.sort_by_key(|(age, name)| {
        let info = workers.iter().find(|worker| worker.name == **name);
        let load = info.map(|info| (info.processing > 0, info.nbytes));
        (load, std::cmp::Reverse(*age))
    });
    ranked.into_iter().take(count).map(|(_, name)| name.clone()).collect()
}

/// Has those of these workers hand over what they hold that the scheduler knows: one that is just
/// being started again has nothing.
async fn retire(observer: &Client, names: &[String]) -> Result<()> {
    loop {
        let info = observer.scheduler_info().await?;
        let known = info.workers.into_iter().map(|worker| worker.name);
        let known: Vec<String> = known.filter(|name| names.contains(name)).collect();
        if known.is_empty() {
            return Ok(());
        }
        match observer.retire_workers(known).await {
            // One of them left meanwhile.
            Err(error) if matches!(error.refusal(), Some(Refusal::UnknownWorker(_))) => {}
            retired => return retired.map(drop),
        }
    }
}

/// Runs a worker in this process until it is to stop, also after it was restarted.
async fn serve(
    mut worker: Worker,
    again: impl AsyncFn() -> Result<Worker, dask_worker::Error>,
    stopped: watch::Receiver<bool>,
) {
    loop {
        match worker.run(until(stopped.clone())).await {
            Ok(Ended::Restarting) => {}
            Ok(_) => return,
            Err(error) => {
                return tracing::error!(%error, "a worker of a local cluster ended");
            }
        }
        worker = match again().await {
            Ok(worker) => worker,
            Err(error) => {
                return tracing::error!(%error, "a worker of a local cluster cannot restart");
            }
        };
    }
}

impl LocalClusterBuilder {
    /// A worker in this process.
    fn config(&self, scheduler: &Address, name: String) -> Config {
        let mut config = Config::new(scheduler.clone());
        config.name = Some(name);
        config.nthreads = self.threads();
        config.resources = self.resources.clone();
        config.memory_limit = self.memory_limit;
        config.local_directory = self.local_directory.clone();
        config.program = program();
        config.restarts = true;
        let companion = Companion::new(scheduler.clone(), self.transports.clone());
        config.companion = companion.slot();
        config
    }
}

/// What starts and lets go of workers, for [`LocalCluster`](super::LocalCluster) and what adapts
/// it.
pub(super) type SharedCrew = Arc<Crew>;

#[cfg(test)]
mod tests {
    use dask_proto::message::{
        Answer, ClientToScheduler, Request, SchedulerInfo, SchedulerToClient,
    };

    use super::*;
    use crate::testing::MockScheduler;

    fn worker(name: &str, processing: u64, nbytes: u64) -> WorkerInfo {
        WorkerInfo {
            address: "tcp://127.0.0.1:1".parse().expect("an address"),
            name: name.to_owned(),
            nthreads: 1,
            memory_limit: None,
            resources: std::collections::BTreeMap::new(),
            pid: 1,
            nbytes,
            processing,
            status: Default::default(),
            metrics: Default::default(),
            program: None,
        }
    }

    /// Answers the next request of the client.
    async fn answer(scheduler: &mut MockScheduler, answer: Answer) -> Request {
        loop {
            let heard = scheduler.next().await.expect("a request");
            if let ClientToScheduler::Request { id, request } = heard {
                let message = SchedulerToClient::Answer { id, answer };
                scheduler.send(message).expect("the client is there");
                return request;
            }
        }
    }

    #[tokio::test]
    async fn those_retire_that_are_known_and_the_others_keep_nobody_from_it() {
        let mut scheduler = MockScheduler::start().await.expect("a mock");
        let observer = scheduler.client().await.expect("a client");
        let info = |names: &[&str]| {
            let workers = names.iter().map(|name| worker(name, 0, 0)).collect();
            let address = "tcp://127.0.0.1:1".parse().expect("an address");
            let (id, tasks) = (String::new(), std::collections::BTreeMap::new());
            let (clients, agents) = (1, Vec::new());
            Answer::Info(Box::new(SchedulerInfo { address, id, workers, clients, tasks, agents }))
        };
        let leaving = tokio::spawn(async move {
            let names = ["0", "1", "2"].map(str::to_owned);
            retire(&observer, &names).await
        });
        answer(&mut scheduler, info(&["0", "1", "3"])).await;
        let gone = Answer::Refused(Refusal::UnknownWorker("0".to_owned()));
        let retired = |names: &[&str]| Request::RetireWorkers {
            workers: names.iter().map(|name| (*name).to_owned()).collect(),
            n: None,
        };
        assert_eq!(answer(&mut scheduler, gone).await, retired(&["0", "1"]));
        answer(&mut scheduler, info(&["1", "3"])).await;
        let done = Answer::Workers(Vec::new());
        assert_eq!(answer(&mut scheduler, done).await, retired(&["1"]));
        leaving.await.expect("no panic").expect("they retire");
    }

    #[test]
    fn idle_workers_that_hold_least_leave_first_and_of_these_the_youngest() {
        let names = ["0", "1", "2", "3", "4"].map(str::to_owned);
        let workers = [
            worker("0", 0, 0),
            worker("1", 1, 0),
            worker("2", 0, 50),
            worker("3", 0, 0),
            worker("foreign", 0, 0),
        ];
        let all = choose(&names, &workers, 9);
        assert_eq!(all, ["4", "3", "0", "2", "1"]);
        assert_eq!(choose(&names, &workers, 2), ["4", "3"]);
    }
}
