//! Every bound on what a peer may send, and why it is where it is.
//!
//! Limits are checked before memory is allocated, on the way out as on the way in: a peer that
//! keeps to them is never cut off for a message it could not know to be too large.

/// Bytes of a [`Key`](crate::Key). Keys are names; Dask's longest are tuples of a few hundred
/// characters.
pub const MAX_KEY_BYTES: usize = 4096;

/// Bytes of an [`Address`](crate::Address).
pub const MAX_ADDRESS_BYTES: usize = 1024;

/// Bytes of the first exchange on a connection, when the peer is still a stranger. A worker lists
/// the functions that it has, so this is not tiny.
pub const MAX_HANDSHAKE_BYTES: usize = 4 << 20;

/// Frames in one batch: a header, a blob of small payloads and one frame per large payload. More
/// than [`SUBMIT_TASKS`], so that a submission of tasks with large bodies fits.
pub const MAX_FRAMES: usize = 8192;

/// Messages in one batch. The smallest message is one byte, and a hundred once it is decoded.
pub const MAX_MESSAGES: usize = 1 << 16;

/// Messages that wait on one connection to be written. A peer that lets more gather has stopped
/// reading, and its connection is given up.
pub const MAX_QUEUED_MESSAGES: usize = 8 << 20;

/// Bytes of the messages of one batch without their payloads. Decoded messages are at most some
/// fifty times as large.
pub const MAX_HEADER_BYTES: usize = 16 << 20;

/// Bytes of one frame, and so of one value: 64 GiB.
pub const MAX_FRAME_BYTES: u64 = 64 << 30;

/// A writer closes a batch once the headers and small payloads in it reach this many bytes, far
/// from every limit and large enough to amortize a system call.
pub const BATCH_BYTES: usize = 1 << 20;

/// Tasks in one submission message; a client cuts larger graphs.
pub const SUBMIT_TASKS: usize = 4096;

/// A payload of at most this many bytes travels in the batch's blob; a larger one is a frame of
/// its own, which is never copied.
pub const BLOB_PAYLOAD_BYTES: usize = 8 << 10;

/// Results of at most this many bytes ride with the message that reports the task finished.
pub const INLINE_RESULT_BYTES: u64 = 1024;

/// Bytes of a task error's message, of each of its causes and of its backtrace; longer text is
/// cut, as with Dask's `max-error-length`.
pub const MAX_ERROR_TEXT_BYTES: usize = 16 << 10;

/// Bytes of the text of a [`LogRecord`](crate::message::LogRecord); a longer line is cut. Lines are
/// for people, and the scheduler remembers thousands of them.
pub const MAX_LOG_TEXT_BYTES: usize = 4 << 10;

/// Functions that one client calls. A program has some hundreds.
pub const MAX_FUNCTIONS_OF_CLIENT: usize = 16_384;

/// Questions of one client to workers that are not answered yet. A client asks every worker of a
/// large cluster at once; each takes the scheduler some fifty bytes.
pub const MAX_OPEN_QUESTIONS: u32 = 16_384;

/// Requests of one client that wait for workers to connect. Each is looked at when a worker does.
pub const MAX_WAITS: usize = 1024;

/// Names of workers for which the requests of one client wait: of all workers of a large cluster,
/// several times.
pub const MAX_AWAITED_WORKERS: usize = 1 << 16;

/// Bytes of files and plugins that the scheduler keeps for workers that join later: data files for
/// tasks are small beside the results of tasks, and these stay for as long as the scheduler.
pub const MAX_EQUIPMENT_BYTES: u64 = 1 << 30;

/// How many of them there may be: each is a message to every worker that joins.
pub const MAX_EQUIPMENTS: usize = 1024;

/// Bytes of the name of one of them: that of a file.
pub const MAX_EQUIPMENT_NAME_BYTES: usize = 255;

/// Calls apart from all tasks that go on at the same time in one process, each on a thread of its
/// own.
pub const MAX_CALLS: usize = 64;

/// Frames of a stack that are told of; of a deeper one the outermost and the innermost. Deeper
/// stacks are recursions, whose middle says nothing new.
pub const MAX_STACK_FRAMES: usize = 256;

/// Bytes of the name of a function on a stack, and of its file: names of generic functions can fill
/// pages.
pub const MAX_FRAME_TEXT_BYTES: usize = 512;

/// Different stacks that one profile keeps; of more than these only the task's function.
pub const MAX_STACKS: usize = 10_000;

/// Frames of all stacks that one profile keeps, which take a worker two megabytes until it is done,
/// and some twenty more while they are named: what there is more of does not fit a reply.
pub const MAX_STACKS_FRAMES: usize = 1 << 18;

/// Bytes of the stacks in one reply, far below what a message may have.
pub const MAX_STACKS_BYTES: usize = 4 << 20;

/// Bytes of one value that the scheduler keeps, in a queue, a variable or a dataset, with the keys
/// of the futures in it. Larger data belong on workers.
pub const MAX_KEPT_VALUE_BYTES: u64 = 8 << 20;

/// Bytes of all values that a scheduler keeps. It lives on one machine with the memory of one.
pub const MAX_KEPT_BYTES: u64 = 256 << 20;

/// Names of primitives and datasets that a scheduler remembers.
pub const MAX_KEPT_NAMES: usize = 1 << 16;

/// Those of events, queues, variables, datasets and metadata that one connected client was the
/// first to mention: they stay when nobody waits for anything, and none is to have all of them.
/// What it leaves behind counts for all.
pub const MAX_KEPT_NAMES_OF_CLIENT: usize = MAX_KEPT_NAMES / 4;

/// Requests about primitives that wait, hold a lease, or were answered with what the client has not
/// accepted, on one scheduler.
pub const MAX_KEPT_REQUESTS: usize = 1 << 16;

/// Those of one client, so that none has all of them; also the lines of several locks in which its
/// requests stand. All tasks of a worker share a client.
pub const MAX_KEPT_REQUESTS_OF_CLIENT: usize = MAX_KEPT_REQUESTS / 4;

/// Bytes of the values that one connected client had a scheduler keep, so that none has all the
/// room. What it leaves behind counts for all.
pub const MAX_KEPT_BYTES_OF_CLIENT: u64 = MAX_KEPT_BYTES / 2;

/// What the scheduler needs for a value that it keeps besides the value's bytes, about.
pub const KEPT_ENTRY_BYTES: u64 = 256;

/// Values that one answer brings. Each may be a frame of its own.
pub const VALUES_AT_ONCE: usize = 1024;

/// Names in one request for several locks.
pub const LOCKS_AT_ONCE: usize = 1024;

/// Bytes of the names in one request for several locks.
pub const MAX_LOCK_NAMES_BYTES: usize = 64 << 10;

/// Names on the way to metadata. Together they are no longer than one [key](MAX_KEY_BYTES).
pub const MAX_METADATA_DEPTH: usize = 32;

/// Topics that a scheduler remembers; each has [`MAX_TOPIC_BYTES`] at most.
pub const MAX_TOPICS: usize = 1024;

/// Topics to which one client subscribes, so that others find room for theirs.
pub const MAX_TOPICS_OF_CLIENT: usize = MAX_TOPICS / 4;

/// Events that are remembered of a topic.
pub const EVENTS_REMEMBERED: usize = 1000;

/// Bytes of the events that are remembered of a topic.
pub const MAX_TOPIC_BYTES: u64 = 256 << 10;

/// Bytes of one event. Events are news, not data.
pub const MAX_EVENT_BYTES: u64 = 64 << 10;

/// Bytes of a program that travels: how long that may take depends on it. Executables of debug
/// builds reach hundreds of megabytes.
pub const MAX_PROGRAM_BYTES: u64 = 8 << 30;

/// Bytes of a program that come in a second at least, on average: a line of one megabit. Whoever
/// sends less keeps the turn of others that have it too.
pub const PROGRAM_BYTES_PER_SECOND: u64 = 128 << 10;

/// Bytes of the name of a program's file or of an agent, and of a target: what names of files have
/// at most.
pub const MAX_PROGRAM_NAME_BYTES: usize = 255;

/// Bytes of one piece of a program that travels: a piece is in memory as a whole, at each of those
/// that it passes.
pub const PROGRAM_PIECE_BYTES: usize = 1 << 20;

/// Bytes of what is said about a program that could not be fetched or started; longer text is cut
/// at the front, for the last lines of a process say why it ended.
pub const MAX_TROUBLE_BYTES: usize = 4 << 10;

/// Worker processes that an agent starts for each program.
pub const MAX_NWORKERS: u32 = 1024;

/// Programs that an agent says it has: a cache has some dozens.
pub const MAX_AGENT_PROGRAMS: usize = 4096;

/// Tokens that an agent allows: people have a few, and the scheduler looks for a client's among
/// them.
pub const MAX_AGENT_TOKENS: usize = 1024;
