//! What does a task cost in the scheduler's state, without any IO? Two workers that answer at once.

use std::collections::BTreeMap;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dask_proto::graph::{Function, TaskOptions, TaskSpec};
use dask_proto::id::{ClientId, FunctionId, FutureId, WorkerId};
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::{
    ClientToScheduler, Code, SchedulerToWorker, Submit, WorkerJoin, WorkerToScheduler,
};
use dask_proto::{Address, Key, Moment, Payload};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instruction, Instructions, SchedulerState};

const TASKS: u64 = 20_000;
const CLIENT: ClientId = ClientId(1);

/// A scheduler that runs on simulated time with workers that finish what they get.
struct Cluster {
    state: SchedulerState,
    out: Instructions,
    now: u64,
}

impl Cluster {
    fn new() -> Self {
        let state = SchedulerState::new(Config::default(), address(0));
        let mut cluster = Self { state, out: Instructions::new(), now: 0 };
        let (name, code) = ("client".to_owned(), Code::Withheld);
        cluster.handle(Event::ClientJoined { client: CLIENT, name, code });
        for id in 1..3 {
            let join = Box::new(join(id));
            cluster.handle(Event::WorkerJoined { worker: WorkerId(id), join });
        }
        let define = ClientToScheduler::Define { id: FunctionId(0), function: function() };
        cluster.handle(Event::ClientSaid { client: CLIENT, messages: vec![define] });
        cluster
    }

    fn handle(&mut self, event: Event) {
        self.now += 1000;
        self.state.handle(Moment::from_nanos(self.now), event, &mut self.out);
    }

    /// Submits, and answers for the workers until nothing is left to compute.
    fn run(&mut self, submits: Vec<Submit>) -> usize {
        let messages = submits.into_iter().map(ClientToScheduler::Submit).collect();
        self.handle(Event::ClientSaid { client: CLIENT, messages });
        let mut computed = 0;
        loop {
            let mut answers: Vec<(WorkerId, Vec<WorkerToScheduler>)> = Vec::new();
            for instruction in self.out.drain() {
                if let Instruction::ToWorker { worker, messages } = instruction {
                    answers.push((worker, messages.into_iter().filter_map(answer).collect()));
                }
            }
            answers.retain(|(_, messages)| !messages.is_empty());
            if answers.is_empty() {
                return computed;
            }
            for (worker, messages) in answers {
                computed += messages.len();
                self.handle(Event::WorkerSaid { worker, messages });
            }
        }
    }
}

fn answer(message: SchedulerToWorker) -> Option<WorkerToScheduler> {
    let SchedulerToWorker::Compute(compute) = message else {
        return None;
    };
    let (task, run) = (compute.task, compute.run);
    let value = None;
    Some(WorkerToScheduler::Finished { task, run, nbytes: 8, duration_ns: 1000, value })
}

fn address(port: u32) -> Address {
    format!("tcp://127.0.0.1:{port}").parse().expect("an address")
}

fn function() -> Function {
    Function { path: "bench::inc".to_owned(), signature: "fn(i64) -> i64".to_owned() }
}

fn join(id: u32) -> WorkerJoin {
    WorkerJoin {
        address: address(id),
        name: id.to_string(),
        nthreads: 1,
        memory_limit: None,
        resources: BTreeMap::new(),
        functions: vec![function()],
        pid: id,
        program: None,
    }
}

/// Messages in which task `i` depends on the tasks that `dependencies(i)` names.
fn submit(dependencies: impl Fn(u64) -> Vec<u64>) -> Vec<Submit> {
    let task = |i| TaskSpec {
        future: FutureId(i),
        key: Key::new(format!("inc-{i:032x}")).expect("a short key"),
        function: FunctionId(0),
        content: None,
        dependencies: dependencies(i).into_iter().map(FutureId).collect(),
        body: Payload::default(),
    };
    let tasks: Vec<TaskSpec> = (0..TASKS).map(task).collect();
    let messages = tasks.chunks(SUBMIT_TASKS);
    messages.map(|part| Submit { options: TaskOptions::default(), tasks: part.to_vec() }).collect()
}

fn scheduler_state(c: &mut Criterion) {
    let mut group = c.benchmark_group("scheduler state");
    group.throughput(Throughput::Elements(TASKS)).sample_size(10);
    let independent = submit(|_| Vec::new());
    let merge = submit(|i| if i + 1 == TASKS { (0..TASKS - 1).collect() } else { Vec::new() });
    let tree = submit(|i| {
        let half = TASKS / 2;
        if i < half || i + 1 == TASKS {
            Vec::new()
        } else {
            vec![2 * (i - half), 2 * (i - half) + 1]
        }
    });
    for (name, graph) in [("independent", independent), ("merge", merge), ("tree", tree)] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || (Cluster::new(), graph.clone()),
                |(mut cluster, graph)| {
                    let computed = cluster.run(graph);
                    assert_eq!(computed as u64, TASKS);
                    cluster
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, scheduler_state);
criterion_main!(benches);
