//! All that is known of tasks, for people who look for a fault.

use dask_proto::limits::MAX_HEADER_BYTES;
use dask_proto::message::{Inspected, TaskDump};

use crate::state::SchedulerState;
use crate::state::table::task::{Row, TaskState};

/// Bytes of tasks in one answer.
const ANSWER_BYTES: usize = MAX_HEADER_BYTES / 4;

/// Dependencies of one task that are named; a task has millions of them now and then.
const DEPENDENCIES: usize = 1000;

impl SchedulerState {
    /// The tasks from a row on, as many as fit an answer.
    pub(in crate::state) fn dump_tasks(&self, from: u64) -> Inspected {
        let mut tasks = Vec::new();
        let mut room = ANSWER_BYTES;
        for (row, _) in self.tasks.iter() {
            let number = u64::from(row.number());
            if number < from {
                continue;
            }
            let task = self.dump_task(row);
            match room.checked_sub(bytes(&task)) {
                // One that is too large for any answer is an answer of its own.
                None if !tasks.is_empty() => {
                    return Inspected::Tasks { tasks, next: Some(number) };
                }
                rest => room = rest.unwrap_or(0),
            }
            tasks.push(task);
        }
        Inspected::Tasks { tasks, next: None }
    }

    fn dump_task(&self, row: Row) -> TaskDump {
        let task = &self.tasks[row];
        let function = task.function().map(|function| self.functions.get(function));
        let address = |worker| self.workers.get(worker).map(|entry| entry.join.address.clone());
        let holders = task.holders().into_iter().flat_map(|holders| holders.iter());
        let dependencies = task.dependencies.iter().take(DEPENDENCIES);
        let (mut waiting_for, mut processing_on, mut error) = (0, None, None);
        match &task.state {
            TaskState::Waiting { missing } => waiting_for = u64::from(*missing),
            TaskState::Processing { worker, .. } => processing_on = address(*worker),
            TaskState::Erred { error: why } => error = Some(why.to_string()),
            _ => {}
        }
        TaskDump {
            id: self.tasks.id(row),
            key: task.key.clone(),
            state: task.state.name().as_str().to_owned(),
            prefix: self.prefix(row).to_owned(),
            function: function.map(|function| function.function.path.clone()),
            dependencies: dependencies.map(|row| self.tasks[*row].key.clone()).collect(),
            waiting_for,
            who_has: holders.filter_map(address).collect(),
            processing_on,
            nbytes: task.nbytes(),
            holds: task.holds.len() as u64,
            retries: task.spec().map_or(0, |spec| spec.retries),
            error,
        }
    }
}

/// About how many bytes a task takes in a message.
fn bytes(task: &TaskDump) -> usize {
    let dependencies: usize = task.dependencies.iter().map(|key| key.as_str().len() + 2).sum();
    let holders: usize = task.who_has.iter().map(|address| address.as_str().len() + 2).sum();
    let function = task.function.as_ref().map_or(0, String::len);
    let error = task.error.as_ref().map_or(0, String::len);
    let worker = task.processing_on.as_ref().map_or(0, |address| address.as_str().len());
    80 + task.key.as_str().len()
        + task.prefix.len()
        + function
        + error
        + worker
        + dependencies
        + holders
}
