//! In process, over real loopback sockets on free ports, with a moved clock.

mod workers;

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::shard::Shards;
use super::shared::Shared;
use super::worker::Worker;
use super::*;
use crate::api::Host as _;
use crate::gate::Gate;
use crate::ledger::{
    Answer, AttemptId, AttemptMeta, DecisionNote, Entry, Forgotten, History, Key, Ledger, Outcome, Recorded, ReserveIf,
    Reserved, Standing,
};
use crate::numbering::E164;
use crate::screening::Screening;
use crate::sip::message::{Header, Message, Method, Response};
use crate::sip::proxy::{Listener, Settings};
use crate::sip::transport::{Connections, bind_udp};
use crate::sip::{ListenerId, Transport};
use crate::telemetry::Metrics;

/// Nothing here takes this long; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(20);

/// A Tuesday at 10:30 in Paris, four weeks without a holiday around it that matters.
const LAWFUL: &str = "2024-05-14T10:30:00+02:00";

/// A PBX or a trunk.
struct Peer(UdpSocket);

impl Peer {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(LONG)).expect("a timeout");
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    fn invite(&self, proxy: SocketAddr, call: &str, to: &str) {
        let local = self.address();
        let text = format!(
            "INVITE sip:{to}@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{call};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:0162001001@{local}>;tag=f\r\nTo: <sip:{to}@{proxy}>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:pbx@{local}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.0.send_to(text.as_bytes(), proxy).expect("sent");
    }

    fn receive(&self) -> (Message, SocketAddr) {
        let mut buffer = [0; 8192];
        let (length, from) = self.0.recv_from(&mut buffer).expect("a message");
        (
            Message::parse(Bytes::copy_from_slice(&buffer[..length])).expect("SIP"),
            from,
        )
    }

    /// The next INVITE; whatever else comes is passed over.
    fn next_invite(&self) -> (Message, SocketAddr) {
        loop {
            let (message, from) = self.receive();
            if message.is_request() && message.method() == Method::Invite {
                return (message, from);
            }
        }
    }

    fn answer(&self, request: &(Message, SocketAddr), status: u16) {
        let contact = format!("<sip:trunk@{}>", self.address());
        let mut headers = vec![("Contact", contact.as_str())];
        headers.extend(
            request
                .0
                .values(Header::RecordRoute)
                .map(|route| ("Record-Route", route)),
        );
        let response = Response {
            request: &request.0,
            status,
            phrase: "",
            to_tag: "t",
            received_from: Some(request.1),
            headers: &headers,
        };
        self.0
            .send_to(&response.write(&mut BytesMut::new()), request.1)
            .expect("sent");
    }

    /// The final answer to a call.
    fn result(&self, call: &str) -> Message {
        loop {
            let (message, _) = self.receive();
            if message.status() >= 200 && message.call_id() == call {
                return message;
            }
        }
    }
}

fn text(store: &Path, sources: &[(&str, &Peer)], trunk: &Peer) -> String {
    let mut text = format!(
        "[sip]\nlisten = [\"udp://127.0.0.1:0\"]\ndrain = \"60s\"\n[store]\npath = {:?}\n[api]\nlisten = \"127.0.0.1:0\"\n\
         [[professional]]\nid = \"acme\"\nsiren = \"999000003\"\nnumbers = [\"0162001000-0162001999\"]\n\
         [[trunk]]\nid = \"carrier\"\ntarget = \"sip:{}\"\n",
        store.display().to_string(),
        trunk.address()
    );
    for (id, peer) in sources {
        let address = peer.address();
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "[[source]]\nid = \"{id}\"\naddresses = [\"{address}\"]\nprofessionals = [\"acme\"]\ndialling = \"automated\"\n",
        );
    }
    text
}

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("test.toml")).expect("a good configuration")
}

fn at(moment: &str) -> WallClock {
    let moved = MovedClock::default();
    moved.set(moment.parse().expect("a time"));
    WallClock::Moved(moved)
}

fn setup() -> Setup {
    Setup {
        clock: at(LAWFUL),
        ..Setup::default()
    }
}

/// A server, its store's folder, a PBX and a trunk.
fn world(setup: Setup) -> (Server, TempDir, Peer, Peer) {
    world_of(1, setup)
}

/// The same with so many workers.
fn world_of(workers: usize, setup: Setup) -> (Server, TempDir, Peer, Peer) {
    let folder = tempfile::tempdir().expect("a folder");
    let (pbx, trunk) = (Peer::new(), Peer::new());
    let mut config = parse(&text(folder.path(), &[("dialer", &pbx)], &trunk));
    config.sip.workers = workers;
    let server = Server::start(config, setup).expect("started");
    (server, folder, pbx, trunk)
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn free_ports_are_told_and_a_stopped_server_leaves_its_store_to_the_next() {
    let (server, folder, pbx, trunk) = world(setup());
    let told: Addresses =
        serde_json::from_slice(&std::fs::read(folder.path().join("addresses.json")).expect("written")).expect("JSON");
    assert_eq!(&told, server.addresses());
    assert_eq!(told.sip, [format!("udp://{}", server.sip()[0])]);
    assert!(std::net::TcpStream::connect(told.api.expect("an API")).is_ok());
    assert!(folder.path().join("clapet.sock").exists());
    let state = server.control().state();
    assert!(state.ready && state.store.healthy && !state.draining, "{state:?}");

    let again = parse(&text(folder.path(), &[("dialer", &pbx)], &trunk));
    let held = Server::start(again.clone(), setup())
        .err()
        .expect("the store is held")
        .to_string();
    assert!(held.contains(&std::process::id().to_string()), "{held}");

    server.close().expect("closed");
    assert!(!folder.path().join("addresses.json").exists() && !folder.path().join("clapet.sock").exists());
    Server::start(again, setup())
        .expect("started again")
        .close()
        .expect("closed");
}

#[test]
fn both_legs_of_every_call_meet_in_one_of_several_workers() {
    let (server, _folder, pbx, trunk) = world_of(3, setup());
    let proxy = server.sip()[0];
    for number in 0..24 {
        let call = format!("call-{number}");
        pbx.invite(proxy, &call, &format!("01990000{number:02}"));
        let invite = trunk.next_invite();
        assert_eq!(invite.0.call_id(), call);
        trunk.answer(&invite, 486);
        assert_eq!(pbx.result(&call).status(), 486);
    }
    assert_eq!(server.control().restarts(), 0);
    server.close().expect("closed");
}

#[test]
fn a_refused_call_never_reaches_the_trunk() {
    let (server, _folder, pbx, trunk) = world(Setup {
        clock: at("2024-05-14T13:30:00+02:00"),
        ..setup()
    });
    pbx.invite(server.sip()[0], "lunch", "0199000001");
    let answer = pbx.result("lunch");
    assert_eq!(answer.status(), 403);
    assert!(answer.first(Header::Reason).expect("a Reason").contains("hours.window"));
    server.close().expect("closed");
    trunk.0.set_nonblocking(true).expect("set");
    assert!(trunk.0.recv(&mut [0; 16]).is_err(), "nothing was sent to the trunk");
}

#[test]
fn a_dead_trunk_is_known_by_its_icmp_answer_and_not_by_a_timer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pbx, trunk) = (Peer::new(), Peer::new());
    let config = parse(&text(folder.path(), &[("dialer", &pbx)], &trunk));
    drop(trunk);
    let server = Server::start(config, setup()).expect("started");
    let began = Instant::now();
    pbx.invite(server.sip()[0], "dead", "0199000001");
    assert!(pbx.result("dead").status() >= 500);
    assert!(began.elapsed() < TIMER_B, "{:?}", began.elapsed());
    server.close().expect("closed");
}

#[test]
fn a_good_file_is_reloaded_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pbx, other, trunk) = (Peer::new(), Peer::new(), Peer::new());
    let file = folder.path().join("clapet.toml");
    let store = folder.path().join("store");
    let good = text(&store, &[("dialer", &pbx)], &trunk);
    std::fs::write(&file, &good).expect("written");
    let from = Some(file.clone());
    let server = Server::start(Config::load(&file).expect("good"), Setup { from, ..setup() }).expect("started");
    let proxy = server.sip()[0];
    let control = Arc::clone(server.control());
    other.invite(proxy, "before", "0199000001");
    assert_eq!(other.result("before").status(), 403);

    std::fs::write(
        &file,
        text(&store, &[("new", &other), ("dialer", &pbx)], &trunk) + "nonsense = 1\n",
    )
    .expect("written");
    let why = control.reload().expect_err("a bad file");
    assert!(why.contains("clapet.toml:") && why.contains("nonsense"), "{why}");
    other.invite(proxy, "still", "0199000001");
    assert_eq!(other.result("still").status(), 403);

    std::fs::write(&file, text(&store, &[("new", &other), ("dialer", &pbx)], &trunk)).expect("written");
    assert_eq!(control.reload(), Ok(Vec::new()));
    for (peer, call) in [(&other, "after"), (&pbx, "as before")] {
        let call = call.replace(' ', "-");
        peer.invite(proxy, &call, "0199000001");
        let invite = trunk.next_invite();
        trunk.answer(&invite, 486);
        assert_eq!(peer.result(&call).status(), 486);
    }
    let sources: Vec<_> = server
        .gate()
        .policy()
        .roster
        .sources()
        .iter()
        .map(|source| source.id.to_string())
        .collect();
    assert_eq!(sources, ["dialer", "new"], "who was there keeps its position");

    std::fs::write(
        &file,
        text(&store, &[("new", &other)], &trunk)
            .replace("127.0.0.1:0", "127.0.0.1:1")
            .replace("drain =", "workers = 7\ndrain ="),
    )
    .expect("written");
    let warnings = control.reload().expect("good, with remarks");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings.contains(&"sip.workers: takes effect at the next start".to_owned()),
        "{warnings:?}"
    );
    pbx.invite(proxy, "gone", "0199000001");
    assert!(
        pbx.result("gone")
            .first(Header::Reason)
            .expect("a Reason")
            .contains("source.unknown")
    );
    server.close().expect("closed");
}

#[test]
fn a_drain_refuses_new_calls_and_waits_for_those_that_ring() {
    let (server, _folder, pbx, trunk) = world_of(2, setup());
    let proxy = server.sip()[0];
    pbx.invite(proxy, "rings", "0199000001");
    let ringing = trunk.next_invite();
    trunk.answer(&ringing, 180);
    let control = Arc::clone(server.control());
    let draining = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(server.drain(std::future::pending()));
        server
    });
    eventually("the drain begins", || control.state().draining);
    pbx.invite(proxy, "late", "0199000002");
    assert_eq!(pbx.result("late").status(), 503);
    assert!(!control.state().ready && !draining.is_finished());
    trunk.answer(&ringing, 200);
    assert_eq!(pbx.result("rings").status(), 200);
    let server = draining.join().expect("drained");
    assert_eq!(control.pending(), 0);
    server.close().expect("closed");
}

#[test]
fn a_second_signal_ends_the_drain() {
    let (server, _folder, pbx, trunk) = world(setup());
    pbx.invite(server.sip()[0], "rings", "0199000001");
    trunk.answer(&trunk.next_invite(), 180);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let began = Instant::now();
    runtime.block_on(server.drain(std::future::ready(())));
    assert!(began.elapsed() < DRAIN, "it did not wait for `drain`");
    server.close().expect("flushed all the same");
}

/// Panics when asked about one number; knows nothing of the others.
struct Fragile(E164);

impl Ledger for Fragile {
    fn history(&self, key: Key) -> Answer<Result<History, StoreError>> {
        assert!(key.callee != self.0, "asked about the one number");
        Answer::Ready(Ok(History::default()))
    }

    fn reserve(&self, _: ReserveIf) -> Answer<Result<Reserved, StoreError>> {
        Answer::Later(Box::pin(std::future::ready(Ok(Reserved::Granted(AttemptId(1))))))
    }

    fn settle(&self, _: Key, _: AttemptId, _: Outcome, _: DateTime<Utc>) {}

    fn record(&self, _: Vec<Entry>) -> Answer<Result<Recorded, StoreError>> {
        Answer::Ready(Err(StoreError::Closed))
    }

    fn note_decision(&self, _: DecisionNote) {}

    fn recover(&self, _: Key, _: DateTime<Utc>, _: AttemptMeta) {}

    fn forget(&self, _: E164, _: DateTime<Utc>) -> Answer<Result<Forgotten, StoreError>> {
        Answer::Ready(Err(StoreError::Closed))
    }

    fn standing(&self) -> Standing {
        Standing::default()
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn records(&self) -> u64 {
        0
    }

    fn lag(&self) -> u64 {
        0
    }

    fn close(&self) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }
}

#[test]
fn a_worker_that_panics_is_counted_and_takes_the_next_call() {
    let (pbx, trunk) = (Peer::new(), Peer::new());
    let config = parse(&text(Path::new("unused"), &[("dialer", &pbx)], &trunk));
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let fragile = Arc::new(Fragile(E164::new(33_199_000_013).expect("a number")));
    let policy = config.policy(&Standing::default()).expect("a policy");
    let gate = Gate::new(policy, fragile, Arc::new(Screening::in_memory()), Arc::clone(&metrics));
    let bound = bind_udp("127.0.0.1:0".parse().expect("an address"), 1).expect("a free port");
    let proxy = bound[0].local();
    let shared = Arc::new(Shared::new(control::routing(&config), 1));
    let (outside, inbox) = mpsc::channel(8);
    let connections = Connections::new(
        config.sip.streams.clone(),
        Arc::clone(&config.peers),
        Arc::clone(&config.sip.tls),
        Arc::clone(&metrics),
    );
    let settings = Settings {
        listeners: vec![Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            advertise: proxy.to_string().into(),
            local: proxy,
        }],
        secret: [1; 32],
        instance: 1,
        max_asks: 10,
        max_transactions: 10,
        timer_c: Duration::from_secs(185),
        t1: Duration::from_millis(500),
        seed: 1,
    };
    let clock = at(LAWFUL);
    let shards = Shards::new(&[1; 32], [settings], &shared, &metrics, clock.now());
    let worker = Worker {
        position: 0,
        bound: [bound].into(),
        connections,
        shared: Arc::clone(&shared),
        shards: Arc::new(shards),
        inbox,
        others: vec![outside.clone()],
        gate,
        metrics,
        clock,
    };
    let thread = std::thread::spawn(move || worker.run());
    pbx.invite(proxy, "poison", "0199000013");
    eventually("the panic is counted", || shared.restarts() == 1);
    pbx.invite(proxy, "next", "0199000001");
    let invite = trunk.next_invite();
    assert_eq!(invite.0.call_id(), "next");
    trunk.answer(&invite, 200);
    assert_eq!(pbx.result("next").status(), 200);
    shared.stop();
    outside.try_send(super::worker::Inbound::Look).expect("room");
    thread.join().expect("ended");
}

/// `drain` in [`text`]: what ends earlier did not wait for it.
const DRAIN: Duration = Duration::from_secs(60);

/// 64*T1 (RFC 3261 §17.1.1.2): what ends earlier was not ended by the timer.
const TIMER_B: Duration = Duration::from_secs(32);
