use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::{Hello, Program, Role, Welcome};
use dask_tokenize::unique_key_name;
use dask_transport::{Peers, Transport, Transports};
use tokio::task::JoinSet;

use crate::driver::{self, Link};
use crate::error::Kind;
use crate::{Client, Error, Result, default};

/// How to connect: [`Client::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct ClientBuilder {
    address: String,
    name: Option<String>,
    timeout: Duration,
    set_as_default: bool,
    forward_output: bool,
    transports: Transports,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8786".to_owned(),
            name: None,
            timeout: Duration::from_secs(10),
            set_as_default: true,
            forward_output: true,
            transports: Transports::default(),
        }
    }
}

impl ClientBuilder {
    /// The address of the scheduler; `127.0.0.1:8786` unless set.
    pub fn address(mut self, address: impl AsRef<str>) -> Self {
        address.as_ref().clone_into(&mut self.address);
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
    /// As [`Client::connect`].
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
        let address: Address = self.address.parse()?;
        let name = self.name.unwrap_or_else(|| unique_key_name("Client"));
        let hello =
            Hello { role: Role::Client { name: name.clone() }, program: program(), token: None };
        let (connection, welcome) =
            dask_transport::connect(&self.transports, &address, &hello, self.timeout).await?;
        if !matches!(welcome, Welcome::Client { .. }) {
            return Err(Error::from(Kind::Answer));
        }
        let peers = Peers::new(self.transports, program(), self.timeout);
        let link = Link::start(address, connection, name, peers);
        if self.forward_output {
            link.topics.forward_output();
        }
        if self.set_as_default {
            default::register(&link);
        }
        Ok(Client::from_link(link))
    }
}

/// This program, as peers hear of it.
pub(crate) fn program() -> Program {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    Program { name, version: env!("CARGO_PKG_VERSION").to_owned(), target }
}
