//! What workers did lately: Dask's task stream.

use dask_proto::message::{Answer, Inspect, Inspected, Recorded, Request};

use crate::error::Kind;
use crate::{Client, Result};

/// A record of what workers do, from a moment on: [`Client::get_task_stream`].
#[derive(Debug, Clone)]
pub struct TaskStream {
    client: Client,
    from: u64,
}

impl Client {
    /// Records what workers do from now on: Dask's `get_task_stream`. [`TaskStream::data`] gives
    /// what they have done since: each run of a task with its thread, its start and its end, and
    /// each fetch of results from a peer.
    ///
    /// Recording starts with the first client that asks and ends when the last of them has left;
    /// without one nothing of it costs anything. The scheduler remembers the latest 100,000
    /// records, as Dask does.
    ///
    /// ```
    /// # use dask_client::{ActivityKind, Client, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let stream = client.get_task_stream().await?;
    /// client.gather(client.map(inc, 0..10)).await?;
    /// for record in stream.data().await? {
    ///     let (start, stop) = (record.activity.start_unix_ns, record.activity.stop_unix_ns);
    ///     if let ActivityKind::Run { key, thread, .. } = record.activity.kind {
    ///         println!("{key} on thread {thread} of {}: {} ns", record.worker, stop - start);
    ///     }
    /// }
    /// # assert_eq!(stream.data().await?.len(), 10);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn get_task_stream(&self) -> Result<TaskStream> {
        let (_, from, _) = self.records(None).await?;
        Ok(TaskStream { client: self.clone(), from })
    }

    /// Records from a position on, the position behind them, and that behind all there are.
    async fn records(&self, from: Option<u64>) -> Result<(Vec<Recorded>, u64, u64)> {
        let answer = self.link().ask(Request::Inspect(Inspect::TaskStream { from })).await?;
        let Answer::Inspected(inspected) = answer else {
            return Err(Kind::Answer.into());
        };
        match *inspected {
            Inspected::TaskStream { records, next, end } => Ok((records, next, end)),
            _ => Err(Kind::Answer.into()),
        }
    }
}

impl TaskStream {
    /// What workers did since this was asked for, in the order in which the scheduler heard of it.
    /// A task is in here before its future is done.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn data(&self) -> Result<Vec<Recorded>> {
        let mut all = Vec::new();
        let mut from = self.from;
        loop {
            let (records, next, end) = self.client.records(Some(from)).await?;
            let is_last = next >= end || records.is_empty();
            all.extend(records);
            if is_last {
                return Ok(all);
            }
            from = next;
        }
    }
}
