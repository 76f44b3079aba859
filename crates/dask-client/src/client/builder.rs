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

/// Settings for a connection, made by [`Client::builder`].
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
    /// The address of the scheduler; by default that in the environment variable
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

    /// The name of the client on the scheduler; `Client-<uuid>` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long to keep trying to connect; 10 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether the client becomes the [default client](crate::default_client); `true` by default.
    pub fn set_as_default(mut self, set_as_default: bool) -> Self {
        self.set_as_default = set_as_default;
        self
    }

    /// Whether what tasks [print](crate::print) and [warn](crate::warn) is printed here too; `true`
    /// by default. That is what those tasks say whose futures this client holds, or whose futures
    /// nobody holds. A client of a [`LocalCluster`](crate::LocalCluster) prints nothing, as the
    /// cluster does so already.
    pub fn forward_output(mut self, forward_output: bool) -> Self {
        self.forward_output = forward_output;
        self
    }

    /// Whether the cluster's agents may run this program for this client's tasks; `true` by
    /// default. A program that submits nothing, or whose tasks are known to workers that are there
    /// already, need not travel.
    pub fn send_program(mut self, send_program: bool) -> Self {
        self.send_program = send_program;
        self
    }

    /// Whether the keys of pure calls depend on the build of this program; `false` by default.
    /// Without it, a call of a function whose body has changed, but not its name or signature, is
    /// the same task as before, as in Dask: while anybody holds the old result, that is what the
    /// call gives. With it, each build has tasks of its own. For a single function, `#[task(version
    /// = 2)]` does the same.
    pub fn program_in_keys(mut self, program_in_keys: bool) -> Self {
        self.program_in_keys = program_in_keys;
        self
    }

    /// The token that this client shows to hosts that run programs only for those who know one
    /// (`dask worker --allow-token-file`); by default that in the environment variable
    /// `DASK_TOKEN`.
    ///
    /// The token itself stays in this process: what travels is a hash of this program, keyed with
    /// the token, which is good for no other program.
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

    /// Adds a transport for the addresses with its scheme, in place of one that was there.
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
