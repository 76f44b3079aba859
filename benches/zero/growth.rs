//! What a task costs as the workers grow in number: the scheduler's state, without connections.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use dask_proto::Moment;
use dask_proto::graph::{TaskOptions, TaskSpec};
use dask_proto::id::{ClientId, FunctionId, FutureId, WorkerId};
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::{ClientToScheduler, Code, SchedulerToWorker, Submit};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instruction, Instructions, SchedulerState};
use rig::figures::Figures;

use crate::cluster::{done, function, join};
use crate::session::task;

const CLIENT: ClientId = ClientId(1);

/// How often each is measured, in turn. The least counts: it is processor time, to which whatever
/// else the machine does only adds.
const ROUNDS: usize = 3;

/// Nanoseconds a task with 10, 1,000 and 10,000 workers, and the last as a multiple of the first.
pub(crate) fn measure(tasks: u64) -> Figures {
    let mut least = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        for (least, workers) in least.iter_mut().zip([10, 1000, 10_000]) {
            *least = least.min(cost(tasks, workers));
        }
    }
    let [few, many, most] = least;
    Figures::new()
        .with("with_10_ns", few)
        .with("with_1000_ns", many)
        .with("with_10000_ns", most)
        .with("growth", most / few)
}

/// Half of the tasks depend on nothing, the others on two of these each.
fn cost(tasks: u64, workers: u32) -> f64 {
    let mut cluster = Simulated::new(workers);
    let half = tasks / 2;
    let graph: Vec<_> = (0..tasks)
        .map(|i| match i.checked_sub(half) {
            None => task(i, Vec::new()),
            Some(i) => task(half + i, vec![FutureId(i), FutureId((i + 1) % half)]),
        })
        .collect();
    let computed = cluster.run(&graph);
    assert_eq!(computed, graph.len(), "every task runs once");
    cluster.spent.as_nanos() as f64 / tasks as f64
}

/// A state with workers that answer all they have been told at once, in the order in which they
/// were told.
pub(crate) struct Simulated {
    state: SchedulerState,
    out: Instructions,
    /// What each worker has been told and has not answered, and who is to answer next.
    told: BTreeMap<WorkerId, Vec<SchedulerToWorker>>,
    turns: VecDeque<WorkerId>,
    now: u64,
    spent: Duration,
}

impl Simulated {
    pub(crate) fn new(workers: u32) -> Self {
        let address = "tcp://127.0.0.1:8786".parse().expect("a host and a port are an address");
        let mut cluster = Self {
            state: SchedulerState::new(Config::default(), address),
            out: Instructions::new(),
            told: BTreeMap::new(),
            turns: VecDeque::new(),
            now: 0,
            spent: Duration::default(),
        };
        let (name, code) = ("client".to_owned(), Code::Withheld);
        cluster.handle(Event::ClientJoined { client: CLIENT, name, code });
        for number in 0..workers {
            let join = Box::new(join(number));
            cluster.handle(Event::WorkerJoined { worker: WorkerId(number + 1), join });
        }
        let define = ClientToScheduler::Define { id: FunctionId(0), function: function() };
        cluster.handle(Event::ClientSaid { client: CLIENT, messages: vec![define] });
        cluster.spent = Duration::default();
        cluster
    }

    /// Has the state handle an event, as a scheduler does: what follows is sent before the next.
    /// Only what the state takes is counted, not what the workers take.
    fn handle(&mut self, event: Event) {
        self.now += 1000;
        let start = Instant::now();
        self.state.handle(Moment::from_nanos(self.now), event, &mut self.out);
        self.spent += start.elapsed();
        for instruction in self.out.drain() {
            let Instruction::ToWorker { worker, messages } = instruction else { continue };
            let told = self.told.entry(worker).or_default();
            if told.is_empty() {
                self.turns.push_back(worker);
            }
            told.extend(messages);
        }
    }

    /// Runs a graph to its end; how many tasks were computed.
    pub(crate) fn run(&mut self, graph: &[TaskSpec]) -> usize {
        let parts = graph.chunks(SUBMIT_TASKS);
        let messages = parts
            .map(|part| Submit { options: TaskOptions::default(), tasks: part.to_vec() })
            .map(ClientToScheduler::Submit)
            .collect();
        self.handle(Event::ClientSaid { client: CLIENT, messages });
        let mut computed = 0;
        while let Some(worker) = self.turns.pop_front() {
            let told = self.told.remove(&worker).unwrap_or_default();
            let messages: Vec<_> = told.into_iter().filter_map(done).collect();
            if !messages.is_empty() {
                computed += messages.len();
                self.handle(Event::WorkerSaid { worker, messages });
            }
        }
        computed
    }

    /// Lets go of all results.
    pub(crate) fn release(&mut self, graph: &[TaskSpec]) {
        let futures = graph.iter().map(|task| task.future).collect();
        let messages = vec![ClientToScheduler::Release { futures }];
        self.handle(Event::ClientSaid { client: CLIENT, messages });
    }
}
