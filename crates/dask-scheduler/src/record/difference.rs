use std::fmt;

use dask_proto::Moment;
use dask_proto::codec::{self, Carriage};

use super::digest::Digest;
use super::recording::Outcome;
use crate::state::{Event, Instruction};

/// Characters of a message that are shown.
const MESSAGE_SHOWN: usize = 400;

/// Messages of one batch that are shown, and instructions of one event.
const SHOWN: usize = 10;

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

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, now, event, recorded, replayed } = self;
        writeln!(f, "Event {number} at {now}, {}, leads to something else:", cause(event))?;
        show(f, "  ", &said(event))?;
        let same = replayed.iter().map(digest).zip(&recorded.digests);
        let same = same.take_while(|(a, b)| *a == Some(**b)).count();
        if same > 0 {
            writeln!(f, "The first {same} instructions are the same.")?;
        }
        let pair = (recorded.instructions.get(same), replayed.get(same));
        let alike = match pair {
            (Some(a), Some(b)) if a.peer() == b.peer() => alike(a, b),
            _ => 0,
        };
        writeln!(f, "Recorded, {} instructions:", recorded.digests.len())?;
        if recorded.instructions.is_empty() {
            for digest in recorded.digests.iter().skip(same).take(SHOWN) {
                writeln!(f, "  {digest}")?;
            }
            more(f, "  ", recorded.digests.len() - same)?;
        } else {
            instructions(f, recorded.instructions.get(same..).unwrap_or_default(), alike)?;
        }
        writeln!(f, "Replayed, {} instructions:", replayed.len())?;
        instructions(f, replayed.get(same..).unwrap_or_default(), alike)
    }
}

/// The digest of an instruction; `None` for what cannot have been recorded.
pub(super) fn digest(instruction: &Instruction) -> Option<Digest> {
    let frames = codec::encode_record(instruction, Carriage::Bytes).ok()?;
    Some(Digest::of(instruction.peer(), &frames))
}

/// What an event was, in words.
fn cause(event: &Event) -> String {
    match event {
        Event::ClientJoined { client, name, .. } => format!("client {client} ({name}) joining"),
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
        Event::AgentJoined { agent, join } => format!("agent {agent} ({}) joining", join.name),
        Event::AgentSaid { agent, messages } => {
            format!("{} messages from agent {agent}", messages.len())
        }
        Event::AgentLost { agent, reason } => format!("the loss of agent {agent} ({reason})"),
    }
}

/// What a peer said, message by message.
fn said(event: &Event) -> Vec<&dyn fmt::Debug> {
    match event {
        Event::ClientSaid { messages, .. } => messages.iter().map(|m| m as _).collect(),
        Event::WorkerSaid { messages, .. } => messages.iter().map(|m| m as _).collect(),
        Event::AgentSaid { messages, .. } => messages.iter().map(|m| m as _).collect(),
        other => vec![other],
    }
}

/// What a peer is told, message by message.
fn told(instruction: &Instruction) -> (String, Vec<&dyn fmt::Debug>) {
    let messages: Vec<&dyn fmt::Debug> = match instruction {
        Instruction::ToClient { messages, .. } => messages.iter().map(|m| m as _).collect(),
        Instruction::ToWorker { messages, .. } => messages.iter().map(|m| m as _).collect(),
        Instruction::ToAgent { messages, .. } => messages.iter().map(|m| m as _).collect(),
        other => vec![other],
    };
    match instruction.peer() {
        Some(peer) => (format!("for {peer}, {} messages", messages.len()), messages),
        None => ("for no peer".to_owned(), messages),
    }
}

/// With how many messages that look the same two instructions begin.
fn alike(recorded: &Instruction, replayed: &Instruction) -> usize {
    let ((_, recorded), (_, replayed)) = (told(recorded), told(replayed));
    let pairs = recorded.iter().zip(&replayed);
    pairs.take_while(|(a, b)| format!("{a:?}") == format!("{b:?}")).count()
}

/// Shows instructions, the first of them without so many messages.
fn instructions(f: &mut fmt::Formatter<'_>, list: &[Instruction], alike: usize) -> fmt::Result {
    let skipped = std::iter::once(alike).chain(std::iter::repeat(0));
    for (instruction, skipped) in list.iter().zip(skipped).take(SHOWN) {
        let (heading, messages) = told(instruction);
        writeln!(f, "  {heading}")?;
        if skipped > 0 {
            writeln!(f, "    {skipped} that look the same")?;
        }
        show(f, "    ", messages.get(skipped..).unwrap_or_default())?;
    }
    more(f, "  ", list.len())
}

/// Shows messages, a line each.
fn show(f: &mut fmt::Formatter<'_>, indent: &str, messages: &[&dyn fmt::Debug]) -> fmt::Result {
    for message in messages.iter().take(SHOWN) {
        writeln!(f, "{indent}{}", Bounded(message))?;
    }
    more(f, indent, messages.len())
}

/// Says how many were not shown.
fn more(f: &mut fmt::Formatter<'_>, indent: &str, all: usize) -> fmt::Result {
    match all.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(f, "{indent}and {more} more"),
    }
}

/// As much of a value as people read.
struct Bounded<'a>(&'a dyn fmt::Debug);

impl fmt::Display for Bounded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Cut { text: String::new(), left: MESSAGE_SHOWN };
        // It is full: what is there is all that is wanted.
        let is_cut = fmt::write(&mut text, format_args!("{:?}", self.0)).is_err();
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
