//! Events, locks, semaphores, queues and variables, between clients and tasks.

use std::time::Duration;

use dask_client::{
    Event, Future, Lock, MultiLock, Queue, Semaphore, Variable, blocking, futures_of, wait,
};
use support::cluster::{Cluster, ONE_THREAD, Over, Shape, TWO_WORKERS, eventually, run, within};
use support::coordination_tasks::{add_up, leased, locked, read, resolve, set, wait_for};
use support::fault_tasks::panics;
use support::stage::{Stage, perform};
use support::tasks::inc;

/// For what does not happen.
const SHORT: Duration = Duration::from_millis(5);

/// For what happens.
const LONG: Duration = Duration::from_secs(60);

on_every_transport! {
    TWO_WORKERS:
    an_event_lets_clients_and_tasks_go_on,
    a_lock_is_held_by_one_at_a_time,
    a_semaphore_is_held_by_as_many_as_it_has_leases,
    a_multi_lock_holds_several_locks_or_some_of_them,
    a_queue_carries_values_between_clients_and_tasks,
    a_queue_that_is_full_makes_those_wait_who_put,
    a_queue_carries_futures_and_keeps_their_results,
    a_value_of_another_type_stays_in_its_queue,
    a_variable_has_a_value_for_all,
    a_variable_keeps_the_result_of_its_future,
    what_a_client_holds_is_free_when_it_closes,
    a_closed_client_can_use_no_primitive,
    what_cannot_be_done_is_refused_with_a_reason,
    futures_of_a_value_are_found_in_it,
}

async fn an_event_lets_clients_and_tasks_go_on(cluster: &Cluster) {
    let client = &cluster.client;
    let (event, arrived) = (Event::new(client, "go"), Event::new(client, "arrived"));
    assert!(!event.try_wait(SHORT).await.unwrap());
    assert!(!event.try_wait(Duration::ZERO).await.unwrap());
    let waiting = client.submit(wait_for, ("go", "arrived"));
    within("the task to wait", arrived.wait()).await.unwrap();
    assert!(!waiting.done());
    client.submit(set, "go").await.unwrap();
    assert!(waiting.await.unwrap());
    assert!(event.is_set().await.unwrap() && event.try_wait(Duration::ZERO).await.unwrap());
    event.clear().await.unwrap();
    assert!(!event.is_set().await.unwrap());
}

async fn a_lock_is_held_by_one_at_a_time(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let lock = Lock::new(client, "lock");
    assert!(!lock.locked().await.unwrap());
    let held = lock.acquire().await.unwrap();
    assert!(lock.locked().await.unwrap());
    assert!(lock.try_acquire(Duration::ZERO).await.unwrap().is_none());
    assert!(lock.try_acquire(SHORT).await.unwrap().is_none());
    let tasks = client.map(locked, ["a", "b"].map(|name| ("lock", stage.address(), name)));
    held.release().await.unwrap();
    let first = stage.entrance().await;
    assert!(lock.try_acquire(Duration::ZERO).await.unwrap().is_none());
    first.give(1).await;
    stage.entrance().await.give(2).await;
    let mut given = client.gather(&tasks).await.unwrap();
    given.sort_unstable();
    assert_eq!(given, [1, 2]);
    drop(lock.try_acquire(Duration::ZERO).await.unwrap().expect("it is free"));
    within("the lock to be free", lock.acquire()).await.unwrap().release().await.unwrap();
}

async fn a_semaphore_is_held_by_as_many_as_it_has_leases(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let semaphore = Semaphore::new(client, "two").max_leases(2);
    let held = semaphore.acquire().await.unwrap();
    let tasks = client.map(leased, ["a", "b"].map(|name| ("two", stage.address(), name)));
    let first = stage.entrance().await;
    assert_eq!(semaphore.get_value().await.unwrap(), 2);
    assert!(semaphore.try_acquire(SHORT).await.unwrap().is_none());
    drop(held);
    let second = stage.entrance().await;
    // A task that fails has no lease any more.
    first.panic("no luck").await;
    second.give(2).await;
    wait(&tasks).await.unwrap();
    assert!(tasks.iter().any(|task| task.status() == dask_client::Status::Error));
    eventually("both leases to be free", async || {
        (semaphore.get_value().await.unwrap() == 0).then_some(())
    })
    .await;
    let error = Semaphore::new(client, "two").max_leases(3);
    let _lease = semaphore.acquire().await.unwrap();
    let error = error.acquire().await.unwrap_err();
    assert!(error.to_string().contains("semaphore two has 2 leases"), "{error}");
    let waiting = Semaphore::new(client, "two").max_leases(2);
    let _other = waiting.acquire().await.unwrap();
    let (waited, closed) = tokio::join!(waiting.acquire(), async { semaphore.close().await });
    closed.unwrap();
    assert!(waited.unwrap_err().to_string().contains("two was closed"));
}

async fn a_multi_lock_holds_several_locks_or_some_of_them(cluster: &Cluster) {
    let client = &cluster.client;
    let left = MultiLock::new(client, ["left"]);
    let both = MultiLock::new(client, ["left", "right"]);
    let any = MultiLock::new(client, ["left", "right"]).num_locks(1);
    let held = left.acquire().await.unwrap();
    assert!(both.try_acquire(SHORT).await.unwrap().is_none());
    let other = any.try_acquire(Duration::ZERO).await.unwrap().expect("right is free");
    assert!(any.try_acquire(Duration::ZERO).await.unwrap().is_none());
    let (all, released) = tokio::join!(both.acquire(), async {
        other.release().await.unwrap();
        held.release().await
    });
    released.unwrap();
    assert!(left.try_acquire(Duration::ZERO).await.unwrap().is_none());
    all.unwrap().release().await.unwrap();
    assert!(left.try_acquire(Duration::ZERO).await.unwrap().is_some());
}

async fn a_queue_carries_values_between_clients_and_tasks(cluster: &Cluster) {
    let client = &cluster.client;
    let numbers: Queue<i64> = Queue::new(client, "numbers");
    let sums: Queue<i64> = Queue::new(client, "sums");
    let tasks = client.map(add_up, [1, 2].map(|count| ("numbers", "sums", count)));
    for number in [1, 10, 100] {
        numbers.put(&number).await.unwrap();
    }
    let all = within("two sums", sums.get_batch(2)).await.unwrap();
    assert_eq!(all.iter().sum::<i64>(), 111);
    assert_eq!(client.gather(&tasks).await.unwrap().iter().sum::<i64>(), 111);

    let other = cluster.another_client().await;
    let words: Queue<String> = Queue::new(&other, "words");
    for word in ["a", "b", "c"] {
        Queue::new(client, "words").put(&word.to_owned()).await.unwrap();
    }
    assert_eq!(words.qsize().await.unwrap(), 3);
    assert_eq!(words.get().await.unwrap(), "a");
    assert_eq!(words.drain().await.unwrap(), ["b", "c"]);
    assert!(words.drain().await.unwrap().is_empty());
    assert!(words.try_get(Duration::ZERO).await.unwrap_err().is_timeout());
    assert!(words.try_get(SHORT).await.unwrap_err().is_timeout());
    other.close().await.unwrap();
}

async fn a_queue_that_is_full_makes_those_wait_who_put(cluster: &Cluster) {
    let queue: Queue<i64> = Queue::new(&cluster.client, "bounded").maxsize(1);
    queue.put(&1).await.unwrap();
    assert!(queue.try_put(&2, Duration::ZERO).await.unwrap_err().is_timeout());
    assert!(queue.try_put(&2, SHORT).await.unwrap_err().is_timeout());
    let (put, got) = tokio::join!(queue.put(&3), queue.get());
    put.unwrap();
    assert_eq!(got.unwrap(), 1);
    let (put, closed) = tokio::join!(queue.put(&4), async { queue.close().await });
    closed.unwrap();
    assert!(put.unwrap_err().to_string().contains("bounded was closed"));
    assert_eq!(queue.qsize().await.unwrap(), 0);
}

async fn a_queue_carries_futures_and_keeps_their_results(cluster: &Cluster) {
    let client = &cluster.client;
    let queue: Queue<Future<i64>> = Queue::new(client, "futures");
    let future = client.submit(inc, 1);
    let key = future.key().clone();
    queue.put(&future).await.unwrap();
    drop(future);
    let other = cluster.another_client().await;
    let pairs: Queue<(String, Vec<Future<i64>>)> = Queue::new(&other, "pairs");
    let got = Queue::<Future<i64>>::new(&other, "futures").get().await.unwrap();
    assert_eq!((got.key(), got.result().await.unwrap()), (&key, 2));

    let many = other.map(inc, 10..13);
    pairs.put(&("many".to_owned(), many.clone())).await.unwrap();
    let keys: Vec<_> = many.iter().map(|future| future.key().clone()).collect();
    drop((many, got));
    cluster.forgotten(&[key]).await;
    let finished = cluster.finished("inc").await;
    let (name, many) =
        Queue::<(String, Vec<Future<i64>>)>::new(client, "pairs").get().await.unwrap();
    assert_eq!((name.as_str(), client.gather(&many).await.unwrap()), ("many", vec![11, 12, 13]));
    assert!(cluster.finished("inc").await >= finished);
    drop(many);
    cluster.forgotten(&keys).await;

    // A task takes one too, also one that is not done.
    let stage = Stage::new().await;
    let resolved = client.submit(resolve, "futures");
    queue.put(&client.submit(perform, (stage.address(), "late"))).await.unwrap();
    stage.entrance().await.give(5).await;
    assert_eq!(resolved.await.unwrap(), 5);
    other.close().await.unwrap();
}

async fn a_value_of_another_type_stays_in_its_queue(cluster: &Cluster) {
    let client = &cluster.client;
    Queue::new(client, "typed").put(&"text".to_owned()).await.unwrap();
    let error = Queue::<i64>::new(client, "typed").get().await.unwrap_err();
    assert!(format!("{error:?}").contains("could not be deserialized as i64"), "{error:?}");
    assert_eq!(Queue::<String>::new(client, "typed").get().await.unwrap(), "text");
}

async fn a_variable_has_a_value_for_all(cluster: &Cluster) {
    let client = &cluster.client;
    let variable: Variable<String> = Variable::new(client, "mode");
    assert!(variable.try_get(Duration::ZERO).await.unwrap_err().is_timeout());
    assert!(variable.try_get(SHORT).await.unwrap_err().is_timeout());
    let reading = client.submit(read, "mode");
    variable.set(&"on".into()).await.unwrap();
    assert_eq!(reading.await.unwrap(), "on");
    variable.set(&"off".into()).await.unwrap();
    assert_eq!(variable.get().await.unwrap(), "off");
    variable.delete().await.unwrap();
    assert!(variable.try_get(Duration::ZERO).await.unwrap_err().is_timeout());
}

async fn a_variable_keeps_the_result_of_its_future(cluster: &Cluster) {
    let client = &cluster.client;
    let variable: Variable<Future<i64>> = Variable::new(client, "result");
    let (one, two) = (client.submit(inc, 100), client.submit(inc, 200));
    let keys = [one.key().clone(), two.key().clone()];
    variable.set(&one).await.unwrap();
    drop(one);
    let other = cluster.another_client().await;
    let theirs: Variable<Future<i64>> = Variable::new(&other, "result");
    let got = theirs.get().await.unwrap();
    variable.set(&two).await.unwrap();
    drop(two);
    assert_eq!(got.result().await.unwrap(), 101);
    assert_eq!(theirs.get().await.unwrap().await.unwrap(), 201);
    drop(got);
    cluster.forgotten(&keys[..1]).await;
    variable.delete().await.unwrap();
    cluster.forgotten(&keys).await;
    other.close().await.unwrap();
}

async fn what_a_client_holds_is_free_when_it_closes(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let held = Lock::new(&other, "lock").acquire().await.unwrap();
    let locks = MultiLock::new(&other, ["x"]).acquire().await.unwrap();
    let lock = Lock::new(&cluster.client, "lock");
    assert!(lock.try_acquire(Duration::ZERO).await.unwrap().is_none());
    other.close().await.unwrap();
    within("the lock to be free", lock.acquire()).await.unwrap().release().await.unwrap();
    let x = MultiLock::new(&cluster.client, ["x"]);
    within("the other lock to be free", x.acquire()).await.unwrap().release().await.unwrap();
    // What a closed client holds is nothing that it could give up.
    assert!(held.release().await.unwrap_err().is_closed());
    drop(locks);
}

async fn a_closed_client_can_use_no_primitive(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let future = other.submit(inc, 1);
    let lock = Lock::new(&other, "lock");
    let queue: Queue<i64> = Queue::new(&other, "queue");
    let waiting = tokio::spawn(async move { queue.get().await });
    other.close().await.unwrap();
    assert!(waiting.await.unwrap().unwrap_err().is_closed());
    assert!(lock.acquire().await.unwrap_err().is_closed());
    assert!(lock.locked().await.unwrap_err().is_closed());
    assert!(Event::new(&other, "event").wait().await.unwrap_err().is_closed());
    assert!(Event::new(&other, "event").try_wait(SHORT).await.unwrap_err().is_closed());
    assert!(Variable::<i64>::new(&other, "v").set(&1).await.unwrap_err().is_closed());
    // Its futures stand for nothing that another client could pass on.
    cluster.forgotten(&[future.key().clone()]).await;
    let futures: Queue<Future<i64>> = Queue::new(&cluster.client, "futures");
    let error = futures.put(&future).await.unwrap_err();
    assert!(error.to_string().contains("which is not on the cluster"), "{error}");
}

async fn what_cannot_be_done_is_refused_with_a_reason(cluster: &Cluster) {
    let client = &cluster.client;
    let long = Lock::new(client, "x".repeat(5000)).acquire().await.unwrap_err();
    assert!(format!("{long:?}").contains("5000"), "{long:?}");
    let large: Queue<Vec<u8>> = Queue::new(client, "large");
    let error = large.put(&vec![0; 9 << 20]).await.unwrap_err();
    assert!(error.to_string().contains("scatter it, and pass its future"), "{error}");
    let failed = client.submit(panics, "it fails");
    failed.wait().await;
    // A failure is a result too.
    let queue: Queue<Future<i64>> = Queue::new(client, "failed");
    queue.put(&failed).await.unwrap();
    drop(failed);
    assert!(queue.get().await.unwrap().await.unwrap_err().is_task_error());
}

async fn futures_of_a_value_are_found_in_it(cluster: &Cluster) {
    let client = &cluster.client;
    let nested =
        vec![(1, Some(client.submit(inc, 1))), (2, None), (3, Some(client.submit(inc, 3)))];
    let found = futures_of(&nested).unwrap();
    let keys: Vec<_> = found.iter().map(Future::key).collect();
    let expected: Vec<_> = nested.iter().filter_map(|(_, future)| future.as_ref()).collect();
    assert_eq!(keys, expected.iter().map(|future| future.key()).collect::<Vec<_>>());
    wait(&found).await.unwrap();
    assert!(expected.iter().all(|future| future.done()));
    assert!(found[0].result().await.is_err());
}

/// Its only thread waits for what only another task can do.
#[tokio::test]
async fn tasks_that_wait_at_a_primitive_make_room_for_those_they_wait_for() {
    let fixture = Over::Processes(env!("CARGO_BIN_EXE_fixture"));
    run(fixture, ONE_THREAD, async |cluster| {
        let client = &cluster.client;
        let waiting = client.submit(wait_for, ("go", "arrived"));
        within("the task to wait", Event::new(client, "arrived").wait()).await.unwrap();
        client.submit(set, "go").await.unwrap();
        assert!(waiting.await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn what_a_worker_holds_is_free_when_its_process_is_killed() {
    let fixture = Over::Processes(env!("CARGO_BIN_EXE_fixture"));
    run(fixture, Shape { workers: 2, threads: 4 }, async |cluster| {
        let client = &cluster.client;
        let stage = Stage::new().await;
        let on = |name: &str| client.options().workers([name]).allow_other_workers(true);
        let holder = on("0").submit(locked, ("lock", stage.address(), "holder"));
        let lease = on("0").submit(leased, ("two", stage.address(), "lease"));
        let holding = (stage.entrance().await, stage.entrance().await);
        let consumer = on("0").submit(add_up, ("numbers", "sums", 2));
        let numbers: Queue<i64> = Queue::new(client, "numbers");
        numbers.put(&1).await.unwrap();
        eventually("the consumer to take the first", async || {
            (numbers.qsize().await.unwrap() == 0).then_some(())
        })
        .await;
        let info = client.scheduler_info().await.unwrap();
        let victim = info.workers.iter().find(|worker| worker.name == "0").unwrap();
        holder.cancel().await.unwrap();
        lease.cancel().await.unwrap();
        kill(victim.pid);
        let lock = Lock::new(client, "lock");
        within("the lock to be free", lock.acquire()).await.unwrap().release().await.unwrap();
        let two = Semaphore::new(client, "two").max_leases(2);
        eventually("the leases to be free", async || {
            (two.get_value().await.unwrap() == 0).then_some(())
        })
        .await;
        // It took one with it; what comes after goes to the one that takes its place.
        numbers.put(&10).await.unwrap();
        numbers.put(&100).await.unwrap();
        assert_eq!(consumer.await.unwrap(), 110);
        drop(holding);
    })
    .await;
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn primitives_block_where_the_client_does() {
    let client = blocking::Client::local().unwrap();
    let event = blocking::Event::new(&client, "event");
    assert!(!event.try_wait(SHORT).unwrap());
    event.set().unwrap();
    event.wait().unwrap();
    event.clear().unwrap();
    assert!(!event.is_set().unwrap());
    let lock = blocking::Lock::new(&client, "lock");
    let held = lock.acquire().unwrap();
    assert!(lock.locked().unwrap() && lock.try_acquire(SHORT).unwrap().is_none());
    held.release().unwrap();
    let semaphore = blocking::Semaphore::new(&client, "semaphore").max_leases(2);
    let _lease = semaphore.acquire().unwrap();
    assert!(semaphore.try_acquire(LONG).unwrap().is_some());
    semaphore.close().unwrap();
    assert_eq!(semaphore.get_value().unwrap(), 0);
    let locks = blocking::MultiLock::new(&client, ["x", "y"]).num_locks(1);
    let _one = locks.acquire().unwrap();
    let _two = locks.try_acquire(LONG).unwrap().unwrap();
    assert!(locks.try_acquire(SHORT).unwrap().is_none());
    let queue = blocking::Queue::new(&client, "queue").maxsize(2);
    queue.put(&client.submit(inc, 1)).unwrap();
    queue.try_put(&client.submit(inc, 2), LONG).unwrap();
    assert!(queue.try_put(&client.submit(inc, 3), SHORT).unwrap_err().is_timeout());
    assert_eq!(queue.qsize().unwrap(), 2);
    assert_eq!(queue.get().unwrap().result().unwrap(), 2);
    assert_eq!(queue.try_get(LONG).unwrap().result().unwrap(), 3);
    assert!(queue.drain().unwrap().is_empty());
    assert!(queue.get_batch(0).unwrap().is_empty());
    queue.close().unwrap();
    let variable = blocking::Variable::new(&client, "variable");
    assert!(variable.try_get(SHORT).unwrap_err().is_timeout());
    variable.set(&7).unwrap();
    assert_eq!(variable.get().unwrap(), 7);
    variable.delete().unwrap();
    client.close().unwrap();
}
