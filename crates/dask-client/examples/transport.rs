//! A transport of one's own: it wraps another and counts what crosses it.
//!
//! `cargo run --example transport`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dask_client::transport::{
    Address, Connection, FrameSender, Frames, Inproc, Listener, Transport, TransportError,
    async_trait,
};
use dask_client::{Client, LocalCluster, Result, task};

#[task]
fn double(x: i64) -> i64 {
    2 * x
}

/// `counting://` addresses: those of another transport, with every batch counted.
#[derive(Clone)]
struct Counting {
    inner: Arc<dyn Transport>,
    batches: Arc<AtomicU64>,
}

impl Counting {
    fn new(inner: impl Transport) -> Self {
        Self {
            inner: Arc::new(inner),
            batches: Arc::default(),
        }
    }

    fn watch(&self, mut connection: Connection) -> Connection {
        connection.sender = Box::new(Counted(connection.sender, self.batches.clone()));
        connection
    }

    /// The address in the notation of the other transport.
    fn inner(&self, address: &Address) -> Result<Address, TransportError> {
        let text = format!("{}://{}", self.inner.scheme(), address.rest());
        text.parse()
            .map_err(|error| TransportError::Other(Box::new(error)))
    }
}

#[async_trait]
impl Transport for Counting {
    fn scheme(&self) -> &str {
        "counting"
    }

    async fn connect(&self, address: &Address) -> Result<Connection, TransportError> {
        let connection = self.inner.connect(&self.inner(address)?).await?;
        Ok(self.watch(connection))
    }

    async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let inner = self.inner.listen(&self.inner(address)?).await?;
        let text = format!("counting://{}", inner.address().rest());
        let address = text
            .parse()
            .map_err(|error| TransportError::Other(Box::new(error)))?;
        Ok(Box::new(CountingListener {
            inner,
            address,
            transport: self.clone(),
        }))
    }
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

#[dask_client::main]
async fn main() -> Result<()> {
    let transport = Counting::new(Inproc);
    let cluster = LocalCluster::builder()
        .transport(transport.clone())
        .scheduler_address("counting://0")
        .build()
        .await?;
    let builder = Client::builder().transport(transport.clone());
    let client = builder.address(cluster.address()).connect().await?;

    let doubled = client.gather(client.map(double, 0..1000)).await?;
    assert_eq!(doubled.iter().sum::<i64>(), 999_000);
    println!(
        "{client:?}: {} batches",
        transport.batches.load(Ordering::Relaxed)
    );
    client.close().await?;
    cluster.close().await;
    Ok(())
}
