//! A network between processes that a test can cut, where all of them are on one machine.
//!
//! Every process whose transport is [`Via`] connects through the test. It first tells the network,
//! in a line of text, who it is and where it wants to go, and is told a port that leads there.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dask_client::transport::{
    Address, Connection, Listener, Tcp, Transport, TransportError, async_trait,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of what is sent over a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traffic {
    /// It arrives.
    #[default]
    Flows,
    /// It arrives once the link is healed; nobody is told.
    Silent,
    /// The link ends at once, and no other can be made.
    Broken,
}

/// The network, until it is dropped.
#[derive(Debug)]
pub struct Network {
    address: String,
    state: Arc<Mutex<State>>,
    _links: JoinSet<()>,
}

/// TCP through a [`Network`].
#[derive(Debug, Clone)]
pub struct Via {
    /// Where the network is.
    pub network: String,
    /// Who connects.
    pub name: String,
}

/// Which links a cut affects, by who made them and the address they lead to.
type Affected = Box<dyn Fn(&str, &str) -> bool + Send>;

#[derive(Default)]
struct State {
    cut: Option<(Traffic, Affected)>,
    links: BTreeMap<u64, Link>,
    made: u64,
}

struct Link {
    from: String,
    to: String,
    traffic: watch::Sender<Traffic>,
}

impl Network {
    /// A network on which all is well.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port can be had");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let state = Arc::default();
        let mut links = JoinSet::new();
        links.spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, _links: links }
    }

    /// The transport of somebody.
    #[must_use]
    pub fn via(&self, name: &str) -> Via {
        Via { network: self.address.clone(), name: name.to_owned() }
    }

    /// Cuts the links, those to come too, that somebody made to an address such as
    /// `tcp://127.0.0.1:4040`. Replaces the cut before.
    pub fn cut(&self, traffic: Traffic, affected: impl Fn(&str, &str) -> bool + Send + 'static) {
        self.change(Some((traffic, Box::new(affected))));
    }

    /// Lets everything flow.
    pub fn heal(&self) {
        self.change(None);
    }

    /// How many links there are.
    #[must_use]
    pub fn links(&self) -> usize {
        lock(&self.state).links.len()
    }

    fn change(&self, cut: Option<(Traffic, Affected)>) {
        let mut state = lock(&self.state);
        state.cut = cut;
        for link in state.links.values() {
            link.traffic.send_replace(state.traffic(&link.from, &link.to));
        }
    }
}

impl State {
    fn traffic(&self, from: &str, to: &str) -> Traffic {
        let cut = self.cut.as_ref().filter(|(_, affected)| affected(from, to));
        cut.map_or(Traffic::Flows, |(traffic, _)| *traffic)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<State: {} links>", self.links.len())
    }
}

#[async_trait]
impl Transport for Via {
    fn scheme(&self) -> &str {
        "tcp"
    }

    async fn connect(&self, address: &Address) -> Result<Connection, TransportError> {
        let failed = |source| TransportError::Connect { address: address.clone(), source };
        let port = self.ask(address).await.map_err(failed)?;
        let way = format!("tcp://127.0.0.1:{port}").parse();
        let way = way.map_err(|_| failed(io::ErrorKind::ConnectionRefused.into()))?;
        let mut connection = Tcp.connect(&way).await?;
        connection.peer = address.clone();
        Ok(connection)
    }

    async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError> {
        Tcp.listen(address).await
    }
}

impl Via {
    /// The port that leads to an address; nothing where there is no way.
    async fn ask(&self, address: &Address) -> io::Result<String> {
        let mut asking = TcpStream::connect(&self.network).await?;
        asking.write_all(format!("{} {address}\n", self.name).as_bytes()).await?;
        let mut port = String::new();
        asking.read_to_string(&mut port).await?;
        Ok(port)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut links = JoinSet::new();
    while let Ok((asking, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        links.spawn(async move {
            // A process that was killed breaks its links: that is no news.
            let _ = connect(asking, &state).await;
        });
        while links.try_join_next().is_some() {}
    }
}

async fn connect(asking: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut asking = BufReader::new(asking);
    let mut line = String::new();
    asking.read_line(&mut line).await?;
    let Some((from, to)) = line.trim_end().split_once(' ') else {
        return Ok(());
    };
    if lock(state).traffic(from, to) == Traffic::Broken {
        return Ok(());
    }
    let target = to.trim_start_matches("tcp://");
    // Where nobody listens, there is no way either.
    let there = TcpStream::connect(target).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port().to_string();
    asking.write_all(port.as_bytes()).await?;
    drop(asking);
    let (here, _) = listener.accept().await?;
    for stream in [&here, &there] {
        stream.set_nodelay(true)?;
    }
    let (number, traffic) = register(state, from, to);
    carry(here, there, traffic).await;
    lock(state).links.remove(&number);
    Ok(())
}

fn register(state: &Mutex<State>, from: &str, to: &str) -> (u64, watch::Receiver<Traffic>) {
    let mut state = lock(state);
    let (traffic, follow) = watch::channel(state.traffic(from, to));
    let number = state.made;
    state.made += 1;
    state.links.insert(number, Link { from: from.to_owned(), to: to.to_owned(), traffic });
    (number, follow)
}

/// Carries bytes both ways until both are closed or the link is broken.
async fn carry(here: TcpStream, there: TcpStream, traffic: watch::Receiver<Traffic>) {
    let (from_here, to_here) = here.into_split();
    let (from_there, to_there) = there.into_split();
    let mut broken = traffic.clone();
    tokio::select! {
        _ = broken.wait_for(|traffic| *traffic == Traffic::Broken) => {}
        _ = async {
            tokio::join!(
                pump(from_here, to_there, traffic.clone()),
                pump(from_there, to_here, traffic.clone()),
            )
        } => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut traffic: watch::Receiver<Traffic>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        // The end does not get through a cut either. Without a network, all ends.
        if traffic.wait_for(|traffic| *traffic == Traffic::Flows).await.is_err() {
            return Ok(());
        }
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
