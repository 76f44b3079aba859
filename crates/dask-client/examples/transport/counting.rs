//! A transport that wraps another, as a user writes one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dask_client::transport::{
    Address, Connection, FrameSender, Frames, Listener, Transport, TransportError, async_trait,
};

/// `counting://` addresses: those of another transport, with every batch counted.
#[derive(Clone)]
pub struct Counting {
    inner: Arc<dyn Transport>,
    batches: Arc<AtomicU64>,
}

impl Counting {
    /// Counts what crosses this transport.
    pub fn new(inner: impl Transport) -> Self {
        Self { inner: Arc::new(inner), batches: Arc::default() }
    }

    /// How many batches have been sent.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    fn watch(&self, mut connection: Connection) -> Connection {
        connection.sender = Box::new(Counted(connection.sender, self.batches.clone()));
        connection
    }

    /// The address in the notation of the other transport.
    fn inner(&self, address: &Address) -> Result<Address, TransportError> {
        let text = format!("{}://{}", self.inner.scheme(), address.rest());
        text.parse().map_err(|error| TransportError::Other(Box::new(error)))
    }
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Counting: {} batches>", self.batches())
    }
}

#[async_trait]
impl Transport for Counting {
    fn scheme(&self) -> &str {
        "counting"
    }

    async fn connect(&self, address: &Address) -> Result<Connection, TransportError> {
        let connection = self.inner.connect(&self.inner(address)?).await;
        let connection = connection.map_err(|error| named(address, error))?;
        Ok(self.watch(connection))
    }

    async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let inner = self.inner.listen(&self.inner(address)?).await;
        let inner = inner.map_err(|error| named(address, error))?;
        let text = format!("counting://{}", inner.address().rest());
        let address = text.parse().map_err(|error| TransportError::Other(Box::new(error)))?;
        Ok(Box::new(CountingListener { inner, address, transport: self.clone() }))
    }
}

/// The error of the other transport, with the address as it was asked for.
fn named(address: &Address, error: TransportError) -> TransportError {
    TransportError::Other(format!("{address}: {error}").into())
}

struct CountingListener {
    inner: Box<dyn Listener>,
    address: Address,
    transport: Counting,
}

#[async_trait]
impl Listener for CountingListener {
    fn address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Connection, TransportError> {
        Ok(self.transport.watch(self.inner.accept().await?))
    }
}

struct Counted(Box<dyn FrameSender>, Arc<AtomicU64>);

#[async_trait]
impl FrameSender for Counted {
    async fn send(&mut self, frames: Frames) -> Result<(), TransportError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.send(frames).await
    }

    async fn close(&mut self) -> Result<(), TransportError> {
        self.0.close().await
    }
}
