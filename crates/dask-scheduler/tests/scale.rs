//! Large graphs: deep ones do not overflow the stack, wide ones do not cost the square of their
//! size. The numbers are such that either would make a test fail or hang.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dask_proto::graph::{Function, TaskOptions, TaskSpec};
use dask_proto::id::{ClientId, FunctionId, FutureId, RequestId, RunId, TaskId, WorkerId};
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::{
    Answer, ClientToScheduler, Code, Compute, Refusal, Request, SchedulerToClient,
    SchedulerToWorker, Submit, WorkerJoin, WorkerToScheduler,
};
use dask_proto::{Key, Moment, Payload, TaskError, TaskErrorKind};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instruction, Instructions, SchedulerState};

/// Tasks in a graph: a recursion this deep does not fit a test's stack of 2 MiB.
const TASKS: u64 = 100_000;

const CLIENT: ClientId = ClientId(1);

/// A state, a client, and all that the state says.
struct Large {
    state: SchedulerState,
    computes: Vec<(WorkerId, Compute)>,
    /// What workers were asked to give back.
    steals: Vec<(WorkerId, Vec<(TaskId, RunId)>)>,
    heard: BTreeMap<&'static str, u64>,
}

impl Large {
    fn new() -> Self {
        let address = "tcp://scheduler:8786".parse().expect("an address");
        let mut large = Self {
            state: SchedulerState::new(Config::default(), address),
            computes: Vec::new(),
            steals: Vec::new(),
            heard: BTreeMap::new(),
        };
        let name = "Client".to_owned();
        large.handle(Event::ClientJoined { client: CLIENT, name, code: Code::Withheld });
        large.client(ClientToScheduler::Define { id: FunctionId(0), function: function() });
        large
    }

    fn join(&mut self, worker: u32) -> WorkerId {
        let join = WorkerJoin {
            address: format!("tcp://10.0.0.1:{worker}").parse().expect("an address"),
            name: worker.to_string(),
            nthreads: 1,
            memory_limit: None,
            resources: BTreeMap::new(),
            functions: vec![function()],
            pid: 1,
            program: None,
        };
        let join = Box::new(join);
        let worker = WorkerId(worker);
        self.handle(Event::WorkerJoined { worker, join });
        worker
    }

    fn lose(&mut self, worker: WorkerId) {
        let reason = "it was killed".to_owned();
        self.handle(Event::WorkerLost { worker, reason });
    }

    fn submit(&mut self, tasks: impl Iterator<Item = TaskSpec>) {
        let mut tasks = tasks.peekable();
        while tasks.peek().is_some() {
            let tasks = tasks.by_ref().take(SUBMIT_TASKS).collect();
            let options = TaskOptions::default();
            self.client(ClientToScheduler::Submit(Submit { options, tasks }));
        }
    }

    fn release(&mut self, futures: impl Iterator<Item = u64>) {
        let futures = futures.map(FutureId).collect();
        self.client(ClientToScheduler::Release { futures });
    }

    fn client(&mut self, message: ClientToScheduler) {
        let messages = vec![message];
        let client = CLIENT;
        self.handle(Event::ClientSaid { client, messages });
    }

    /// Finishes what workers were told to compute, until nothing is left.
    fn work(&mut self) {
        while !self.computes.is_empty() {
            for (worker, compute) in std::mem::take(&mut self.computes) {
                let messages = vec![finished(&compute)];
                self.handle(Event::WorkerSaid { worker, messages });
            }
        }
    }

    fn heard(&self, what: &str) -> u64 {
        self.heard.get(what).copied().unwrap_or(0)
    }

    fn handle(&mut self, event: Event) {
        let mut out = Instructions::new();
        self.state.handle(Moment::default(), event, &mut out);
        for instruction in out.drain() {
            match instruction {
                Instruction::ToWorker { worker, messages } => {
                    for message in messages {
                        match message {
                            SchedulerToWorker::Compute(compute) => {
                                self.computes.push((worker, *compute));
                            }
                            SchedulerToWorker::Steal { tasks } => self.steals.push((worker, tasks)),
                            _ => {}
                        }
                    }
                }
                Instruction::ToClient { messages, .. } => {
                    messages.iter().for_each(|m| self.hear(m))
                }
                _ => {}
            }
        }
    }

    fn hear(&mut self, message: &SchedulerToClient) {
        let (what, count) = match message {
            SchedulerToClient::InMemory { .. } => ("memory", 1),
            SchedulerToClient::Erred { futures, .. } => ("erred", futures.len()),
            SchedulerToClient::Pending { futures, .. } => ("pending", futures.len()),
            SchedulerToClient::Answer { answer: Answer::Refused(Refusal::TooLarge), .. } => {
                ("refused", 1)
            }
            _ => ("other", 1),
        };
        *self.heard.entry(what).or_default() += count as u64;
    }
}

fn function() -> Function {
    Function { path: "app::inc".to_owned(), signature: "fn(i64) -> i64".to_owned() }
}

fn task(future: u64, dependencies: Vec<u64>) -> TaskSpec {
    TaskSpec {
        future: FutureId(future),
        key: Key::new(format!("inc-{future}")).expect("a short key"),
        function: FunctionId(0),
        content: None,
        dependencies: dependencies.into_iter().map(FutureId).collect(),
        body: Payload::default(),
    }
}

fn finished(compute: &Compute) -> WorkerToScheduler {
    WorkerToScheduler::Finished {
        task: compute.task,
        run: compute.run,
        nbytes: 8,
        duration_ns: 1000,
        value: None,
    }
}

/// A chain: every task depends on the one before it.
fn chain() -> impl Iterator<Item = TaskSpec> {
    (0..TASKS).map(|i| task(i, i.checked_sub(1).into_iter().collect()))
}

#[test]
fn an_error_runs_down_a_long_chain() {
    let mut large = Large::new();
    let worker = large.join(2);
    large.submit(chain());
    let (_, compute) = large.computes.pop().expect("the first of the chain");
    let error = TaskError::new(TaskErrorKind::Returned, compute.key.clone(), "oh no");
    let messages = vec![WorkerToScheduler::Erred {
        task: compute.task,
        run: compute.run,
        error: Box::new(error),
    }];
    large.handle(Event::WorkerSaid { worker, messages });
    assert_eq!(large.heard("erred"), TASKS);
    large.release(0..TASKS);
    assert_eq!(large.state.summary(), Vec::<String>::new());
}

#[test]
fn a_long_chain_is_released_at_once() {
    let mut large = Large::new();
    large.join(2);
    large.submit(chain());
    large.release(0..TASKS);
    assert_eq!(large.state.summary(), Vec::<String>::new());
}

#[test]
fn a_long_chain_is_lost_and_computed_again() {
    let mut large = Large::new();
    let worker = large.join(2);
    large.submit(chain());
    large.work();
    // Only the end is held: nothing else is in memory when it is lost.
    large.release(0..TASKS - 1);
    large.join(3);
    large.lose(worker);
    large.work();
    assert_eq!(large.heard("memory"), TASKS + 1);
    assert_eq!(large.heard("pending"), 1);
}

#[test]
fn a_wide_graph_is_computed_and_released_one_by_one() {
    let mut large = Large::new();
    for worker in 2..10 {
        large.join(worker);
    }
    let root = std::iter::once(task(0, Vec::new()));
    let leaves = (1..TASKS).map(|i| task(i, vec![0]));
    large.submit(root.chain(leaves));
    large.work();
    assert_eq!(large.heard("memory"), TASKS);
    for future in (1..TASKS).rev() {
        large.release(std::iter::once(future));
    }
    assert_eq!(large.state.summary().len(), 1);
}

#[test]
fn many_futures_on_one_key_come_and_go() {
    let mut large = Large::new();
    large.join(2);
    let same = |i| TaskSpec { key: Key::new("same").expect("a short key"), ..task(i, Vec::new()) };
    large.submit((0..TASKS).map(same));
    large.work();
    assert_eq!(large.heard("memory"), TASKS);
    for future in 0..TASKS {
        large.release(std::iter::once(future));
    }
    assert_eq!(large.state.summary(), Vec::<String>::new());
}

#[test]
fn tiny_tasks_are_fed_to_workers_ever_further_ahead() {
    let mut large = Large::new();
    large.join(2);
    large.join(3);
    large.submit((0..TASKS).map(|i| task(i, Vec::new())));
    assert_eq!(large.computes.len(), 4, "nothing is known of the tasks yet");
    let mut rounds = 0;
    while large.computes.len() < 20_000 {
        rounds += 1;
        assert!(rounds < 20, "only {} tasks are fed ahead", large.computes.len());
        for (worker, compute) in std::mem::take(&mut large.computes) {
            let messages = vec![finished(&compute)];
            large.handle(Event::WorkerSaid { worker, messages });
        }
    }
    let given = |worker| {
        let computes = large.computes.iter();
        computes.filter(|(w, _)| *w == WorkerId(worker)).count()
    };
    assert_eq!((given(2), given(3)), (10_000, 10_000));
    large.work();
    assert!(large.steals.is_empty(), "tiny tasks are not worth a word: {:?}", large.steals.len());
}

#[test]
fn a_task_with_too_many_dependencies_fails_alone() {
    let mut large = Large::new();
    large.join(2);
    let leaf = std::iter::once(task(0, Vec::new()));
    large.submit(leaf.chain(std::iter::once(task(1, vec![0; 300_000]))));
    assert_eq!(large.heard("erred"), 1);
    large.work();
    assert_eq!(large.heard("memory"), 1);
}

#[test]
fn an_answer_that_would_not_fit_a_message_is_refused() {
    let mut large = Large::new();
    let long = |i: u64| TaskSpec {
        key: Key::new(format!("{i:04000}")).expect("a key within the limit"),
        ..task(i, Vec::new())
    };
    large.submit((0..4000).map(long));
    large.client(ClientToScheduler::Request {
        id: RequestId(1),
        request: Request::WhoHas { keys: Vec::new() },
    });
    assert_eq!(large.heard("refused"), 1);
}

/// Has one of so many workers hold 2000 long tasks, which all others steal from it until all are
/// done; how long the scheduler took for it once everybody was there.
fn steal_among(workers: u32) -> Duration {
    let mut large = Large::new();
    large.join(1);
    let options = TaskOptions {
        workers: vec!["1".to_owned()],
        allow_other_workers: true,
        ..TaskOptions::default()
    };
    let tasks = (0..2000).map(|i| task(i, Vec::new())).collect();
    large.client(ClientToScheduler::Submit(Submit { options, tasks }));
    // What the first worker has it never starts, so that all is stolen.
    large.computes.clear();
    for worker in 2..=workers {
        large.join(worker);
    }
    let started = Instant::now();
    let mut ran_on = BTreeSet::new();
    while !large.steals.is_empty() || !large.computes.is_empty() {
        for (worker, tasks) in std::mem::take(&mut large.steals) {
            let messages = vec![WorkerToScheduler::Given { tasks }];
            large.handle(Event::WorkerSaid { worker, messages });
        }
        for (worker, compute) in std::mem::take(&mut large.computes) {
            ran_on.insert(worker);
            let WorkerToScheduler::Finished { task, run, nbytes, value, .. } = finished(&compute)
            else {
                continue;
            };
            let duration_ns = 500_000_000;
            let messages =
                vec![WorkerToScheduler::Finished { task, run, nbytes, duration_ns, value }];
            large.handle(Event::WorkerSaid { worker, messages });
        }
    }
    let took = started.elapsed();
    assert!(large.heard("memory") >= 1990, "only {} were stolen", large.heard("memory"));
    assert!(ran_on.len() >= 9, "only {ran_on:?} stole");
    took
}

#[test]
fn stealing_costs_no_more_among_ten_thousand_workers_than_among_ten() {
    let fastest = |workers| (0..3).map(|_| steal_among(workers)).min().expect("three runs");
    let (few, many) = (fastest(10), fastest(10_000));
    // A cost that grows with the workers would be a thousand times as high.
    assert!(many < few * 20, "{many:?} with ten thousand, {few:?} with ten");
}
