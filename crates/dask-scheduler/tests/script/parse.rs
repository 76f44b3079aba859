use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use dask_proto::graph::{Function, TaskOptions, TaskSpec};
use dask_proto::id::{AgentId, ClientId, FunctionId, FutureId, RequestId, RunId, TaskId, WorkerId};
use dask_proto::message::{
    ClientToScheduler, Located, LogLevel, LogRecord, Metrics, Request, ScatterItem, Submit,
    WorkerJoin, WorkerStatus, WorkerToScheduler,
};
use dask_proto::{Address, Key, Payload, TaskError, TaskErrorKind};
use dask_scheduler::WorkStealing;
use dask_scheduler::state::Event;

use super::{Script, Step, agent, ask, coordination};

impl Script {
    pub(crate) fn parse(&mut self, line: &str) -> Step {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["config", settings @ ..] => {
                self.configure(settings);
                Step::Config
            }
            ["client", client, settings @ ..] => Step::Event(Event::ClientJoined {
                client: ClientId(number(client)),
                name: format!("Client-{client}"),
                code: agent::code(settings),
            }),
            ["agent", agent, settings @ ..] => Step::Event(Event::AgentJoined {
                agent: AgentId(number(agent)),
                join: Box::new(agent::join(agent, settings)),
            }),
            ["worker", worker, settings @ ..] => Step::Event(Event::WorkerJoined {
                worker: WorkerId(number(worker)),
                join: Box::new(join(worker, settings)),
            }),
            ["lose", peer] if peer.starts_with('c') => {
                Step::Event(Event::ClientLost { client: ClientId(number(peer)) })
            }
            ["lose", peer] if peer.starts_with('a') => Step::Event(Event::AgentLost {
                agent: AgentId(number(peer)),
                reason: "the connection was reset".to_owned(),
            }),
            ["lose", peer] => Step::Event(Event::WorkerLost {
                worker: WorkerId(number(peer)),
                reason: "the connection was reset".to_owned(),
            }),
            ["at", seconds] => Step::At(seconds.parse().expect("seconds")),
            ["shutdown"] => {
                Step::Event(Event::Shutdown { reason: "the scheduler is closing".to_owned() })
            }
            [peer, words @ ..] if peer.starts_with('c') => {
                let client = number(peer);
                let messages = words.split(|word| *word == "+");
                let messages = messages.flat_map(|words| self.client_messages(client, words));
                Step::Event(Event::ClientSaid {
                    client: ClientId(client),
                    messages: messages.collect(),
                })
            }
            [peer, words @ ..] if peer.starts_with('a') => {
                let messages = words.split(|word| *word == "+");
                Step::Event(Event::AgentSaid {
                    agent: AgentId(number(peer)),
                    messages: messages.map(agent::message).collect(),
                })
            }
            [peer, words @ ..] => {
                let messages = words.split(|word| *word == "+");
                let messages = messages.map(|words| self.worker_message(words));
                Step::Event(Event::WorkerSaid {
                    worker: WorkerId(number(peer)),
                    messages: messages.collect(),
                })
            }
            [] => panic!("an empty event"),
        }
    }

    fn configure(&mut self, settings: &[&str]) {
        for (name, value) in settings.iter().map(|setting| pair(setting)) {
            match name {
                "allowed_failures" => self.config.allowed_failures = number(value),
                "saturation" => self.config.worker_saturation = value.parse().expect("a number"),
                "ttl" => self.config.worker_ttl = Duration::from_secs(number(value).into()),
                "amm" => self.config.active_memory_manager = value == "on",
                "stealing" => {
                    self.config.work_stealing = match value {
                        "on" => WorkStealing::On,
                        _ => WorkStealing::Off,
                    };
                }
                "log_length" => self.config.log_length = number(value) as usize,
                "no_workers" => self.config.no_workers_timeout = duration(value),
                "grace" => self.config.program_grace = duration(value).expect("seconds"),
                "idle" => self.config.idle_timeout = duration(value),
                "stuck" => self.config.stuck_after = duration(value),
                "unrunnable" => self.config.unrunnable_after = duration(value),
                "stream" => self.config.task_stream_length = number(value) as usize,
                "story_len" => self.config.story_len = number(value) as usize,
                _ => panic!("no setting {name}"),
            }
        }
    }

    fn client_messages(&mut self, client: u32, words: &[&str]) -> Vec<ClientToScheduler> {
        let message = match words {
            ["submit", ..] => return self.submit(client, &words[1..]),
            ["define", id, function] => ClientToScheduler::Define {
                id: FunctionId(number(id)),
                function: function_named(function),
            },
            ["release", futures @ ..] => {
                ClientToScheduler::Release { futures: futures_of(futures) }
            }
            ["subscribe", future, name] => {
                ClientToScheduler::Subscribe { future: future_of(future), key: key(name) }
            }
            ["fire", futures @ ..] => {
                ClientToScheduler::FireAndForget { futures: futures_of(futures) }
            }
            ["carry", future, carried @ ..] => {
                ClientToScheduler::Carry { future: future_of(future), carried: futures_of(carried) }
            }
            ["missing", future, worker] => ClientToScheduler::MissingData {
                future: future_of(future),
                worker: address_of(worker),
            },
            ["serve", worker] => ClientToScheduler::Serve { worker: address_of(worker) },
            ["accept", id] => ClientToScheduler::Accept { id: RequestId(number(id).into()) },
            ["forget", id] => ClientToScheduler::Forget { id: RequestId(number(id).into()) },
            ["identify", settings @ ..] => {
                ClientToScheduler::Identify { code: agent::code(settings) }
            }
            ["close"] => ClientToScheduler::Close,
            [id, request @ ..] => ClientToScheduler::Request {
                id: RequestId(number(id).into()),
                request: self.request((client, number(id)), request),
            },
            [] => panic!("an empty message"),
        };
        vec![message]
    }

    fn request(&mut self, asked: (u32, u32), words: &[&str]) -> Request {
        let strings = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        match words {
            ["cancel", futures @ ..] => {
                Request::Cancel { futures: futures_of(futures), force: false }
            }
            ["cancel!", futures @ ..] => {
                Request::Cancel { futures: futures_of(futures), force: true }
            }
            ["logs", words @ ..] => {
                let (counts, names): (Vec<_>, Vec<_>) =
                    words.iter().partition(|word| word.starts_with("n="));
                Request::WorkerLogs {
                    workers: strings(&names),
                    n: counts.first().map(|word| number(pair(word).1)),
                }
            }
            ["retry", futures @ ..] => Request::Retry { futures: futures_of(futures) },
            ["scatter", words @ ..] => self.scatter(asked, words),
            ["locate", futures @ ..] => Request::Locate { futures: futures_of(futures) },
            ["who-has", keys @ ..] => {
                Request::WhoHas { keys: keys.iter().map(|k| key(k)).collect() }
            }
            ["has-what", workers @ ..] => Request::HasWhat { workers: strings(workers) },
            ["processing", workers @ ..] => Request::Processing { workers: strings(workers) },
            ["info"] => Request::SchedulerInfo,
            ["counts"] => Request::Counts,
            ["wait", n] => Request::WaitForWorkers { n: number(n) },
            ["story", name] => Request::Story { key: key(name) },
            ["explain", name] => Request::Explain { key: key(name) },
            ["replicate", words @ ..] => Request::Replicate {
                futures: futures_of(&plain(words)),
                n: setting(words, "n").map(number),
                workers: named(words),
            },
            ["rebalance", words @ ..] => {
                Request::Rebalance { futures: futures_of(&plain(words)), workers: named(words) }
            }
            ["retire", words @ ..] => {
                Request::RetireWorkers { workers: named(words), n: setting(words, "n").map(number) }
            }
            ["shutdown"] => Request::Shutdown,
            [other, ..] if coordination::KINDS.contains(other) => {
                Request::Coordinate(coordination::request(words))
            }
            ["ask" | "inspect" | "manage", ..] => ask::request(words),
            other => panic!("no request {other:?}"),
        }
    }

    fn scatter(&mut self, asked: (u32, u32), words: &[&str]) -> Request {
        let mut items = Vec::new();
        let mut workers = Vec::new();
        let mut broadcast = false;
        for word in words {
            if let Some(worker) = word.strip_prefix('@') {
                workers.push(worker.to_owned());
            } else if *word == "broadcast" {
                broadcast = true;
            } else {
                let (future, data) = pair(word);
                let (name, nbytes) = data.split_once(':').expect("key:bytes");
                items.push(ScatterItem {
                    future: future_of(future),
                    key: key(name),
                    nbytes: number(nbytes).into(),
                });
            }
        }
        let keys = items.iter().map(|item| item.key.clone()).collect();
        self.scattered.insert(asked, keys);
        Request::Scatter { items, workers, broadcast }
    }

    /// Remembers what the state calls data that is scattered.
    pub(crate) fn learn_targets(&mut self, client: ClientId, id: RequestId, items: &[Located]) {
        let asked = (client.0, u32::try_from(id.0).expect("a small number"));
        let keys = self.scattered.get(&asked).cloned().unwrap_or_default();
        for (key, item) in keys.into_iter().zip(items) {
            self.ids.insert(key.clone(), item.task);
            self.keys.insert(item.task, key);
        }
    }

    /// `f1 a=inc(f0) option... ; f2 b=add(f1)`: the definitions that are missing, and a submission
    /// for every run of tasks with the same options.
    fn submit(&mut self, client: u32, words: &[&str]) -> Vec<ClientToScheduler> {
        let mut messages = Vec::new();
        for words in words.split(|word| *word == ";") {
            let [future, call, settings @ ..] = words else {
                panic!("expected a future and a call: {words:?}");
            };
            let (options, content) = options(settings);
            let (name, call) = pair(call);
            let (function, arguments) = call.split_once('(').expect("a call");
            let arguments = arguments.strip_suffix(')').expect("a closing parenthesis");
            let arguments = arguments.split(',').filter(|a| !a.is_empty());
            let function = self.function(client, function, &mut messages);
            let task = TaskSpec {
                future: future_of(future),
                key: key(name),
                function,
                content,
                dependencies: arguments.map(future_of).collect(),
                body: Payload::default(),
            };
            match messages.last_mut() {
                Some(ClientToScheduler::Submit(submit)) if submit.options == options => {
                    submit.tasks.push(task);
                }
                _ => {
                    messages.push(ClientToScheduler::Submit(Submit { options, tasks: vec![task] }))
                }
            }
        }
        messages
    }

    /// A client's id for a function: a number as written, or one that is defined on first use.
    fn function(
        &mut self,
        client: u32,
        name: &str,
        messages: &mut Vec<ClientToScheduler>,
    ) -> FunctionId {
        if let Ok(id) = name.parse() {
            return FunctionId(id);
        }
        let next = 100 + u32::try_from(self.defined.len()).expect("few functions");
        *self.defined.entry((client, name.to_owned())).or_insert_with(|| {
            let id = FunctionId(next);
            let function = function_named(name);
            messages.push(ClientToScheduler::Define { id, function });
            id
        })
    }

    fn worker_message(&self, words: &[&str]) -> WorkerToScheduler {
        let task = |name: &str| self.task(name);
        let tasks = |names: &[&str]| names.iter().map(|name| self.task(name)).collect();
        match words {
            ["finished", name, nbytes, settings @ ..] => WorkerToScheduler::Finished {
                task: task(name),
                run: self.run(name, settings),
                nbytes: number(nbytes).into(),
                duration_ns: u64::from(setting(settings, "ms").map_or(100, number)) * 1_000_000,
                value: settings.contains(&"value").then(|| value(number(nbytes))),
            },
            ["erred", name, settings @ ..] => WorkerToScheduler::Erred {
                task: task(name),
                run: self.run(name, settings),
                error: Box::new(TaskError::new(TaskErrorKind::Returned, key(name), "oh no")),
            },
            ["lacks", name, missing @ ..] => WorkerToScheduler::MissingDependencies {
                task: task(name),
                run: self.run(name, &[]),
                missing: missing
                    .iter()
                    .map(|missing| missing.split_once('@').expect("key@worker"))
                    .map(|(name, worker)| (task(name), WorkerId(number(worker))))
                    .collect(),
            },
            ["added", copies @ ..] => WorkerToScheduler::Added {
                tasks: copies
                    .iter()
                    .map(|copy| copy.split_once(':').expect("key:bytes"))
                    .map(|(name, nbytes)| (task(name), number(nbytes).into()))
                    .collect(),
            },
            ["rejoins", name] => {
                WorkerToScheduler::Rejoined { task: task(name), run: self.run(name, &[]) }
            }
            ["reschedules", name] => {
                WorkerToScheduler::Rescheduled { task: task(name), run: self.run(name, &[]) }
            }
            [how @ ("logs" | "warns" | "informs"), texts @ ..] => {
                WorkerToScheduler::Logged { records: log_records(how, texts) }
            }
            ["lingers", runs] => {
                WorkerToScheduler::Lingering { runs: runs.parse().expect("a number") }
            }
            ["not-acquired", names @ ..] => WorkerToScheduler::NotAcquired { tasks: tasks(names) },
            ["removed", names @ ..] => WorkerToScheduler::Removed { tasks: tasks(names) },
            ["lost", names @ ..] => WorkerToScheduler::Lost { tasks: tasks(names) },
            ["runs"] => WorkerToScheduler::Status(WorkerStatus::Running),
            ["pauses"] => WorkerToScheduler::Status(WorkerStatus::Paused),
            ["retires"] => WorkerToScheduler::Status(WorkerStatus::Retiring),
            ["secedes", name] => {
                WorkerToScheduler::LongRunning { task: task(name), run: self.run(name, &[]) }
            }
            ["beats", settings @ ..] => WorkerToScheduler::Heartbeat(Metrics {
                memory: setting(settings, "memory").map_or(0, |bytes| number(bytes).into()),
                ..Metrics::default()
            }),
            ["status", "running"] => WorkerToScheduler::Status(WorkerStatus::Running),
            ["status", "paused"] => WorkerToScheduler::Status(WorkerStatus::Paused),
            ["gives", tasks @ ..] => WorkerToScheduler::Given { tasks: self.attempts(tasks) },
            ["keeps", tasks @ ..] => WorkerToScheduler::Kept { tasks: self.attempts(tasks) },
            ["dies-of", name] => WorkerToScheduler::Dying {
                task: task(name),
                run: self.run(name, &[]),
                reason: "its stack overflowed".to_owned(),
            },
            ["leaves"] => WorkerToScheduler::Leaving,
            ["replies", ..] => ask::reply(words),
            ["did", runs @ ..] => ask::did(runs),
            other => panic!("no message {other:?}"),
        }
    }

    /// `a`, or `a/run1` for an attempt that is not the latest.
    fn attempts(&self, words: &[&str]) -> Vec<(TaskId, RunId)> {
        let attempt = |word: &&str| match word.split_once('/') {
            Some((name, run)) => (self.task(name), RunId(number(run))),
            None => (self.task(word), self.run(word, &[])),
        };
        words.iter().map(attempt).collect()
    }

    /// A task by its key, or by its id where the script makes one up.
    fn task(&self, name: &str) -> TaskId {
        let made_up = || name.strip_prefix('#').map(|id| TaskId(number(id).into()));
        let known = self.ids.get(name).copied();
        known.or_else(made_up).expect("a task that was mentioned")
    }

    fn run(&self, name: &str, settings: &[&str]) -> RunId {
        let latest = || self.runs.get(&self.task(name)).copied();
        setting(settings, "run").map_or_else(|| latest().unwrap_or_default(), |r| RunId(number(r)))
    }
}

/// The words that are neither settings nor names of workers.
fn plain<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let is_plain = |word: &&&str| !word.contains('=') && !word.starts_with('@');
    words.iter().filter(is_plain).copied().collect()
}

/// The workers in `@alice @bob`.
fn named(words: &[&str]) -> Vec<String> {
    words.iter().filter_map(|word| word.strip_prefix('@')).map(str::to_owned).collect()
}

pub(super) fn setting<'a>(settings: &[&'a str], name: &str) -> Option<&'a str> {
    let mut settings = settings.iter().filter_map(|s| s.split_once('='));
    settings.find(|(n, _)| *n == name).map(|(_, value)| value)
}

fn options(settings: &[&str]) -> (TaskOptions, Option<[u8; 16]>) {
    let mut options = TaskOptions::default();
    let mut content = None;
    for word in settings {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "priority" => options.priority = value.parse().expect("a priority"),
            "retries" => options.retries = number(value),
            "workers" => options.workers = value.split(',').map(str::to_owned).collect(),
            "others" => options.allow_other_workers = true,
            "actor" => options.actor = true,
            "resources" => options.resources = amounts(value).into_iter().collect(),
            "content" => content = Some([value.parse().expect("a byte"); 16]),
            _ => panic!("no option {name}"),
        }
    }
    (options, content)
}

fn join(worker: &str, settings: &[&str]) -> WorkerJoin {
    let get = |name| setting(settings, name);
    let functions = get("functions").unwrap_or("inc,add,sum");
    WorkerJoin {
        address: get("address").map_or_else(|| address_of(worker), address),
        name: get("name").unwrap_or(worker).to_owned(),
        nthreads: get("threads").map_or(1, number),
        memory_limit: get("limit").map(|bytes| number(bytes).into()),
        resources: get("resources").map(amounts).unwrap_or_default(),
        functions: functions
            .split(',')
            .filter(|name| !name.is_empty())
            .map(function_named)
            .collect(),
        pid: 1,
        program: get("program").map(agent::program),
    }
}

fn amounts(text: &str) -> BTreeMap<String, f64> {
    text.split(',')
        .map(|amount| amount.split_once(':').expect("name:amount"))
        .map(|(name, amount)| (name.to_owned(), amount.parse().expect("an amount")))
        .collect()
}

/// Lines of one word each, said by the task before the colon if there is one.
fn log_records(how: &str, texts: &[&str]) -> Vec<LogRecord> {
    let level = match how {
        "warns" => LogLevel::Warn,
        "informs" => LogLevel::Info,
        _ => LogLevel::Print,
    };
    let record = |text: &&str| {
        let (by, message) = text.split_once(':').map_or((None, *text), |(by, m)| (Some(by), m));
        LogRecord { unix_ns: 0, level, key: by.map(key), message: message.to_owned() }
    };
    texts.iter().map(record).collect()
}

/// `inc`, or `inc:other` for the same path with another signature.
fn function_named(name: &str) -> Function {
    let (name, signature) = name.split_once(':').unwrap_or((name, "i64"));
    Function { path: format!("app::{name}"), signature: format!("fn({signature}) -> i64") }
}

/// The address that a worker has unless the script gives it another.
pub(super) fn address_of(worker: &str) -> Address {
    let id: u32 = number(worker);
    address(&format!("tcp://10.0.0.{id}:4000"))
}

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

pub(super) fn key(name: &str) -> Key {
    Key::new(name).expect("a short key")
}

fn futures_of(words: &[&str]) -> Vec<FutureId> {
    words.iter().map(|word| future_of(word)).collect()
}

fn future_of(word: &str) -> FutureId {
    FutureId(number(word).into())
}

fn pair(word: &str) -> (&str, &str) {
    word.split_once('=').expect("name=value")
}

/// Seconds, or `never`.
fn duration(text: &str) -> Option<Duration> {
    (text != "never").then(|| Duration::from_secs(number(text).into()))
}

/// The number in `7`, `c7`, `w7`, `f7` or `r7`.
pub(super) fn number(word: &str) -> u32 {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    digits.parse().expect("a number")
}

/// A value of so many bytes.
fn value(nbytes: u32) -> Payload {
    Bytes::from(vec![0x2a; nbytes as usize]).into()
}
