//! Functions that nobody has and nobody names any more: those of programs that have ended, mostly.

use std::collections::BTreeSet;

use dask_proto::graph::Function;
use dask_proto::id::{ClientId, FunctionId};
use dask_proto::limits::MAX_FUNCTIONS_OF_CLIENT;

use crate::state::SchedulerState;
use crate::state::instruction::Peer;
use crate::state::table::function::FunctionRow;

impl SchedulerState {
    /// A client names a function that it is going to call.
    pub(in crate::state) fn define(
        &mut self,
        client: ClientId,
        id: FunctionId,
        function: &Function,
    ) {
        self.forget_unused_functions();
        let program = self.program_meant(client);
        let Some(entry) = self.clients.get_mut(&client) else { return };
        let are_too_many = entry.functions.len() >= MAX_FUNCTIONS_OF_CLIENT;
        let row = self.functions.intern(program, function);
        if are_too_many {
            let reason =
                format!("the client defined more than {MAX_FUNCTIONS_OF_CLIENT} functions");
            self.disconnect(Peer::Client(client), reason);
        } else if entry.functions.insert(id, row).is_some() {
            self.disconnect(
                Peer::Client(client),
                format!("the client defined function {id} twice"),
            );
        }
    }

    /// Forgets functions once there are many that no worker has, no client has named and no task
    /// is of. One look at all tasks each time that the number of functions has doubled.
    pub(in crate::state) fn forget_unused_functions(&mut self) {
        if self.functions.is_crowded() {
            self.forget_functions(self.functions.rows());
        }
    }

    /// Forgets those of these functions that are not in use.
    pub(in crate::state) fn forget_functions(
        &mut self,
        rows: impl IntoIterator<Item = FunctionRow>,
    ) {
        let mut used: BTreeSet<FunctionRow> = BTreeSet::new();
        used.extend(self.clients.values().flat_map(|entry| entry.functions.values()));
        used.extend(self.tasks.iter().filter_map(|(_, task)| task.function()));
        // Those that workers were told of are among these.
        used.extend(self.workers.iter().flat_map(|(_, entry)| entry.work.functions()));
        self.functions.forget_unused(rows, &used);
    }
}
