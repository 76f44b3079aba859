use std::sync::Arc;

use bytes::Bytes;
use dask_proto::Payload;
use dask_proto::graph::{TaskOptions, TaskSpec};
use dask_proto::limits::BLOB_PAYLOAD_BYTES;

use super::function::FunctionRow;
use super::task::Hold;

/// Where the result of a task comes from.
#[derive(Debug)]
pub(in crate::state) enum Source {
    /// It is computed.
    Spec(Spec),
    /// A client puts it on a worker.
    Data {
        /// The client that announced it last, and for which future.
        by: Hold,
    },
}

/// How to compute a task.
#[derive(Debug)]
pub(in crate::state) struct Spec {
    pub(in crate::state) submission: Arc<Submission>,
    pub(in crate::state) function: FunctionRow,
    pub(in crate::state) body: Span,
    /// How often it may still fail.
    pub(in crate::state) retries: u32,
}

impl Spec {
    pub(in crate::state) fn options(&self) -> &Arc<TaskOptions> {
        &self.submission.options
    }

    pub(in crate::state) fn priority(&self) -> i32 {
        self.submission.priority
    }

    /// The arguments, if they are among those that tasks share.
    pub(in crate::state) fn shared_body(&self) -> Payload {
        let Span { start, len } = self.body;
        let (start, len) = (start as usize, len as usize);
        let bodies = &self.submission.bodies;
        Payload::copied_if_small(&bodies[start..start + len], || bodies.slice(start..start + len))
    }
}

/// What the tasks of one message share: it is kept until the last of them is forgotten.
#[derive(Debug)]
pub(in crate::state) struct Submission {
    pub(in crate::state) options: Arc<TaskOptions>,
    /// That of the options, which is asked for most often.
    priority: i32,
    /// The small ones of their arguments, one behind the other: a few bytes each, which are not
    /// worth a buffer with its owner for every task.
    bodies: Bytes,
}

/// A place in the bodies of a submission.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::state) struct Span {
    start: u32,
    len: u32,
}

/// A task's arguments.
pub(in crate::state) enum Body {
    /// Among those that tasks share.
    Shared(Span),
    /// Large, or a live object.
    Own(Payload),
}

impl Submission {
    /// What tasks share, with the place of each one's body.
    pub(in crate::state) fn new(
        options: TaskOptions,
        tasks: &mut [TaskSpec],
    ) -> (Arc<Self>, Vec<Body>) {
        let len = tasks.iter().filter_map(|task| small(&task.body)).map(<[u8]>::len).sum();
        let mut bodies = Vec::with_capacity(len);
        let places = tasks.iter_mut().map(|task| match small(&task.body) {
            Some(bytes) => {
                let start = narrow(bodies.len());
                bodies.extend_from_slice(bytes);
                Body::Shared(Span { start, len: narrow(bytes.len()) })
            }
            None => Body::Own(std::mem::take(&mut task.body)),
        });
        let places = places.collect();
        let priority = options.priority;
        (Arc::new(Self { options: Arc::new(options), priority, bodies: bodies.into() }), places)
    }
}

fn small(body: &Payload) -> Option<&[u8]> {
    body.as_bytes().filter(|bytes| bytes.len() <= BLOB_PAYLOAD_BYTES)
}

fn narrow(len: usize) -> u32 {
    u32::try_from(len).expect("the small bodies of one message are far below four gigabytes")
}
