use std::fmt::Write;
use std::sync::Arc;

use dask_proto::graph::TaskSpec;
use dask_proto::id::{ClientId, FutureId};
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::Submit;
use dask_proto::{Key, TaskError, TaskErrorKind};

use super::entry::Meaning;
use crate::state::SchedulerState;
use crate::state::instruction::Peer;
use crate::state::table::function::FunctionRow;
use crate::state::table::rows::Rows;
use crate::state::table::spec::{Body, Source, Span, Spec, Submission};
use crate::state::table::task::{Hold, Row, TaskEntry};

/// Dependencies of one task. The message that has a worker compute it names them all, with their
/// holders, and must stay below the limit for a message.
pub(in crate::state) const MAX_DEPENDENCIES: usize = 1 << 18;

/// How the reason of a task starts that is cancelled because a dependency was.
const DEPENDS: &str = "it depends on a cancelled future: ";

/// What a submitted task's dependencies allow.
enum Dependencies {
    /// All are tasks.
    Tasks(Rows),
    /// One was cancelled, for this reason.
    Cancelled(Arc<String>),
    /// One never became a task.
    Failed(Arc<TaskError>),
}

impl SchedulerState {
    /// Takes in a part of a graph.
    pub(in crate::state) fn submit(&mut self, client: ClientId, submit: Submit) {
        if submit.tasks.len() > SUBMIT_TASKS {
            let reason = format!("a submission of more than {SUBMIT_TASKS} tasks");
            self.disconnect(Peer::Client(client), reason);
            return;
        }
        self.has_actors |= submit.options.actor;
        let mut tasks = submit.tasks;
        let (submission, bodies) = Submission::new(submit.options, &mut tasks);
        for (task, body) in tasks.into_iter().zip(bodies) {
            if let Err(reason) = self.submit_task(client, task, (&submission, body)) {
                self.disconnect(Peer::Client(client), reason);
                return;
            }
        }
    }

    /// Takes in one task; the error is the reason to cut the client off.
    fn submit_task(
        &mut self,
        client: ClientId,
        task: TaskSpec,
        (submission, body): (&Arc<Submission>, Body),
    ) -> Result<(), String> {
        let hold = Hold { client, future: task.future };
        if !self.is_free(client, task.future) {
            return Err(format!("the client used future {} twice", task.future));
        }
        let entry = self.clients.get(&client);
        let function = entry.and_then(|entry| entry.functions.get(&task.function));
        let Some(function) = function.copied() else {
            let id = task.function;
            return Err(format!("the client used function {id} without defining it"));
        };
        if let Some(row) = self.tasks.find(task.key.as_str()) {
            if self.is_same(row, function, task.content) {
                self.hold(hold, row);
            } else {
                let error = self.collision(row, task.key, function);
                self.refuse(hold, Arc::new(error));
            }
            return Ok(());
        }
        match self.resolve(client, &task) {
            Dependencies::Cancelled(reason) => {
                // A long chain of them names the first alone.
                let inherited = format!("{DEPENDS}{reason}");
                let is_inherited = reason.starts_with(DEPENDS);
                self.cancel_future(hold, if is_inherited { &reason } else { &inherited });
            }
            Dependencies::Failed(error) => self.refuse(hold, error),
            Dependencies::Tasks(dependencies) => {
                let submission = submission.clone();
                let retries = submission.options.retries;
                let (span, own) = match body {
                    Body::Shared(span) => (span, None),
                    Body::Own(body) => (Span::default(), Some(body)),
                };
                let spec = Spec { submission, function, body: span, retries };
                let row = self.add_task(task.key, Source::Spec(spec), dependencies);
                let entry = &mut self.tasks[row];
                entry.set_content(task.content);
                own.into_iter().for_each(|body| entry.set_body(body));
                self.hold(hold, row);
            }
        }
        Ok(())
    }

    /// Makes a task known, in state released.
    pub(in crate::state) fn add_task(
        &mut self,
        key: Key,
        source: Source,
        dependencies: Rows,
    ) -> Row {
        let mut entry = TaskEntry::new(key, source, self.submitted);
        self.submitted += 1;
        entry.dependencies = dependencies;
        entry.since = self.since;
        self.counts[entry.state.name() as usize] += 1;
        let row = self.tasks.insert(entry);
        let id = self.tasks.id(row);
        for i in 0..self.tasks[row].dependencies.len() {
            let dependency = self.tasks[row].dependencies[i];
            let entry = &mut self.tasks[dependency];
            entry.dependents.push(id);
            entry.live_dependents += 1;
        }
        row
    }

    fn resolve(&self, client: ClientId, task: &TaskSpec) -> Dependencies {
        if task.dependencies.len() > MAX_DEPENDENCIES {
            return Dependencies::Failed(Arc::new(too_many(task)));
        }
        let entry = self.clients.get(&client);
        let rows = task.dependencies.iter().map(|dependency| {
            match entry.and_then(|entry| entry.meaning(*dependency)) {
                Some(Meaning::Task(row)) => Ok(row),
                Some(Meaning::Cancelled(reason)) => Err(Dependencies::Cancelled(reason.clone())),
                Some(Meaning::Failed(error)) => Err(Dependencies::Failed(error.clone())),
                None => Err(Dependencies::Failed(Arc::new(dangling(task, *dependency)))),
            }
        });
        rows.collect::<Result<Rows, _>>().map_or_else(|end| end, Dependencies::Tasks)
    }

    /// Whether a known task is the same as one that is submitted under its key.
    fn is_same(&self, row: Row, function: FunctionRow, content: Option<[u8; 16]>) -> bool {
        let task = &self.tasks[row];
        let Some(spec) = task.spec() else {
            return false;
        };
        self.is_same_function(spec.function, function)
            && match (task.content(), content) {
                (None, None) => true,
                (Some(one), Some(other)) => one == other,
                // The digest of the one that has none is in its key, which both have.
                (Some(digest), None) | (None, Some(digest)) => {
                    task.key.as_str().ends_with(&hex(digest))
                }
            }
    }

    /// Whether two functions are the same but for their programs: a key is the same for both, as
    /// it is on a cluster whose workers were started anew in between.
    fn is_same_function(&self, one: FunctionRow, other: FunctionRow) -> bool {
        let function = |row| &self.functions.get(row).function;
        one == other || function(one) == function(other)
    }

    fn collision(&self, row: Row, key: Key, function: FunctionRow) -> TaskError {
        let new = &self.functions.get(function).function;
        let known = match self.tasks[row].function() {
            Some(known) if !self.is_same_function(known, function) => {
                format!("calls {}", self.functions.get(known).function)
            }
            Some(_) => "calls the same function with other arguments".to_owned(),
            None => "is scattered data".to_owned(),
        };
        let message = format!(
            "the key is already on the cluster with other content: the task that has it {known}, \
             and this one calls {new}; give this task another key, or release the other first"
        );
        TaskError {
            function: new.path.clone(),
            ..TaskError::new(TaskErrorKind::KeyCollision, key, message)
        }
    }
}

fn dangling(task: &TaskSpec, dependency: FutureId) -> TaskError {
    let message = format!(
        "the task depends on {dependency}, which did not come before it: the graph depends on \
         itself, or on a key that is not there"
    );
    TaskError::new(TaskErrorKind::InvalidGraph, task.key.clone(), message)
}

fn too_many(task: &TaskSpec) -> TaskError {
    let count = task.dependencies.len();
    let message = format!(
        "the task has {count} dependencies, over the limit of {MAX_DEPENDENCIES}: combine them \
         step by step, by a tree of tasks"
    );
    TaskError::new(TaskErrorKind::InvalidGraph, task.key.clone(), message)
}

fn hex(digest: [u8; 16]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
