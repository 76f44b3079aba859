use std::collections::{BTreeMap, BTreeSet};

use dask_proto::id::{RunId, TaskId, WorkerId};
use dask_proto::message::{Compute, Metrics, SchedulerToWorker, WorkerStatus, WorkerToScheduler};
use dask_proto::{Key, TaskError, TaskErrorKind};

use super::Dice;

/// A worker that finishes, fails and forgets at random.
#[derive(Default)]
pub(crate) struct ModelWorker {
    tasks: BTreeMap<TaskId, Compute>,
    /// The results that it has.
    store: BTreeSet<TaskId>,
    known: Vec<TaskId>,
    /// The copies that it is to fetch.
    wanted: BTreeSet<TaskId>,
    /// The copies that it was told to remove and has not answered for.
    removed: Vec<TaskId>,
    /// What it was asked to give back and has not answered for.
    asked: Vec<(TaskId, RunId)>,
    /// How many tasks it gave back.
    pub(crate) given: usize,
    functions: BTreeSet<u32>,
    peers: BTreeSet<WorkerId>,
}

impl ModelWorker {
    pub(crate) fn hear(&mut self, message: SchedulerToWorker) {
        match message {
            SchedulerToWorker::Compute(compute) => {
                assert!(self.functions.contains(&compute.function.0));
                for dependency in &compute.dependencies {
                    assert!(!dependency.holders.is_empty(), "a dependency that is nowhere");
                }
                self.known.push(compute.task);
                self.tasks.insert(compute.task, *compute);
            }
            SchedulerToWorker::Free { tasks } => self.forget(&tasks),
            SchedulerToWorker::Remove { tasks } => {
                self.forget(&tasks);
                self.removed.extend(tasks);
            }
            SchedulerToWorker::Acquire { dependencies } => {
                for dependency in dependencies {
                    assert!(!dependency.holders.is_empty(), "a copy of what is nowhere");
                    if !self.store.contains(&dependency.task) {
                        self.wanted.insert(dependency.task);
                    }
                }
            }
            SchedulerToWorker::Steal { tasks } => {
                for (task, run) in &tasks {
                    let is_new = !self.asked.contains(&(*task, *run));
                    assert!(is_new, "{task} is asked for again");
                }
                self.asked.extend(tasks);
            }
            SchedulerToWorker::Define { id, .. } => {
                assert!(self.functions.insert(id.0), "a function is defined once");
            }
            SchedulerToWorker::Peer { id, .. } => {
                assert!(self.peers.insert(id), "a peer is defined once");
            }
            _ => {}
        }
    }

    fn forget(&mut self, tasks: &[TaskId]) {
        for task in tasks {
            self.tasks.remove(task);
            self.store.remove(task);
            self.wanted.remove(task);
        }
    }

    /// Whether it has something to do.
    pub(crate) fn is_busy(&self) -> bool {
        let is_answered = self.removed.is_empty() && self.asked.is_empty();
        !(self.tasks.is_empty() && self.wanted.is_empty() && is_answered)
    }

    /// Gives what it is asked for, answers for what it was to remove, then for what it was to
    /// fetch, then finishes the first task.
    pub(crate) fn behave(&mut self) -> Vec<WorkerToScheduler> {
        if !self.asked.is_empty() {
            return self.answer(|_| true);
        }
        if let Some(message) = self.confirm().or_else(|| self.fetch()) {
            return vec![message];
        }
        let first = self.tasks.keys().next().copied();
        let compute = first.and_then(|task| self.tasks.remove(&task));
        compute.map(|compute| self.finish(&compute)).into_iter().collect()
    }

    /// Scattered data arrives.
    pub(crate) fn put(&mut self, task: TaskId) -> WorkerToScheduler {
        self.store.insert(task);
        WorkerToScheduler::Added { tasks: vec![(task, 8)] }
    }

    fn confirm(&mut self) -> Option<WorkerToScheduler> {
        let tasks = std::mem::take(&mut self.removed);
        (!tasks.is_empty()).then_some(WorkerToScheduler::Removed { tasks })
    }

    fn fetch(&mut self) -> Option<WorkerToScheduler> {
        let task = self.wanted.pop_first()?;
        self.store.insert(task);
        Some(WorkerToScheduler::Added { tasks: vec![(task, 8)] })
    }

    pub(crate) fn speak(&mut self, dice: &mut Dice) -> Vec<WorkerToScheduler> {
        if !self.asked.is_empty() && dice.chance(40) {
            return self.answer(|_| dice.chance(70));
        }
        let count = 1 + dice.below(3);
        (0..count).filter_map(|_| self.message(dice)).collect()
    }

    /// Answers for what it was asked for: gives what it has and likes to give.
    fn answer(&mut self, mut gives: impl FnMut(TaskId) -> bool) -> Vec<WorkerToScheduler> {
        let has = |(task, run): &(TaskId, RunId)| {
            let compute = self.tasks.get(task).filter(|compute| compute.run == *run);
            compute.is_some() && gives(*task)
        };
        let (given, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.asked).into_iter().partition(has);
        self.given += given.len();
        for (task, _) in &given {
            self.tasks.remove(task);
        }
        vec![WorkerToScheduler::Kept { tasks: kept }, WorkerToScheduler::Given { tasks: given }]
    }

    fn message(&mut self, dice: &mut Dice) -> Option<WorkerToScheduler> {
        match dice.below(100) {
            0..=4 => return Some(self.nonsense(dice)),
            5 => return Some(WorkerToScheduler::Heartbeat(Metrics::default())),
            6 if dice.chance(20) => return Some(WorkerToScheduler::Leaving),
            7 => return Some(WorkerToScheduler::Status(any_status(dice))),
            8..=15 => return self.confirm(),
            16..=30 => {
                if dice.chance(70) {
                    return self.fetch();
                }
                let tasks = vec![self.wanted.pop_first()?];
                return Some(WorkerToScheduler::NotAcquired { tasks });
            }
            _ => {}
        }
        let index = dice.below(self.tasks.len());
        let task = self.tasks.keys().nth(index).copied()?;
        if dice.chance(5) {
            let run = self.tasks[&task].run;
            return Some(match dice.below(3) {
                0 => WorkerToScheduler::Rejoined { task, run },
                1 => WorkerToScheduler::Lingering { runs: u32::from(dice.chance(50)) },
                _ => WorkerToScheduler::LongRunning { task, run },
            });
        }
        let compute = self.tasks.remove(&task)?;
        let run = compute.run;
        Some(match dice.below(100) {
            0..=9 => WorkerToScheduler::Erred {
                task,
                run,
                error: Box::new(TaskError::new(
                    TaskErrorKind::Returned,
                    compute.key.clone(),
                    "oh no",
                )),
            },
            10..=19 => WorkerToScheduler::MissingDependencies {
                task,
                run,
                missing: compute
                    .dependencies
                    .iter()
                    .flat_map(|d| d.holders.iter().map(|holder| (d.task, *holder)))
                    .filter(|_| dice.chance(60))
                    .collect(),
            },
            20..=34 => {
                let tasks = compute.dependencies.iter().map(|d| (d.task, d.nbytes));
                let tasks: Vec<_> = tasks.collect();
                self.store.extend(tasks.iter().map(|(task, _)| *task));
                self.tasks.insert(task, compute);
                WorkerToScheduler::Added { tasks }
            }
            36 => WorkerToScheduler::Rescheduled { task, run },
            35 => WorkerToScheduler::Dying { task, run, reason: "its stack overflowed".to_owned() },
            _ => self.finish(&compute),
        })
    }

    fn finish(&mut self, compute: &Compute) -> WorkerToScheduler {
        self.store.insert(compute.task);
        WorkerToScheduler::Finished {
            task: compute.task,
            run: compute.run,
            nbytes: 8,
            // Some are long, so that other workers want what waits behind them.
            duration_ns: [1000, 500_000_000, 2_000_000_000][compute.task.0 as usize % 3],
            value: None,
        }
    }

    /// Something about a task that it was told of once, or never.
    fn nonsense(&mut self, dice: &mut Dice) -> WorkerToScheduler {
        let index = dice.below(self.known.len());
        let stray = TaskId(dice.below(50) as u64);
        let task = self.known.get(index).copied().unwrap_or(stray);
        let task = if dice.chance(20) { stray } else { task };
        let run = RunId(u32::try_from(dice.below(4)).expect("small"));
        match dice.below(8) {
            4 => WorkerToScheduler::NotAcquired { tasks: vec![task] },
            5 => WorkerToScheduler::Removed { tasks: vec![task] },
            6 => WorkerToScheduler::Given { tasks: vec![(task, run), (stray, run)] },
            7 => WorkerToScheduler::Kept { tasks: vec![(task, run), (stray, run)] },
            0 => WorkerToScheduler::Finished {
                task,
                run,
                nbytes: u64::MAX,
                duration_ns: u64::MAX,
                value: None,
            },
            1 => WorkerToScheduler::Added { tasks: vec![(task, u64::MAX)] },
            2 => WorkerToScheduler::MissingDependencies {
                task,
                run,
                missing: vec![(stray, WorkerId(1)), (task, WorkerId(u32::MAX))],
            },
            _ => WorkerToScheduler::Erred {
                task,
                run,
                error: Box::new(TaskError::new(
                    TaskErrorKind::Panicked,
                    Key::new("x").expect("a short key"),
                    "",
                )),
            },
        }
    }
}

/// One that retires leaves, so few do.
fn any_status(dice: &mut Dice) -> WorkerStatus {
    match dice.below(10) {
        0 => WorkerStatus::Retiring,
        1..=3 => WorkerStatus::Paused,
        _ => WorkerStatus::Running,
    }
}
