//! Actors: in order, typed, where they are, and gone with their worker.

use std::future::IntoFuture;

use dask_client::{Actor, TaskErrorKind, Variable, blocking, futures_of};
use support::actor_tasks::{Counter, count};
use support::cluster::{Cluster, Over, Shape, TWO_WORKERS, run, within};
use support::stage::Stage;
use support::tasks::inc;

on_every_transport! {
    TWO_WORKERS:
    calls_run_in_order_and_are_typed,
    an_actor_is_usable_after_a_call_that_failed,
    actors_are_made_apart_and_stay_where_they_are,
    a_constructor_that_fails_fails_all_calls,
    an_actor_is_used_by_tasks_and_other_clients,
    an_actor_lives_as_long_as_its_handles,
    a_call_waits_for_the_one_before_it,
    without_an_actor_the_calls_say_so,
}

async fn calls_run_in_order_and_are_typed(cluster: &Cluster) {
    let client = &cluster.client;
    let counter: Actor<Counter> = client.options().actor(true).submit(Counter::new, ());
    let sums: Vec<_> = (1..=50).map(|n| counter.add(n)).collect();
    for (sum, n) in sums.iter().zip(1..) {
        assert_eq!(sum.await.unwrap(), n * (n + 1) / 2);
        assert!(sum.done());
    }
    assert_eq!(counter.seen().await.unwrap(), (1..=50).collect::<Vec<i64>>());
    // Futures are arguments like any other, also in lists.
    let (one, two) = (client.submit(inc, 0), client.submit(inc, 1));
    assert_eq!(counter.add(&one).await.unwrap(), 1276);
    assert_eq!(counter.add_all([&one, &two], "both").await.unwrap(), "both: 1279");
    assert_eq!(counter.add_later(1).await.unwrap(), 1280);
    // By hand it is what it was.
    let mut own = Counter::new();
    assert_eq!((own.add(2), own.take(1), Counter::starting_at(7).add(0)), (2, Ok(1), 7));
}

async fn an_actor_is_usable_after_a_call_that_failed(cluster: &Cluster) {
    let client = &cluster.client;
    let counter = client.options().actor(true).submit(Counter::starting_at, 5);
    let (fails, panics, goes_on) = (counter.take(6), counter.stumble(), counter.add(1));
    let error = fails.await.unwrap_err();
    let failed = error.task_error().unwrap();
    assert_eq!(
        (failed.kind, failed.message.as_str()),
        (TaskErrorKind::Returned, "there are only 5")
    );
    assert!(failed.function.ends_with("Counter::take"), "{failed:?}");
    assert!(failed.key.as_str().starts_with("take-"), "{failed:?}");
    let error = panics.await.unwrap_err();
    let panicked = error.task_error().unwrap();
    assert_eq!(panicked.kind, TaskErrorKind::Panicked);
    assert_eq!(panicked.message, "it stumbled at 1005");
    assert!(panicked.location.as_ref().unwrap().contains("actor_tasks.rs"));
    // It goes on as the panic left it.
    assert_eq!(goes_on.await.unwrap(), 1006);
    assert_eq!(counter.take(6).await.unwrap(), 1000);
}

async fn actors_are_made_apart_and_stay_where_they_are(cluster: &Cluster) {
    let client = &cluster.client;
    let make = |worker: &str| {
        let options = client.options().workers([worker]).actor(true);
        options.submit(Counter::starting_at, 10)
    };
    let (one, two, other) = (make("0"), make("0"), make("1"));
    assert_ne!(Actor::key(&one), Actor::key(&two));
    assert!(Actor::key(&one).as_str().starts_with("Counter-"), "{one:?}");
    one.add(1).await.unwrap();
    assert_eq!(two.add(1).await.unwrap(), 11);
    // Whatever else is to be done there.
    let busy = client.map(inc, 0..200);
    for _ in 0..20 {
        assert_eq!(one.place().await.unwrap(), "0");
        assert_eq!(other.place().await.unwrap(), "1");
    }
    client.gather(&busy).await.unwrap();
    let named = client.options().key("the one").actor(true);
    let (a, b) = (named.submit(Counter::new, ()), named.submit(Counter::new, ()));
    a.add(1).await.unwrap();
    assert_eq!(b.add(1).await.unwrap(), 2);
}

async fn a_constructor_that_fails_fails_all_calls(cluster: &Cluster) {
    let options = cluster.client.options().actor(true);
    assert_eq!(options.submit(Counter::parse, "5").add(1).await.unwrap(), 6);
    let none = options.submit(Counter::parse, "five");
    for call in [none.add(1), none.add(2)] {
        let error = call.await.unwrap_err();
        let failed = error.task_error().unwrap();
        assert_eq!(failed.message, "invalid digit found in string");
        assert_eq!(&failed.key, Actor::key(&none));
    }
}

async fn an_actor_is_used_by_tasks_and_other_clients(cluster: &Cluster) {
    let client = &cluster.client;
    let counter = client.options().actor(true).submit(Counter::new, ());
    counter.add(0).await.unwrap();
    let tasks = client.map(count, [3, 4].map(|times| (counter.clone(), times)));
    client.gather(&tasks).await.unwrap();
    assert_eq!(counter.add(0).await.unwrap(), 7);
    let other = cluster.another_client().await;
    Variable::new(client, "counter").set(&counter).await.unwrap();
    let theirs: Actor<Counter> = Variable::new(&other, "counter").get().await.unwrap();
    assert_eq!(theirs.add(1).await.unwrap(), 8);
    assert_eq!(counter.add(1).await.unwrap(), 9);
    other.close().await.unwrap();
    assert!(theirs.add(1).await.unwrap_err().is_closed());
}

async fn an_actor_lives_as_long_as_its_handles(cluster: &Cluster) {
    let client = &cluster.client;
    let counter = client.options().actor(true).submit(Counter::new, ());
    let key = Actor::key(&counter).clone();
    let clone = counter.clone();
    drop(counter);
    let last = clone.add(1);
    drop(clone);
    assert_eq!(last.await.unwrap(), 1);
    cluster.forgotten(&[key]).await;
}

async fn a_call_waits_for_the_one_before_it(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let counter = client.options().actor(true).submit(Counter::new, ());
    let long = counter.perform(stage.address(), "long");
    let next = counter.add(1);
    let performer = stage.entrance().await;
    assert_eq!(client.submit(inc, 1).await.unwrap(), 2);
    assert!(!next.done());
    let short = std::time::Duration::from_millis(1);
    assert!(next.try_result(short).await.unwrap_err().is_timeout());
    performer.give(5).await;
    assert_eq!((long.await.unwrap(), next.await.unwrap()), (5, 1));
}

async fn without_an_actor_the_calls_say_so(cluster: &Cluster) {
    let client = &cluster.client;
    let none = client.options().actor(false).submit(Counter::starting_at, 5);
    for call in [none.add(1), none.add(2)] {
        let error = within("the call to fail", call.result()).await.unwrap_err();
        assert!(error.task_error().unwrap().function.ends_with("Counter::starting_at"), "{error}");
        assert!(error.to_string().contains("`actor(false)` was said"), "{error}");
    }
}

#[tokio::test]
async fn an_actor_whose_worker_is_killed_is_an_error_that_says_so() {
    let fixture = Over::Processes(env!("CARGO_BIN_EXE_fixture"));
    run(fixture, Shape { workers: 2, threads: 2 }, async |cluster| {
        let client = &cluster.client;
        let stage = Stage::new().await;
        let options = client.options().workers(["0"]).allow_other_workers(true).actor(true);
        let counter = options.submit(Counter::new, ());
        assert_eq!(counter.add(1).await.unwrap(), 1);
        let (running, waiting) = (counter.perform(stage.address(), "running"), counter.add(1));
        let _performer = stage.entrance().await;
        let info = client.scheduler_info().await.unwrap();
        let victim = info.workers.iter().find(|worker| worker.name == "0").unwrap();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-9", &victim.pid.to_string()]).status().unwrap().success());
        for call in [within("the call to fail", running.result()).await.map(drop)]
            .into_iter()
            .chain([waiting.await.map(drop), counter.add(1).await.map(drop)])
        {
            let error = call.unwrap_err();
            assert_eq!(error.task_error().unwrap().kind, TaskErrorKind::LostData, "{error}");
            let text = error.to_string();
            assert!(text.contains("the worker that held the actor is gone"), "{error}");
            assert!(text.contains(Actor::key(&counter).as_str()), "{error}");
        }
        let another = options.submit(Counter::new, ());
        assert_eq!(another.add(1).await.unwrap(), 1);
    })
    .await;
}

#[test]
fn actors_are_called_without_async_too() {
    let client = blocking::Client::local().unwrap();
    let counter = client.options().actor(true).submit(Counter::starting_at, 1);
    counter.add(1);
    assert_eq!(counter.add(1).block().unwrap(), 3);
    assert!(counter.take(10).block().unwrap_err().is_task_error());
    client.close().unwrap();
}

/// Neither memory that is short nor copies that are wished take it from its worker.
#[tokio::test]
async fn an_actor_is_not_copied_and_not_moved() {
    let fixture = Over::Processes(env!("CARGO_BIN_EXE_fixture"));
    run(fixture, TWO_WORKERS, async |cluster| {
        let client = &cluster.client;
        let counter = client.options().workers(["0"]).actor(true).submit(Counter::new, ());
        counter.add(1).await.unwrap();
        let copies = client.replicate(futures_of(&counter).unwrap()).n(2);
        let error = within("the wish to be refused", copies.into_future()).await.unwrap_err();
        assert!(error.to_string().contains("could not be copied"), "{error}");
        let _others = client.gather(client.map(inc, 0..20)).await.unwrap();
        // Whatever moves, the actor does not.
        let _ = within("results to be moved", client.rebalance_all().into_future()).await;
        let holders = client.who_has(futures_of(&counter).unwrap()).await.unwrap();
        assert_eq!(holders[Actor::key(&counter)].len(), 1);
        assert_eq!(
            (counter.place().await.unwrap(), counter.add(1).await.unwrap()),
            ("0".into(), 2)
        );
    })
    .await;
}
