use dask_proto::id::WorkerId;

use super::SchedulerState;
use super::task::Row;
use super::transition::Goal;

impl SchedulerState {
    /// Hands queued tasks to workers until no worker has room or nothing is queued; whether any
    /// was handed out.
    ///
    /// The first task in priority order for which a worker has room goes to the idlest such
    /// worker.
    pub(super) fn hand_out_queued(&mut self) -> bool {
        let mut any = false;
        while let Some((row, worker)) = self.next_queued() {
            self.transition(row, Goal::Processing(worker));
            any = true;
        }
        any
    }

    fn next_queued(&self) -> Option<(Row, WorkerId)> {
        let heads = self.functions.queued().filter_map(|function| {
            let head = *self.functions.get(function).queue.first()?;
            let worker = self.functions.idlest_open(function)?;
            Some((head, worker))
        });
        heads.min().map(|((_, row), worker)| (row, worker))
    }

    /// Judges queued tasks anew whose function left with a worker.
    pub(super) fn rejudge_queued(&mut self) {
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
    pub(super) fn rejudge_no_worker(&mut self) {
        let rows: Vec<Row> = self.no_worker.iter().map(|(_, row)| *row).collect();
        for row in rows {
            self.recommend(row, Goal::Ready);
        }
    }
}
