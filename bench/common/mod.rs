//! What the benchmarks share: one professional, one source, one trunk, a store of its own, and a moment at which calls may go.
#![allow(dead_code, missing_docs)] // each benchmark uses its part

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use clapet::gate::{
    Gate, Mode, NumberRange, OnStoreFailure, Policy, Professional, ProfessionalIndex, Roster, SourcePolicy,
};
use clapet::law::Law;
use clapet::ledger::{EmbeddedLedger, Ledger, Options, Siren};
use clapet::numbering::E164;
use clapet::rules::{Dialling, Purpose};
use clapet::screening::Screening;
use clapet::sip::peer::{Matcher, NumberFormat, Peers, Source, Target, Trunk, TrustedHeaders};
use clapet::sip::proxy::{Listener, Proxy, Routing, Settings};
use clapet::sip::{ListenerId, Transport};
use clapet::telemetry::Metrics;

pub mod stage;
mod wire;

use wire::SDP;

/// A verified number [NPV] of the professional.
pub const NPV: u64 = 33_162_001_234;
/// A geographic number, which an automated call may not show.
pub const GEOGRAPHIC: u64 = 33_123_456_789;

pub struct World {
    pub gate: Gate,
    pub ledger: Arc<EmbeddedLedger>,
    pub screening: Arc<Screening>,
    pub law: Arc<Law>,
    /// Tuesday 2023-06-06, 11:00 in Paris.
    pub wall: DateTime<Utc>,
    pub metrics: Arc<Metrics>,
    folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with(Screening::in_memory())
    }

    pub fn with(screening: Screening) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (ledger, _) = EmbeddedLedger::open(Options {
            path: folder.path().to_owned(),
            strict: false,
            ..Options::default()
        })
        .expect("a store");
        let ledger = Arc::new(ledger);
        let law = Law::embedded();
        let screening = Arc::new(screening);
        let policy = Policy {
            law: law.clone(),
            roster: Arc::new(roster()),
            on_store_failure: OnStoreFailure::Refuse,
            bloctel_required: false,
            answer_within: Duration::from_millis(500),
        };
        let store: Arc<dyn Ledger> = ledger.clone();
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let gate = Gate::new(policy, store, screening.clone(), metrics.clone());
        Self {
            gate,
            ledger,
            screening,
            law,
            wall: "2023-06-06T09:00:00Z".parse().expect("a moment"),
            metrics,
            folder,
        }
    }

    pub fn proxy(&self) -> Proxy {
        let address = "127.0.0.1:5060".parse().expect("an address");
        let listener = Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            advertise: "127.0.0.1:5060".into(),
            local: address,
        };
        let settings = Settings {
            listeners: vec![listener],
            secret: [7; 32],
            instance: 1,
            max_asks: 10_000,
            max_transactions: 1_000_000,
            timer_c: Duration::from_secs(200),
            t1: Duration::from_millis(500),
            seed: 1,
        };
        let routing = Routing {
            peers: Arc::new(peers()),
            plan: Arc::new(self.law.plan.clone()),
        };
        Proxy::new(settings, routing, self.metrics.clone())
    }
}

pub const SIREN: Siren = Siren(552_100_554);

fn roster() -> Roster {
    let number = |digits| E164::new(digits).expect("a number");
    let professional = Professional {
        id: "acme".into(),
        name: "ACME Assurances".into(),
        siren: SIREN,
        sector: None,
        numbers: vec![NumberRange {
            first: number(33_162_001_000),
            last: number(33_162_001_999),
            from: None,
            until: None,
        }],
        mode: Mode::Enforce,
        own: clapet::rules::OwnLimits::default(),
        suspended: false,
    };
    let source = SourcePolicy {
        id: "bpo".into(),
        professionals: vec![ProfessionalIndex(0)],
        dialling: Dialling::Automated,
        purpose: Purpose::Canvassing,
        suspended: false,
    };
    Roster::build(vec![professional], vec![source]).expect("a roster")
}

fn peers() -> Peers {
    let matcher = |port| Matcher {
        net: "127.0.0.1/32".parse().expect("a network"),
        port,
    };
    let source = Source {
        id: "bpo".into(),
        addresses: vec![matcher(None)],
        certificate: None,
        trusted: TrustedHeaders::default(),
        trunks: Vec::new(),
        target: None,
        places: Vec::new(),
        inbound: Vec::new(),
        refuse_with: 403,
        redress: None,
        canvasses: true,
        access: clapet::sip::peer::Access::default(),
    };
    let target = Target {
        uri: "sip:127.0.0.1:5090".into(),
        address: "127.0.0.1:5090".parse().expect("an address"),
        transport: Transport::Udp,
    };
    let trunk = Trunk {
        id: "carrier".into(),
        target,
        addresses: vec![matcher(Some(5090))],
        places: Vec::new(),
        watch: clapet::sip::peer::Watch::default(),
        priority: 1,
        weight: 10,
        number_format: NumberFormat::AsDialled,
        large_over_tcp: false,
    };
    Peers {
        sources: vec![source],
        trunks: vec![trunk],
        emergency_from: Vec::new(),
        silence_unknown: false,
    }
}

/// An INVITE as a dialer sends it, with an SDP offer; `serial` makes the call its own.
pub fn invite(caller: u64, callee: u64, serial: u64) -> Bytes {
    Bytes::from(format!(
        "INVITE sip:0{callee}@127.0.0.1:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-{serial};rport\r\n\
         From: \"ACME\" <sip:+{caller}@127.0.0.1>;tag=t{serial}\r\n\
         To: <sip:0{callee}@127.0.0.1:5060>\r\n\
         Call-ID: {serial}@dialer.example\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:dialer@127.0.0.1:5070>\r\n\
         Max-Forwards: 70\r\n\
         User-Agent: dialer/1.0\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n\
         Supported: timer, replaces\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    ))
}
