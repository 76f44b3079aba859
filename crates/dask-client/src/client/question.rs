//! Questions to the processes of the cluster.

use std::sync::Arc;

use dask_proto::Address;
use dask_proto::message::{
    Answer, Ask, Inspect, Inspected, NamedWorker, Question, Refusal, Reply, Request, Whom,
};
use tokio::task::JoinSet;

use crate::driver::Link;
use crate::error::Kind;
use crate::{Error, Result};

/// How many workers are asked at the same time.
const ASKED_AT_ONCE: usize = 1024;

/// Asks one process.
pub(crate) async fn ask(link: &Link, whom: Whom, question: Question) -> Result<Reply> {
    let process = match &whom {
        Whom::Worker(address) => address.clone(),
        _ => link.address.clone(),
    };
    match link.ask(Request::Ask(Box::new(Ask { whom, question }))).await? {
        Answer::Reply(reply) => match *reply {
            Reply::Failed(error) => Err(Kind::Task(Arc::from(error)).into()),
            Reply::Refused(reason) => Err(Kind::Unwilling { process, reason }.into()),
            reply => Ok(reply),
        },
        _ => Err(Kind::Answer.into()),
    }
}

/// Asks these workers, many at the same time; what each of them replies, in no particular order.
/// One that left before it was asked is none of them.
pub(crate) async fn ask_each(
    link: &Arc<Link>,
    workers: Vec<Address>,
    question: &Question,
) -> Vec<(Address, Result<Reply>)> {
    let mut replies = Vec::with_capacity(workers.len());
    let mut open = JoinSet::new();
    let mut workers = workers.into_iter();
    loop {
        while open.len() < ASKED_AT_ONCE
            && let Some(worker) = workers.next()
        {
            let (link, question) = (Arc::clone(link), question.clone());
            open.spawn(async move {
                let reply = ask(&link, Whom::Worker(worker.clone()), question).await;
                (worker, reply)
            });
        }
        match open.join_next().await {
            Some(Ok((worker, reply))) => {
                let refusal = reply.as_ref().err().and_then(Error::refusal);
                if !matches!(refusal, Some(Refusal::UnknownWorker(_))) {
                    replies.push((worker, reply));
                }
            }
            // It was cancelled with the runtime.
            Some(Err(_)) => {}
            None => return replies,
        }
    }
}

/// Asks these workers, and takes each reply for what the question names. One that leaves before it
/// replies has nothing to say.
pub(crate) async fn ask_all<T>(
    link: &Arc<Link>,
    workers: Vec<Address>,
    question: &Question,
    expected: impl Fn(Reply) -> Option<T>,
) -> Result<Vec<(Address, T)>> {
    let mut replies = ask_each(link, workers, question).await;
    let is_gone = |error: &Error| matches!(error.refusal(), Some(Refusal::WorkerLeft { .. }));
    replies.retain(|(_, reply)| !reply.as_ref().is_err_and(is_gone));
    let reply = |(worker, reply): (Address, Result<Reply>)| {
        let reply = expected(reply?).ok_or_else(|| Error::from(Kind::Answer));
        Ok((worker, reply?))
    };
    replies.into_iter().map(reply).collect()
}

/// The addresses of the workers with these names, addresses or hosts; of all when none is named.
pub(crate) async fn addresses(link: &Link, workers: Vec<String>) -> Result<Vec<Address>> {
    match link.ask(Request::Inspect(Inspect::Workers { workers })).await? {
        Answer::Workers(workers) => Ok(workers),
        _ => Err(Kind::Answer.into()),
    }
}

/// The same workers, with what their successors are known by.
pub(crate) async fn named(link: &Link, workers: Vec<String>) -> Result<Vec<NamedWorker>> {
    match inspect(link, Inspect::Named { workers }).await? {
        Inspected::Named(workers) => Ok(workers),
        _ => Err(Kind::Answer.into()),
    }
}

/// Looks at the state of the scheduler.
pub(crate) async fn inspect(link: &Link, inspect: Inspect) -> Result<Inspected> {
    match link.ask(Request::Inspect(inspect)).await? {
        Answer::Inspected(inspected) => Ok(*inspected),
        _ => Err(Kind::Answer.into()),
    }
}
