//! The proxy between a source, a trunk and strangers, fed with events that the input spells out. Whatever comes: no panic, every
//! message that leaves can be read, few leave for one that comes, and when all timers have fired nothing is left.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use clapet::gate::{Decision, NumberRange};
use clapet::law::Law;
use clapet::numbering::E164;
use clapet::rules::{Reason, Reasons, Verdict};
use clapet::sip::message::{Header, Message, Method};
use clapet::sip::peer::{Matcher, NumberFormat, Peers, Source, Target, Trunk, TrustedHeaders};
use clapet::sip::proxy::{AskId, Listener, Output, Proxy, Routing, Settings};
use clapet::sip::{Flow, ListenerId, Now, Transport};
use clapet::telemetry::Metrics;

/// Events, one after the other with [`EVENT`] between them. The first byte of each says what happens; the rest is its bytes:
///
/// | | |
/// |---|---|
/// | `s` `S` | the source sends them, over UDP or TCP |
/// | `t` | the trunk sends them |
/// | `u` | a stranger sends them |
/// | `r` | the trunk answers the last request it got: three digits of a status, then headers |
/// | `d` | the source sends a request in the last dialog: its method, then headers |
/// | `c` | the source repeats its last request under another method, such as CANCEL or ACK |
/// | `y` `n` | the gate answers the oldest question with yes or no |
/// | `w` | so many times 100 ms pass |
/// | `x` | the last thing sent to the trunk could not be delivered |
pub fn proxy(input: &[u8]) {
    let mut bench = Bench::new();
    for event in input.split(|byte| *byte == EVENT).take(MAX_EVENTS.into()) {
        if let [what, bytes @ ..] = event {
            bench.happen(*what, bytes);
        }
    }
    bench.run_out();
}

/// Separates events: no byte of UTF-8.
pub const EVENT: u8 = 0xff;

const MAX_EVENTS: u8 = 24;

struct Bench {
    proxy: Proxy,
    passed: Duration,
    asks: std::collections::VecDeque<AskId>,
    /// The last request sent to the trunk, by what, and the last that the source sent.
    forwarded: Option<(Flow, Message)>,
    sent: Option<Message>,
    /// Route set and To of the last dialog.
    dialog: Option<(String, String)>,
}

impl Bench {
    fn new() -> Self {
        Self {
            proxy: Proxy::new(settings(), ROUTING.clone(), METRICS.with(Arc::clone)),
            passed: Duration::ZERO,
            asks: std::collections::VecDeque::new(),
            forwarded: None,
            sent: None,
            dialog: None,
        }
    }

    fn happen(&mut self, what: u8, bytes: &[u8]) {
        match what {
            b's' => self.source_sends(Transport::Udp, Bytes::copy_from_slice(bytes)),
            b'S' => self.source_sends(Transport::Tcp, Bytes::copy_from_slice(bytes)),
            b't' => self.receive(flow(TRUNK, Transport::Udp), Bytes::copy_from_slice(bytes)),
            b'u' => self.receive(flow(STRANGER, Transport::Udp), Bytes::copy_from_slice(bytes)),
            b'r' => self.respond(bytes),
            b'd' => self.in_dialog(bytes),
            b'c' => self.again(bytes),
            b'y' | b'n' => {
                if let Some(id) = self.asks.pop_front() {
                    let now = self.now();
                    self.proxy.decide(now, id, decision(what == b'y'));
                    self.collect(2 * EACH);
                }
            }
            b'w' => {
                let tenths = bytes.first().copied().unwrap_or(1);
                self.wait(Duration::from_millis(100 * u64::from(tenths)));
            }
            b'x' => {
                if let Some((flow, _)) = self.forwarded {
                    let now = self.now();
                    self.proxy.send_failed(now, flow);
                    self.collect(usize::from(MAX_EVENTS) * EACH);
                }
            }
            _ => {}
        }
    }

    fn source_sends(&mut self, transport: Transport, bytes: Bytes) {
        if let Ok(message) = Message::parse(bytes.clone())
            && message.is_request()
        {
            self.sent = Some(message);
        }
        self.receive(flow(SOURCE, transport), bytes);
    }

    fn receive(&mut self, flow: Flow, bytes: Bytes) {
        let now = self.now();
        self.proxy.receive(now, flow, bytes);
        self.collect(EACH);
    }

    fn respond(&mut self, bytes: &[u8]) {
        let Some((flow, request)) = &self.forwarded else { return };
        let (status, more) = bytes.split_at_checked(3).unwrap_or((b"200", b""));
        let mut response = b"SIP/2.0 ".to_vec();
        response.extend(status);
        response.extend(b" x\r\n");
        for span in request.spans() {
            let kept = matches!(
                span.header,
                Header::Via | Header::From | Header::To | Header::CallId | Header::CSeq | Header::RecordRoute
            );
            if kept {
                response.extend(&request.raw()[span.start as usize..span.value_end as usize]);
                if span.header == Header::To && request.to().is_some_and(|to| to.tag().is_none()) {
                    response.extend(b";tag=callee");
                }
                response.extend(b"\r\n");
            }
        }
        response.extend(more);
        response.extend(b"\r\n\r\n");
        let flow = *flow;
        self.receive(flow, Bytes::from(response));
    }

    fn in_dialog(&mut self, bytes: &[u8]) {
        let (Some((route, to)), Some(invite)) = (&self.dialog, &self.sent) else {
            return;
        };
        let end = bytes
            .iter()
            .position(|byte| !byte.is_ascii_uppercase())
            .unwrap_or(bytes.len());
        let method = String::from_utf8_lossy(&bytes[..end]);
        let from = invite.first(Header::From).unwrap_or_default();
        let head = format!(
            "{method} sip:callee@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKdialog{}\r\nRoute: {route}\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: 77 {method}\r\n",
            bytes.len(),
            invite.call_id(),
        );
        let request = [head.as_bytes(), &bytes[end..], b"\r\n\r\n"].concat();
        self.receive(flow(SOURCE, Transport::Udp), Bytes::from(request));
    }

    fn again(&mut self, method: &[u8]) {
        let Some(sent) = &self.sent else { return };
        let name = sent.method_name().as_bytes();
        let method = if method.is_empty() { name } else { method };
        let mut request = method.to_vec();
        for span in sent.spans().iter().take(1) {
            request.extend(&sent.raw()[name.len()..span.start as usize]);
        }
        for span in sent.spans() {
            if span.header == Header::CSeq {
                let number = sent.cseq().map_or(0, |cseq| cseq.number);
                request.extend(format!("CSeq: {number} ").as_bytes());
                request.extend(method);
                request.extend(b"\r\n");
            } else if span.header != Header::ContentLength {
                request.extend(&sent.raw()[span.start as usize..span.end as usize]);
            }
        }
        request.extend(b"\r\n");
        self.receive(flow(SOURCE, Transport::Udp), Bytes::from(request));
    }

    fn wait(&mut self, period: Duration) {
        let until = self.passed + period;
        for _ in 0..MAX_FIRINGS {
            let Some(due) = self.due().filter(|due| *due <= until) else {
                break;
            };
            self.passed = self.passed.max(due);
            let now = self.now();
            self.proxy.timeout(now);
            self.collect(usize::from(MAX_EVENTS) * EACH);
        }
        self.passed = until;
    }

    fn due(&self) -> Option<Duration> {
        self.proxy.poll_timeout().map(|at| at.saturating_duration_since(*BEGIN))
    }

    /// Fires every timer there is. Then nothing is left of any call.
    fn run_out(&mut self) {
        self.asks.clear();
        self.wait(Duration::from_secs(3600));
        assert_eq!(self.proxy.poll_timeout(), None, "a timer is left");
        assert_eq!(self.proxy.pending(), 0, "a call is left");
        assert_eq!(transactions(), 0, "a transaction is left");
    }

    fn collect(&mut self, most: usize) {
        let mut count = 0;
        while let Some(output) = self.proxy.poll() {
            count += 1;
            assert!(count <= most, "{count} outputs of one event");
            match output {
                Output::Send { flow, bytes } => self.leaves(flow, bytes),
                Output::Ask { id, .. } => self.asks.push_back(id),
                Output::Settle { .. } => panic!("nothing was reserved"),
            }
        }
        let transactions = transactions();
        assert!(
            (0..=2 * i64::from(MAX_EVENTS)).contains(&transactions),
            "{transactions} transactions"
        );
    }

    fn leaves(&mut self, flow: Flow, bytes: Bytes) {
        let known = [SOURCE, TRUNK, STRANGER].map(|known| address(known).ip());
        assert!(known.contains(&flow.remote.ip()), "sent to {}", flow.remote);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            // The answer to what could not be read holds no more than could be read of it.
            Err(error) => {
                let answers_bad = ["400", "505", "513"]
                    .iter()
                    .any(|status| text.starts_with(&format!("SIP/2.0 {status} ")));
                assert!(answers_bad, "{error}: {text}");
                return;
            }
        };
        if message.is_request() {
            assert!(message.max_forwards().is_some(), "{text}");
            assert!(message.via().is_some_and(|via| via.branch().is_some()), "{text}");
            if message.method() == Method::Invite
                && let (Some(route), Some(to)) = (message.first(Header::RecordRoute), message.first(Header::To))
            {
                let tag = if message.to().is_some_and(|to| to.tag().is_some()) {
                    ""
                } else {
                    ";tag=callee"
                };
                self.dialog = Some((route.to_owned(), format!("{to}{tag}")));
            }
            if flow.remote.ip() == address(TRUNK).ip() && !matches!(message.method(), Method::Ack | Method::Cancel) {
                self.forwarded = Some((flow, message));
            }
        } else {
            assert!((100..700).contains(&message.status()));
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: *BEGIN + self.passed,
            wall: *WALL + self.passed,
        }
    }
}

/// Outputs that one event may bring for each call it touches: what is answered, forwarded, cancelled, acknowledged, asked.
const EACH: usize = 4;

/// Timers that fire within an hour, for all events of one input.
const MAX_FIRINGS: usize = 10_000;

const PROXY: &str = "192.0.2.1:5060";
const SOURCE: &str = "192.0.2.10:5060";
const TRUNK: &str = "192.0.2.20:5060";
const STRANGER: &str = "10.1.2.3:5060";

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
static WALL: LazyLock<DateTime<Utc>> = LazyLock::new(|| "2023-06-06T09:00:00Z".parse().expect("a moment"));

thread_local! {
    /// One for each thread: the gauges of two proxies at once would run into each other.
    static METRICS: Arc<Metrics> = Arc::new(Metrics::new().expect("metrics"));
}

static ROUTING: LazyLock<Routing> = LazyLock::new(routing);

fn transactions() -> i64 {
    METRICS.with(|metrics| metrics.transactions.get())
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn flow(remote: &str, transport: Transport) -> Flow {
    let listener = ListenerId(u16::from(transport == Transport::Tcp));
    Flow::new(listener, transport, address(remote))
}

fn settings() -> Settings {
    let listener = |id, transport| Listener {
        id: ListenerId(id),
        transport,
        advertise: PROXY.into(),
        local: address(PROXY),
    };
    Settings {
        listeners: vec![listener(0, Transport::Udp), listener(1, Transport::Tcp)],
        secret: [7; 32],
        instance: 1,
        max_asks: 4,
        max_transactions: 8,
        timer_c: Duration::from_secs(200),
        t1: Duration::from_millis(500),
        seed: 1,
    }
}

fn routing() -> Routing {
    let matcher = |text: &str| Matcher {
        net: format!("{}/32", address(text).ip()).parse().expect("a network"),
        port: None,
    };
    let target = |text: &str| Target {
        uri: format!("sip:{text}").into(),
        address: address(text),
        transport: Transport::Udp,
    };
    let number = |digits| E164::new(digits).expect("a number");
    let source = Source {
        id: "pbx".into(),
        addresses: vec![matcher(SOURCE)],
        certificate: None,
        trusted: TrustedHeaders {
            professional: Some("X-Professional".into()),
            purpose: Some("X-Purpose".into()),
        },
        trunks: Vec::new(),
        target: Some(target(SOURCE)),
        places: Vec::new(),
        inbound: vec![NumberRange {
            first: number(33_162_001_000),
            last: number(33_162_001_999),
            from: None,
            until: None,
        }],
        refuse_with: 403,
        redress: None,
        canvasses: false,
        access: clapet::sip::peer::Access::default(),
    };
    let trunk = |id: &str, priority| Trunk {
        id: id.into(),
        target: target(TRUNK),
        addresses: vec![matcher(TRUNK)],
        priority,
        weight: 1,
        number_format: NumberFormat::E164,
        places: Vec::new(),
        large_over_tcp: false,
        watch: clapet::sip::peer::Watch::default(),
    };
    let peers = Peers {
        sources: vec![source],
        trunks: vec![trunk("first", 1), trunk("second", 2)],
        emergency_from: vec!["10.0.0.0/8".parse().expect("a network")],
        silence_unknown: false,
    };
    Routing {
        peers: Arc::new(peers),
        plan: Arc::new(Law::embedded().plan.clone()),
    }
}

/// What a gate says that reserves nothing.
fn decision(allowed: bool) -> Decision {
    let mut verdict = Verdict {
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
    };
    if !allowed {
        verdict.allowed = false;
        verdict.reason = Some(Reason::FrequencyExhausted);
        verdict.reasons.push(Reason::FrequencyExhausted);
    }
    Decision {
        verdict,
        enforced: true,
        professional: None,
        reservation: None,
        text: Some("4 of 4 calls since 2023-05-08".to_owned()),
    }
}
