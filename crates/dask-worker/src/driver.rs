//! The loop that owns the state: turns what happens into events, and carries out what the state
//! instructs.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dask_proto::graph::Function;
use dask_proto::id::{FunctionId, TaskId};
use dask_proto::map::Map;
use dask_proto::message::{
    ActivityKind, Compute, Question, Reply, SchedulerToWorker, ValueAt, WorkerTaskDump,
    WorkerToScheduler,
};
use dask_proto::{Address, Moment};
use dask_task::TaskDef;
use dask_task::registry::{self, RegistryError};
use dask_transport::{BusyPoll, Inbox, Outbox, PeerError, Peers};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::executor::{Executor, Job, Reports, activity};
use crate::memory;
use crate::overflow::Overflow;
use crate::question::{Consequence, Desk};
use crate::serve::{Put, Server, Service};
use crate::spill::{Spiller, Storage};
use crate::state::{
    Event, FlightId, Instruction, Instructions, PutId, SpillFailure, StateConfig, WorkerState,
};
use crate::store::Store;
use crate::worker::Ended;

/// How long the last messages to the scheduler may take.
const FLUSH: Duration = Duration::from_secs(5);

/// How long the scheduler is given to hear why the process dies.
const FAREWELL: Duration = Duration::from_millis(1500);

/// Tasks that are told of at most to whoever asks for all.
const DUMPED: usize = 500_000;

/// What may wait for the loop; whoever has more to tell waits too, and reads no further.
const NEWS: usize = 256;

/// What reaches the loop from other tasks.
pub(crate) enum News {
    /// The scheduler sent a batch.
    Said(Vec<SchedulerToWorker>),
    /// The connection to the scheduler ended.
    Lost,
    /// A client put values here.
    Put(Put),
    /// A fetch ended.
    Fetched(FlightId, Result<Vec<(TaskId, ValueAt)>, PeerError>),
}

/// Why the loop goes round.
enum Turn {
    /// There is news in one of the places that are looked at every time.
    News,
    Report(Event),
    Timer,
    Overflow(Overflow),
    Shutdown,
}

pub(crate) struct Driver {
    state: WorkerState,
    /// Bytes that the worker may take.
    memory_limit: Option<u64>,
    out: Instructions,
    started: Instant,
    scheduler: Outbox<WorkerToScheduler>,
    executor: Executor,
    desk: Desk,
    store: Arc<Store>,
    reports: mpsc::UnboundedReceiver<Event>,
    spiller: Option<Spiller>,
    peers: Peers,
    news: mpsc::Sender<News>,
    from_others: mpsc::Receiver<News>,
    functions: Map<FunctionId, Result<&'static TaskDef, Arc<RegistryError>>>,
    puts: Map<PutId, oneshot::Sender<()>>,
    next_put: PutId,
    busy_poll: BusyPoll,
    is_lost: bool,
    /// Whether it ends, to be started again, as soon as the scheduler has let go of it: its
    /// successor has its name.
    is_restarting: bool,
    ended: Option<Ended>,
}

impl Driver {
    pub(crate) fn new(
        config: StateConfig,
        scheduler: Outbox<WorkerToScheduler>,
        (executor, desk): (Executor, Desk),
        storage: Storage,
        peers: Peers,
    ) -> Self {
        let (news, from_others) = mpsc::channel(NEWS);
        let Storage { store, reports, spiller } = storage;
        Self {
            memory_limit: config.memory.map(|limits| limits.pause),
            state: WorkerState::new(config),
            out: Instructions::new(),
            started: Instant::now(),
            scheduler,
            executor,
            desk,
            store,
            reports,
            spiller,
            peers,
            news,
            from_others,
            functions: Map::default(),
            puts: Map::default(),
            next_put: PutId(0),
            busy_poll: BusyPoll::new(Duration::ZERO),
            is_lost: false,
            is_restarting: false,
            ended: None,
        }
    }

    /// Looks for news before it goes to sleep, for as long as this.
    pub(crate) fn busy_poll(mut self, limit: Duration) -> Self {
        self.busy_poll = BusyPoll::new(limit);
        self
    }

    /// Works to the end; `None` when the scheduler is lost.
    pub(crate) async fn run(
        mut self,
        inbox: Inbox<SchedulerToWorker>,
        service: Service,
        mut overflows: mpsc::UnboundedReceiver<Overflow>,
        shutdown: impl Future<Output = ()>,
    ) -> Option<Ended> {
        let Service { listener, transfers } = service;
        let (store, news) = (Arc::clone(&self.store), self.news.clone());
        let server = Server::new(store, news, self.memory_limit, transfers);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(server.run(listener));
        tasks.spawn(listen_to_scheduler(inbox, self.news.clone()));
        let mut shutdown = pin!(shutdown);
        let mut timer = pin!(sleep_until(self.deadline()));
        let mut news = Vec::new();
        while self.ended.is_none() && !self.is_lost {
            let turn = async {
                tokio::select! {
                    _ = self.from_others.recv_many(&mut news, NEWS) => Turn::News,
                    () = self.executor.news() => Turn::News,
                    Some(report) = self.reports.recv() => Turn::Report(report),
                    () = self.executor.log().news() => Turn::News,
                    () = timer.as_mut() => Turn::Timer,
                    Some(overflow) = overflows.recv() => Turn::Overflow(overflow),
                    () = shutdown.as_mut() => Turn::Shutdown,
                }
            };
            match self.busy_poll.wait(turn).await {
                Turn::News => {}
                Turn::Report(report) => self.handle(report),
                Turn::Timer => self.heartbeat(),
                Turn::Overflow(overflow) => self.die(overflow).await,
                Turn::Shutdown => {
                    self.collect_lines();
                    self.handle(Event::Shutdown);
                    self.ended = Some(Ended::Shutdown);
                }
            }
            for news in news.drain(..) {
                self.take_news(news);
            }
            self.collect_runs();
            while let Ok(report) = self.reports.try_recv() {
                self.handle(report);
            }
            self.carry_out();
            if !self.state.holds_lines() {
                self.executor.log().rearm();
            }
            if timer.deadline() != self.deadline() {
                timer.as_mut().reset(self.deadline());
            }
        }
        self.desk.plugins.end();
        self.scheduler.close();
        // A scheduler that does not read any more cannot keep the worker.
        let _ = timeout(FLUSH, self.scheduler.closed()).await;
        if let Some(spiller) = self.spiller.take() {
            spiller.end().await;
        }
        self.ended
    }

    fn now(&self) -> Moment {
        Moment::default() + self.started.elapsed()
    }

    fn deadline(&self) -> Instant {
        let moment = self.state.next_timeout();
        let nanos = moment.map_or(u64::MAX >> 8, |moment| moment.as_nanos());
        self.started + Duration::from_nanos(nanos)
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        self.state.handle(now, event, &mut self.out);
    }

    fn heartbeat(&mut self) {
        self.collect_lines();
        let memory = memory::resident();
        self.handle(Event::Measured { memory });
        self.handle(Event::Timeout);
    }

    fn take_news(&mut self, news: News) {
        match news {
            News::Said(messages) => {
                for message in &messages {
                    self.take_in(message);
                }
                self.handle(Event::SchedulerSaid(messages));
            }
            News::Lost => {
                // It may have said to close right before.
                self.carry_out();
                if self.ended.is_none() {
                    self.is_lost = true;
                    self.handle(Event::SchedulerLost);
                }
            }
            News::Put(Put { values, held }) => {
                let put = self.next_put;
                self.next_put.0 += 1;
                self.puts.insert(put, held);
                self.handle(Event::Put { put, values });
            }
            News::Fetched(flight, Ok(results)) => {
                self.handle(Event::Fetched { flight, results });
            }
            News::Fetched(flight, Err(PeerError::Busy { .. })) => {
                self.handle(Event::PeerBusy { flight });
            }
            News::Fetched(flight, Err(error)) => {
                tracing::debug!(%error, %flight, "a fetch failed");
                self.handle(Event::FetchFailed { flight });
            }
        }
    }

    /// Takes note of what is not the state's affair: functions, and questions to the process.
    fn take_in(&mut self, message: &SchedulerToWorker) {
        match message {
            SchedulerToWorker::Define { id, function } => {
                let found = registry::find(&function.path, &function.signature);
                self.functions.insert(*id, found.map_err(Arc::new));
            }
            SchedulerToWorker::Ask { id, question } if **question == Question::Tasks => {
                let tasks = self
                    .state
                    .stages()
                    .take(DUMPED)
                    .map(|(task, stage)| WorkerTaskDump { task, state: stage.name().to_owned() });
                self.desk.reply(*id, Reply::Tasks(tasks.collect()));
            }
            SchedulerToWorker::Ask { id, question } => {
                let consequence = self.desk.answer(*id, question, &self.executor);
                self.is_restarting |= consequence == Consequence::Restart;
            }
            _ => {}
        }
    }

    fn collect_runs(&mut self) {
        let Reports { moves, ended, spent: _spent, activities } = self.executor.take_reports();
        if !activities.is_empty() {
            // Ahead of the word that the runs ended.
            let _ = self.scheduler.send([WorkerToScheduler::Did { activities }]);
        }
        // What a run said goes with the word that it ended.
        self.collect_lines();
        for event in moves {
            self.handle(event);
        }
        if !ended.is_empty() {
            self.handle(Event::RunsEnded(ended));
        }
    }

    fn collect_lines(&mut self) {
        let (records, dropped) = self.executor.log().take();
        if !records.is_empty() || dropped > 0 {
            self.handle(Event::Logged { records, dropped });
        }
    }

    fn carry_out(&mut self) {
        let mut jobs = Vec::new();
        for instruction in self.out.drain() {
            match instruction {
                Instruction::Store { task, value } => self.store.insert(task, value),
                Instruction::Drop { task } => self.store.remove(task),
                Instruction::Spill { task } => self.spill(task),
                Instruction::Trim => {
                    if let Some(spiller) = &self.spiller {
                        spiller.trim();
                    }
                }
                Instruction::Execute(compute) => jobs.push(self.job(compute)),
                Instruction::Cancel { task, run } => {
                    // It may be among those that are about to start.
                    self.executor.submit(std::mem::take(&mut jobs));
                    self.executor.cancel((task, run));
                }
                Instruction::Rejoin { task, run } => self.executor.readmit((task, run)),
                Instruction::Fetch { flight, address, tasks } => self.fetch(flight, address, tasks),
                Instruction::Disconnect { address } => self.peers.forget(&address),
                Instruction::ToScheduler(messages) => {
                    // A dead link is reported by its other direction, behind what it still has.
                    let _ = self.scheduler.send(messages);
                }
                Instruction::Stored { put } => {
                    if let Some(held) = self.puts.remove(&put) {
                        // The client may be gone.
                        let _ = held.send(());
                    }
                }
                Instruction::Close { reason } => {
                    let closed = Ended::Closed { reason };
                    let ended = if self.is_restarting { Ended::Restarting } else { closed };
                    if !self.is_lost {
                        self.ended.get_or_insert(ended);
                    }
                }
            }
        }
        self.executor.submit(jobs);
    }

    fn job(&mut self, compute: Box<Compute>) -> Job {
        let def = self.functions.get(&compute.function).cloned();
        let def = def.unwrap_or_else(|| {
            let path = format!("{}, which the scheduler has not defined", compute.function);
            let signature = String::new();
            let function = Function { path, signature };
            Err(Arc::new(RegistryError::Unknown { function }))
        });
        // A dependency that is not in the store would be a bug of the state: the call finds fewer
        // results than it refers to, and fails.
        let inputs = self.store.get_all(compute.dependencies.iter().map(|d| d.task));
        Job::new(compute, def, inputs)
    }

    fn spill(&self, task: TaskId) {
        match &self.spiller {
            Some(spiller) => spiller.spill(task),
            // The state spills only where there is a limit, and then there is a thread.
            None => self.store.report(Event::SpillFailed { task, failure: SpillFailure::Disk }),
        }
    }

    fn fetch(&self, flight: FlightId, address: Address, tasks: Vec<TaskId>) {
        let (peers, news) = (self.peers.clone(), self.news.clone());
        let records = self.executor.records().load(Ordering::Relaxed);
        let scheduler = records.then(|| self.scheduler.clone());
        tokio::spawn(async move {
            let started = std::time::Instant::now();
            tokio::select! {
                () = news.closed() => {}
                fetched = peers.try_get(&address, tasks) => {
                    if let (Some(scheduler), Ok(values)) = (scheduler, &fetched) {
                        let activities = vec![activity(started, fetch_of(address, values))];
                        // Ahead of the word of what that leads to.
                        let _ = scheduler.send([WorkerToScheduler::Did { activities }]);
                    }
                    // The worker may have ended.
                    let _ = news.send(News::Fetched(flight, fetched)).await;
                }
            }
        });
    }

    /// Tells the scheduler why, and dies: the stack of one of this process's threads is broken.
    async fn die(&mut self, overflow: Overflow) {
        let Overflow { task, run } = overflow;
        let reason = "the task overflowed the stack of its thread, and the worker process died of \
                      it: does it recurse without end, or hold large arrays?";
        let dying = WorkerToScheduler::Dying { task, run, reason: reason.to_owned() };
        tracing::error!(%task, reason);
        let _ = self.scheduler.send([dying]);
        self.scheduler.close();
        let _ = timeout(FAREWELL, self.scheduler.closed()).await;
        std::process::abort();
    }
}

/// What came from a peer.
fn fetch_of(peer: Address, values: &[(TaskId, ValueAt)]) -> ActivityKind {
    let found = values.iter().filter_map(|(_, value)| match value {
        ValueAt::Found(value) => Some(value.nbytes()),
        _ => None,
    });
    let (results, nbytes) = found.fold((0_u32, 0_u64), |(results, nbytes), size| {
        (results.saturating_add(1), nbytes.saturating_add(size))
    });
    ActivityKind::Fetch { peer, results, nbytes }
}

/// Passes on what the scheduler says, from a task of its own since receiving cannot be interrupted.
async fn listen_to_scheduler(mut inbox: Inbox<SchedulerToWorker>, news: mpsc::Sender<News>) {
    loop {
        let received = inbox.receive().await;
        if let Err(error) = &received {
            tracing::warn!(%error, "the connection to the scheduler broke");
        }
        let message = match received {
            Ok(Some(messages)) => News::Said(messages),
            _ => News::Lost,
        };
        let is_last = matches!(message, News::Lost);
        if news.send(message).await.is_err() || is_last {
            return;
        }
    }
}
