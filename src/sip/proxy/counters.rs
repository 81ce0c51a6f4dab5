//! The proxy's metrics, with the handles of the ones counted for every message looked up once.

use std::sync::Arc;

use prometheus::IntCounter;

use crate::sip::Transport;
use crate::sip::message::Method;
use crate::telemetry::Metrics;

/// Counts for one proxy.
pub(super) struct Counters {
    pub(super) metrics: Arc<Metrics>,
    messages: Vec<Option<IntCounter>>,
    /// What this proxy has put into the gauge of transactions.
    transactions: i64,
    retransmissions: [IntCounter; 2],
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// What kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request(Method),
    Response(u16),
}

/// Why a call was turned away with 503 before it was judged: that is no reason of the law's, and the same call may go a moment later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shed {
    /// More than can be carried.
    Load,
    /// The server is about to end.
    Drain,
}

impl Shed {
    fn label(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Drain => "drain",
        }
    }
}

const TRANSPORTS: usize = 3;
const METHODS: usize = Method::Other as usize + 1;
const KINDS: usize = METHODS + 6;

impl Direction {
    fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

impl Kind {
    fn index(self) -> usize {
        match self {
            Self::Request(method) => method as usize,
            Self::Response(status) => METHODS + usize::from(status / 100).clamp(1, 6) - 1,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Request(method) => method.as_str(),
            Self::Response(status) => class(status),
        }
    }
}

impl Counters {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let retransmissions =
            [Direction::In, Direction::Out].map(|way| metrics.sip_retransmissions.with_label_values(&[way.label()]));
        Self {
            metrics,
            messages: vec![None; 2 * TRANSPORTS * KINDS],
            transactions: 0,
            retransmissions,
        }
    }

    pub(super) fn message(&mut self, way: Direction, transport: Transport, kind: Kind) {
        let index = (way as usize * TRANSPORTS + transport as usize) * KINDS + kind.index();
        let metrics = &self.metrics;
        if let Some(slot) = self.messages.get_mut(index) {
            slot.get_or_insert_with(|| {
                let transport = match transport {
                    Transport::Udp => "udp",
                    Transport::Tcp => "tcp",
                    Transport::Tls => "tls",
                };
                metrics
                    .sip_messages
                    .with_label_values(&[way.label(), transport, kind.label()])
            })
            .inc();
        }
    }

    pub(super) fn retransmission(&self, way: Direction) {
        self.retransmissions[way as usize].inc();
    }

    pub(super) fn transactions(&mut self, now: usize) {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if now != self.transactions {
            self.metrics.transactions.add(now - self.transactions);
            self.transactions = now;
        }
    }

    pub(super) fn trunk_response(&self, trunk: &str, status: u16) {
        self.metrics
            .trunk_responses
            .with_label_values(&[trunk, class(status)])
            .inc();
    }

    /// An INVITE that was turned away unjudged, for now.
    pub(super) fn shed(&self, source: &str, cause: Shed) {
        self.metrics
            .invites_shed
            .with_label_values(&[source, cause.label()])
            .inc();
    }

    /// An INVITE that no gate was asked about.
    pub(super) fn invite(&self, source: &str, verdict: &str, reason: &str) {
        self.metrics
            .invites
            .with_label_values(&[source, "none", verdict, reason])
            .inc();
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        self.transactions(0);
    }
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "6xx",
    }
}
