use std::io::{self, BufWriter, Cursor, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dask_proto::graph::{Function, TaskSpec};
use dask_proto::id::{ClientId, FunctionId, FutureId, WorkerId};
use dask_proto::message::{ClientToScheduler, Code, Submit, WorkerJoin};
use dask_proto::{Key, Moment, Object, Payload, ValueError};

use super::file::{Reader, Tag, write_entry, write_header, write_value};
use super::*;
use crate::Config;
use crate::state::{Event, Instruction, Instructions, SchedulerState};

/// What is written, for others to see.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn header() -> Header {
    Header {
        version: "test".to_owned(),
        config: Config::default(),
        address: "tcp://127.0.0.1:8786".parse().unwrap(),
    }
}

fn submitted(task: u64, body: impl Into<Payload>) -> Event {
    let function = FunctionId(0);
    let (future, key) = (FutureId(task), Key::new(format!("inc-{task}")).unwrap());
    let (content, dependencies, body) = (None, Vec::new(), body.into());
    let spec = TaskSpec { future, key, function, content, dependencies, body };
    let submit = Submit { tasks: vec![spec], ..Submit::default() };
    let messages = vec![ClientToScheduler::Submit(submit)];
    Event::ClientSaid { client: ClientId(1), messages }
}

/// A client, a worker, and tasks with these bodies.
fn session(bodies: Vec<Bytes>) -> Vec<Event> {
    let inc = Function { path: "it::inc".to_owned(), signature: "fn(i64) -> i64".to_owned() };
    let define = ClientToScheduler::Define { id: FunctionId(0), function: inc.clone() };
    let join = WorkerJoin {
        address: "tcp://127.0.0.1:9".parse().unwrap(),
        name: "alice".to_owned(),
        nthreads: 4,
        memory_limit: None,
        resources: Default::default(),
        functions: vec![inc],
        pid: 7,
        program: None,
    };
    let client = ClientId(1);
    let mut events = vec![
        Event::ClientJoined { client, name: "Client-1".to_owned(), code: Code::Withheld },
        Event::WorkerJoined { worker: WorkerId(2), join: Box::new(join) },
        Event::ClientSaid { client, messages: vec![define] },
    ];
    let tasks = (0..).zip(bodies).map(|(task, body)| submitted(task, body));
    events.extend(tasks);
    events.push(Event::Shutdown { reason: "the test ends".to_owned() });
    events
}

/// Does what the shell does.
fn run(recorder: &mut Recorder, events: Vec<Event>) -> Vec<Instruction> {
    let Header { config, address, .. } = header();
    let mut state = SchedulerState::new(config, address);
    let mut out = Instructions::new();
    let mut all = Vec::new();
    for (nanos, event) in (0..).zip(events) {
        let now = Moment::from_nanos(nanos);
        recorder.event(now, &event);
        state.handle(now, event, &mut out);
        for instruction in out.drain() {
            recorder.instruction(&instruction);
            all.push(instruction);
        }
        recorder.settled();
    }
    all
}

/// The bytes of a recording of these events.
fn recorded(events: Vec<Event>, detail: Detail) -> Vec<u8> {
    let file = Shared::default();
    let mut recorder = Recorder::start(file.clone(), &header(), detail).unwrap();
    run(&mut recorder, events);
    drop(recorder);
    file.taken()
}

fn small() -> Vec<u8> {
    recorded(session(vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")]), Detail::Digests)
}

#[derive(Debug)]
enum Failure {
    Read(ReadError),
    Difference(Box<Difference>),
}

/// How many events there are, and how the recording ends.
fn replayed(bytes: Vec<u8>) -> Result<(u64, Ending), Failure> {
    let len = bytes.len() as u64;
    let mut recording =
        Recording::read_from(Box::new(Cursor::new(bytes)), len).map_err(Failure::Read)?;
    let mut replay = Replay::new(recording.header());
    while let Some(recorded) = recording.read().map_err(Failure::Read)? {
        replay.step(recorded).map_err(Failure::Difference)?;
    }
    Ok((replay.events(), recording.ending().unwrap().clone()))
}

/// Writes a recording again, each entry as it is or as `alter` has it.
fn rewritten(bytes: Vec<u8>, mut alter: impl FnMut(Tag, &mut Vec<Digest>)) -> Vec<u8> {
    let len = bytes.len() as u64;
    let (mut reader, header) = Reader::new(Box::new(Cursor::new(bytes)), len).unwrap();
    let mut out = Vec::new();
    write_header(&mut out, &header).unwrap();
    while let Some(entry) = reader.next().unwrap() {
        let tag = entry.tag;
        if tag == Tag::Outcome {
            let mut digests = entry.decode().unwrap();
            alter(tag, &mut digests);
            write_value(&mut out, tag, &digests).unwrap();
        } else {
            write_entry(&mut out, tag, &entry.frames).unwrap();
        }
    }
    out
}

#[test]
fn the_same_follows_again_from_events_with_bodies_of_every_size() {
    let sizes = [0, 1, 9_000, 17 << 20];
    let bodies = || sizes.map(|size| vec![7_u8; size].into()).to_vec();
    for detail in [Detail::Digests, Detail::Instructions] {
        let (events, ending) = replayed(recorded(session(bodies()), detail)).unwrap();
        assert_eq!((events, ending), (8, Ending::Finished));
    }
}

#[test]
fn instructions_are_recorded_where_asked_for() {
    let bytes = recorded(session(vec![Bytes::from_static(b"x")]), Detail::Instructions);
    let len = bytes.len() as u64;
    let mut recording = Recording::read_from(Box::new(Cursor::new(bytes)), len).unwrap();
    assert_eq!(*recording.header(), header());
    let mut all = Vec::new();
    while let Some(recorded) = recording.read().unwrap() {
        let Outcome { digests, instructions } = recorded.outcome.unwrap();
        assert_eq!(digests.len(), instructions.len());
        all.extend(instructions);
    }
    let mut unheard = Recorder::start(io::sink(), &header(), Detail::Digests).unwrap();
    assert_eq!(all, run(&mut unheard, session(vec![Bytes::from_static(b"x")])));
    assert!(all.len() > 4, "{all:?}");
}

#[test]
fn another_instruction_than_was_recorded_is_found() {
    let mut outcomes = 0;
    let altered = rewritten(small(), |_, digests| {
        outcomes += 1;
        if outcomes == 4 {
            digests[0].hash[0] ^= 1;
        }
    });
    let Err(Failure::Difference(difference)) = replayed(altered) else {
        panic!("nobody noticed");
    };
    assert_eq!(difference.number, 4);
    let text = difference.to_string();
    for word in ["Event 4", "1 messages from client c1", "Recorded, 1", "Replayed, 1", "inc-0"] {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn a_difference_shows_what_was_recorded_from_where_it_is_another() {
    let bytes = recorded(session(vec![Bytes::from_static(b"x")]), Detail::Instructions);
    let altered = rewritten(bytes, |_, digests| {
        digests.iter_mut().for_each(|digest| digest.hash[0] ^= 1);
    });
    let Err(Failure::Difference(difference)) = replayed(altered) else {
        panic!("nobody noticed");
    };
    let text = difference.to_string();
    for word in ["Event 1 ", "client c1 (Client-1) joining", "1 that look the same"] {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    let mut other = *difference;
    other.recorded.instructions = vec![Instruction::Shutdown];
    let text = other.to_string();
    assert!(text.contains("Shutdown") && !text.contains("that look the same"), "{text}");
}

#[test]
fn an_instruction_too_many_or_too_few_is_found() {
    let fewer = rewritten(small(), |_, digests| _ = digests.pop());
    assert!(matches!(replayed(fewer), Err(Failure::Difference(_))));
    let more = rewritten(small(), |_, digests| digests.extend(digests.first().copied()));
    assert!(matches!(replayed(more), Err(Failure::Difference(_))));
    assert!(replayed(rewritten(small(), |_, _| ())).is_ok());
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let whole = small();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        match (at, replayed(bytes)) {
            (0..16, Err(Failure::Read(ReadError::Foreign)))
            | (16..20, Err(Failure::Read(ReadError::Version { .. })))
            | (20.., Err(Failure::Read(ReadError::Damaged { .. }))) => {}
            (_, other) => panic!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn a_recording_that_is_cut_is_replayed_as_far_as_it_goes() {
    let whole = small();
    let (all, _) = replayed(whole.clone()).unwrap();
    let mut most = 0;
    for len in 0..whole.len() {
        match replayed(whole[..len].to_vec()) {
            Ok((events, ending)) => {
                assert!((most..=all).contains(&events), "{events} events of {len} bytes");
                assert_eq!(ending, Ending::Missing);
                most = events;
            }
            // Without the header there is nothing to start from.
            Err(Failure::Read(ReadError::Foreign | ReadError::Damaged { at: 20 })) => {
                assert_eq!(most, 0, "{len} bytes");
            }
            Err(other) => panic!("{len} bytes: {other:?}"),
        }
    }
    assert_eq!(most, all);
}

/// A disk with room for so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_recording_alone() {
    let start = |room| Recorder::start(Full(room), &header(), Detail::Digests);
    assert!(start(10).is_err());
    let bodies = || vec![Bytes::from_static(b"x"); 100];
    let mut recorder = start(1_000).unwrap();
    let mut other = Recorder::start(io::sink(), &header(), Detail::Digests).unwrap();
    assert_eq!(run(&mut recorder, session(bodies())), run(&mut other, session(bodies())));
}

/// A disk that does not write until it is told to, and says when it is flushed.
struct Stuck {
    file: Shared,
    until: Receiver<()>,
    flushed: Sender<usize>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nobody there any more: it goes on.
        let _ = self.until.recv();
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.flushed.send(self.file.0.lock().unwrap().len());
        Ok(())
    }
}

#[test]
fn a_disk_that_is_too_slow_ends_the_recording_alone() {
    let (go, until) = channel();
    let file = Shared::default();
    let disk = Stuck { file: file.clone(), until, flushed: channel().0 };
    // The header passes: the bound is on what follows.
    for _ in 0..100 {
        go.send(()).unwrap();
    }
    let mut recorder = Recorder::start(disk, &header(), Detail::Digests).unwrap();
    run(&mut recorder, session(vec![Bytes::new(); 40_000]));
    drop(go);
    drop(recorder);
    let (events, ending) = replayed(file.taken()).unwrap();
    assert_eq!(ending, Ending::Stopped(Stop::TooSlow));
    assert!((30_000..40_000).contains(&events), "{events}");
}

#[test]
fn what_happened_is_in_the_file_before_anything_else_happens() {
    let (flushed, when) = channel();
    let (go, until) = channel();
    drop(go);
    let file = Shared::default();
    let disk = BufWriter::new(Stuck { file: file.clone(), until, flushed });
    let mut recorder = Recorder::start(disk, &header(), Detail::Digests).unwrap();
    let header_bytes = when.recv().unwrap();
    run(&mut recorder, session(Vec::new()));
    let bytes = when.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(bytes > header_bytes);
    let (events, ending) = replayed(file.taken()).unwrap();
    assert_eq!((events, ending), (4, Ending::Missing));
}

struct Live;

impl Object for Live {
    fn encode(self: Arc<Self>) -> Result<Payload, ValueError> {
        panic!("it has bytes only when it leaves its process")
    }

    fn encode_to(&self, _: &mut dyn Write) -> Result<(), ValueError> {
        panic!("it has bytes only when it leaves its process")
    }

    fn nbytes(&self) -> u64 {
        8
    }

    fn type_name(&self) -> &'static str {
        "Live"
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn std::any::Any + Send + Sync> {
        self
    }
}

#[test]
fn a_live_object_ends_the_recording_which_says_so() {
    let mut events = session(vec![Bytes::from_static(b"x")]);
    let at = events.len() - 1;
    events.insert(at, submitted(9, Payload::Object(Arc::new(Live))));
    let (events, ending) = replayed(recorded(events, Detail::Digests)).unwrap();
    assert_eq!((events, ending), (at as u64, Ending::Stopped(Stop::LiveObject)));
}

#[test]
fn a_scheduler_that_panics_leaves_the_event_that_it_panicked_at() {
    let file = Shared::default();
    let mut recorder = Recorder::start(file.clone(), &header(), Detail::Digests).unwrap();
    let panicked = std::thread::spawn(move || {
        recorder.event(Moment::default(), &Event::Timeout);
        panic!("a defect of the state");
    });
    assert!(panicked.join().is_err());
    let (events, ending) = replayed(file.taken()).unwrap();
    assert_eq!((events, ending), (1, Ending::Stopped(Stop::Panic)));
}
