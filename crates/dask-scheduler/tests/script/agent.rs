//! Agents and programs in scripts. A program is called by a number, which fills its hash.

use dask_proto::message::{AgentJoin, AgentToScheduler, Code, CodePolicy, SchedulerToAgent};
use dask_proto::message::{ProgramNews, ProgramSource};
use dask_proto::program::{Executable, ProgramId, TokenId, Voucher};

use super::parse::{address_of, number, setting};

const TARGET: &str = "x86_64-linux-gnu";

pub(super) fn program(text: &str) -> ProgramId {
    ProgramId([number(text) as u8; 32])
}

fn token(text: &str) -> TokenId {
    TokenId([number(text) as u8; 8])
}

pub(super) fn code(settings: &[&str]) -> Code {
    if settings.contains(&"no-role") {
        return Code::NoRole;
    }
    if settings.contains(&"unidentified") {
        return Code::Unidentified;
    }
    let offered = setting(settings, "program").map(|id| Executable {
        id: program(id),
        bytes: setting(settings, "bytes")
            .map_or(32 << 20, |bytes| bytes.parse().expect("a number")),
        name: name_of_length(setting(settings, "name").map_or(3, number)),
        target: setting(settings, "target").unwrap_or(TARGET).to_owned(),
    });
    let tag = [setting(settings, "tag").map_or(0, number) as u8; 32];
    let voucher = setting(settings, "token").map(|id| Voucher { token: token(id), tag });
    offered.map_or(Code::Withheld, |executable| Code::Offered { executable, voucher })
}

fn name_of_length(length: u32) -> String {
    "app".chars().cycle().take(length as usize).collect()
}

pub(super) fn join(agent: &str, settings: &[&str]) -> AgentJoin {
    let get = |name| setting(settings, name);
    let has = get("has").into_iter().flat_map(|list| list.split(','));
    AgentJoin {
        name: get("name").unwrap_or(agent).to_owned(),
        address: address_of(agent),
        target: get("target").unwrap_or(TARGET).to_owned(),
        code: match get("code") {
            Some("installed") => CodePolicy::Installed,
            _ => CodePolicy::FromClients,
        },
        nworkers: 1,
        nthreads: 1,
        memory_limit: None,
        resources: Default::default(),
        programs: has.map(program).collect(),
        pid: 1,
        tokens: get("tokens")
            .map(|list| list.split(',').filter(|id| *id != "none").map(token).collect()),
    }
}

pub(super) fn message(words: &[&str]) -> AgentToScheduler {
    let reason = |words: &[&str]| words.join(" ");
    match words {
        ["fetched", id] => AgentToScheduler::Fetched { program: program(id) },
        ["fetching", id] => AgentToScheduler::Fetching { program: program(id) },
        ["ended", id] => AgentToScheduler::Ended { program: program(id) },
        ["not-fetched", id, why @ ..] => {
            AgentToScheduler::NotFetched { program: program(id), reason: reason(why) }
        }
        ["crashed", id, why @ ..] => {
            AgentToScheduler::Crashed { program: program(id), reason: reason(why) }
        }
        ["retire", names @ ..] => {
            let workers = names.iter().map(|n| (*n).to_owned()).collect();
            AgentToScheduler::Retire { program: None, workers }
        }
        other => panic!("an agent does not say {other:?}"),
    }
}

pub(super) fn told(message: &SchedulerToAgent) -> String {
    match message {
        SchedulerToAgent::Run { program, from, voucher } => {
            let from = match from {
                Some(ProgramSource::Scheduler { ticket }) => format!("fetch {ticket} here"),
                Some(ProgramSource::Agent { address }) => format!("fetch it from {address}"),
                _ => "it is there".to_owned(),
            };
            let token = voucher.map_or(String::new(), |v| {
                let tag = Some(v.tag[0]).filter(|tag| *tag > 0);
                let tag = tag.map_or(String::new(), |tag| format!(" with tag {tag}"));
                format!(", for token {}{tag}", v.token.0[0])
            });
            format!("run program {}: {from}{token}", program.id.0[0])
        }
        SchedulerToAgent::Stop { program } => format!("stop program {}", program.0[0]),
        other => format!("{other:?}"),
    }
}

pub(super) fn news(news: &ProgramNews) -> String {
    match news {
        ProgramNews::Wanted { ticket } => format!("send the program, as {ticket}"),
        ProgramNews::Trouble { agent, reason } => format!("trouble at {agent}: {reason}"),
        ProgramNews::Identify => "say which program you are".to_owned(),
        other => format!("{other:?}"),
    }
}
