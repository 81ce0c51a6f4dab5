//! RFC 3261 §16 over transactions, sans-IO: routing, Record-Route, CANCEL, failover, and the question to the gate. Never blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::peer::Peers;
use super::{Flow, ListenerId, Now, Transport};
use crate::gate::{Decision, Question, Reservation};
use crate::ledger::Outcome;
use crate::numbering::Plan;
use crate::telemetry::Metrics;

/// Which question a decision answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskId(pub u64);

/// What the proxy wants done.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Output {
    Send {
        flow: Flow,
        bytes: Bytes,
    },
    /// To be answered by [`Proxy::decide`].
    Ask {
        id: AskId,
        question: Question,
    },
    /// The call has reached this outcome: to be handed to [`Reservation::settle`]. A late 18x or 2xx settles the same reservation again.
    Settle {
        reservation: Arc<Reservation>,
        outcome: Outcome,
    },
}

/// One of our listening sockets as peers see it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Listener {
    pub id: ListenerId,
    pub transport: Transport,
    /// `host[:port]` put in Via and Record-Route.
    pub advertise: Arc<str>,
    pub local: std::net::SocketAddr,
}

/// What stays the same for the life of a process.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Settings {
    pub listeners: Vec<Listener>,
    /// Keys the MAC on our Record-Route and our branches; kept in the store's folder so that dialogs outlive the process.
    pub secret: [u8; 32],
    /// Distinguishes nodes and successors in branches.
    pub instance: u32,
    /// Questions that may wait for the gate at once; beyond, 503.
    pub max_asks: usize,
    /// Transactions at once; beyond, new INVITEs get 503.
    pub max_transactions: usize,
    /// Timer C (RFC 3261 §16.6 step 11), above three minutes.
    pub timer_c: Duration,
    /// T1 (RFC 3261 §17.1.1.1), 500 ms.
    pub t1: Duration,
}

/// What may change on reload.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Routing {
    pub peers: Arc<Peers>,
    /// For reading numbers.
    pub plan: Arc<Plan>,
}

/// The proxy core.
pub struct Proxy {}

impl Proxy {
    /// A proxy without calls.
    pub fn new(_settings: Settings, _routing: Routing, _metrics: Arc<Metrics>) -> Self {
        todo!()
    }

    /// Puts new peers in force; calls in progress keep theirs.
    pub fn set_routing(&mut self, _routing: Routing) {
        todo!()
    }

    /// From now on new dialog-opening INVITEs get 503 (drain).
    pub fn drain(&mut self) {
        todo!()
    }

    /// Calls still being set up (pending INVITE transactions), for the drain.
    pub fn pending(&self) -> usize {
        todo!()
    }

    /// One datagram or frame.
    pub fn receive(&mut self, _now: Now, _flow: Flow, _bytes: Bytes) {
        todo!()
    }

    /// The gate's answer to an [`Output::Ask`].
    pub fn decide(&mut self, _now: Now, _id: AskId, _decision: Decision) {
        todo!()
    }

    /// A send failed for good (ICMP error, connection refused): as a 503 from that target (RFC 3261 §8.1.3.1, §16.9).
    pub fn send_failed(&mut self, _now: Now, _flow: Flow) {
        todo!()
    }

    /// Fires the timers that are due.
    pub fn timeout(&mut self, _now: Now) {
        todo!()
    }

    /// When to call [`Proxy::timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Next thing to do; `None` when all is done for now.
    pub fn poll(&mut self) -> Option<Output> {
        todo!()
    }
}
