use dask_proto::id::WorkerId;

use crate::state::SchedulerState;
use crate::state::table::task::Row;
use crate::state::transition::Goal;

/// How far ahead of the idlest worker, in nanoseconds, another may get by being given siblings.
const SIBLINGS_AHEAD: u64 = 1_000_000;

impl SchedulerState {
    /// Hands queued tasks to workers until no worker has room or nothing is queued; whether any
    /// was handed out.
    ///
    /// The first task in priority order for which a worker has room goes to the idlest such
    /// worker, and its siblings go with it.
    pub(in crate::state) fn hand_out_queued(&mut self) -> bool {
        let mut last = None;
        while let Some((row, idlest)) = self.next_queued() {
            let worker = last.filter(|last| self.takes_siblings(*last, idlest, row));
            let worker = worker.unwrap_or(idlest);
            self.transition(row, Goal::Processing(worker));
            last = Some(worker);
        }
        last.is_some()
    }

    /// Whether the worker that got the last task gets the next one too, although another is idler.
    ///
    /// Tasks that follow each other in order are mostly siblings: what depends on them finds them
    /// on one worker (Dask's co-assignment). This must not cost time: the tasks are short, or
    /// there is enough to do for everybody.
    fn takes_siblings(&self, last: WorkerId, idlest: WorkerId, row: Row) -> bool {
        let (Some(entry), Some(idlest)) = (self.workers.get(last), self.workers.get(idlest)) else {
            return false;
        };
        let Some(function) = self.tasks[row].function() else {
            return false;
        };
        let queued = self.functions.get(function).queue.len() as u64;
        let saturation = self.config.worker_saturation;
        let is_short = entry.load() <= idlest.load().saturating_add(SIBLINGS_AHEAD);
        let is_enough = queued > 2 * self.workers.nthreads() && entry.has_slot(saturation);
        (is_short || is_enough) && entry.has_room(saturation) && self.can_run(last, function)
    }

    fn next_queued(&self) -> Option<(Row, WorkerId)> {
        let heads = self.functions.queued().filter_map(|function| {
            let head = self.functions.get(function).queue.first()?;
            let worker = self.functions.idlest_open(function)?;
            Some((head, worker))
        });
        heads.min().map(|((_, row), worker)| (row, worker))
    }

    /// Judges queued tasks anew whose function left with a worker.
    pub(in crate::state) fn rejudge_queued(&mut self) {
        let gone: Vec<_> = self
            .functions
            .queued()
            .filter(|function| !self.functions.is_offered(*function))
            .collect();
        for function in gone {
            let rows: Vec<Row> = self.functions.get(function).queue.iter().map(|q| q.1).collect();
            for row in rows {
                self.recommend(row, Goal::Ready);
            }
        }
    }

    /// Judges tasks anew that wait for a worker.
    pub(in crate::state) fn rejudge_no_worker(&mut self) {
        let rows: Vec<Row> = self.no_worker.iter().map(|(_, row)| *row).collect();
        for row in rows {
            self.recommend(row, Goal::Ready);
        }
    }
}
