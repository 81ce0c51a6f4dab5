//! A PBX, two trunks, a stranger and the proxy between them, in virtual time: nothing sleeps, nothing is sent, and a run with the
//! same seed is the same run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use clapet::gate::{Decision, NumberRange, SourceIndex};
use clapet::law::Law;
use clapet::ledger::Outcome;
use clapet::numbering::E164;
use clapet::sip::message::{Header, Message};
use clapet::sip::peer::{
    Access, Matcher, NumberFormat, Peers, Place, Probing, Source, Target, Trunk, TrustedHeaders, Watch,
};
use clapet::sip::proxy::{AskId, Listener, Output, Proxy, Routing, Settings};
use clapet::sip::{Flow, ListenerId, Now, Transport};
use clapet::telemetry::Metrics;

use super::gate::ScriptedGate;
use super::network::{Down, Link, Network};
use super::ua::{Invite, Ua};

/// Positions in [`World::ends`].
pub const PBX: usize = 0;
pub const TRUNK_A: usize = 1;
pub const TRUNK_B: usize = 2;
/// An address that nobody configured.
pub const STRANGER: usize = 3;
/// An address that nobody configured, but among those that may reach emergency numbers.
pub const NEIGHBOUR: usize = 4;

const NAMES: [(&str, &str); 5] = [
    ("pbx", "192.0.2.10:5060"),
    ("trunka", "192.0.2.20:5060"),
    ("trunkb", "192.0.2.21:5060"),
    ("stranger", "198.51.100.9:5060"),
    ("neighbour", "10.1.2.3:5060"),
];

/// The proxy's address.
pub const PROXY: &str = "192.0.2.1:5060";

/// How a world is made.
pub struct Setup {
    pub seed: u64,
    pub link: Link,
    pub max_asks: usize,
    pub max_transactions: usize,
    pub refuse_with: u16,
    pub silence_unknown: bool,
    /// Trunks that exist: one or two, of equal weight, A first.
    pub trunks: usize,
    pub number_format: NumberFormat,
    /// Credentials and limits of the PBX.
    pub access: Access,
    /// The PBX is known by its credentials alone.
    pub by_digest_alone: bool,
    /// How trunks are probed.
    pub options: Option<Probing>,
    /// The first trunk's name leads to the second one's address too, which comes second.
    pub further: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 0,
            link: Link::CLEAN,
            max_asks: 1000,
            max_transactions: 10_000,
            refuse_with: 403,
            silence_unknown: false,
            trunks: 2,
            number_format: NumberFormat::AsDialled,
            access: Access::default(),
            by_digest_alone: false,
            options: None,
            further: false,
        }
    }
}

/// A datagram on the wire, as it was sent.
pub struct Packet {
    pub at: Duration,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Bytes,
}

impl Packet {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// First line.
    pub fn line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }
}

enum Event {
    Arrive {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
    Decide {
        id: AskId,
        decision: Decision,
    },
    Unreachable {
        flow: Flow,
    },
}

/// Everything at one moment.
pub struct World {
    pub proxy: Proxy,
    pub gate: ScriptedGate,
    pub network: Network,
    pub ends: Vec<Ua>,
    pub metrics: Arc<Metrics>,
    /// All that was sent, lost or not.
    pub wire: Vec<Packet>,
    pub now: Duration,
    begin: Instant,
    wall: DateTime<Utc>,
    order: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Event>,
    serial: u64,
    stalled: u32,
}

impl World {
    /// An ordinary world.
    pub fn new() -> Self {
        Self::with(&Setup::default())
    }

    pub fn with(setup: &Setup) -> Self {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let listener = Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            advertise: PROXY.into(),
            local: socket(PROXY),
        };
        let settings = Settings {
            listeners: vec![listener],
            secret: [7; 32],
            seed: setup.seed,
            instance: 1,
            max_asks: setup.max_asks,
            max_transactions: setup.max_transactions,
            timer_c: Duration::from_secs(200),
            t1: super::ua::T1,
        };
        let mut proxy = Proxy::new(settings, routing(setup), metrics.clone());
        let begin = Instant::now();
        // Tuesday, 11:00 in Paris.
        let wall = "2023-06-06T09:00:00Z".parse().expect("a moment");
        if setup.options.is_some() {
            proxy.probe(Now { mono: begin, wall });
        }
        let ends = NAMES
            .iter()
            .map(|&(name, address)| Ua::new(name, socket(address), socket(PROXY)))
            .collect();
        Self {
            proxy,
            gate: ScriptedGate::new(),
            network: Network::new(setup.seed, setup.link),
            ends,
            metrics,
            wire: Vec::new(),
            now: Duration::ZERO,
            begin,
            wall,
            order: BinaryHeap::new(),
            events: BTreeMap::new(),
            serial: 0,
            stalled: 0,
        }
    }

    /// Both clocks.
    pub fn clocks(&self) -> Now {
        Now {
            mono: self.begin + self.now,
            wall: self.wall + self.now,
        }
    }

    /// The PBX places an ordinary call.
    pub fn call(&mut self) -> usize {
        self.place(Invite::default())
    }

    /// The PBX places a call.
    pub fn place(&mut self, call: Invite) -> usize {
        self.ends[PBX].invite(self.now, call)
    }

    /// Cancels a call of the PBX.
    pub fn cancel(&mut self, client: usize) {
        self.ends[PBX].cancel(self.now, client);
    }

    /// Sends a request in the dialog of a Call-ID.
    pub fn request(&mut self, end: usize, call_id: &str, method: &str) -> usize {
        let dialog = self.ends[end].dialog_of(call_id).expect("a dialog");
        let body = if method == "INVITE" || method == "UPDATE" {
            super::ua::SDP
        } else {
            ""
        };
        self.ends[end].request(self.now, dialog, method, "", body)
    }

    /// Call-ID of the PBX's transaction.
    pub fn call_id(&self, client: usize) -> String {
        self.ends[PBX].clients[client].call_id.clone()
    }

    /// Final statuses of the PBX's transaction.
    pub fn statuses(&self, client: usize) -> Vec<u16> {
        self.ends[PBX].clients[client].statuses()
    }

    /// INVITEs that reached an end, copies apart.
    pub fn invites(&self, end: usize) -> usize {
        self.ends[end].served.len()
    }

    /// What the proxy settled for the n-th question.
    pub fn outcomes(&self, question: usize) -> Vec<Outcome> {
        self.gate.asked[question].outcomes.clone()
    }

    /// First lines of what was sent between two ends.
    pub fn lines(&self, from: SocketAddr, to: SocketAddr) -> Vec<String> {
        self.wire
            .iter()
            .filter(|packet| packet.from == from && packet.to == to)
            .map(Packet::line)
            .collect()
    }

    /// First lines of what the proxy sent to an end.
    pub fn sent_to(&self, end: usize) -> Vec<String> {
        self.lines(socket(PROXY), self.ends[end].address)
    }

    /// Runs for so long.
    pub fn run(&mut self, period: Duration) {
        let until = self.now + period;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until every timer has fired and nothing is under way; an hour at most.
    pub fn run_out(&mut self) {
        let until = self.now + Duration::from_secs(3600);
        while self.step(until) {}
    }

    /// Runs out, and nothing is left: no transaction, no question, no reservation held, no timer.
    pub fn run_out_and_leave_nothing(&mut self) {
        self.run_out();
        assert_eq!(self.proxy.pending(), 0, "calls still being set up");
        assert_eq!(self.metrics.transactions.get(), 0, "transactions left");
        assert_eq!(self.proxy.poll_timeout(), None, "a timer left");
        for end in &self.ends {
            assert!(end.unreadable.is_empty(), "{} got {:?}", end.name, end.unreadable);
        }
        for (index, asked) in self.gate.asked.iter().enumerate() {
            if let Some(reservation) = &asked.reservation {
                assert_eq!(reservation.strong_count(), 0, "reservation {index} is still held");
                assert!(!asked.outcomes.is_empty(), "reservation {index} was never settled");
            }
        }
    }

    /// Does the next thing due before `until`; false where there is none.
    fn step(&mut self, until: Duration) -> bool {
        self.collect();
        let queued = self.order.peek().map(|Reverse((at, _))| *at);
        let timer = self
            .proxy
            .poll_timeout()
            .map(|at| at.saturating_duration_since(self.begin));
        let ends = self.ends.iter().filter_map(Ua::next_timeout).min();
        let Some(next) = [queued, timer, ends].into_iter().flatten().min() else {
            return false;
        };
        if next > until {
            return false;
        }
        self.stalled = if next <= self.now { self.stalled + 1 } else { 0 };
        assert!(self.stalled < 100_000, "time stands still at {:?}", self.now);
        self.now = self.now.max(next);
        if queued == Some(next) {
            self.happen();
        } else {
            if timer.is_some_and(|at| at <= self.now) {
                self.proxy.timeout(self.clocks());
            }
            for end in &mut self.ends {
                if end.next_timeout().is_some_and(|at| at <= self.now) {
                    end.timeout(self.now);
                }
            }
        }
        true
    }

    fn happen(&mut self) {
        let Some(Reverse((_, serial))) = self.order.pop() else {
            return;
        };
        let Some(event) = self.events.remove(&serial) else {
            return;
        };
        let clocks = self.clocks();
        match event {
            Event::Arrive { from, to, bytes } if to == socket(PROXY) => {
                self.proxy.receive(clocks, flow(from), bytes);
            }
            Event::Arrive { from, to, bytes } => {
                if let Some(end) = self.ends.iter_mut().find(|end| end.address == to) {
                    end.receive(self.now, from, bytes);
                }
            }
            Event::Decide { id, decision } => self.proxy.decide(clocks, id, decision),
            Event::Unreachable { flow } => self.proxy.send_failed(clocks, flow),
        }
    }

    /// Takes what everybody wants done.
    fn collect(&mut self) {
        while let Some(output) = self.proxy.poll() {
            match output {
                Output::Send { flow, bytes } => self.send(socket(PROXY), flow.remote, &bytes),
                Output::Ask { id, question } => {
                    let wall = self.clocks().wall;
                    if let Some((after, decision)) = self.gate.ask(self.now, wall, id, question) {
                        self.schedule(after, Event::Decide { id, decision });
                    }
                }
                Output::Settle { reservation, outcome } => {
                    let wall = self.clocks().wall;
                    self.gate.settle(&reservation, outcome, wall);
                }
            }
        }
        for index in 0..self.ends.len() {
            let from = self.ends[index].address;
            for (to, bytes) in self.ends[index].take_output() {
                self.send(from, to, &bytes);
            }
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &Bytes) {
        self.wire.push(Packet {
            at: self.now,
            from,
            to,
            bytes: bytes.clone(),
        });
        match self.network.down(to) {
            Some(Down::Silent) => return,
            Some(Down::Unreachable) => {
                self.schedule(Duration::from_millis(1), Event::Unreachable { flow: flow(to) });
                return;
            }
            None => {}
        }
        for delay in self.network.fate(to, bytes) {
            let bytes = bytes.clone();
            self.schedule(delay, Event::Arrive { from, to, bytes });
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.serial += 1;
        self.order.push(Reverse((self.now + after, self.serial)));
        self.events.insert(self.serial, event);
    }
}

/// The wire of a failed run, so that one can read what went wrong.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = |address: SocketAddr| {
                NAMES
                    .iter()
                    .find(|(_, known)| socket(known) == address)
                    .map_or("proxy", |(name, _)| name)
            };
            for packet in self.wire.iter().take(400) {
                let message = Message::parse(packet.bytes.clone()).ok();
                let call_id = message
                    .as_ref()
                    .and_then(|message| message.first(Header::CallId))
                    .unwrap_or_default();
                eprintln!(
                    "{:>9.3} {:>9} -> {:<9} {} ({call_id})",
                    packet.at.as_secs_f64(),
                    name(packet.from),
                    name(packet.to),
                    packet.line()
                );
            }
        }
    }
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn flow(remote: SocketAddr) -> Flow {
    Flow::new(ListenerId(0), Transport::Udp, remote)
}

/// One source and up to two trunks of falling priority; calls from a trunk to 01 62 00 10 00 and the like go to the PBX.
pub fn routing(setup: &Setup) -> Routing {
    let matcher = |text: &str| Matcher {
        net: format!("{}/32", socket(text).ip()).parse().expect("a network"),
        port: None,
    };
    let target = |text: &str| Target {
        uri: format!("sip:{text}").into(),
        address: socket(text),
        transport: Transport::Udp,
    };
    let number = |digits| E164::new(digits).expect("a number");
    let source = Source {
        id: "bpo".into(),
        addresses: (!setup.by_digest_alone)
            .then(|| matcher(NAMES[PBX].1))
            .into_iter()
            .collect(),
        certificate: None,
        trusted: TrustedHeaders {
            professional: Some("X-Professional".into()),
            purpose: None,
        },
        trunks: Vec::new(),
        target: Some(target(NAMES[PBX].1)),
        places: Vec::new(),
        inbound: vec![NumberRange {
            first: number(33_162_001_000),
            last: number(33_162_001_999),
            from: None,
            until: None,
        }],
        refuse_with: setup.refuse_with,
        redress: (setup.refuse_with == 608).then(|| "<https://redress.example/jws>;purpose=jwscard".into()),
        canvasses: true,
        access: setup.access.clone(),
    };
    let trunks = (1_u16..)
        .zip(&NAMES[TRUNK_A..=TRUNK_B])
        .take(setup.trunks)
        .map(|(priority, &(name, address))| Trunk {
            id: name.into(),
            target: target(address),
            addresses: vec![matcher(address)],
            places: places(setup),
            watch: Watch {
                options: setup.options,
                ..Watch::default()
            },
            priority,
            weight: 10,
            number_format: setup.number_format,
            large_over_tcp: false,
        })
        .collect();
    let peers = Peers {
        sources: vec![source],
        trunks,
        emergency_from: vec!["10.0.0.0/8".parse().expect("a network")],
        silence_unknown: setup.silence_unknown,
    };
    Routing {
        peers: Arc::new(peers),
        plan: Arc::new(Law::embedded().plan.clone()),
    }
}

fn places(setup: &Setup) -> Vec<Place> {
    (0_u16..)
        .zip(&NAMES[TRUNK_A..=TRUNK_B])
        .filter(|_| setup.further)
        .map(|(priority, (_, address))| Place {
            address: socket(address),
            transport: Transport::Udp,
            priority,
            weight: 0,
        })
        .collect()
}

/// The source that every question of the PBX names.
pub const SOURCE: SourceIndex = SourceIndex(0);
