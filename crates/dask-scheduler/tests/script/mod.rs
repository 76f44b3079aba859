//! The language of the scripts. Tasks are called by their keys, futures by `c1:f1`.
//!
//! ```text
//! > config allowed_failures=0 saturation=inf ttl=10 ...   (before anything else)
//! > client c1 | client c1 program=9 token=5 tag=1 | client c1 no-role | client c1 unidentified
//! > worker w1 name=alice threads=2 address=tcp://10.0.0.1:1 functions=inc,add resources=GPU:1
//! > c1 submit f1 a=inc() retries=1 priority=5 workers=alice others resources=GPU:1 ; f2 b=add(f1)
//! > c1 define 7 inc:other      (the first clients' functions are defined on first use)
//! > c1 release f1 f2 | subscribe f1 a | forget r1 | fire f1 | missing f1 w1 | close
//! > c1 identify program=9
//! > c1 r1 cancel f1 | cancel! f1 | retry f1 | scatter f1=a:8 @alice broadcast | locate f1 | ...
//! > c1 r1 replicate f1 f2 n=2 @alice | rebalance f1 @alice | retire @alice | retire n=1
//! > c1 r1 event e set | clear | is-set | wait; r1 semaphore s 2 acquire [now] | value | close
//! > c1 r1 locks x,y 1 [now]; give-up r1; r1 variable v set text+a | get [now] | delete
//! > c1 r1 queue q 2 put text+a [now] | get 1 [now] | drain | size | close; accept r1 | serve w1
//! > c1 r1 dataset publish d text+a [overwrite] | get d | list | unpublish d
//! > c1 r1 metadata a/b set text | get; topic t log text | events | subscribe | unsubscribe
//! > w1 finished a 8 [run=1] [ms=5] [value] | erred a | lacks a b@w2 | added a:8 | ...
//! > w1 not-acquired a | removed a | pauses | runs | retires
//! > w1 gives a b/run1 | keeps a | reschedules a
//! > c1 r1 ask w1 versions | ask scheduler logs | inspect nbytes a | inspect target 5
//! > c1 r1 manage reset | manage await alice | manage equip weights:30 | manage unequip weights
//! > c1 r1 inspect stream [from] | inspect tasks
//! > w1 replies r0 versions | did 5 6
//! > agent a1 name=alice has=9 code=installed target=arm tokens=5,6
//! > a1 fetched 9 | fetching 9 | ended 9 | not-fetched 9 | crashed 9 | retire alice
//! > lose w1 | lose c1 | lose a1 | at 60 (seconds; fires the timeout) | shutdown
//! ```

mod agent;
mod ask;
mod coordination;
mod format;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use dask_proto::id::{FunctionId, RunId, TaskId};
use dask_proto::message::SchedulerToWorker;
use dask_proto::{Key, Moment};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instruction, Instructions, SchedulerState};

/// A script that is running.
pub(crate) struct Script {
    pub(crate) config: Config,
    state: Option<SchedulerState>,
    now: Moment,
    /// What the state called tasks: from what it told workers and clients.
    pub(crate) ids: BTreeMap<Key, TaskId>,
    pub(crate) keys: BTreeMap<TaskId, Key>,
    pub(crate) runs: BTreeMap<TaskId, RunId>,
    /// The function ids that each client defined.
    pub(crate) defined: BTreeMap<(u32, String), FunctionId>,
    /// The keys of scatter requests, for their answers.
    pub(crate) scattered: BTreeMap<(u32, u32), Vec<Key>>,
    summary: Vec<String>,
    edges: BTreeSet<(String, String)>,
}

/// What a line of a script means.
pub(crate) enum Step {
    Config,
    Event(Event),
    /// Let time pass, in seconds since the start, and fire the timeouts that come due.
    At(u64),
}

/// What a script showed.
pub(crate) struct Outcome {
    /// The script with the answers as they are.
    pub(crate) text: String,
    /// The transitions that tasks made, such as `("waiting", "queued")`.
    pub(crate) edges: BTreeSet<(String, String)>,
}

/// Runs a script.
pub(crate) fn run(text: &str) -> Outcome {
    let mut script = Script {
        config: Config { validate: true, ..Config::default() },
        state: None,
        now: Moment::default(),
        ids: BTreeMap::new(),
        keys: BTreeMap::new(),
        runs: BTreeMap::new(),
        defined: BTreeMap::new(),
        scattered: BTreeMap::new(),
        summary: Vec::new(),
        edges: BTreeSet::new(),
    };
    let mut answer = String::new();
    for line in text.lines() {
        if let Some(event) = line.strip_prefix("> ") {
            answer.push_str(line);
            answer.push('\n');
            answer.push_str(&script.line(event));
        } else if line.starts_with('#') || line.is_empty() {
            answer.push_str(line);
            answer.push('\n');
        }
    }
    Outcome { text: answer, edges: script.edges }
}

impl Script {
    fn line(&mut self, line: &str) -> String {
        match self.parse(line) {
            Step::Config => String::new(),
            Step::Event(event) => self.handle(event),
            Step::At(seconds) => {
                self.now = Moment::from_nanos(seconds * 1_000_000_000);
                let next = self.state().next_timeout();
                if next.is_some_and(|next| next <= self.now) {
                    self.handle(Event::Timeout)
                } else {
                    String::new()
                }
            }
        }
    }

    fn state(&mut self) -> &mut SchedulerState {
        let config = self.config.clone();
        self.state.get_or_insert_with(|| {
            let address = "tcp://scheduler:8786".parse().expect("an address");
            SchedulerState::new(config, address)
        })
    }

    fn handle(&mut self, event: Event) -> String {
        let mut out = Instructions::new();
        let now = self.now;
        self.state().handle(now, event, &mut out);
        let checked = self.state().check_invariants();
        assert_eq!(checked, Ok(()));
        let mut answer = String::new();
        for instruction in out.drain() {
            self.learn_names(&instruction);
            format::instruction(self, &instruction, &mut answer);
        }
        let summary = self.state().summary();
        for line in &summary {
            if !self.summary.contains(line) {
                writeln!(answer, "  = {line}").expect("a string takes all");
            }
        }
        for line in &self.summary {
            let key = line.split(' ').next().expect("a key");
            let is_known = summary.iter().any(|l| l.split(' ').next() == Some(key));
            if !is_known {
                writeln!(answer, "  = {key} forgotten").expect("a string takes all");
            }
        }
        for line in self.summary.iter().chain(&summary) {
            let key = line.split(' ').next().expect("a key");
            let story = self.state.as_ref().map(|state| state.story(key));
            self.edges.extend(story.iter().flatten().map(|line| edge(line)));
        }
        self.summary = summary;
        answer
    }

    fn learn_names(&mut self, instruction: &Instruction) {
        let Instruction::ToWorker { messages, .. } = instruction else {
            return;
        };
        for message in messages {
            if let SchedulerToWorker::Compute(compute) = message {
                self.ids.insert(compute.key.clone(), compute.task);
                self.keys.insert(compute.task, compute.key.clone());
                self.runs.insert(compute.task, compute.run);
            }
        }
    }
}

/// The transition in a line of a story: `0.1s waiting -> queued, after ...`.
fn edge(line: &str) -> (String, String) {
    let words: Vec<&str> = line.split([' ', ',']).collect();
    (words[1].to_owned(), words[3].to_owned())
}
