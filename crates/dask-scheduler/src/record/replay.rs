use std::fmt;
use std::time::Duration;

use dask_proto::Moment;
use dask_proto::codec::{self, Carriage};

use super::digest::Digest;
use super::file::Header;
use super::recording::{Outcome, Recorded};
use crate::state::{Event, Instruction, Instructions, SchedulerState};

/// Characters of an event or an instruction that are shown.
const SHOWN: usize = 2_000;

/// Instructions of one event that are shown.
const INSTRUCTIONS_SHOWN: usize = 10;

/// A fresh state that goes through what was recorded.
pub struct Replay {
    state: SchedulerState,
    out: Instructions,
    events: u64,
    first: Option<Moment>,
    last: Moment,
}

/// The first event from which something else followed than what was recorded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// The number of the event, from 1: its stimulus in stories.
    pub number: u64,
    /// When it was handled.
    pub now: Moment,
    /// What happened.
    pub event: Event,
    /// What followed.
    pub recorded: Outcome,
    /// What follows now.
    pub replayed: Vec<Instruction>,
}

impl Replay {
    /// A state as it was at the start of a recording.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let mut config = header.config.clone();
        // Whoever replays checks the invariants when they like.
        config.validate = false;
        Self {
            state: SchedulerState::new(config, header.address.clone()),
            out: Instructions::new(),
            events: 0,
            first: None,
            last: Moment::default(),
        }
    }

    /// Lets the next event happen, and compares what follows with what followed.
    ///
    /// # Errors
    /// When it is not the same.
    pub fn step(&mut self, recorded: Recorded) -> Result<(), Box<Difference>> {
        let Recorded { now, event, outcome } = recorded;
        self.events += 1;
        self.first.get_or_insert(now);
        self.last = now;
        self.state.handle(now, event.clone(), &mut self.out);
        let replayed: Vec<Instruction> = self.out.drain().collect();
        let Some(recorded) = outcome else {
            return Ok(());
        };
        let is_same = replayed.len() == recorded.digests.len()
            && replayed.iter().map(digest).zip(&recorded.digests).all(|(a, b)| a == Some(*b));
        if is_same {
            return Ok(());
        }
        Err(Box::new(Difference { number: self.events, now, event, recorded, replayed }))
    }

    /// The state after the last event.
    #[must_use]
    pub fn state(&self) -> &SchedulerState {
        &self.state
    }

    /// How many events have happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The time from the first event to the last.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.first.map_or(Duration::ZERO, |first| self.last.since(first))
    }
}

/// `None` for what cannot have been recorded.
fn digest(instruction: &Instruction) -> Option<Digest> {
    let frames = codec::encode_record(instruction, Carriage::Bytes).ok()?;
    Some(Digest::of(instruction.peer(), &frames))
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, now, event, recorded, replayed } = self;
        writeln!(f, "Event {number} at {now}, {}, leads to something else.", cause(event))?;
        writeln!(f, "{}", Bounded(event))?;
        let same = replayed.iter().map(digest).zip(&recorded.digests);
        let same = same.take_while(|(a, b)| *a == Some(**b)).count();
        if same > 0 {
            writeln!(f, "The first {same} instructions are the same.")?;
        }
        writeln!(f, "Recorded ({} instructions):", recorded.digests.len())?;
        if recorded.instructions.is_empty() {
            list(f, recorded.digests.iter().skip(same).map(ToString::to_string))?;
        } else {
            list(f, recorded.instructions.iter().skip(same).map(|i| Bounded(i).to_string()))?;
        }
        writeln!(f, "Replayed ({} instructions):", replayed.len())?;
        list(f, replayed.iter().skip(same).map(|i| Bounded(i).to_string()))
    }
}

/// What an event was, in words.
fn cause(event: &Event) -> String {
    match event {
        Event::ClientJoined { client, name } => format!("client {client} ({name}) joining"),
        Event::ClientSaid { client, messages } => {
            format!("{} messages from client {client}", messages.len())
        }
        Event::ClientLost { client } => format!("the loss of client {client}"),
        Event::WorkerJoined { worker, join } => format!("worker {worker} ({}) joining", join.name),
        Event::WorkerSaid { worker, messages } => {
            format!("{} messages from worker {worker}", messages.len())
        }
        Event::WorkerLost { worker, reason } => format!("the loss of worker {worker} ({reason})"),
        Event::Timeout => "a timeout".to_owned(),
        Event::Shutdown { reason } => format!("shutting down ({reason})"),
    }
}

fn list(f: &mut fmt::Formatter<'_>, mut lines: impl Iterator<Item = String>) -> fmt::Result {
    for line in lines.by_ref().take(INSTRUCTIONS_SHOWN) {
        writeln!(f, "  {}", line.replace('\n', "\n  "))?;
    }
    match lines.count() {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}

/// As much of a value as people read.
struct Bounded<'a, T>(&'a T);

impl<T: fmt::Debug> fmt::Display for Bounded<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Cut { text: String::new(), left: SHOWN };
        // It is full: what is there is all that is wanted.
        let is_cut = fmt::write(&mut text, format_args!("{:#?}", self.0)).is_err();
        write!(f, "{}{}", text.text, if is_cut { " ..." } else { "" })
    }
}

/// Text up to a number of bytes.
struct Cut {
    text: String,
    left: usize,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let most = self.left.min(text.len());
        let room = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.text.push_str(&text[..room]);
        self.left -= room;
        if room < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}
