use std::path::PathBuf;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::{Code, Hello, Rejection, Role, Welcome};
use dask_proto::program::ProgramId;
use dask_proto::role::{SCHEDULER_ADDRESS, TOKEN};
use dask_tokenize::unique_key_name;
use dask_transport::{ConnectError, Peers, Transport, Transports};
use tokio::task::JoinSet;

use super::program::{identified, program, travelling};
use crate::driver::{self, Courier, Identity, Link};
use crate::error::Kind;
use crate::{Client, Error, Result, default, scheduler_file};

/// Where a scheduler is unless it is said where.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8786";

/// How to connect: [`Client::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct ClientBuilder {
    address: Option<String>,
    scheduler_file: Option<PathBuf>,
    name: Option<String>,
    timeout: Duration,
    set_as_default: bool,
    forward_output: bool,
    send_program: bool,
    program_in_keys: bool,
    token: Option<String>,
    transports: Transports,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            address: None,
            scheduler_file: None,
            name: None,
            timeout: Duration::from_secs(10),
            set_as_default: true,
            forward_output: true,
            send_program: true,
            program_in_keys: false,
            token: None,
            transports: Transports::default(),
        }
    }
}

impl ClientBuilder {
    /// The address of the scheduler. Unless set it is that of the variable
    /// `DASK_SCHEDULER_ADDRESS`, or else `127.0.0.1:8786`.
    pub fn address(mut self, address: impl AsRef<str>) -> Self {
        self.address = Some(address.as_ref().to_owned());
        self
    }

    /// The file that says where the scheduler is: `dask scheduler --scheduler-file` writes one, and
    /// so does [`Client::write_scheduler_file`]. It is waited for until the
    /// [timeout](Self::timeout), and says it also where an [address](Self::address) is set, as in
    /// Dask.
    ///
    /// ```no_run
    /// # use dask_client::{Client, Result};
    /// # async fn connect() -> Result<()> {
    /// let client = Client::builder().scheduler_file("/shared/scheduler.json").connect().await?;
    /// # client.close().await
    /// # }
    /// ```
    pub fn scheduler_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.scheduler_file = Some(path.into());
        self
    }

    /// The name of the client on the scheduler; `Client-<uuid>` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long to try to connect; 10 s unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether the client becomes the [default](crate::default_client), as it does unless told
    /// otherwise.
    pub fn set_as_default(mut self, set_as_default: bool) -> Self {
        self.set_as_default = set_as_default;
        self
    }

    /// Whether what tasks [print](crate::print) and [warn](crate::warn) of is printed here too, as
    /// it is unless told otherwise: what tasks say that this client holds, or nobody. A client of a
    /// [`LocalCluster`](crate::LocalCluster) prints nothing again, as the cluster does it.
    pub fn forward_output(mut self, forward_output: bool) -> Self {
        self.forward_output = forward_output;
        self
    }

    /// Whether agents of the cluster may run this program, for this client's tasks, as they do
    /// unless told otherwise. A program that submits nothing, or whose tasks other workers have,
    /// need not travel.
    pub fn send_program(mut self, send_program: bool) -> Self {
        self.send_program = send_program;
        self
    }

    /// Whether keys of pure calls say which build of this program they are of. Unless told so they
    /// do not, and a call of a function whose body changed, but neither its name nor its signature,
    /// is the same task as before, as in Dask: as long as somebody holds the old result, it is
    /// taken. With this, each build has tasks of its own; for a single function
    /// `#[task(version = 2)]` does the same.
    pub fn program_in_keys(mut self, program_in_keys: bool) -> Self {
        self.program_in_keys = program_in_keys;
        self
    }

    /// The token that this client shows to hosts which run programs only for those that know one
    /// (`dask worker --allow-token-file`). Unless set it is that of the variable `DASK_TOKEN`.
    ///
    /// The token itself stays in this process: what travels is a hash of this program that is keyed
    /// with it, which is good for no other program.
    ///
    /// ```no_run
    /// # use dask_client::{Client, Result};
    /// # async fn connect() -> Result<()> {
    /// let token = std::fs::read_to_string("token.txt")?;
    /// let client = Client::builder().address("10.0.0.1:8786").token(token).connect().await?;
    /// # client.close().await
    /// # }
    /// ```
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Adds a transport for the addresses of its scheme, in place of one that is there.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transports = self.transports.with(transport);
        self
    }

    /// Uses these transports and no others.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.transports = transports;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Client::connect`]; when the [file](Self::scheduler_file) does not say in time where the
    /// scheduler is ([`Error::is_timeout`]).
    pub async fn connect(self) -> Result<Client> {
        let mut connecting = JoinSet::new();
        connecting.spawn_on(self.connect_here(), &driver::home());
        match connecting.join_next().await {
            Some(Ok(connected)) => connected,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => Err(Kind::Closed.into()),
        }
    }

    /// Connects on this runtime, which drives the connection from then on.
    async fn connect_here(self) -> Result<Client> {
        let address: Address = match &self.scheduler_file {
            Some(path) => scheduler_file::read(path, self.timeout).await?,
            None => {
                let named = self.address.or_else(|| std::env::var(SCHEDULER_ADDRESS).ok());
                named.as_deref().unwrap_or(DEFAULT_ADDRESS).parse()?
            }
        };
        let name = self.name.unwrap_or_else(|| unique_key_name("Client"));
        let token = self.token.or_else(|| std::env::var(TOKEN).ok());
        let salt = if self.program_in_keys { Some(build().await?) } else { None };
        // Inside this process there are no agents.
        let travels = self.send_program && address.scheme() != "inproc";
        let sent = if travels { travelling(token.as_deref()) } else { program() };
        let role = Role::Client { name: name.clone() };
        let mut hello = Hello { role, program: sent };
        let mut connected =
            dask_transport::connect(&self.transports, &address, &hello, self.timeout).await;
        if let Err(ConnectError::Rejected { rejection: Rejection::Identify, .. }) = connected {
            hello.program = identified(token.as_deref()).await;
            connected =
                dask_transport::connect(&self.transports, &address, &hello, self.timeout).await;
        }
        let (connection, welcome) = connected?;
        let Welcome::Client { services, .. } = welcome else {
            return Err(Error::from(Kind::Answer));
        };
        let courier = Courier::new(self.transports.clone(), address.clone(), (token, self.timeout));
        let peers = Peers::new(self.transports, program(), self.timeout);
        let identity = Identity { name, salt, services };
        let link = Link::start(address, connection, identity, (peers, courier));
        if self.forward_output {
            link.topics.forward_output();
        }
        if self.set_as_default {
            default::register(&link);
        }
        Ok(Client::from_link(link))
    }
}

/// Which build of this program it is.
async fn build() -> Result<ProgramId> {
    match identified(None).await.code {
        Code::Offered { executable, .. } => Ok(executable.id),
        _ => Err(Error::from(Kind::NoBuild)),
    }
}
