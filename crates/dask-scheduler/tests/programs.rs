//! Random agents, clients and workers with programs, legal and illegal, from a seed: the invariants
//! hold after each event and nothing panics.
//!
//! `SEED=7 cargo test -p dask-scheduler --test programs` runs one seed.

use std::collections::BTreeMap;

use dask_proto::Moment;
use dask_proto::graph::{Function, TaskOptions, TaskSpec};
use dask_proto::id::{AgentId, ClientId, FunctionId, FutureId, RequestId, WorkerId};
use dask_proto::message::{
    AgentJoin, AgentToScheduler, ClientToScheduler, Code, CodePolicy, Request, ScatterItem, Submit,
    WorkerJoin,
};
use dask_proto::program::{Executable, ProgramId, TokenId, Voucher};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instructions, SchedulerState};

const SEEDS: u64 = 60;
const EVENTS: u32 = 600;

/// Few of each, so that they meet.
const PEERS: u32 = 5;

/// Xorshift: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(bound)) as u32
    }

    fn program(&mut self) -> ProgramId {
        ProgramId([self.below(2) as u8; 32])
    }

    fn executable(&mut self) -> Executable {
        let target = ["x86_64-linux-gnu", "aarch64-linux-gnu"][self.below(10) as usize / 9];
        let id = self.program();
        Executable { id, bytes: 1000, name: "app".to_owned(), target: target.to_owned() }
    }

    fn offered(&mut self) -> Code {
        let executable = self.executable();
        let token = TokenId([self.below(3) as u8; 8]);
        let voucher = (self.below(2) == 0).then_some(Voucher { token, tag: [1; 32] });
        Code::Offered { executable, voucher }
    }
}

fn inc() -> Function {
    Function { path: "app::inc".to_owned(), signature: "fn(i64) -> i64".to_owned() }
}

struct World {
    dice: Dice,
    state: SchedulerState,
    now: Moment,
    /// Ids are never used again.
    next: u32,
    agents: BTreeMap<u32, AgentId>,
    clients: BTreeMap<u32, ClientId>,
    workers: BTreeMap<u32, WorkerId>,
}

impl World {
    fn new(seed: u64) -> Self {
        let address = "tcp://10.0.0.1:8786".parse().expect("an address");
        Self {
            dice: Dice(seed * 0x9e37_79b9 + 1),
            state: SchedulerState::new(Config::default(), address),
            now: Moment::default(),
            next: 1,
            agents: BTreeMap::new(),
            clients: BTreeMap::new(),
            workers: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        let who = self.dice.below(PEERS);
        let event = match self.dice.below(10) {
            0 | 1 => self.agent(who),
            2 | 3 => self.client(who),
            4 => self.worker(who),
            5 => {
                self.now = self.now + std::time::Duration::from_secs(self.dice.below(20).into());
                Some(Event::Timeout)
            }
            6..8 => self.client_says(who),
            _ => self.agent_says(who),
        };
        let Some(event) = event else { return };
        let described = format!("{event:?}");
        let mut out = Instructions::new();
        self.state.handle(self.now, event, &mut out);
        drop(out.drain());
        assert_eq!(self.state.check_invariants(), Ok(()), "after {described}");
    }

    fn id(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn agent(&mut self, who: u32) -> Option<Event> {
        if let Some(agent) = self.agents.remove(&who) {
            return Some(Event::AgentLost { agent, reason: "it broke".to_owned() });
        }
        let agent = AgentId(self.id());
        self.agents.insert(who, agent);
        let has = (0..self.dice.below(2)).map(|_| self.dice.program()).collect();
        let code =
            [CodePolicy::FromClients, CodePolicy::Installed][self.dice.below(8) as usize / 7];
        let join = AgentJoin {
            name: format!("agent-{who}"),
            address: format!("tcp://10.0.1.{who}:1").parse().expect("an address"),
            target: "x86_64-linux-gnu".to_owned(),
            code,
            nworkers: 1,
            nthreads: 1,
            memory_limit: None,
            resources: BTreeMap::new(),
            programs: has,
            pid: 1,
            tokens: (self.dice.below(4) == 0).then(|| vec![TokenId([1; 8])]),
        };
        Some(Event::AgentJoined { agent, join: Box::new(join) })
    }

    fn client(&mut self, who: u32) -> Option<Event> {
        if let Some(client) = self.clients.remove(&who) {
            return Some(Event::ClientLost { client });
        }
        let client = ClientId(self.id());
        self.clients.insert(who, client);
        let code = match self.dice.below(8) {
            0 => Code::Withheld,
            1 => Code::NoRole,
            2 => Code::Unidentified,
            _ => self.dice.offered(),
        };
        Some(Event::ClientJoined { client, name: format!("client-{who}"), code })
    }

    fn worker(&mut self, who: u32) -> Option<Event> {
        if let Some(worker) = self.workers.remove(&who) {
            return Some(Event::WorkerLost { worker, reason: "it broke".to_owned() });
        }
        let worker = WorkerId(self.id());
        self.workers.insert(who, worker);
        let program = (self.dice.below(4) > 0).then(|| self.dice.program());
        let join = WorkerJoin {
            address: format!("tcp://10.0.2.{who}:1").parse().expect("an address"),
            name: format!("agent-{}", self.dice.below(PEERS)),
            nthreads: 1,
            memory_limit: None,
            resources: BTreeMap::new(),
            functions: vec![inc()],
            pid: 1,
            program,
        };
        Some(Event::WorkerJoined { worker, join: Box::new(join) })
    }

    fn client_says(&mut self, who: u32) -> Option<Event> {
        let client = *self.clients.get(&who)?;
        let number = self.id();
        let future = FutureId(number.into());
        let key = format!("inc-{}", self.dice.below(20)).try_into().expect("a key");
        let message = match self.dice.below(9) {
            8 => {
                let address = format!("tcp://10.0.2.{}:1", self.dice.below(PEERS));
                ClientToScheduler::Serve { worker: address.parse().expect("an address") }
            }
            7 => ClientToScheduler::Identify { code: self.dice.offered() },
            0 | 1 => {
                let item = ScatterItem { future, key, nbytes: 8 };
                let request =
                    Request::Scatter { items: vec![item], workers: Vec::new(), broadcast: false };
                ClientToScheduler::Request { id: RequestId(number.into()), request }
            }
            2 => ClientToScheduler::Forget { id: RequestId((number - 1).into()) },
            _ => {
                let id = FunctionId(number);
                let spec = TaskSpec {
                    future,
                    key,
                    function: id,
                    content: Some([1; 16]),
                    dependencies: Vec::new(),
                    body: bytes::Bytes::new().into(),
                };
                let submit = Submit { options: TaskOptions::default(), tasks: vec![spec] };
                let define = ClientToScheduler::Define { id, function: inc() };
                let messages = vec![define, ClientToScheduler::Submit(submit)];
                return Some(Event::ClientSaid { client, messages });
            }
        };
        Some(Event::ClientSaid { client, messages: vec![message] })
    }

    fn agent_says(&mut self, who: u32) -> Option<Event> {
        let agent = *self.agents.get(&who)?;
        let program = self.dice.program();
        let reason = "it broke".to_owned();
        let message = match self.dice.below(9) {
            7 => AgentToScheduler::Fetching { program },
            8 => AgentToScheduler::Ended { program },
            0..3 => AgentToScheduler::Fetched { program },
            3 | 4 => AgentToScheduler::NotFetched { program, reason },
            5 => AgentToScheduler::Crashed { program, reason },
            _ => AgentToScheduler::Retire { program: None, workers: vec![format!("agent-{who}")] },
        };
        Some(Event::AgentSaid { agent, messages: vec![message] })
    }
}

#[test]
fn whatever_agents_and_clients_say_the_tables_agree() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..SEEDS,
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..EVENTS).for_each(|_| world.step());
        });
        assert!(outcome.is_ok(), "failed with SEED={seed}");
    }
}
