//! Actors: results that stay on the worker that computed them. Calls of their methods are tasks
//! that depend on them, and go there.

use std::sync::Arc;

use dask_proto::id::WorkerId;

use crate::state::SchedulerState;
use crate::state::table::spec::Spec;
use crate::state::table::task::Row;
use crate::state::transition::Goal;

impl SchedulerState {
    /// What becomes of a call of an actor's method: it goes where the actor is. `None` for all
    /// other tasks, which costs them nothing as long as there are no actors.
    pub(in crate::state) fn judge_call(&self, row: Row, spec: &Spec) -> Option<Goal> {
        let home = self.home(row)?;
        let is_there = self.can_run(home, spec.function);
        Some(if is_there { Goal::Processing(home) } else { Goal::NoWorker })
    }

    /// Whether a task is a call of an actor's method.
    pub(in crate::state) fn is_call(&self, row: Row) -> bool {
        self.has_actors && self.actor_of(row).is_some()
    }

    /// Where the actor is that a task is a call of.
    fn home(&self, row: Row) -> Option<WorkerId> {
        if !self.has_actors {
            return None;
        }
        self.tasks[self.actor_of(row)?].holders()?.iter().next()
    }

    fn actor_of(&self, row: Row) -> Option<Row> {
        let dependencies = &self.tasks[row].dependencies;
        dependencies.iter().copied().find(|dependency| self.is_actor(*dependency))
    }

    /// Whether a result is an actor.
    fn is_actor(&self, row: Row) -> bool {
        self.tasks[row].spec().is_some_and(|spec| spec.options().actor)
    }

    /// What becomes of a result whose last copy is gone: it is computed again, unless it is an
    /// actor, whose state nobody knows, or what a call of one gave, which is not made twice.
    pub(in crate::state) fn afterlife(&self, row: Row) -> Goal {
        let message = if self.is_actor(row) {
            "the worker that held the actor is gone, and the actor's state with it: submit a new \
             one"
        } else if self.is_call(row) {
            "what the call of an actor's method gave was lost with its worker, and calls are not \
             made twice"
        } else {
            return Goal::Released;
        };
        Goal::Erred(Arc::new(self.lost_data(row, message)))
    }
}
