use std::collections::BTreeMap;
use std::sync::Arc;

use dask_proto::Address;

use crate::{Connection, Inproc, Listener, Tcp, Transport, TransportError};

/// The transports that a peer has, by scheme. Cloning copies a pointer.
#[derive(Clone)]
pub struct Transports {
    by_scheme: Arc<BTreeMap<String, Arc<dyn Transport>>>,
}

impl Transports {
    /// No transports.
    #[must_use]
    pub fn empty() -> Self {
        Self { by_scheme: Arc::default() }
    }

    /// The set with one more, which replaces one of the same scheme.
    #[must_use]
    pub fn with(mut self, transport: impl Transport) -> Self {
        let scheme = transport.scheme().to_owned();
        Arc::make_mut(&mut self.by_scheme).insert(scheme, Arc::new(transport));
        self
    }

    /// The transport of a scheme.
    #[must_use]
    pub fn get(&self, scheme: &str) -> Option<&Arc<dyn Transport>> {
        self.by_scheme.get(scheme)
    }

    /// Connects to an address, over the transport of its scheme. [`connect`](crate::connect) also
    /// retries and says hello.
    ///
    /// # Errors
    /// When nobody listens there, or no transport has the scheme.
    pub async fn connect(&self, address: &Address) -> Result<Connection, TransportError> {
        self.of(address)?.connect(address).await
    }

    /// Listens at an address, over the transport of its scheme.
    ///
    /// # Errors
    /// When the address is taken, or no transport has the scheme.
    pub async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError> {
        self.of(address)?.listen(address).await
    }

    fn of(&self, address: &Address) -> Result<&Arc<dyn Transport>, TransportError> {
        self.get(address.scheme()).ok_or_else(|| TransportError::UnknownScheme {
            address: address.clone(),
            known: self.by_scheme.keys().cloned().collect(),
        })
    }
}

/// TCP and in-process.
impl Default for Transports {
    fn default() -> Self {
        Self::empty().with(Tcp).with(Inproc)
    }
}

impl std::fmt::Debug for Transports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_scheme.keys()).finish()
    }
}
