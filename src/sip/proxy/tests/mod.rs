//! Scenarios of the whole proxy between a scripted source and trunks, one behaviour a file. The rig plays time and the gate.

mod at_once;
mod calls;
mod cancels;
mod chaos;
mod dialogs;
mod failover;
mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::*;
use crate::gate::{NumberRange, SourceIndex};
use crate::numbering::E164;
use crate::rules::{Reason, Verdict};
use crate::sip::message::Header;
use crate::sip::peer::{Access, Matcher, NumberFormat, Place, Source, Target, Trunk, TrustedHeaders, Watch};

pub(super) fn plan() -> Arc<Plan> {
    Arc::new(crate::law::Law::embedded().plan.clone())
}

const PBX: &str = "10.0.0.1:5060";
const TRUNK_A: &str = "10.0.1.1:5090";
const TRUNK_B: &str = "10.0.1.2:5090";
const STRANGER: &str = "203.0.113.9:5060";

/// The proxy, its clocks, and what it has done since last looked at.
struct Rig {
    proxy: Proxy,
    metrics: Arc<Metrics>,
    now: Now,
    sent: Vec<(String, Message)>,
    asked: Vec<(AskId, Question)>,
}

fn target(uri: &str, address: &str) -> Target {
    Target {
        uri: Arc::from(uri),
        address: address.parse().unwrap(),
        transport: Transport::Udp,
    }
}

fn address(text: &str) -> Vec<Matcher> {
    vec![Matcher {
        net: text.parse().unwrap(),
        port: None,
    }]
}

fn trunk(id: &str, uri: &str, at: &str, priority: u16) -> Trunk {
    Trunk {
        id: Arc::from(id),
        target: target(uri, at),
        addresses: Vec::new(),
        places: Vec::new(),
        watch: Watch::default(),
        priority,
        weight: 10,
        number_format: NumberFormat::AsDialled,
        large_over_tcp: false,
    }
}

fn peers() -> Peers {
    Peers {
        sources: vec![Source {
            id: Arc::from("bpo"),
            addresses: address("10.0.0.0/24"),
            certificate: None,
            trusted: TrustedHeaders {
                professional: Some(Arc::from("X-Professional")),
                purpose: Some(Arc::from("X-Purpose")),
            },
            trunks: Vec::new(),
            target: Some(target("sip:10.0.0.1:5060", PBX)),
            places: Vec::new(),
            inbound: vec![NumberRange {
                first: E164::new(33_162_001_000).unwrap(),
                last: E164::new(33_162_001_999).unwrap(),
                from: None,
                until: None,
            }],
            refuse_with: 403,
            redress: Some(Arc::from("<https://redress.example.net/card>;purpose=jwscard")),
            canvasses: true,
            access: Access::default(),
        }],
        trunks: vec![
            trunk("a", "sip:carrier-a.example.net:5090", TRUNK_A, 1),
            trunk("b", "sip:10.0.1.2:5090", TRUNK_B, 2),
        ],
        emergency_from: vec!["203.0.113.0/28".parse().unwrap()],
        silence_unknown: false,
    }
}

fn settings() -> Settings {
    Settings {
        listeners: vec![Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            advertise: Arc::from("10.0.9.9:5060"),
            local: "10.0.9.9:5060".parse().unwrap(),
        }],
        secret: [9; 32],
        instance: 7,
        max_asks: 4,
        max_transactions: 100,
        timer_c: Duration::from_secs(185),
        t1: Duration::from_millis(500),
        seed: 1,
    }
}

impl Rig {
    fn new() -> Self {
        Self::with(settings(), peers())
    }

    fn with(settings: Settings, peers: Peers) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let routing = Routing {
            peers: Arc::new(peers),
            plan: plan(),
        };
        Self {
            proxy: Proxy::new(settings, routing, metrics.clone()),
            metrics,
            now: Now {
                mono: Instant::now(),
                wall: "2025-06-02T09:00:00Z".parse().unwrap(),
            },
            sent: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn flow(remote: &str) -> Flow {
        Flow::new(ListenerId(0), Transport::Udp, remote.parse().unwrap())
    }

    fn receive(&mut self, from: &str, message: impl Into<Bytes>) -> &mut Self {
        self.proxy.receive(self.now, Self::flow(from), message.into());
        self.drain()
    }

    fn drain(&mut self) -> &mut Self {
        while let Some(output) = self.proxy.poll() {
            match output {
                Output::Send { flow, bytes } => {
                    // The answer to a malformed request repeats what was malformed in it.
                    let repeats = [&b"SIP/2.0 400"[..], b"SIP/2.0 505"]
                        .iter()
                        .any(|head| bytes.starts_with(head));
                    match Message::parse(bytes) {
                        Ok(message) => self.sent.push((flow.remote.to_string(), message)),
                        Err(error) => assert!(repeats, "what we send cannot be read: {error}"),
                    }
                }
                Output::Ask { id, question } => self.asked.push((id, question)),
                Output::Settle { .. } => unreachable!("no reservation is made here"),
            }
        }
        self
    }

    /// What was sent since the last look, as `to start-line`.
    fn lines(&mut self) -> Vec<String> {
        self.take().iter().map(|(to, message)| line(to, message)).collect()
    }

    fn take(&mut self) -> Vec<(String, Message)> {
        std::mem::take(&mut self.sent)
    }

    /// The last message sent to somebody.
    fn last_to(&mut self, to: &str) -> Message {
        let sent = self.take();
        let found = sent.iter().rev().find(|(remote, _)| remote == to);
        found.unwrap_or_else(|| panic!("nothing was sent to {to}")).1.clone()
    }

    /// Lets time pass, firing what becomes due on the way.
    fn wait(&mut self, time: Duration) -> &mut Self {
        let end = self.now.mono + time;
        while let Some(at) = self.proxy.poll_timeout().filter(|at| *at <= end) {
            self.advance(at.max(self.now.mono));
            self.proxy.timeout(self.now);
            self.drain();
        }
        self.advance(end);
        self
    }

    fn advance(&mut self, to: Instant) {
        let passed = to - self.now.mono;
        self.now.mono = to;
        self.now.wall += passed;
    }

    fn decide(&mut self, decision: Decision) -> &mut Self {
        let (id, _) = self.asked.remove(0);
        self.proxy.decide(self.now, id, decision);
        self.drain()
    }

    fn allow(&mut self) -> &mut Self {
        self.decide(decision(None))
    }

    /// A call that has been forwarded; the INVITE as the first trunk got it.
    fn forwarded(&mut self, invite: &str) -> Message {
        self.receive(PBX, invite.to_owned()).allow();
        self.last_to(TRUNK_A)
    }

    /// What the only INVITE's call was settled to.
    fn outcome(&self) -> Option<Outcome> {
        let mut invites = self.proxy.contexts.invites();
        let outcome = invites.next().expect("a call is known").last;
        assert!(invites.next().is_none(), "one call is known");
        outcome
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0)
    }
}

fn line(to: &str, message: &Message) -> String {
    let first = if message.is_request() {
        format!("{} {}", message.method_name(), message.request_uri())
    } else {
        format!("{} {}", message.status(), message.cseq().unwrap().name)
    };
    format!("{to} {first}")
}

fn decision(refused: Option<Reason>) -> Decision {
    Decision {
        verdict: Verdict {
            allowed: refused.is_none(),
            reason: refused,
            reasons: refused.into_iter().collect(),
            attempts_left: None,
            next_allowed: None,
            valid_until: None,
            counts: true,
            count_since: None,
            consumes: None,
            regime: None,
            territory: None,
        },
        enforced: true,
        professional: None,
        reservation: None,
        text: refused.map(|_| "4 of 4 calls since 2025-05-04".to_owned()),
    }
}

fn request(method: &str, uri: &str, branch: &str, to: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch={branch};rport\r\nMax-Forwards: 70\r\n\
         From: \"Acme\" <sip:+33162001000@pbx>;tag=caller\r\nTo: {to}\r\nCall-ID: call-1\r\nCSeq: 1 {method}\r\n{more}\
         Content-Length: 0\r\n\r\n"
    )
}

fn invite() -> String {
    request(
        "INVITE",
        "sip:0612345678@10.0.9.9",
        "z9hG4bKinvite",
        "<sip:0612345678@10.0.9.9>",
        "Contact: <sip:pbx@10.0.0.1:5060>\r\n",
    )
}

/// The CANCEL of [`invite`], with more headers.
fn cancel(more: &str) -> String {
    request(
        "CANCEL",
        "sip:0612345678@10.0.9.9",
        "z9hG4bKinvite",
        "<sip:0612345678@10.0.9.9>",
        more,
    )
}

/// A peer's answer to a request that it got.
fn answer(request: &Message, status: u16, more: &str) -> String {
    let lines: Vec<String> = request
        .spans()
        .iter()
        .filter_map(|span| {
            let value = request.value(span);
            let untagged = status > 100 && !value.contains(";tag=");
            let tag = match span.header {
                Header::To if untagged => ";tag=callee",
                Header::Via | Header::From | Header::To | Header::CallId | Header::CSeq | Header::RecordRoute => "",
                _ => return None,
            };
            Some(format!("{}: {value}{tag}\r\n", span.header.as_str()))
        })
        .collect();
    format!(
        "SIP/2.0 {status} Whatever\r\n{}{more}Content-Length: 0\r\n\r\n",
        lines.concat()
    )
}

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn source() -> SourceIndex {
    SourceIndex(0)
}
