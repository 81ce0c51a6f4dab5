//! A proxy on its bench: a source on every transport, a trunk, a gate that says yes. No socket and no clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clapet::gate::{Decision, Question};
use clapet::law::Law;
use clapet::rules::{Reasons, Verdict};
use clapet::sip::message::{Header, Message, Method};
use clapet::sip::peer::{Matcher, NumberFormat, Peers, Source, Target, Trunk, TrustedHeaders};
use clapet::sip::proxy::{Listener, Output, Proxy, Routing, Settings};
use clapet::sip::{Flow, ListenerId, Now, Transport};
use clapet::telemetry::Metrics;

/// How the source's messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Udp,
    Tcp,
    Tls,
    /// Over UDP and IPv6.
    Six,
}

impl Link {
    const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Tls, Self::Six];

    fn transport(self) -> Transport {
        match self {
            Self::Udp | Self::Six => Transport::Udp,
            Self::Tcp => Transport::Tcp,
            Self::Tls => Transport::Tls,
        }
    }

    fn proxy(self) -> &'static str {
        match self {
            Self::Udp | Self::Tcp => "192.0.2.1:5060",
            Self::Tls => "192.0.2.1:5061",
            Self::Six => "[2001:db8::1]:5060",
        }
    }

    /// Where the source sends from.
    pub fn source(self) -> SocketAddr {
        match self {
            Self::Six => address("[2001:db8::9:ff]:5060"),
            _ => address("192.0.2.10:5060"),
        }
    }

    fn flow(self) -> Flow {
        Flow::new(ListenerId(self as u16), self.transport(), self.source())
    }
}

const TRUNK: &str = "192.0.2.20:5060";

pub struct Bench {
    proxy: Proxy,
    now: Now,
    sent: Vec<(Flow, Bytes)>,
    /// What the gate was asked.
    pub asked: Vec<Question>,
}

impl Bench {
    pub fn new() -> Self {
        let listeners = Link::ALL.map(|link| Listener {
            id: ListenerId(link as u16),
            transport: link.transport(),
            advertise: link.proxy().into(),
            local: address(link.proxy()),
        });
        let settings = Settings {
            listeners: listeners.to_vec(),
            secret: [5; 32],
            instance: 1,
            max_asks: 10,
            max_transactions: 100,
            timer_c: Duration::from_secs(200),
            t1: Duration::from_millis(500),
            seed: 1,
        };
        Self {
            proxy: Proxy::new(settings, routing(), Arc::new(Metrics::new().expect("metrics"))),
            now: Now {
                mono: Instant::now(),
                // Tuesday, 11:00 in Paris.
                wall: "2023-06-06T09:00:00Z".parse().expect("a moment"),
            },
            sent: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// The source sends.
    pub fn deliver(&mut self, link: Link, bytes: Bytes) {
        self.deliver_from(link.flow(), bytes);
    }

    /// The source sends over UDP from a port of its own.
    pub fn deliver_from_port(&mut self, port: u16, bytes: Bytes) {
        let mut flow = Link::Udp.flow();
        flow.remote.set_port(port);
        self.deliver_from(flow, bytes);
    }

    /// The trunk sends.
    pub fn trunk_sends(&mut self, bytes: Bytes) {
        let flow = Flow {
            remote: address(TRUNK),
            ..Link::Udp.flow()
        };
        self.deliver_from(flow, bytes);
    }

    fn deliver_from(&mut self, flow: Flow, bytes: Bytes) {
        self.proxy.receive(self.now, flow, bytes);
        while let Some(output) = self.proxy.poll() {
            match output {
                Output::Send { flow, bytes } => self.sent.push((flow, bytes)),
                Output::Ask { id, question } => {
                    self.asked.push(question);
                    self.proxy.decide(self.now, id, yes());
                }
                Output::Settle { .. } => panic!("nothing was reserved"),
            }
        }
    }

    /// What the proxy has sent since it was last asked.
    pub fn take(&mut self) -> Vec<(Flow, Bytes)> {
        std::mem::take(&mut self.sent)
    }

    pub fn expect_silence(&mut self, name: &str) {
        let sent = self.take();
        assert!(sent.is_empty(), "{name}: {sent:?}");
    }

    /// The one request that has gone on, an INVITE's 100 apart.
    pub fn one_request(&mut self, name: &str) -> Message {
        let mut sent = self.take();
        let (_, last) = sent.pop().unwrap_or_else(|| panic!("{name}: nothing was sent"));
        let request = Message::parse(last).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(request.is_request(), "{name}: answered with {}", request.status());
        let trying: Vec<bool> = sent
            .iter()
            .map(|(_, bytes)| bytes.starts_with(b"SIP/2.0 100 "))
            .collect();
        let expected: &[bool] = if request.method() == Method::Invite {
            &[true]
        } else {
            &[]
        };
        assert_eq!(trying, expected, "{name}: {sent:?}");
        request
    }

    /// The trunk answers, and the answer reaches the source as it was but for our Via.
    pub fn answer_comes_back(&mut self, name: &str, link: Link, original: &Message, onward: &Message) {
        self.trunk_sends(response(onward, "486 Busy Here", ";tag=trunk", ""));
        let mut sent = self.take();
        let (flow, bytes) = sent.pop().unwrap_or_else(|| panic!("{name}: no answer came back"));
        assert_eq!(flow.remote.ip(), link.source().ip(), "{name}");
        let answer = Message::parse(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer.status(), 486, "{name}");
        let below: Vec<&str> = onward.values(Header::Via).skip(1).collect();
        assert!(answer.values(Header::Via).eq(below), "{name}");
        assert_eq!(answer.call_id(), original.call_id(), "{name}");
        assert_eq!(answer.first(Header::CSeq), original.first(Header::CSeq), "{name}");
        // RFC 3261 §17.1.1.3: the hop acknowledges for itself.
        let acknowledged = sent.iter().filter(|(_, bytes)| bytes.starts_with(b"ACK ")).count();
        assert_eq!(
            acknowledged,
            usize::from(original.method() == Method::Invite),
            "{name}: {sent:?}"
        );
    }

    /// Opens the dialog that a request with a To-tag names; the Route that its requests carry.
    pub fn open_dialog(&mut self, name: &str, link: Link, request: &Message) -> String {
        let to = request.to().map_or("", |to| to.uri.raw);
        let invite = format!(
            "INVITE sip:+33612345678@border.example.net SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKopens\r\nFrom: {}\r\nTo: <{to}>\r\n\
             Call-ID: {}\r\nCSeq: 1 INVITE\r\n\r\n",
            link.source(),
            request.first(Header::From).unwrap_or_default(),
            request.call_id(),
        );
        self.deliver(link, Bytes::from(invite));
        let onward = self.one_request(name);
        let tag = request.to().and_then(|to| to.tag()).unwrap_or_default();
        self.trunk_sends(response(&onward, "200 OK", &format!(";tag={tag}"), ""));
        let sent = self.take();
        assert_eq!(sent.len(), 1, "{name}: {sent:?}");
        let answer = Message::parse(sent[0].1.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut routes: Vec<&str> = answer.values(Header::RecordRoute).collect();
        routes.reverse();
        routes.join(", ")
    }

    /// Sends the request that a response answers, and gives it as the trunk got it.
    pub fn wait_for_answer(&mut self, name: &str, response: &[u8]) -> Message {
        let text = String::from_utf8_lossy(response);
        let value = |header: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(header)?.strip_prefix(": "))
                .unwrap_or_else(|| panic!("{name}: no {header}"))
                .trim()
                .to_owned()
        };
        let cseq = value("CSeq");
        let (number, method) = cseq.split_once(' ').unwrap_or_else(|| panic!("{name}: {cseq}"));
        let number: u32 = number.parse().unwrap_or(1);
        let to = value("To");
        let request = format!(
            "{method} sip:+33612345678@border.example.net SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKasks\r\nFrom: {}\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n\r\n",
            value("From"),
            to.split(";tag").next().unwrap_or_default(),
            value("Call-ID"),
        );
        self.deliver(Link::Udp, Bytes::from(request));
        self.one_request(name)
    }

    /// The request has had no final answer: a proper one still goes back.
    pub fn still_waits(&mut self, name: &str, onward: &Message) {
        self.trunk_sends(response(onward, "200 OK", ";tag=trunk", ""));
        let sent = self.take();
        assert_eq!(sent.len(), 1, "{name}: {sent:?}");
        assert!(sent[0].1.starts_with(b"SIP/2.0 200 "), "{name}: {sent:?}");
    }
}

/// A response of the trunk.
pub fn response(request: &Message, line: &str, to_tag: &str, more: &str) -> Bytes {
    let mut out = format!("SIP/2.0 {line}\r\n").into_bytes();
    for span in request.spans() {
        let copied = matches!(
            span.header,
            Header::Via | Header::From | Header::To | Header::CallId | Header::CSeq | Header::RecordRoute
        );
        if copied {
            out.extend(&request.raw()[span.start as usize..span.value_end as usize]);
            if span.header == Header::To && request.to().is_some_and(|to| to.tag().is_none()) {
                out.extend(to_tag.as_bytes());
            }
            out.extend(b"\r\n");
        }
    }
    out.extend(more.as_bytes());
    out.extend(b"Content-Length: 0\r\n\r\n");
    Bytes::from(out)
}

fn yes() -> Decision {
    Decision {
        verdict: Verdict {
            allowed: true,
            reason: None,
            reasons: Reasons::new(),
            attempts_left: None,
            next_allowed: None,
            valid_until: None,
            counts: false,
            count_since: None,
            consumes: None,
            regime: None,
            territory: None,
        },
        enforced: true,
        professional: None,
        reservation: None,
        text: None,
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A source that does not canvass (so that every method passes), known by its addresses whatever the port, and one trunk.
fn routing() -> Routing {
    let matcher = |ip: std::net::IpAddr| Matcher {
        net: ip.into(),
        port: None,
    };
    let target = Target {
        uri: format!("sip:{TRUNK}").into(),
        address: address(TRUNK),
        transport: Transport::Udp,
    };
    let source = Source {
        id: "pbx".into(),
        addresses: vec![matcher(Link::Udp.source().ip()), matcher(Link::Six.source().ip())],
        certificate: None,
        trusted: TrustedHeaders::default(),
        trunks: Vec::new(),
        target: None,
        places: Vec::new(),
        inbound: Vec::new(),
        refuse_with: 403,
        redress: None,
        canvasses: false,
        access: clapet::sip::peer::Access::default(),
    };
    let trunk = Trunk {
        id: "trunk".into(),
        addresses: vec![matcher(target.address.ip())],
        target,
        priority: 1,
        weight: 1,
        number_format: NumberFormat::AsDialled,
        places: Vec::new(),
        large_over_tcp: false,
        watch: clapet::sip::peer::Watch::default(),
    };
    let peers = Peers {
        sources: vec![source],
        trunks: vec![trunk],
        emergency_from: Vec::new(),
        silence_unknown: false,
    };
    Routing {
        peers: Arc::new(peers),
        plan: Arc::new(Law::embedded().plan.clone()),
    }
}
