//! One worker's connections over real loopback sockets; its peers are threads that block.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::super::{Bound, Connections, Failure, Sockets, StreamSettings, bind};
use super::settings::{QUEUE_BYTES, QUEUE_MESSAGES};
use crate::sip::peer::Peers;
use crate::sip::{Flow, ListenerId, Transport};
use crate::telemetry::Metrics;

/// Nothing on loopback takes this long; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(20);

/// So short that a test can wait for it to pass.
const SHORT: Duration = Duration::from_millis(50);

struct World {
    sockets: Sockets,
    connections: Arc<Connections>,
    address: SocketAddr,
    received: Vec<(Flow, Bytes)>,
    failed: Vec<Failure>,
}

impl World {
    fn with(settings: StreamSettings) -> Self {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let connections = Connections::new(settings, Arc::new(Peers::default()), Arc::default(), metrics);
        let bound: Vec<Bound> = bind(Transport::Tcp, "127.0.0.1:0".parse().unwrap(), 1).expect("a free port");
        let sockets = Sockets::new(&bound, 0, &connections).expect("sockets");
        Self {
            sockets,
            connections,
            address: bound[0].local(),
            received: Vec::new(),
            failed: Vec::new(),
        }
    }

    fn new() -> Self {
        Self::with(StreamSettings {
            max_connections: 64,
            ..StreamSettings::default()
        })
    }

    /// Takes what has come, and lets the connections' tasks run.
    async fn turn(&mut self) {
        poll_fn(|cx| {
            let _ = self.sockets.poll_receive(cx, &mut self.received);
            Poll::Ready(())
        })
        .await;
        self.failed.extend(self.sockets.failures());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Runs the sockets until something is so.
    async fn until(&mut self, mut so: impl FnMut(&Self) -> bool) {
        let waiting = async {
            while !so(self) {
                self.turn().await;
            }
        };
        tokio::time::timeout(LONG, waiting).await.expect("it comes to that");
    }

    /// The next message.
    async fn next(&mut self) -> (Flow, Bytes) {
        self.until(|world| !world.received.is_empty()).await;
        self.received.remove(0)
    }

    fn counted(&self, closed_by: &str) -> u64 {
        let closed = &self.connections.metrics.connections_closed;
        closed.with_label_values(&[closed_by]).get()
    }

    async fn until_closed(&mut self, cause: &str) {
        self.until_counted(cause, 1).await;
    }

    async fn until_counted(&mut self, cause: &str, times: u64) {
        self.until(|world| world.counted(cause) >= times).await;
    }

    fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream
    }
}

fn message(call: &str, body: &str) -> String {
    format!(
        "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK{call}\r\nFrom: <sip:a@b>;tag=f\r\n\
         To: <sip:c@d>\r\nCall-ID: {call}\r\nCSeq: 1 MESSAGE\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

fn to(remote: SocketAddr) -> Flow {
    Flow::new(ListenerId(0), Transport::Tcp, remote)
}

fn read_exactly(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("so many bytes");
    bytes
}

fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the end");
    String::from_utf8(bytes).expect("text")
}

#[tokio::test]
async fn an_answer_goes_back_by_the_connection_its_request_came_by() {
    let mut world = World::new();
    let (mut one, mut two) = (world.client(), world.client());
    let large = "x".repeat(64 * 1024);
    for (client, call) in [(&mut one, "1"), (&mut two, "2")] {
        client.write_all(message(call, &large).as_bytes()).expect("written");
    }
    for _ in 0..2 {
        let (flow, bytes) = world.next().await;
        // Where a new connection would go is another matter.
        let mut back = flow;
        back.remote.set_port(9);
        world.sockets.send(0, back, bytes);
    }
    world.until(|world| world.sockets.queued_bytes() == 0).await;
    for (client, call) in [(&mut one, "1"), (&mut two, "2")] {
        let sent = message(call, &large);
        assert_eq!(read_exactly(client, sent.len()), sent.as_bytes());
    }
    assert!(world.failed.is_empty());
}

#[tokio::test]
async fn where_the_connection_is_gone_the_answer_goes_by_a_new_one() {
    let mut world = World::new();
    let mut client = world.client();
    client.write_all(message("1", "").as_bytes()).expect("written");
    let (flow, _) = world.next().await;
    drop(client);
    world.until_closed("peer").await;
    world.until(|world| !world.sockets.has_connections()).await;
    let sent_by = listener();
    let mut back = flow;
    back.remote = sent_by.local_addr().expect("bound");
    world.sockets.send(0, back, Bytes::from_static(b"answer"));
    world.until(|world| world.sockets.queued_bytes() == 0).await;
    let (mut stream, _) = sent_by.accept().expect("connected");
    assert_eq!(read_exactly(&mut stream, 6), b"answer");
}

#[tokio::test]
async fn requests_share_one_connection_and_the_peer_may_use_it_too() {
    let mut world = World::new();
    let trunk = listener();
    let remote = trunk.local_addr().expect("bound");
    for text in ["one", "two"] {
        world.sockets.send(0, to(remote), Bytes::from_static(text.as_bytes()));
    }
    world.until(|world| world.sockets.queued_bytes() == 0).await;
    let (mut stream, _) = trunk.accept().expect("connected");
    assert_eq!(read_exactly(&mut stream, 6), b"onetwo");
    stream.write_all(message("1", "").as_bytes()).expect("written");
    let (flow, _) = world.next().await;
    assert_eq!(flow.remote, remote);
    assert!(flow.connection.is_some());
    world.sockets.send(0, flow, Bytes::from_static(b"three"));
    world.until(|world| world.sockets.queued_bytes() == 0).await;
    assert_eq!(read_exactly(&mut stream, 5), b"three");
}

#[tokio::test]
async fn an_inbound_connection_takes_requests_to_the_address_it_came_from() {
    let mut world = World::new();
    let mut client = world.client();
    client.write_all(message("1", "").as_bytes()).expect("written");
    let (flow, _) = world.next().await;
    world.sockets.send(0, to(flow.remote), Bytes::from_static(b"request"));
    world.until(|world| world.sockets.queued_bytes() == 0).await;
    assert_eq!(read_exactly(&mut client, 7), b"request");
    drop(client);
    world.until(|world| !world.failed.is_empty()).await;
    assert_eq!((world.failed[0].flow, world.failed[0].workers), (to(flow.remote), 1));
}

#[tokio::test]
async fn who_cannot_be_reached_is_told_and_reached_once_it_is_back() {
    let mut world = World::new();
    let remote = listener().local_addr().expect("bound");
    world.sockets.send(0, to(remote), Bytes::from_static(b"lost"));
    world.until(|world| !world.failed.is_empty()).await;
    assert_eq!((world.failed[0].flow, world.failed[0].workers), (to(remote), 1));
    assert_eq!(world.counted("not-connected"), 1);
    world.failed.clear();
    // The trunk is back, ends, and is back again.
    for call in ["1", "2"] {
        let trunk = TcpListener::bind(remote).expect("the same port");
        world.sockets.send(0, to(remote), Bytes::from_static(b"found"));
        world.until(|world| world.sockets.queued_bytes() == 0).await;
        let (mut stream, _) = trunk.accept().expect("connected");
        assert_eq!(read_exactly(&mut stream, 5), b"found", "{call}");
        drop((stream, trunk));
        world.until(|world| !world.failed.is_empty()).await;
        assert_eq!(world.failed.pop().map(|failed| failed.flow), Some(to(remote)));
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_delays_nobody_and_loses_its_connection() {
    let mut world = World::with(StreamSettings {
        // What ends it is what piles up, however slow the machine is.
        write_timeout: Duration::from_secs(600),
        max_connections: 64,
        ..StreamSettings::default()
    });
    let (mut slow, mut quick) = (world.client(), world.client());
    slow.write_all(message("slow", "").as_bytes()).expect("written");
    let (slow_flow, _) = world.next().await;
    quick.write_all(message("quick", "").as_bytes()).expect("written");
    let (quick_flow, _) = world.next().await;
    let large = Bytes::from(vec![b'x'; 64 * 1024]);
    // More than any socket buffers hold, and then some that waits.
    let mut sent = 0;
    while world.counted("slow") == 0 {
        assert!(sent < 1024, "64 MB are nowhere");
        for _ in 0..4 {
            world.sockets.send(0, slow_flow, large.clone());
            sent += 1;
        }
        assert!(world.sockets.queued_bytes() <= QUEUE_BYTES);
        // The other one's answer waits for nothing of all that.
        world.sockets.send(0, quick_flow, Bytes::from_static(b"quick"));
        world
            .until(|world| world.sockets.queued_bytes() % large.len() == 0)
            .await;
        assert_eq!(read_exactly(&mut quick, 5), b"quick");
    }
    quick.write_all(message("again", "").as_bytes()).expect("written");
    assert_eq!(world.next().await.0, quick_flow);
    let mut rest = Vec::new();
    // What had been written comes, and then the end, as a reset or not.
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.len() < sent * large.len());
}

#[tokio::test]
async fn writing_that_gets_nowhere_ends_the_connection() {
    let mut world = World::with(StreamSettings {
        write_timeout: SHORT,
        max_connections: 64,
        ..StreamSettings::default()
    });
    let mut slow = world.client();
    slow.write_all(message("slow", "").as_bytes()).expect("written");
    let (flow, _) = world.next().await;
    while world.sockets.has_connections() {
        // As much as there is room for: the socket's buffers are to be full long before the kernel gives up on its own.
        while world.sockets.has_connections() && world.sockets.queued_bytes() < QUEUE_BYTES / 2 {
            world.sockets.send(0, flow, Bytes::from(vec![b'x'; 64 * 1024]));
        }
        world.turn().await;
    }
    assert_eq!(world.counted("slow"), 1);
}

#[tokio::test]
async fn a_flood_on_one_connection_does_not_hold_up_another() {
    let mut world = World::new();
    let mut flood = world.client();
    let writer = std::thread::spawn(move || {
        let batch = message("flood", "").repeat(64);
        // Ends when the other end of the connection goes.
        while flood.write_all(batch.as_bytes()).is_ok() {}
    });
    world.until(|world| world.received.len() >= 1000).await;
    let mut quiet = world.client();
    quiet.write_all(message("quiet", "").as_bytes()).expect("written");
    world.received.clear();
    let is_quiet = |(_, bytes): &(Flow, Bytes)| bytes.starts_with(message("quiet", "").as_bytes());
    world.until(|world| world.received.iter().any(is_quiet)).await;
    // It has had its turn; from now on they take turns.
    for _ in 0..10 {
        world.received.clear();
        quiet.write_all(message("quiet", "").as_bytes()).expect("written");
        world.until(|world| world.received.iter().any(is_quiet)).await;
    }
    // The connection's task ends with its worker, as soon as it runs.
    drop(world);
    let ended = tokio::task::spawn_blocking(move || writer.join());
    let ended = tokio::time::timeout(LONG, ended).await.expect("it ends");
    ended.expect("a thread").expect("no panic");
}

#[tokio::test]
async fn pings_are_answered_and_sent() {
    let mut world = World::with(StreamSettings {
        keep_alive: SHORT,
        max_connections: 64,
        ..StreamSettings::default()
    });
    let mut client = world.client();
    client.write_all(b"\r\n\r\n").expect("written");
    world.until(|world| world.sockets.has_connections()).await;
    let pong = tokio::task::spawn_blocking(move || read_exactly(&mut client, 2));
    assert_eq!(pong.await.expect("a thread"), b"\r\n");
    let trunk = listener();
    world
        .sockets
        .send(0, to(trunk.local_addr().expect("bound")), Bytes::from_static(b"x"));
    let pinged = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = trunk.accept().expect("connected");
        read_exactly(&mut stream, 5)
    });
    assert_eq!(pinged.await.expect("a thread"), b"x\r\n\r\n");
}

#[tokio::test]
async fn a_request_without_content_length_gets_400_and_the_connection_is_closed() {
    let mut world = World::new();
    let mut client = world.client();
    let whole = message("1", "");
    let without = whole.replace("Content-Length: 0\r\n", "");
    client
        .write_all(format!("{whole}{without}{whole}").as_bytes())
        .expect("written");
    let answered = tokio::task::spawn_blocking(move || {
        let answer = read_exactly(&mut client, 20);
        drop(client);
        answer
    });
    let (_, first) = world.next().await;
    assert_eq!(first, whole);
    world.until_closed("fault").await;
    assert!(answered.await.expect("a thread").starts_with(b"SIP/2.0 400 Missing"));
    assert!(world.received.is_empty(), "what follows a fault is not read");
    let errors = &world.connections.metrics.parse_errors;
    assert_eq!(errors.with_label_values(&["stream-no-content-length"]).get(), 1);
}

#[tokio::test]
async fn garbage_closes_its_connection_and_is_counted() {
    let mut world = World::new();
    let mut client = world.client();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("written");
    let read = tokio::task::spawn_blocking(move || read_to_end(&mut client));
    world.until_closed("fault").await;
    assert_eq!(read.await.expect("a thread"), "");
    let errors = &world.connections.metrics.parse_errors;
    assert_eq!(errors.with_label_values(&["stream-garbage"]).get(), 1);
}

#[tokio::test]
async fn who_says_nothing_or_half_a_message_is_closed_in_time() {
    let mut world = World::with(StreamSettings {
        handshake_timeout: SHORT,
        max_connections: 64,
        ..StreamSettings::default()
    });
    let silent = world.client();
    let mut half = world.client();
    half.write_all(message("1", "").as_bytes()).expect("written");
    half.write_all(b"BYE sip:a SIP/2.0\r\n").expect("written");
    world.until_counted("handshake", 2).await;
    drop((silent, half));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mut world = World::with(StreamSettings {
        idle_timeout: SHORT,
        max_connections: 64,
        ..StreamSettings::default()
    });
    let mut client = world.client();
    client.write_all(message("1", "").as_bytes()).expect("written");
    world.until_closed("idle").await;
    assert_eq!(read_to_end(&mut client), "");
}

#[tokio::test]
async fn one_address_gets_no_more_connections_than_it_may() {
    let mut world = World::with(StreamSettings {
        max_connections: 64,
        max_per_address: 2,
        ..StreamSettings::default()
    });
    let mut held: Vec<TcpStream> = Vec::new();
    for call in ["1", "2"] {
        let mut client = world.client();
        client.write_all(message(call, "").as_bytes()).expect("written");
        world.next().await;
        held.push(client);
    }
    let mut third = world.client();
    let refused = tokio::task::spawn_blocking(move || {
        let mut byte = [0];
        // Closed at once, or reset.
        third.read(&mut byte).unwrap_or(0)
    });
    assert_eq!(refused.await.expect("a thread"), 0);
    let counter = &world.connections.metrics.connections_refused;
    assert_eq!(counter.with_label_values(&["address"]).get(), 1);
    held.pop();
    world.until_closed("peer").await;
    let mut again = world.client();
    again.write_all(message("3", "").as_bytes()).expect("written");
    assert!(world.next().await.1.starts_with(b"MESSAGE"));
}

#[tokio::test]
async fn a_connection_of_another_worker_is_found_there() {
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let connections = Connections::new(
        StreamSettings::default(),
        Arc::new(Peers::default()),
        Arc::default(),
        metrics,
    );
    let bound = bind(Transport::Tcp, "127.0.0.1:0".parse().unwrap(), 2).expect("a free port");
    let address = bound[0].local();
    let mut workers: Vec<World> = bound
        .into_iter()
        .enumerate()
        .map(|(position, bound)| World {
            sockets: Sockets::new(&[bound], position, &connections).expect("sockets"),
            connections: Arc::clone(&connections),
            address,
            received: Vec::new(),
            failed: Vec::new(),
        })
        .collect();
    let mut client = workers[0].client();
    client.write_all(message("1", "").as_bytes()).expect("written");
    let (mut one, mut two) = (workers.remove(0), workers.remove(0));
    let ((flow, _), mut owner, other, position) = tokio::select! {
        found = async { (one.next().await, one.sockets.elsewhere(&to(address))) } => (found.0, one, two, 0),
        found = async { (two.next().await, two.sockets.elsewhere(&to(address))) } => (found.0, two, one, 1),
    };
    assert_eq!(other.sockets.elsewhere(&flow), Some(position));
    assert_eq!(other.sockets.elsewhere(&to(flow.remote)), Some(position));
    assert_eq!(owner.sockets.elsewhere(&flow), None);
    owner
        .sockets
        .send(1 - position, to(flow.remote), Bytes::from_static(b"handed"));
    owner.until(|owner| owner.sockets.queued_bytes() == 0).await;
    assert_eq!(read_exactly(&mut client, 6), b"handed");
    drop(client);
    owner.until(|owner| !owner.failed.is_empty()).await;
    assert_eq!(owner.failed[0].workers, 1 << (1 - position), "who sent it is told");
    drop(owner);
    assert_eq!(other.sockets.elsewhere(&to(flow.remote)), None);
}

#[tokio::test]
async fn messages_of_all_sizes_are_written_in_order() {
    let mut world = World::new();
    let trunk = listener();
    let remote = trunk.local_addr().expect("bound");
    let mut expected = Vec::new();
    for number in 0..QUEUE_MESSAGES / 2 {
        let size = [1, 700, 17_000, 3, 16_384, 900][number % 6];
        let byte = u8::try_from(number % 251).expect("below 251");
        // What waits is bounded; what is written makes room.
        world
            .until(|world| world.sockets.queued_bytes() + size < QUEUE_BYTES)
            .await;
        world.sockets.send(0, to(remote), Bytes::from(vec![byte; size]));
        expected.extend(std::iter::repeat_n(byte, size));
        if number == 40 {
            break;
        }
    }
    let length = expected.len();
    let read = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = trunk.accept().expect("connected");
        read_exactly(&mut stream, length)
    });
    assert_eq!(read.await.expect("a thread"), expected);
    assert_eq!(world.sockets.dropped(), 0);
}
