use std::fmt::Write;

use dask_proto::graph::Function;
use dask_proto::id::{ClientId, TaskId};
use dask_proto::message::{
    Answer, Compute, Dependency, Located, SchedulerToClient, SchedulerToWorker, Welcome,
};
use dask_proto::{Address, TaskError};
use dask_scheduler::state::Instruction;

use super::{Script, coordination};

/// Writes what the state asks for, one message a line.
pub(crate) fn instruction(script: &mut Script, instruction: &Instruction, out: &mut String) {
    match instruction {
        Instruction::Welcome { peer, welcome } => {
            let text = match welcome {
                Welcome::Rejected(rejection) => format!("rejected: {rejection}"),
                Welcome::Worker { heartbeat_ms, .. } => {
                    format!("welcome, report every {heartbeat_ms} ms")
                }
                _ => "welcome".to_owned(),
            };
            line(out, &peer.to_string(), &text);
        }
        Instruction::ToClient { client, messages } => {
            for message in messages {
                let text = to_client(script, message, *client);
                line(out, &client.to_string(), &text);
            }
        }
        Instruction::ToWorker { worker, messages } => {
            for message in messages {
                let text = to_worker(script, message);
                line(out, &worker.to_string(), &text);
            }
        }
        Instruction::ToAgent { agent, messages } => {
            for message in messages {
                line(out, &agent.to_string(), &super::agent::told(message));
            }
        }
        Instruction::Disconnect { peer, reason } => {
            line(out, &peer.to_string(), &format!("disconnect: {reason}"));
        }
        Instruction::Warn { lines, .. } => {
            line(out, "log", &format!("warning: {}", lines.join("\n      ")));
        }
        Instruction::Shutdown => line(out, "shell", "shutdown"),
        other => line(out, "shell", &format!("{other:?}")),
    }
}

fn line(out: &mut String, peer: &str, text: &str) {
    writeln!(out, "  {peer} <- {text}").expect("a string takes all");
}

fn to_client(script: &mut Script, message: &SchedulerToClient, client: ClientId) -> String {
    match message {
        SchedulerToClient::InMemory { future, nbytes, value } => {
            let value = value.as_ref().map_or("", |_| ", with the value");
            format!("{future} in memory, {nbytes} bytes{value}")
        }
        SchedulerToClient::Erred { futures, error } => {
            format!("{} erred: {}", join(futures), describe(error))
        }
        SchedulerToClient::Pending { futures, lost } => {
            let why = if *lost { "lost" } else { "retried" };
            format!("{} pending: {why}", join(futures))
        }
        SchedulerToClient::Cancelled { futures, reason } => {
            format!("{} cancelled: {reason}", join(futures))
        }
        SchedulerToClient::Answer { id, answer } => {
            if let Answer::Targets { items, .. } = answer {
                script.learn_targets(client, *id, items);
            }
            format!("{id}: {}", describe_answer(script, answer))
        }
        SchedulerToClient::Event { topic, message } => {
            format!("event of {topic}: {}", coordination::text(message))
        }
        SchedulerToClient::Said(record) => {
            let by = record.key.as_ref().map_or("", |key| key.as_str());
            format!("{by} said: {}", record.message)
        }
        SchedulerToClient::Logged { worker, record } => {
            format!("{worker} logged: {:?} {}", record.level, record.message)
        }
        SchedulerToClient::Program(news) => super::agent::news(news),
        other => format!("{other:?}"),
    }
}

fn describe(error: &TaskError) -> String {
    let function = match error.function.as_str() {
        "" => String::new(),
        path => format!(" [{path}]"),
    };
    format!("{:?}{function} {error}", error.kind)
}

fn describe_answer(script: &Script, answer: &Answer) -> String {
    match answer {
        Answer::Done => "done".to_owned(),
        Answer::Refused(refusal) => format!("refused: {refusal}"),
        Answer::Targets { workers, items } => format!("put {}", located(script, workers, items)),
        Answer::Located { workers, items } => located(script, workers, items),
        Answer::Info(info) => {
            let workers = info.workers.iter().map(|w| {
                format!(
                    "{} {} threads {} bytes {} processing {}",
                    w.name, w.nthreads, w.nbytes, w.processing, w.status
                )
            });
            let workers: Vec<String> = workers.collect();
            let (id, clients, tasks) = (&info.id, info.clients, &info.tasks);
            let agents = info.agents.iter().map(|a| {
                format!("{} {} x {} runs {:?}", a.name, a.nworkers, a.nthreads, a.programs)
            });
            let agents = match agents.collect::<Vec<_>>() {
                none if none.is_empty() => String::new(),
                agents => format!(", agents {agents:?}"),
            };
            format!("{id} {clients} clients, {tasks:?}, {workers:?}{agents}")
        }
        Answer::Explanation(lines) => lines.join("\n      "),
        Answer::Coordination(answer) => coordination::answer(answer),
        Answer::Workers(workers) => format!("workers [{}]", join(workers)),
        other => format!("{other:?}"),
    }
}

fn located(script: &Script, workers: &[Address], items: &[Located]) -> String {
    let items = items.iter().map(|item| {
        let at: Vec<&str> =
            item.workers.iter().map(|position| workers[*position as usize].as_str()).collect();
        format!("{} on [{}]", script.name(item.task), at.join(" "))
    });
    join(&items.collect::<Vec<_>>())
}

fn to_worker(script: &Script, message: &SchedulerToWorker) -> String {
    match message {
        SchedulerToWorker::Define { id, function } => {
            let Function { path, signature } = function;
            format!("{id} is {path}: {signature}")
        }
        SchedulerToWorker::Peer { id, address } => format!("{id} is {address}"),
        SchedulerToWorker::Compute(compute) => describe_compute(script, compute),
        SchedulerToWorker::Acquire { dependencies } => {
            let copies = dependencies.iter().map(|d| describe_dependency(script, d));
            format!("acquire {}", copies.collect::<Vec<_>>().join(" "))
        }
        SchedulerToWorker::Remove { tasks } => {
            let names: Vec<String> = tasks.iter().map(|t| script.name(*t)).collect();
            format!("remove {}", names.join(" "))
        }
        SchedulerToWorker::Free { tasks } => {
            let names: Vec<String> = tasks.iter().map(|t| script.name(*t)).collect();
            format!("free {}", names.join(" "))
        }
        SchedulerToWorker::Steal { tasks } => {
            let names = tasks.iter().map(|(task, run)| format!("{}/{run}", script.name(*task)));
            format!("steal {}", names.collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

fn describe_compute(script: &Script, compute: &Compute) -> String {
    let dependencies = compute.dependencies.iter().map(|d| describe_dependency(script, d));
    let dependencies: Vec<String> = dependencies.collect();
    let mut text = format!(
        "compute {} = {}({}) {}",
        compute.key,
        compute.function,
        dependencies.join(", "),
        compute.run
    );
    for (name, amount) in &compute.resources {
        write!(text, " {name}={amount}").expect("a string takes all");
    }
    text
}

/// `a:8@w1+w2`, or with the value itself `a:8=2a2a2a2a2a2a2a2a`.
fn describe_dependency(script: &Script, dependency: &Dependency) -> String {
    if let Some(value) = dependency.value {
        let name = script.name(dependency.task);
        let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        return format!("{name}:{}={digits}{}", dependency.nbytes, join(&dependency.holders));
    }
    let holders: Vec<String> = dependency.holders.iter().map(|w| w.to_string()).collect();
    let name = script.name(dependency.task);
    format!("{name}:{}@{}", dependency.nbytes, holders.join("+"))
}

fn join<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(" ")
}

impl Script {
    fn name(&self, task: TaskId) -> String {
        self.keys.get(&task).map_or_else(|| task.to_string(), ToString::to_string)
    }
}
