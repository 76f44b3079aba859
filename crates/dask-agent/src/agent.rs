use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dask_program::{Tokens, back_off};
use dask_proto::Address;
use dask_proto::human::describe;
use dask_proto::limits::{MAX_AGENT_PROGRAMS, MAX_NWORKERS};
use dask_proto::message::{
    AgentJoin, AgentToScheduler, Hello, Program, Rejection, Role, SchedulerToAgent, Welcome,
};
use dask_proto::program::target;
use dask_transport::{
    ConnectError, Connection, Inbox, Listener, Outbox, Transports, channel, connect,
    contact_address, local_address,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::host::Host;
use crate::memory::Ledger;
use crate::ports::Ports;
use crate::program::{Order, Programs};
use crate::slot::ASK_AGAIN;
use crate::{Config, Error, serve};

/// How long one attempt to reach the scheduler takes.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long it takes at least.
const LAST_ATTEMPT: Duration = Duration::from_millis(100);

/// How long workers may take to hand over what they hold when the agent's life is over.
const RETIREMENT: Duration = Duration::from_secs(60);

/// Batches from the scheduler that wait.
const INBOX: usize = 16;

/// An agent that has joined its scheduler. It starts nothing until it is [run](Agent::run).
pub struct Agent {
    host: Arc<Host>,
    /// What the scheduler is told.
    join: AgentJoin,
    connection: Connection,
    listener: Box<dyn Listener>,
}

/// Why an agent came to its end as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The scheduler told it to.
    Closed {
        /// Why, for people.
        reason: String,
    },
    /// It was shut down here.
    Shutdown,
    /// Its life was over (`--lifetime`).
    Expired,
}

impl Agent {
    /// Starts to listen and joins the scheduler, for which it waits.
    ///
    /// # Errors
    /// When it cannot listen, when the scheduler does not want it, or is not there in time.
    pub async fn connect(config: Config, transports: Transports) -> Result<Self, Error> {
        let listener = listen(&config, &transports).await?;
        let mut address = contact_address(listener.address(), Some(&config.scheduler)).await;
        if let Some(host) = &config.contact_host {
            let failed = |source| Error::Host { host: host.clone(), source };
            address = address.with_host(host).map_err(failed)?;
        }
        let name = config.name.clone().unwrap_or_else(|| address.to_string());
        let interface = listener.address().host().to_owned();
        let join = AgentJoin {
            name: name.clone(),
            address,
            target: target(),
            code: config.code,
            nworkers: config.nworkers.clamp(1, MAX_NWORKERS),
            nthreads: config.nthreads,
            memory_limit: config.memory_limit,
            resources: config.resources.clone(),
            programs: Vec::new(),
            pid: std::process::id(),
            tokens: config.tokens.as_ref().map(Tokens::ids),
        };
        let program = Program::named("dask");
        let ports = Ports::new(config.worker_ports.clone());
        let ledger = Ledger::new(config.most_memory_of_all());
        let host = Host { config, transports, program, ports, ledger, interface, name };
        let host = Arc::new(host);
        let connection = reach(&host, &join, Since::Start).await?;
        Ok(Self { host, join, connection, listener })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.join.name
    }

    /// Where other agents reach it.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.join.address
    }

    /// Runs what the scheduler wants, until `shutdown` resolves, the scheduler says that it is
    /// over, or its life is. A scheduler that is lost is looked for, without workers meanwhile:
    /// they are of no use, since that scheduler knows nothing of what they hold.
    ///
    /// # Errors
    /// When the scheduler does not come back in time, or does not want it any more.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Ended, Error> {
        let Self { host, join, connection, listener } = self;
        // Dropped, and so ended, with this future.
        let mut serving = JoinSet::new();
        serving.spawn(serve::serve(host.clone(), listener));
        let mut programs = Programs::new(host.clone());
        let ended = tokio::select! {
            ended = live(&host, &join, connection, &mut programs) => ended,
            () = shutdown => Ok(Ended::Shutdown),
        };
        programs.stop_all().await;
        ended
    }
}

/// One connection to a scheduler after the other.
async fn live(
    host: &Arc<Host>,
    join: &AgentJoin,
    mut connection: Connection,
    programs: &mut Programs,
) -> Result<Ended, Error> {
    let ends = host.config.lifetime.filter(|lifetime| !lifetime.restart);
    let ends = ends.map(|lifetime| Instant::now() + host.staggered(&lifetime));
    loop {
        let (outbox, inbox) = channel(connection);
        let expired = async {
            match ends {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            why = listen_to(inbox, &outbox, programs) => match why {
                Gone::Closed(reason) => return Ok(Ended::Closed { reason }),
                Gone::Lost(reason) => tracing::warn!(reason, "the scheduler is lost"),
            },
            () = expired => {
                let asking = ask_to_retire(&outbox, host.worker_names());
                tokio::select! {
                    () = asking => {}
                    () = programs.all_ended() => {}
                }
                return Ok(Ended::Expired);
            }
        }
        programs.stop_all().await;
        connection = reach(host, join, Since::Loss).await?;
        tracing::info!(scheduler = %host.config.scheduler, "joined again");
    }
}

/// Has workers hand over what they hold and leave, for as long as that may take. A worker may be
/// about to join, and what it holds may have nowhere to go yet.
async fn ask_to_retire(outbox: &Outbox<AgentToScheduler>, workers: Vec<String>) {
    let until = Instant::now() + RETIREMENT;
    while Instant::now() < until {
        // Without a scheduler nobody hears it, and the workers end by themselves.
        let _ = outbox.send([AgentToScheduler::Retire { program: None, workers: workers.clone() }]);
        sleep(ASK_AGAIN).await;
    }
}

/// How the connection to the scheduler ended.
enum Gone {
    Closed(String),
    Lost(String),
}

/// Does what the scheduler says, until it says nothing more.
async fn listen_to(
    inbox: Inbox<SchedulerToAgent>,
    outbox: &Outbox<AgentToScheduler>,
    programs: &mut Programs,
) -> Gone {
    // Receiving is not to be interrupted, so it has a task of its own.
    let (sender, mut batches) = mpsc::channel(INBOX);
    let mut reader = JoinSet::new();
    reader.spawn(read(inbox, sender));
    loop {
        let messages = match batches.recv().await {
            Some(Ok(messages)) => messages,
            Some(Err(reason)) => return Gone::Lost(reason),
            None => return Gone::Lost("nothing is read any more".to_owned()),
        };
        for message in messages {
            match message {
                SchedulerToAgent::Run { program, from, voucher } => {
                    let outbox = outbox.clone();
                    programs.start(Order { program, from, voucher, outbox });
                }
                SchedulerToAgent::Stop { program } => programs.stop(program),
                SchedulerToAgent::Close { reason } => return Gone::Closed(reason),
                // A scheduler of a later version says more than this agent can do.
                _ => {}
            }
        }
    }
}

type Batch = Result<Vec<SchedulerToAgent>, String>;

async fn read(mut inbox: Inbox<SchedulerToAgent>, sender: mpsc::Sender<Batch>) {
    loop {
        let batch = match inbox.receive().await {
            Ok(Some(messages)) => Ok(messages),
            Ok(None) => Err("it closed the connection".to_owned()),
            Err(error) => Err(describe(&error)),
        };
        let is_last = batch.is_err();
        if sender.send(batch).await.is_err() || is_last {
            return;
        }
    }
}

/// Since when there has been no scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Start,
    Loss,
}

/// Joins the scheduler, again and again until it is there.
async fn reach(host: &Host, join: &AgentJoin, since: Since) -> Result<Connection, Error> {
    let started = Instant::now();
    let config = &host.config;
    let mut failures = 0;
    loop {
        let programs = config.cache.programs().into_iter().take(MAX_AGENT_PROGRAMS).collect();
        let role = Role::Agent(Box::new(AgentJoin { programs, ..join.clone() }));
        let hello = Hello { role, program: host.program.clone() };
        // The last attempt takes no longer than is left.
        let left = config.death_timeout.map(|limit| limit.saturating_sub(started.elapsed()));
        let patience = left.map_or(ATTEMPT, |left| left.clamp(LAST_ATTEMPT, ATTEMPT));
        let attempt = connect(&host.transports, &config.scheduler, &hello, patience).await;
        let error = match attempt {
            Ok((connection, Welcome::Agent { .. })) => return Ok(connection),
            Ok(_) => return Err(Error::NoScheduler(config.scheduler.clone())),
            Err(error) if is_final(&error, since) => return Err(Error::Join(error)),
            Err(error) => error,
        };
        failures += 1;
        tracing::info!("waiting for the scheduler: {}", describe(&error));
        if let Some(limit) = config.death_timeout
            && started.elapsed() >= limit
        {
            let scheduler = config.scheduler.clone();
            return Err(Error::DeathTimeout { scheduler, timeout: limit, source: error });
        }
        sleep(back_off::pause(failures)).await;
    }
}

/// Whether trying again is of no use. A scheduler that was there before may not know yet that the
/// old connection is gone, or be on its way back.
fn is_final(error: &ConnectError, since: Since) -> bool {
    match error {
        ConnectError::Version { .. } | ConnectError::UnknownScheme { .. } => true,
        ConnectError::Rejected { rejection, .. } => {
            since == Since::Start && !matches!(rejection, Rejection::Closing)
        }
        ConnectError::NotDask { .. } => since == Since::Start,
        _ => false,
    }
}

async fn listen(config: &Config, transports: &Transports) -> Result<Box<dyn Listener>, Error> {
    let local = match &config.host {
        Some(host) => {
            let any = format!("{}://0:0", config.scheduler.scheme()).parse::<Address>();
            let local = any.and_then(|any| any.with_host(host));
            local.map_err(|source| Error::Host { host: host.clone(), source })?
        }
        None => local_address(&config.scheduler).await.map_err(|source| {
            let scheduler = config.scheduler.clone();
            Error::NoRoute { scheduler, source }
        })?,
    };
    let listening = transports.listen(&local).await;
    listening.map_err(|source| Error::Listen { address: local.to_string(), source })
}
