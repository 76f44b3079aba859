use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dask_proto::codec::Carriage;
use dask_proto::limits::{MAX_FRAMES, MAX_HANDSHAKE_BYTES};
use dask_proto::wire::Limits;
use dask_proto::{Address, Frames, Object, Payload, ValueError};
use dask_transport::{Connection, Transport};

/// Holds a transport to its contract. `listen` is an address with port 0, or what stands for it.
///
/// # Panics
/// Where the transport breaks the contract, and where it hangs.
pub async fn transport_contract(transport: impl Transport, listen: &str) {
    let subject =
        Subject { transport: &transport, listen: listen.parse().expect("an address to listen at") };
    let clause = subject.clause("a listener has a real address");
    clause.await_on(real_address(&subject)).await;
    let clause = subject.clause("batches arrive whole and in order");
    clause.await_on(whole_and_in_order(&subject)).await;
    let clause = subject.clause("large frames and many small ones arrive");
    clause.await_on(large_and_many(&subject)).await;
    let clause = subject.clause("a clean close is seen, behind all that was sent");
    clause.await_on(clean_close(&subject)).await;
    let clause = subject.clause("a peer that vanishes is noticed");
    clause.await_on(vanished_peer(&subject)).await;
    let clause = subject.clause("both directions carry more than any buffer");
    clause.await_on(both_directions(&subject)).await;
    let clause = subject.clause("connecting to nobody names the address");
    clause.await_on(nobody(&subject)).await;
    let clause = subject.clause("a listener survives a peer that vanishes");
    clause.await_on(listener_goes_on(&subject)).await;
    let clause = subject.clause("limits hold on both sides");
    clause.await_on(limits(&subject)).await;
    let clause = subject.clause("objects pass by reference or not at all");
    clause.await_on(objects(&subject)).await;
}

/// Far more than any clause needs: only a hang takes this long.
const HANG: Duration = Duration::from_secs(60);

struct Subject<'a> {
    transport: &'a dyn Transport,
    listen: Address,
}

struct Clause {
    name: String,
}

impl Clause {
    async fn await_on(self, check: impl Future<Output = ()>) {
        let done = tokio::time::timeout(HANG, check).await;
        assert!(done.is_ok(), "hangs: {}", self.name);
    }
}

impl Subject<'_> {
    fn clause(&self, name: &str) -> Clause {
        Clause { name: format!("{}: {name}", self.transport.scheme()) }
    }

    /// Both ends of a fresh connection, past the handshake.
    async fn pair(&self) -> (Connection, Connection) {
        let (mut connected, mut accepted) = self.strangers().await;
        connected.receiver.set_limits(Limits::MESSAGES);
        accepted.receiver.set_limits(Limits::MESSAGES);
        (connected, accepted)
    }

    async fn strangers(&self) -> (Connection, Connection) {
        let mut listener = self.transport.listen(&self.listen).await.expect("listens");
        let address = listener.address().clone();
        let (connected, accepted) =
            tokio::join!(self.transport.connect(&address), listener.accept());
        (connected.expect("connects"), accepted.expect("accepts"))
    }
}

/// A batch whose frames tell which batch it is.
fn batch(number: usize) -> Frames {
    let frame = |i: usize| Bytes::from(vec![(number + i) as u8; (number * 37 + i * 1001) % 9000]);
    Frames::new((0..number % 7).map(frame).collect())
}

async fn expect(connection: &mut Connection, sent: &Frames) {
    let received = connection.receiver.receive().await.expect("a live link");
    let received = received.expect("one more batch");
    assert!(received.bytes == sent.bytes, "{received:?} is not {sent:?}");
}

async fn is_over(connection: &mut Connection) -> bool {
    matches!(connection.receiver.receive().await, Ok(None) | Err(_))
}

async fn real_address(subject: &Subject<'_>) {
    let first = subject.transport.listen(&subject.listen).await;
    let second = subject.transport.listen(&subject.listen).await;
    let (first, second) = (first.expect("listens"), second.expect("listens again"));
    assert_ne!(first.address(), second.address());
    assert_ne!(first.address(), &subject.listen);
    assert_eq!(first.address().scheme(), subject.transport.scheme());
    let taken = subject.transport.listen(first.address()).await;
    let error = taken.err().expect("the address is taken").to_string();
    assert!(error.contains(first.address().as_str()), "{error}");
}

async fn whole_and_in_order(subject: &Subject<'_>) {
    let (mut from, mut to) = subject.pair().await;
    let sending = async {
        for number in 0..1000 {
            from.sender.send(batch(number)).await.expect("sends");
        }
    };
    let receiving = async {
        for number in 0..1000 {
            expect(&mut to, &batch(number)).await;
        }
    };
    tokio::join!(sending, receiving);
}

async fn large_and_many(subject: &Subject<'_>) {
    let (mut from, mut to) = subject.pair().await;
    let large = Bytes::from((0..32 << 20).map(|i: u32| (i % 251) as u8).collect::<Vec<_>>());
    let mut frames = vec![Bytes::from_static(b"small"), large, Bytes::new()];
    frames.extend((0..4000).map(|i| Bytes::from(vec![7; i % 20])));
    let sent = Frames::new(frames);
    let again = sent.clone();
    let sending = async { from.sender.send(again).await.expect("sends") };
    tokio::join!(sending, expect(&mut to, &sent));
}

async fn clean_close(subject: &Subject<'_>) {
    let (mut from, mut to) = subject.pair().await;
    for number in 0..20 {
        from.sender.send(batch(number)).await.expect("sends");
    }
    from.sender.close().await.expect("closes");
    for number in 0..20 {
        expect(&mut to, &batch(number)).await;
    }
    let end = to.receiver.receive().await.expect("a clean close");
    assert!(end.is_none());
    // The way back is still open.
    to.sender.send(batch(5)).await.expect("sends back");
    expect(&mut from, &batch(5)).await;
    assert!(from.sender.send(batch(5)).await.is_err(), "sent when closed");
}

async fn vanished_peer(subject: &Subject<'_>) {
    let (gone, mut left) = subject.pair().await;
    drop(gone);
    assert!(is_over(&mut left).await);
    // A network may take a few batches before it knows.
    let frames = Frames::new(vec![Bytes::from(vec![0; 1 << 16])]);
    while left.sender.send(frames.clone()).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

async fn both_directions(subject: &Subject<'_>) {
    let (one, other) = subject.pair().await;
    tokio::join!(exchange(one), exchange(other));
}

/// Sends much and receives as much, at once.
async fn exchange(connection: Connection) {
    let Connection { mut sender, mut receiver, .. } = connection;
    const BATCHES: usize = 200;
    let frames = Frames::new(vec![Bytes::from(vec![9; 100_000])]);
    let sending = async {
        for _ in 0..BATCHES {
            sender.send(frames.clone()).await.expect("sends");
        }
        sender.close().await.expect("closes");
    };
    let receiving = async {
        let mut received = 0;
        while let Some(batch) = receiver.receive().await.expect("a live link") {
            assert_eq!(batch.byte_len(), 100_000);
            received += 1;
        }
        assert_eq!(received, BATCHES);
    };
    tokio::join!(sending, receiving);
}

async fn nobody(subject: &Subject<'_>) {
    // A port that was given back may be somebody else's at once: not time after time.
    for _ in 0..20 {
        let listener = subject.transport.listen(&subject.listen).await;
        let address = listener.expect("listens").address().clone();
        if let Err(error) = subject.transport.connect(&address).await {
            let error = error.to_string();
            return assert!(error.contains(address.as_str()), "{error}");
        }
    }
    panic!("connected where nobody listens");
}

async fn listener_goes_on(subject: &Subject<'_>) {
    let listener = subject.transport.listen(&subject.listen).await;
    let mut listener = listener.expect("listens");
    let address = listener.address().clone();
    drop(subject.transport.connect(&address).await.expect("connects"));
    let mut lasting = subject.transport.connect(&address).await.expect("connects");
    lasting.sender.send(batch(6)).await.expect("sends");
    let mut first = listener.accept().await.expect("accepts");
    if is_over(&mut first).await {
        first = listener.accept().await.expect("accepts the next one");
        expect(&mut first, &batch(6)).await;
    }
}

async fn limits(subject: &Subject<'_>) {
    let (mut from, _to) = subject.pair().await;
    let many = Frames::new(vec![Bytes::new(); MAX_FRAMES + 1]);
    let error = from.sender.send(many).await.expect_err("too many frames");
    assert!(error.to_string().contains("limit"), "{error}");

    let (mut stranger, mut host) = subject.strangers().await;
    let large = Frames::new(vec![Bytes::from(vec![0; MAX_HANDSHAKE_BYTES + 1])]);
    let sending = async {
        // The other end may hang up before all is sent.
        let _ = stranger.sender.send(large.clone()).await;
        stranger
    };
    let receiving = async {
        let refused = host.receiver.receive().await;
        let error = refused.expect_err("too large for a stranger");
        assert!(error.to_string().contains("limit"), "{error}");
        drop(host);
    };
    tokio::join!(sending, receiving);
}

async fn objects(subject: &Subject<'_>) {
    let (mut from, mut to) = subject.pair().await;
    let object: Arc<dyn Object> = Arc::new(Live);
    let frames = Frames {
        bytes: vec![Bytes::from_static(b"by reference")],
        objects: vec![Arc::clone(&object)],
    };
    let sent = from.sender.send(frames).await;
    if from.carriage == Carriage::Bytes {
        assert!(sent.is_err(), "an object left the process");
        return;
    }
    sent.expect("shares memory");
    let received = to.receiver.receive().await.expect("a live link");
    let received = received.expect("a batch").objects;
    assert!(Arc::ptr_eq(&received[0], &object));
}

struct Live;

impl Object for Live {
    fn encode(self: Arc<Self>) -> Result<Payload, ValueError> {
        Ok(Bytes::from_static(b"live").into())
    }

    fn encode_to(&self, _: &mut dyn std::io::Write) -> Result<(), ValueError> {
        unreachable!("only a worker writes to its disk")
    }

    fn nbytes(&self) -> u64 {
        4
    }

    fn type_name(&self) -> &'static str {
        "Live"
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
