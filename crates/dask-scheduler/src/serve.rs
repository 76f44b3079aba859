//! What the process of the scheduler answers itself: calls of functions, versions, its own log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dask_proto::Address;
use dask_proto::id::RequestId;
use dask_proto::limits::{MAX_CALLS, MAX_HEADER_BYTES, MAX_LOG_TEXT_BYTES};
use dask_proto::message::{
    Answer, LogLevel, LogRecord, Program, Question, Reply, RunFunction, SchedulerToClient, Versions,
};
use dask_task::apart;
use dask_transport::Outbox;
use tokio::sync::Semaphore;

/// Bytes of lines that are remembered: as many as one answer takes.
const LOG_BYTES: usize = MAX_HEADER_BYTES / 4;

/// The stack of a thread that calls a function: that of a task.
const STACK_BYTES: usize = 16 << 20;

/// What answers for the process.
pub(crate) struct Desk {
    address: Address,
    calls: Arc<Semaphore>,
    log: Log,
}

/// The latest lines, oldest first.
struct Log {
    records: VecDeque<LogRecord>,
    bytes: usize,
    /// How many are remembered.
    most: usize,
}

impl Desk {
    pub(crate) fn new(address: Address, log_length: usize) -> Self {
        let log = Log { records: VecDeque::new(), bytes: 0, most: log_length };
        Self { address, calls: Arc::new(Semaphore::new(MAX_CALLS)), log }
    }

    /// Notes something for those who ask for the scheduler's log.
    pub(crate) fn note(&mut self, level: LogLevel, message: String) {
        self.log.add(level, message);
    }

    /// Answers a client, now or when a function has returned.
    pub(crate) fn serve(
        &self,
        client: &Outbox<SchedulerToClient>,
        id: RequestId,
        question: Question,
    ) {
        let reply = match question {
            Question::Run(call) => return self.run(client.clone(), id, call),
            Question::Versions => Reply::Versions(Box::new(Versions::of(program()))),
            Question::Logs { n } => Reply::Logs(self.log.latest(n)),
            Question::Running { .. } => Reply::Running(Vec::new()),
            Question::CallStack { .. } => Reply::CallStack(Vec::new()),
            _ => Reply::Refused("this scheduler does not know the question".to_owned()),
        };
        say(client, id, reply);
    }

    /// Calls a function on a thread of its own: it may block, and it may take its time.
    fn run(&self, client: Outbox<SchedulerToClient>, id: RequestId, call: RunFunction) {
        let def = match apart::find(&call, &self.address) {
            Ok(def) => def,
            Err(mut error) => {
                error.message = format!(
                    "{}: the scheduler is another program; a function runs there only where the \
                     scheduler is a part of the program that has it, as with LocalCluster and \
                     Client::local",
                    error.message
                );
                return say(&client, id, Reply::Failed(error));
            }
        };
        let Ok(permit) = Arc::clone(&self.calls).try_acquire_owned() else {
            let text = format!("{MAX_CALLS} functions run on the scheduler already");
            return say(&client, id, Reply::Refused(text));
        };
        let address = self.address.clone();
        let handle = tokio::runtime::Handle::current();
        let ours = client.clone();
        let thread = std::thread::Builder::new().name("run".to_owned()).stack_size(STACK_BYTES);
        let started = thread.spawn(move || {
            let _runtime = handle.enter();
            if !call.wait {
                say(&ours, id, Reply::Started);
            }
            let reply = apart::run(def, &call, &address, ours.carriage());
            drop(permit);
            if call.wait {
                say(&ours, id, reply);
            }
        });
        if let Err(error) = started {
            say(&client, id, Reply::Refused(format!("no thread could be started: {error}")));
        }
    }
}

pub(crate) fn say(client: &Outbox<SchedulerToClient>, id: RequestId, reply: Reply) {
    let answer = Answer::Reply(Box::new(reply));
    // A client that is gone has no use for it.
    let _ = client.send([SchedulerToClient::Answer { id, answer }]);
}

/// This program.
fn program() -> Program {
    let path = std::env::current_exe().unwrap_or_default();
    Program::named(path.file_name().unwrap_or_default().to_string_lossy())
}

impl Log {
    fn add(&mut self, level: LogLevel, mut message: String) {
        if message.len() > MAX_LOG_TEXT_BYTES {
            let end = (0..=MAX_LOG_TEXT_BYTES).rev().find(|at| message.is_char_boundary(*at));
            message.truncate(end.unwrap_or(0));
            message.push('…');
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        self.bytes += message.len();
        self.records.push_back(LogRecord { unix_ns, level, key: None, message });
        while self.records.len() > self.most || self.bytes > LOG_BYTES {
            let Some(oldest) = self.records.pop_front() else { return };
            self.bytes -= oldest.message.len();
        }
    }

    fn latest(&self, n: Option<u32>) -> Vec<LogRecord> {
        let n = n.map_or(usize::MAX, |n| n as usize);
        let skipped = self.records.len().saturating_sub(n);
        self.records.iter().skip(skipped).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_latest_lines() {
        let mut log = Log { records: VecDeque::new(), bytes: 0, most: 3 };
        for n in 0..5 {
            log.add(LogLevel::Info, format!("line {n}"));
        }
        log.add(LogLevel::Warn, "é".repeat(MAX_LOG_TEXT_BYTES));
        let texts: Vec<String> = log.latest(None).into_iter().map(|r| r.message).collect();
        assert_eq!(texts[..2], ["line 3", "line 4"]);
        assert!(texts[2].len() <= MAX_LOG_TEXT_BYTES + 3 && texts[2].ends_with('…'));
        assert_eq!(log.latest(Some(1)).len(), 1);
        assert_eq!(log.bytes, texts.iter().map(String::len).sum::<usize>());
    }
}
