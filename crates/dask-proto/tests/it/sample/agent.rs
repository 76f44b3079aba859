//! What agents say and hear, and the programs that travel to them.

use dask_proto::message::{
    AgentJoin, AgentToScheduler, Code, CodePolicy, ProgramSource, SchedulerToAgent,
};
use dask_proto::program::{Executable, ProgramId, TokenId, Voucher};

use super::{address, resources};

pub(super) fn program() -> ProgramId {
    ProgramId(std::array::from_fn(|i| i as u8))
}

pub(super) fn executable() -> Executable {
    Executable {
        id: program(),
        bytes: 12 << 20,
        name: "session".to_owned(),
        target: "x86_64-linux-gnu".to_owned(),
    }
}

fn voucher() -> Voucher {
    Voucher { token: TokenId([7; 8]), tag: [8; 32] }
}

pub(super) fn offered() -> Code {
    Code::Offered { executable: executable(), voucher: Some(voucher()) }
}

pub(super) fn agent() -> AgentJoin {
    AgentJoin {
        name: "alice".to_owned(),
        address: address(4002),
        target: "x86_64-linux-gnu".to_owned(),
        code: CodePolicy::FromClients,
        nworkers: 2,
        nthreads: 4,
        memory_limit: Some(8 << 30),
        resources: resources(),
        programs: vec![program()],
        pid: 4712,
        tokens: Some(vec![TokenId([7; 8])]),
    }
}

pub(crate) fn scheduler_to_agent() -> Vec<SchedulerToAgent> {
    let from = [
        None,
        Some(ProgramSource::Scheduler { ticket: 7 }),
        Some(ProgramSource::Agent { address: address(4002) }),
    ];
    let voucher = Some(voucher());
    let run = from.map(|from| SchedulerToAgent::Run { program: executable(), from, voucher });
    let mut messages = Vec::from(run);
    messages.extend([
        SchedulerToAgent::Stop { program: program() },
        SchedulerToAgent::Close { reason: "the scheduler is closing".to_owned() },
    ]);
    messages
}

pub(crate) fn agent_to_scheduler() -> Vec<AgentToScheduler> {
    let (program, reason) = (program(), "no space left on device".to_owned());
    vec![
        AgentToScheduler::Fetched { program },
        AgentToScheduler::NotFetched { program, reason: reason.clone() },
        AgentToScheduler::Crashed { program, reason },
        AgentToScheduler::Retire { program: None, workers: vec!["alice".to_owned()] },
        AgentToScheduler::Fetching { program },
        AgentToScheduler::Ended { program },
    ]
}
