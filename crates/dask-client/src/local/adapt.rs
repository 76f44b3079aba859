//! As many workers as there is work for: Dask's `Adaptive`.

use std::future::IntoFuture;
use std::time::Duration;

use dask_proto::message::{Inspect, Inspected};
use tokio::sync::watch;

use super::crew::SharedCrew;
use super::{LocalCluster, until};
use crate::client::question::inspect;
use crate::error::Kind;
use crate::{BoxFuture, Client, Result};

/// A request that a cluster adapts itself, made when awaited: [`LocalCluster::adapt`].
#[derive(Debug)]
#[must_use = "nothing adapts until this is awaited"]
pub struct Adapt<'a> {
    cluster: &'a LocalCluster,
    rule: Rule,
    interval: Duration,
    target_duration: Duration,
}

/// A cluster that adapts itself, until this is told to [stop](Adaptive::stop) or the cluster ends.
/// Dropping it changes nothing.
#[derive(Debug)]
pub struct Adaptive {
    stop: watch::Sender<bool>,
}

/// When a wish becomes a deed. The pure part.
#[derive(Debug, Clone)]
struct Rule {
    minimum: u32,
    maximum: u32,
    /// How often in a row fewer workers must be wanted before some are let go.
    wait_count: u32,
    /// The numbers that were wanted since more or as many were.
    fewer: Vec<u32>,
}

impl LocalCluster {
    /// Keeps as many workers as there is work for, from now on and within these bounds: Dask's
    /// `cluster.adapt(minimum, maximum)`.
    ///
    /// The scheduler says how many: so many that what is to be done takes five seconds, no more
    /// than there are tasks, and twice as many where results take up the memory of those that are
    /// there. More are started at once. Fewer are wanted only while some are idle and the others
    /// have room for all results, and some are let go when that was so three times in a row, a
    /// second apart; they hand over what they hold. With a minimum of 0 a cluster that has nothing
    /// to do and holds nothing has no workers, and gets some with the next task.
    ///
    /// ```
    /// # use dask_client::{LocalCluster, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # use std::time::Duration;
    /// let cluster = LocalCluster::builder().workers(0).threads_per_worker(1).build().await?;
    /// let client = cluster.client().await?;
    /// let adaptive = cluster.adapt(0, 4).interval(Duration::from_millis(10)).await?;
    /// assert_eq!(client.submit(inc, 1).await?, 2);         // by a worker that was started for it
    /// adaptive.stop();
    /// # client.close().await?;
    /// # cluster.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn adapt(&self, minimum: u32, maximum: u32) -> Adapt<'_> {
        let rule = Rule { minimum, maximum, wait_count: 3, fewer: Vec::new() };
        Adapt {
            cluster: self,
            rule,
            interval: Duration::from_secs(1),
            target_duration: Duration::from_secs(5),
        }
    }
}

impl Adapt<'_> {
    /// How often to look; every second by default.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How many times in a row fewer workers must be wanted before some are let go; 3 by default.
    pub fn wait_count(mut self, times: u32) -> Self {
        self.rule.wait_count = times.max(1);
        self
    }

    /// How soon the work at hand should be done; 5 s by default.
    pub fn target_duration(mut self, duration: Duration) -> Self {
        self.target_duration = duration;
        self
    }
}

impl<'a> IntoFuture for Adapt<'a> {
    type Output = Result<Adaptive>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { cluster, rule, interval, target_duration } = self;
            let (stop, stopped) = watch::channel(false);
            let nanos = u64::try_from(target_duration.as_nanos()).unwrap_or(u64::MAX);
            let crew = cluster.crew.clone();
            let closing = cluster.stop.subscribe();
            cluster.spawn(async move {
                let adapting = adapt(crew, rule, (interval, nanos));
                tokio::select! {
                    () = adapting => {}
                    () = told(stopped) => {}
                    () = until(closing) => {}
                }
            });
            Ok(Adaptive { stop })
        })
    }
}

impl Adaptive {
    /// Leaves the cluster as it is now.
    pub fn stop(self) {
        self.stop.send_replace(true);
    }
}

/// Resolves when somebody says so, and not when nobody is there any more who could.
async fn told(mut stopped: watch::Receiver<bool>) {
    if stopped.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn adapt(crew: SharedCrew, mut rule: Rule, (interval, target_duration_ns): (Duration, u64)) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut observer = None;
    loop {
        ticks.tick().await;
        if let Err(error) = step(&crew, &mut rule, &mut observer, target_duration_ns).await {
            tracing::warn!(%error, "the number of workers could not be adapted");
            observer = None;
        }
    }
}

async fn step(
    crew: &SharedCrew,
    rule: &mut Rule,
    observer: &mut Option<Client>,
    target_duration_ns: u64,
) -> Result<()> {
    let client = match observer {
        Some(client) => client,
        None => observer.insert(crew.observer().await?),
    };
    let inspected = inspect(client.link(), Inspect::AdaptiveTarget { target_duration_ns }).await?;
    let Inspected::Target(wanted) = inspected else {
        return Err(Kind::Answer.into());
    };
    match rule.decide(wanted, crew.len()) {
        Some(n) => crew.scale(n).await,
        None => Ok(()),
    }
}

impl Rule {
    /// How many workers to have from now on, if not as many as there are.
    fn decide(&mut self, wanted: u32, present: u32) -> Option<u32> {
        let wanted = wanted.clamp(self.minimum.min(self.maximum), self.maximum);
        if wanted >= present {
            self.fewer.clear();
            return (wanted > present).then_some(wanted);
        }
        self.fewer.push(wanted);
        if self.fewer.len() < self.wait_count as usize {
            return None;
        }
        // None is let go of that was wanted at any of these times.
        self.fewer.drain(..).max().filter(|most| *most < present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(minimum: u32, maximum: u32) -> Rule {
        Rule { minimum, maximum, wait_count: 3, fewer: Vec::new() }
    }

    #[test]
    fn more_come_at_once_and_fewer_after_a_while() {
        let mut rule = rule(1, 10);
        assert_eq!(rule.decide(4, 1), Some(4));
        assert_eq!(rule.decide(4, 4), None);
        assert_eq!(
            [rule.decide(1, 4), rule.decide(2, 4), rule.decide(1, 4)],
            [None, None, Some(2)]
        );
        // Whoever is wanted again in between starts it anew.
        assert_eq!([rule.decide(1, 4), rule.decide(1, 4), rule.decide(4, 4)], [None; 3]);
        assert_eq!(
            [rule.decide(1, 4), rule.decide(1, 4), rule.decide(1, 4)],
            [None, None, Some(1)]
        );
    }

    #[test]
    fn the_bounds_are_kept_whatever_is_wanted() {
        assert_eq!(rule(2, 5).decide(0, 1), Some(2));
        assert_eq!(rule(2, 5).decide(100, 3), Some(5));
        let mut above = rule(2, 5);
        assert_eq!(
            [above.decide(9, 9), above.decide(9, 9), above.decide(9, 9)],
            [None, None, Some(5)]
        );
        // Bounds that make no sense: the maximum holds.
        assert_eq!(rule(7, 3).decide(9, 1), Some(3));
    }
}
