//! What holds after every event.

use dask_proto::id::TaskId;

use super::WorkerState;
use super::memory::{Results, Started};
use super::resources::Requirement;
use super::task::TaskState;

impl WorkerState {
    /// Checks that the tables agree with each other, for tests and simulations.
    ///
    /// # Panics
    /// When they do not.
    pub fn check_invariants(&self) {
        assert!(self.work.is_empty(), "transitions are left");
        assert!(self.missing.is_empty(), "missing results are not reported");
        self.check_entries();
        self.check_lines();
        self.check_fetches();
    }

    fn check_entries(&self) {
        let mut results = Results::default();
        let mut handed = self.cancelled.values().filter(|run| !run.seceded).count();
        assert_eq!(self.lingering() as usize, handed, "cancelled runs are miscounted");
        let mut returning = 0;
        for (task, entry) in self.tasks.iter() {
            match &entry.state {
                TaskState::Released | TaskState::Missing => {
                    panic!("{task} stays {}", entry.state.stage())
                }
                TaskState::Waiting { compute, missing } => {
                    let absent = compute.dependencies.iter().map(|d| d.task);
                    let mut absent: Vec<_> = absent.filter(|task| !self.holds(*task)).collect();
                    absent.sort_unstable();
                    absent.dedup();
                    let absent = absent.len();
                    assert_eq!(*missing, absent, "{task} miscounts its dependencies");
                    assert!(absent > 0, "{task} waits for nothing");
                }
                TaskState::Resumed { .. } => {
                    let waits = self.cancelled.keys().any(|(of, _)| of == task);
                    assert!(waits, "{task} waits for a run that is over");
                }
                TaskState::Executing(run) => {
                    assert!(!run.seceded, "{task} left the pool and is in it");
                    handed += 1;
                }
                TaskState::LongRunning(run) => {
                    assert!(run.seceded, "{task} is in the pool");
                    let waits = self.returning().any(|waiting| waiting == (*task, run.id));
                    assert_eq!(run.returning, waits, "{task} and its place in line");
                    returning += usize::from(waits);
                }
                TaskState::Memory => {
                    results.count += 1;
                    results.bytes += entry.nbytes;
                    assert!(self.memory.knows(*task, entry.nbytes), "{task} has another size");
                }
                TaskState::Fetch | TaskState::Flight(_) => {
                    assert!(entry.is_needed(), "{task} is fetched for nobody");
                }
                TaskState::Ready { .. } | TaskState::Constrained { .. } => {}
            }
            if let Some(compute) = entry.state.compute() {
                for dependency in &compute.dependencies {
                    let is_registered = self
                        .tasks
                        .get(&dependency.task)
                        .is_some_and(|d| d.dependents.contains(*task));
                    let is_resumed = matches!(entry.state, TaskState::Resumed { .. });
                    assert!(is_registered || is_resumed, "{task} is not called when ready");
                }
            }
            for dependent in entry.dependents.iter() {
                let compute = self.tasks.get(&dependent).and_then(|d| d.state.compute());
                assert!(compute.is_some(), "{task} is kept for {dependent}, which is gone");
            }
        }
        self.check_memory(&results);
        assert_eq!(self.resources.handed(), handed, "threads are miscounted");
        assert_eq!(self.returning().len(), returning, "a run waits that is none");
        assert!(returning == 0 || !self.resources.has_seat(), "a run waits for a free thread");
    }

    fn check_memory(&self, results: &Results) {
        let running = self.tasks.values().filter(|entry| {
            matches!(entry.state, TaskState::Executing(_) | TaskState::LongRunning(_))
        });
        let started = Started {
            runs: running.count() + self.cancelled.len(),
            under_way: self.resources.handed() + self.gather.flights().len(),
        };
        self.memory.check(results, self.gather.flying(), &started);
    }

    fn check_lines(&self) {
        let mut queued = 0;
        for (line, priority, task) in self.resources.queued() {
            queued += 1;
            let state = self.tasks.get(&task).map(|entry| &entry.state);
            let (compute, expected) = match state {
                Some(TaskState::Ready { compute }) => (compute, Requirement::NONE),
                Some(TaskState::Constrained { compute, requirement }) => (compute, *requirement),
                _ => panic!("{task} stands in line and is not ready"),
            };
            assert_eq!((line, priority), (expected, compute.priority), "{task}");
            let here = compute.dependencies.iter().all(|d| self.holds(d.task));
            assert!(here, "{task} is ready without its dependencies");
        }
        let ready = self.tasks.values().filter(|entry| {
            let state = &entry.state;
            matches!(state, TaskState::Ready { .. } | TaskState::Constrained { .. })
        });
        assert_eq!(ready.count(), queued, "a ready task stands in no line");
    }

    fn check_fetches(&self) {
        let mut places = 0;
        for (peer, (priority, task)) in self.gather.places() {
            places += 1;
            let entry = &self.tasks.get(&task).expect("a task in line is known");
            assert!(matches!(entry.state, TaskState::Fetch), "{task} in line");
            assert_eq!(entry.priority, priority, "{task} has another place");
            assert!(entry.holders.contains(peer), "{task} is not at {peer}");
        }
        assert!(self.gather.rests_end(), "a busy peer is never asked again");
        let flying: u64 = self.gather.flights().values().map(|flight| flight.bytes).sum();
        assert_eq!(self.gather.flying(), flying, "bytes under way are missummed");
        let fetched = self.tasks.values();
        let fetched = fetched.filter(|entry| matches!(entry.state, TaskState::Fetch));
        let holders: usize = fetched.map(|entry| entry.holders.len()).sum();
        assert_eq!(holders, places, "a result stands in too few lines");
        for (task, entry) in self.tasks.iter() {
            if let TaskState::Flight(flight) = entry.state {
                let tasks = self.gather.flights().get(&flight).map(|f| &f.tasks);
                let is_on = tasks.is_some_and(|tasks| tasks.contains(task));
                assert!(is_on, "{task} is not on {flight}");
            }
        }
    }

    fn holds(&self, task: TaskId) -> bool {
        let entry = self.tasks.get(&task);
        entry.is_some_and(|entry| matches!(entry.state, TaskState::Memory))
    }
}
