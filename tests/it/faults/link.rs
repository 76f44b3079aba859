//! Links that are cut: silently, as by a cable that is pulled, and broken at once.
//!
//! A silent cut lasts two seconds, or as many as the variable `DASK_CUT_SECONDS` says.

use std::time::{Duration, Instant};

use dask_client::transport::Transports;
use dask_client::{Client, Future, as_completed, wait};
use support::fault_tasks::{blob, byte, double, total};
use support::network::{Network, Traffic};
use support::tally::{Tally, costs, slow_double};

use super::{seconds, takes, until, workers};
use crate::child::{Program, bounded, connect, goes_on, says};

const TASKS: i64 = 300;
const LARGE: u64 = 100_000;

/// A scheduler, and workers whose links can be cut.
struct Cut {
    network: Network,
    _scheduler: Program,
    address: String,
    workers: [Program; 2],
    /// Where the workers are, in their order.
    places: [String; 2],
    /// A client beside the network.
    client: Client,
    tally: Tally,
}

impl Cut {
    async fn start(ttl: Duration) -> Self {
        let network = Network::new().await;
        let (scheduler, address) = Program::scheduler_with_ttl(ttl).await;
        let via = network.via("");
        let start = |name| Program::start(&["worker", &address, name, &via.network], &[]);
        let mut workers = ["one", "two"].map(start);
        let mut places = [const { String::new() }; 2];
        for (worker, place) in workers.iter_mut().zip(&mut places) {
            *place = worker.says("Worker at: ").await;
        }
        let client = connect(&address).await.unwrap();
        let tally = Tally::new();
        Self { network, _scheduler: scheduler, address, workers, places, client, tally }
    }

    /// A client that can be cut off as well.
    async fn client_via(&self, name: &str) -> Client {
        let transports = Transports::default().with(self.network.via(name));
        let builder = Client::builder().address(&self.address).transports(transports);
        builder.set_as_default(false).connect().await.unwrap()
    }

    /// Tasks of which some are done.
    async fn begin(&self, client: &Client) -> Vec<Future<i64>> {
        let calls = (0..TASKS).map(|x| (self.tally.path(), 5, x));
        let futures: Vec<Future<i64>> = client.map(slow_double, calls);
        let mut done = as_completed(&futures);
        for _ in 0..TASKS / 3 {
            done.next().await.unwrap();
        }
        futures
    }

    /// Cuts a link for some time.
    async fn silence(&self, from: &'static str, to: &str) {
        let to = to.to_owned();
        self.network.cut(Traffic::Silent, move |name, place| name == from && place == to);
        // sleep: the time is what the fault is.
        tokio::time::sleep(cut_time()).await;
        self.network.heal();
    }

    /// Breaks a link for good.
    fn break_off(&self, from: &'static str, to: &str) {
        let to = to.to_owned();
        self.network.cut(Traffic::Broken, move |name, place| name == from && place == to);
    }

    /// Checks the results of [`begin`](Self::begin) and what they took.
    async fn end(&self, client: &Client, futures: &[Future<i64>], most_again: u64) {
        let results = client.gather(futures).await.unwrap();
        assert_eq!(results, (0..TASKS).map(|x| 2 * x).collect::<Vec<_>>());
        costs("tasks run again", self.tally.runs() - TASKS as u64, most_again);
        goes_on(client).await;
    }
}

fn cut_time() -> Duration {
    let seconds = std::env::var("DASK_CUT_SECONDS").ok();
    Duration::from_secs(seconds.map_or(2, |text| text.parse().unwrap()))
}

const NEVER: Duration = Duration::from_secs(300);

fn large_total() -> u64 {
    (0..LARGE).map(|i| u64::from(byte(i))).sum()
}

/// Tests with a silent cut take as long as the cut, whatever it is.
async fn bounded_cut(test: impl std::future::Future<Output = ()>) {
    let ended = tokio::time::timeout(Duration::from_secs(60) + cut_time(), test).await;
    ended.expect("the test hangs");
}

#[tokio::test]
async fn a_client_cut_off_silently_goes_on_when_the_link_is_healed() {
    bounded_cut(async {
        let cut = Cut::start(NEVER).await;
        let away = cut.client_via("away").await;
        let futures = cut.begin(&away).await;
        let others = async {
            // Submitted into the cut, and by somebody else meanwhile.
            let late: Future<i64> = away.submit(double, 21);
            goes_on(&cut.client).await;
            late
        };
        let (late, ()) = tokio::join!(others, cut.silence("away", &cut.address));
        let healed = Instant::now();
        assert_eq!(late.result().await.unwrap(), 42);
        takes("seconds behind the cut", seconds(healed), 5.0);
        cut.end(&away, &futures, 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_whose_link_breaks_hears_of_it_and_its_keys_are_released() {
    bounded(async {
        let cut = Cut::start(NEVER).await;
        let away = cut.client_via("away").await;
        let futures = cut.begin(&away).await;
        let broken = Instant::now();
        cut.break_off("away", &cut.address);
        let error = away.gather(&futures).await.unwrap_err();
        assert!(error.is_disconnected(), "{error:?}");
        says(&error, &["the connection to the scheduler", &cut.address]);
        takes("seconds until it failed", seconds(broken), 5.0);
        until(&cut.client, "it to be forgotten", |info| info.clients == 1 && info.tasks.is_empty())
            .await;
        takes("seconds until it was forgotten", seconds(broken), 10.0);
        goes_on(&cut.client).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_cut_off_silently_for_less_than_its_time_costs_nothing() {
    bounded_cut(async {
        let cut = Cut::start(NEVER).await;
        let futures = cut.begin(&cut.client).await;
        cut.silence("one", &cut.address).await;
        let healed = Instant::now();
        wait(&futures).await.unwrap();
        takes("seconds behind the cut", seconds(healed), 5.0);
        cut.end(&cut.client, &futures, 0).await;
        workers(&cut.client, 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_cut_off_silently_for_longer_is_done_without_and_ends_when_healed() {
    bounded(async {
        let mut cut = Cut::start(Duration::from_secs(2)).await;
        let futures = cut.begin(&cut.client).await;
        let started = Instant::now();
        let address = cut.address.clone();
        cut.network.cut(Traffic::Silent, move |name, place| name == "one" && place == address);
        wait(&futures).await.unwrap();
        workers(&cut.client, 1).await;
        takes("seconds until all results were there", seconds(started), 15.0);
        cut.end(&cut.client, &futures, TASKS as u64).await;
        cut.network.heal();
        let (status, errors) = cut.workers[0].ended().await;
        assert!(status.code().is_some(), "{status}");
        let is_told = errors.contains("nothing was heard from the worker for 2s");
        assert!(is_told || errors.contains(&cut.address), "{errors}");
        goes_on(&cut.client).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_whose_link_breaks_is_done_without_and_ends_with_the_reason() {
    bounded(async {
        let mut cut = Cut::start(NEVER).await;
        let futures = cut.begin(&cut.client).await;
        let broken = Instant::now();
        cut.break_off("one", &cut.address);
        let (status, errors) = cut.workers[0].ended().await;
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(errors.contains("lost its scheduler") && errors.contains(&cut.address), "{errors}");
        takes("seconds until the worker ended", seconds(broken), 5.0);
        wait(&futures).await.unwrap();
        takes("seconds until all results were there", seconds(broken), 15.0);
        cut.end(&cut.client, &futures, TASKS as u64).await;
    })
    .await;
}

#[tokio::test]
async fn workers_cut_off_from_each_other_silently_go_on_when_healed() {
    bounded_cut(async {
        let cut = Cut::start(NEVER).await;
        let on = |name: &str| cut.client.options().workers([name]);
        // Their link is made before it is cut.
        let first = on("one").submit(blob, LARGE + 1);
        wait(&on("two").submit(total, &first)).await.unwrap();
        let held = on("one").submit(blob, LARGE);
        wait(&held).await.unwrap();
        let ask = async {
            let sum = on("two").submit(total, &held);
            // Whoever does not need the link is not held up.
            goes_on(&cut.client).await;
            sum
        };
        let (sum, ()) = tokio::join!(ask, cut.silence("two", &cut.places[0]));
        let healed = Instant::now();
        assert_eq!(sum.result().await.unwrap(), large_total());
        takes("seconds behind the cut", seconds(healed), 5.0);
        costs("links", cut.network.links(), 4);
        goes_on(&cut.client).await;
    })
    .await;
}

/// Nobody can bring the result over, so it is computed where it is needed.
#[tokio::test]
async fn workers_that_cannot_reach_each_other_any_more_compute_for_themselves() {
    bounded(async {
        let cut = Cut::start(NEVER).await;
        let on = |name: &str| cut.client.options().workers([name]);
        let held = on("one").allow_other_workers(true).submit(blob, LARGE);
        wait(&held).await.unwrap();
        let broken = Instant::now();
        cut.break_off("two", &cut.places[0]);
        let sum = on("two").submit(total, &held);
        assert_eq!(sum.result().await.unwrap(), large_total());
        takes("seconds until the result was there", seconds(broken), 15.0);
        workers(&cut.client, 2).await;
        goes_on(&cut.client).await;
    })
    .await;
}

/// A number goes with the task that needs it: nobody has to bring it over.
#[tokio::test]
async fn a_small_result_reaches_a_worker_that_cannot_reach_its_holder() {
    bounded(async {
        let cut = Cut::start(NEVER).await;
        let on = |name: &str| cut.client.options().workers([name]);
        let held = on("one").submit(double, 21);
        wait(&held).await.unwrap();
        cut.break_off("two", &cut.places[0]);
        let broken = Instant::now();
        assert_eq!(on("two").submit(double, &held).result().await.unwrap(), 84);
        takes("seconds until the result was there", seconds(broken), 5.0);
        let story = cut.client.story(&held).await.unwrap();
        let runs = story.iter().filter(|step| step.contains("-> processing")).count();
        assert_eq!(runs, 1, "it is not computed again: {story:?}");
        goes_on(&cut.client).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_cut_off_from_a_worker_silently_gets_its_result_when_healed() {
    bounded_cut(async {
        let cut = Cut::start(NEVER).await;
        let away = cut.client_via("away").await;
        let held = away.options().workers(["one"]).submit(blob, LARGE);
        wait(&held).await.unwrap();
        let reading = async {
            let value = held.result().await.unwrap();
            (value.len() as u64, Instant::now())
        };
        let cutting = async {
            cut.silence("away", &cut.places[0]).await;
            Instant::now()
        };
        let ((length, read), healed) = tokio::join!(reading, cutting);
        assert_eq!(length, LARGE);
        takes("seconds behind the cut", read.duration_since(healed).as_secs_f64(), 5.0);
        goes_on(&away).await;
    })
    .await;
}
