use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Waits for what comes next by looking again and again for a moment, before it goes to sleep.
///
/// To wake a thread that sleeps, on a processor that sleeps, takes several times as long as all
/// that a peer has to do for a short message. So peers that answer each other at once are awake
/// when the answer comes. Where it mostly takes longer than the limit, nothing is looked for.
///
/// For a task of a runtime of one thread, which it keeps from going to sleep. Between two looks
/// whatever else wants the processor gets it, so it takes no time from those who have work.
#[derive(Debug)]
pub struct BusyPoll {
    limit: Duration,
    /// What the latest waits say of the next: high if they were short.
    score: u8,
}

/// The score after many short waits.
const HIGHEST: u8 = 16;

/// From here on the next wait is likely to be short.
const LIKELY: u8 = 8;

/// What one long wait weighs, in short ones.
const LONG: u8 = 4;

impl BusyPoll {
    /// The usual limit: several times what a message and its answer take between processes of one
    /// host that are awake, and more than they take where both have to be woken, or nobody would
    /// ever begin to look. While something comes more often than that, and only then, a processor
    /// that nobody else wants is never at rest.
    pub const LIMIT: Duration = Duration::from_micros(200);

    /// Looks for this long at most each time; with zero, never.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        // With one processor, who is waited for cannot do anything meanwhile.
        let is_alone =
            std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
        Self { limit: if is_alone { Duration::ZERO } else { limit }, score: 0 }
    }

    /// Waits for a future.
    pub async fn wait<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        if self.limit.is_zero() {
            return future.await;
        }
        // What is there already says nothing about waits.
        if let Poll::Ready(output) = look(future.as_mut()).await {
            return output;
        }
        let start = Instant::now();
        while self.score >= LIKELY && start.elapsed() < self.limit {
            // What was said before is written, and the runtime asks the system what there is, for
            // which it does not wait.
            tokio::task::yield_now().await;
            if let Poll::Ready(output) = look(future.as_mut()).await {
                self.learn(start.elapsed());
                return output;
            }
            std::thread::yield_now();
        }
        let output = future.await;
        self.learn(start.elapsed());
        output
    }

    fn learn(&mut self, waited: Duration) {
        self.score = if waited <= self.limit {
            (self.score + 1).min(HIGHEST)
        } else {
            self.score.saturating_sub(LONG)
        };
    }
}

async fn look<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test.
    const ENDLESS: Duration = Duration::from_secs(3600);

    fn expecting(limit: Duration) -> BusyPoll {
        BusyPoll { limit, score: LIKELY }
    }

    /// Is ready when it is looked at for the nth time, and wakes nobody.
    fn ready_at_look(n: u32) -> impl Future<Output = u32> {
        let mut looks = 0;
        poll_fn(move |_| {
            looks += 1;
            if looks == n { Poll::Ready(looks) } else { Poll::Pending }
        })
    }

    #[tokio::test]
    async fn it_looks_until_there_is_something() {
        assert_eq!(expecting(ENDLESS).wait(ready_at_look(1000)).await, 1000);
    }

    #[tokio::test]
    async fn others_go_on_while_it_looks() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { sender.send(7) });
        assert_eq!(expecting(ENDLESS).wait(receiver).await, Ok(7));
    }

    #[tokio::test]
    async fn it_sleeps_where_nothing_is_likely_to_come_soon() {
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            sender.send(7)
        });
        let mut polls = 0;
        let counted = poll_fn(|context| {
            polls += 1;
            Pin::new(&mut receiver).poll(context)
        });
        let heard = BusyPoll { limit: ENDLESS, score: LIKELY - 1 }.wait(counted).await;
        assert_eq!(heard, Ok(7));
        assert_eq!(polls, 3, "at once, before it sleeps, and when it is woken");
    }

    #[test]
    fn short_waits_make_it_look_and_long_ones_end_it() {
        let (short, long) = (BusyPoll::LIMIT, 2 * BusyPoll::LIMIT);
        let mut poll = BusyPoll { limit: BusyPoll::LIMIT, score: 0 };
        (0..100).for_each(|_| poll.learn(short));
        assert!(poll.score >= LIKELY);
        (0..3).for_each(|_| poll.learn(long));
        assert!(poll.score < LIKELY);
        // Now and then a message in between, as when somebody pauses between calls.
        for _ in 0..100 {
            poll.learn(short);
            poll.learn(long);
        }
        assert!(poll.score < LIKELY);
    }
}
