//! Values of futures, from wherever they are: here already, or on workers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dask_proto::id::TaskId;
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::{Answer, ClientToScheduler, Located, Request, ValueAt};
use dask_proto::{Address, Payload};
use dask_transport::PeerError;
use tokio::task::{AbortHandle, Id, JoinSet};

use crate::driver::Link;
use crate::error::Kind;
use crate::future::gather::Errors;
use crate::future::hold::{Hold, Outcome};
use crate::state::{Event, Unanswered};
use crate::{Error, Result};

/// How often a value that cannot be had is looked for again.
const TRIES: usize = 10;

/// The pauses before looking again, behind a worker that could not be reached: doubled from the
/// first to the last. The scheduler hears of a dead worker in less.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The payloads of these futures, `None` for those that are skipped.
pub(crate) async fn fetch(
    link: &Arc<Link>,
    holds: &[Arc<Hold>],
    errors: Errors,
) -> Result<Vec<Option<Payload>>> {
    let mut payloads: Vec<Option<Payload>> = vec![None; holds.len()];
    let mut wanted: Vec<usize> = (0..holds.len()).collect();
    let mut pause = PAUSES.0;
    let mut unreachable = None;
    for attempt in 0..TRIES {
        let remote = settled(link, holds, &wanted, errors, &mut payloads).await?;
        let mut absent = Absent::default();
        for part in remote.chunks(SUBMIT_TASKS) {
            let mut fetches = Fetches::start(link, holds, part, attempt).await?;
            absent.holds.append(&mut fetches.unplaced);
            fetches.collect(link, holds, &mut payloads, &mut absent).await?;
        }
        if absent.holds.is_empty() {
            return Ok(payloads);
        }
        if absent.error.is_some() {
            unreachable = absent.error;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        wanted = absent.holds;
    }
    let key = holds[wanted[0]].key.clone();
    let tries = u32::try_from(TRIES).unwrap_or(u32::MAX);
    Err(unreachable.map_or(Kind::Unavailable { key, tries }.into(), Error::from))
}

/// Waits until these futures are done, takes the values that are here, and gives the positions of
/// the others. A failure is raised as soon as it is heard of, whatever else is still pending.
async fn settled(
    link: &Link,
    holds: &[Arc<Hold>],
    wanted: &[usize],
    errors: Errors,
    payloads: &mut [Option<Payload>],
) -> Result<Vec<usize>> {
    loop {
        all_done(link, holds, wanted, errors).await?;
        let mut remote = Vec::new();
        let mut is_complete = true;
        for &index in wanted {
            match holds[index].outcome() {
                Some(Outcome::Finished(Some(value))) => payloads[index] = Some(value),
                Some(Outcome::Finished(None)) => remote.push(index),
                Some(outcome) if errors == Errors::Skip && is_skipped(&outcome) => {}
                Some(outcome) => {
                    return Err(holds[index].error(&outcome).unwrap_or(Kind::Answer.into()));
                }
                // It was done, and its result was lost meanwhile.
                None => is_complete = false,
            }
        }
        if is_complete {
            return Ok(remote);
        }
    }
}

/// Waits until these futures are done, or any has failed where that is to be raised.
///
/// The last is waited for first: results come about in the order in which they were submitted, and
/// waiting for the first would mean to be woken for each of them.
async fn all_done(
    link: &Link,
    holds: &[Arc<Hold>],
    wanted: &[usize],
    errors: Errors,
) -> Result<()> {
    let look_around = || match errors {
        Errors::Raise => first_failure(wanted.iter().map(|&index| &holds[index])),
        Errors::Skip => Ok(()),
    };
    // In place before each look around, so that nothing is missed in between.
    let mut trouble = pin!(link.trouble());
    trouble.as_mut().enable();
    look_around()?;
    for &index in wanted.iter().rev() {
        loop {
            tokio::select! {
                biased;
                _ = holds[index].done() => break,
                () = trouble.as_mut() => {
                    trouble.set(link.trouble());
                    trouble.as_mut().enable();
                    look_around()?;
                }
            }
        }
    }
    Ok(())
}

fn first_failure<'a>(mut holds: impl Iterator<Item = &'a Arc<Hold>>) -> Result<()> {
    let failure = holds.find_map(|hold| hold.failure());
    failure.map_or(Ok(()), Err)
}

/// What happened to the task, and not to the client.
fn is_skipped(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_) | Outcome::Cancelled(Unanswered::Cancelled(_)))
}

/// Positions of futures whose values were not had, and why if a worker could not be reached.
#[derive(Default)]
struct Absent {
    holds: Vec<usize>,
    error: Option<PeerError>,
}

/// Values under way from workers; given up when this is dropped.
#[derive(Default)]
struct Fetches {
    tasks: JoinSet<Result<Vec<(TaskId, ValueAt)>, PeerError>>,
    parts: HashMap<Id, Part>,
    /// Positions of futures that no worker holds.
    unplaced: Vec<usize>,
}

/// What is fetched from one worker.
struct Part {
    worker: Address,
    wanted: Vec<(usize, TaskId)>,
    handle: AbortHandle,
}

impl Fetches {
    async fn start(
        link: &Arc<Link>,
        holds: &[Arc<Hold>],
        wanted: &[usize],
        attempt: usize,
    ) -> Result<Self> {
        let mut fetches = Self::default();
        let mut by_worker: BTreeMap<Address, Vec<(usize, TaskId)>> = BTreeMap::new();
        let located = locate(link, holds, wanted, attempt).await?;
        for (&index, (task, holder)) in wanted.iter().zip(located) {
            match holder {
                Some(worker) => by_worker.entry(worker).or_default().push((index, task)),
                None => fetches.unplaced.push(index),
            }
        }
        for (worker, wanted) in by_worker {
            // A future that is gathered twice is fetched once.
            let tasks: BTreeSet<_> = wanted.iter().map(|(_, task)| *task).collect();
            let (from, address) = (link.clone(), worker.clone());
            let handle = fetches
                .tasks
                .spawn(async move { from.peers.get(&address, tasks.into_iter().collect()).await });
            fetches.parts.insert(handle.id(), Part { worker, wanted, handle });
        }
        Ok(fetches)
    }

    async fn collect(
        &mut self,
        link: &Link,
        holds: &[Arc<Hold>],
        payloads: &mut [Option<Payload>],
        absent: &mut Absent,
    ) -> Result<()> {
        loop {
            let mut trouble = pin!(link.trouble());
            trouble.as_mut().enable();
            self.give_up_what_was_lost(link, holds);
            let ended = tokio::select! {
                biased;
                ended = self.tasks.join_next_with_id() => ended,
                () = trouble => continue,
            };
            let (id, values) = match ended {
                None => return Ok(()),
                Some(Ok((id, values))) => (id, values),
                Some(Err(given_up)) => (given_up.id(), Ok(Vec::new())),
            };
            let Some(part) = self.parts.remove(&id) else {
                continue;
            };
            match values {
                Ok(values) => take(link, holds, payloads, absent, (part, values))?,
                Err(error) => {
                    absent.holds.extend(part.wanted.iter().map(|(index, _)| *index));
                    absent.error = Some(error);
                }
            }
        }
    }

    /// A worker that stopped answering keeps its connection. Once the scheduler has given it up,
    /// its results are lost and computed again: they are not waited for here.
    fn give_up_what_was_lost(&self, link: &Link, holds: &[Arc<Hold>]) {
        for part in self.parts.values() {
            let is_lost = |(index, _): &(usize, TaskId)| holds[*index].outcome().is_none();
            if part.wanted.iter().any(is_lost) {
                link.peers.forget(&part.worker);
                part.handle.abort();
            }
        }
    }
}

/// Takes the values that a worker sent. Of those it does not have the scheduler is told.
fn take(
    link: &Link,
    holds: &[Arc<Hold>],
    payloads: &mut [Option<Payload>],
    absent: &mut Absent,
    (part, values): (Part, Vec<(TaskId, ValueAt)>),
) -> Result<()> {
    let values: HashMap<_, _> = values.into_iter().collect();
    for (index, task) in part.wanted {
        let hold = &holds[index];
        match values.get(&task) {
            Some(ValueAt::Found(value)) => payloads[index] = Some(value.clone()),
            Some(ValueAt::Failed(reason)) => {
                let (key, reason) = (hold.key.clone(), reason.clone());
                return Err(Kind::Unserializable { key, worker: part.worker, reason }.into());
            }
            Some(ValueAt::Missing) => {
                let (future, worker) = (hold.id, part.worker.clone());
                link.tell(Event::Told(ClientToScheduler::MissingData { future, worker }));
                absent.holds.push(index);
            }
            _ => absent.holds.push(index),
        }
    }
    Ok(())
}

/// For each future its task and one worker that holds its value.
async fn locate(
    link: &Link,
    holds: &[Arc<Hold>],
    wanted: &[usize],
    attempt: usize,
) -> Result<Vec<(TaskId, Option<Address>)>> {
    let futures = wanted.iter().map(|&index| holds[index].id).collect();
    let Answer::Located { workers, items } = link.ask(Request::Locate { futures }).await? else {
        return Err(Kind::Answer.into());
    };
    if items.len() != wanted.len() {
        return Err(Kind::Answer.into());
    }
    // Replicas share the load, and the next attempt asks the next.
    let holder = |(position, item): (usize, &Located)| {
        let count = item.workers.len().max(1);
        let chosen = item.workers.get((position + attempt) % count);
        (item.task, chosen.and_then(|&worker| workers.get(worker as usize)).cloned())
    };
    Ok(items.iter().enumerate().map(holder).collect())
}
