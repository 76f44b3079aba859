//! The client that measures.

use std::io;
use std::time::Instant;

use dask_proto::graph::{TaskOptions, TaskSpec};
use dask_proto::id::{FunctionId, FutureId, RequestId};
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::{ClientToScheduler, Request, Role, SchedulerToClient, Submit};
use dask_proto::{Key, Payload};
use rig::figures::Figures;
use rig::process::{Process, processor_time};

use crate::cluster::{FromScheduler, ToScheduler, enter, function, scheduler, worker};

const FUNCTION: FunctionId = FunctionId(0);

/// A scheduler with two workers, and a client without a state.
pub(crate) struct Session {
    scheduler: Process,
    outbox: ToScheduler,
    inbox: FromScheduler,
    next: u64,
}

impl Session {
    pub(crate) async fn start() -> io::Result<Self> {
        let (scheduler, address) = scheduler()?;
        for number in 0..2 {
            tokio::spawn(worker(address.clone(), number));
        }
        let role = Role::Client { name: "zero".to_owned() };
        let (outbox, inbox) = enter(&address, role).await?;
        let mut session = Self { scheduler, outbox, inbox, next: 0 };
        session.say([ClientToScheduler::Define { id: FUNCTION, function: function() }])?;
        session.ask(Request::WaitForWorkers { n: 2 }).await?;
        Ok(session)
    }

    /// Tasks that depend on nothing.
    pub(crate) async fn independent(&mut self, tasks: u64) -> io::Result<Figures> {
        let first = self.next;
        let graph = (0..tasks).map(|i| task(first + i, Vec::new())).collect();
        self.run(graph).await
    }

    /// Tasks of which one depends on all others.
    pub(crate) async fn merge(&mut self, tasks: u64) -> io::Result<Figures> {
        let first = self.next;
        let mut graph: Vec<_> = (0..tasks).map(|i| task(first + i, Vec::new())).collect();
        let all = (first..first + tasks).map(FutureId).collect();
        graph.push(task(first + tasks, all));
        self.run(graph).await
    }

    /// Runs a graph to its end: how many tasks a second, and what each of them cost the scheduler
    /// from its submission until it is forgotten, in microseconds of processor time.
    async fn run(&mut self, graph: Vec<TaskSpec>) -> io::Result<Figures> {
        let tasks = graph.len();
        let futures: Vec<FutureId> = graph.iter().map(|task| task.future).collect();
        self.next += tasks as u64;
        let before = processor_time(self.scheduler.id())?;
        let start = Instant::now();
        let options = TaskOptions::default;
        let submits = graph
            .chunks(SUBMIT_TASKS)
            .map(|part| Submit { options: options(), tasks: part.to_vec() });
        self.say(submits.map(ClientToScheduler::Submit))?;
        let mut done = 0;
        while done < tasks {
            done += self.hear().await?.iter().filter(|message| is_result(message)).count();
        }
        let elapsed = start.elapsed();
        self.say([ClientToScheduler::Release { futures }])?;
        self.ask(Request::WaitForWorkers { n: 2 }).await?;
        let spent = processor_time(self.scheduler.id())?.saturating_sub(before);
        let micros = spent.as_secs_f64() * 1e6 / tasks as f64;
        Ok(Figures::tasks(tasks as u64, elapsed).with("cpu_us", micros))
    }

    /// Asks, and waits for the answer.
    async fn ask(&mut self, request: Request) -> io::Result<()> {
        let id = RequestId(0);
        self.say([ClientToScheduler::Request { id, request }])?;
        loop {
            let messages = self.hear().await?;
            if messages.iter().any(|message| matches!(message, SchedulerToClient::Answer { .. })) {
                return Ok(());
            }
        }
    }

    fn say(&self, messages: impl IntoIterator<Item = ClientToScheduler>) -> io::Result<()> {
        self.outbox.send(messages).map_err(io::Error::other)
    }

    async fn hear(&mut self) -> io::Result<Vec<SchedulerToClient>> {
        let received = self.inbox.receive().await.map_err(io::Error::other)?;
        received.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn is_result(message: &SchedulerToClient) -> bool {
    matches!(message, SchedulerToClient::InMemory { .. })
}

/// One task, with a key as long as those that clients make.
pub(crate) fn task(number: u64, dependencies: Vec<FutureId>) -> TaskSpec {
    TaskSpec {
        future: FutureId(number),
        key: Key::new(format!("nothing-{number:032x}")).expect("it is far from the limit"),
        function: FUNCTION,
        content: None,
        dependencies,
        body: Payload::Bytes(bytes::Bytes::from_static(b"an argument or two")),
    }
}
