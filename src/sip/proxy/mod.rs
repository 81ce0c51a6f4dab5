//! RFC 3261 §16 over transactions, sans-IO: routing, Record-Route, CANCEL, failover, and the question to the gate. Never blocks.

mod admit;
mod answer;
mod authenticate;
mod calls;
mod cancel;
mod choose;
mod context;
mod core;
mod counters;
mod forward;
mod health;
mod in_dialog;
mod keys;
mod outcome;
mod overload;
mod question;
mod recent;
mod record_route;
mod refuse;
mod spent;
mod stray;
mod target_uri;
#[cfg(test)]
mod tests;
mod wake;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use rustc_hash::FxHashMap;

use super::message::{AckSketch, Header, Message, Method, ParseError, Response};
use super::peer::{Peer, Peers};
use super::transaction::client::ClientAction;
use super::transaction::earliest;
use super::transaction::key::{ServerKey, ack_key, server_key};
use super::transaction::server::ServerAction;
use super::{Flow, ListenerId, Now, Transport};
use crate::gate::{Decision, Question, Reservation};
use crate::ledger::Outcome;
use crate::numbering::Plan;
use crate::telemetry::Metrics;

pub use self::overload::Load;

use self::answer::Silence;
use self::context::{ContextId, Table};
use self::core::{Core, Routed};
use self::counters::{Counters, Direction, Kind};
use self::health::Prober;
use self::keys::Stamp;
use self::outcome::Settlement;
use self::recent::{Answer, Recent};
use self::refuse::{Arrival, reply_flow};

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
    /// Chance among trunks and the first branch: the same seed is the same run. From the system's entropy in production.
    pub seed: u64,
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
pub struct Proxy {
    core: Core,
    contexts: Table,
    servers: FxHashMap<ServerKey, ContextId>,
    recent: Recent,
    /// Calls that the gate has been asked about since the outputs were last empty, and when.
    fresh: Vec<(ContextId, Now)>,
    routed: Arc<Routed>,
    draining: bool,
    /// Where this proxy is the one that probes.
    prober: Option<Prober>,
}

impl Proxy {
    /// A proxy without calls.
    pub fn new(settings: Settings, routing: Routing, metrics: Arc<Metrics>) -> Self {
        Self {
            core: Core::new(settings, Counters::new(metrics)),
            contexts: Table::default(),
            servers: FxHashMap::default(),
            recent: Recent::default(),
            fresh: Vec::new(),
            routed: Routed::new(routing),
            draining: false,
            prober: None,
        }
    }

    /// Puts new peers in force; calls in progress keep theirs.
    pub fn set_routing(&mut self, routing: Routing) {
        self.routed = Routed::new(routing);
        self.set_probes();
    }

    /// From now on new dialog-opening INVITEs get 503 (drain).
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Calls still being set up (pending INVITE transactions), for the drain.
    pub fn pending(&self) -> usize {
        self.contexts
            .iter()
            .filter(|context| context.is_invite() && context.server.is_open())
            .count()
    }

    /// One datagram or frame.
    pub fn receive(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        self.core.wall_millis = now.wall.timestamp_millis();
        // Keep-alives (RFC 5626 §4.4.1) are no messages.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        if self.absorb(&bytes) {
            return self
                .core
                .counters
                .message(Direction::In, flow.transport, Kind::Request(Method::Ack));
        }
        match Message::parse(bytes) {
            Ok(message) if message.is_request() => {
                let kind = Kind::Request(message.method());
                self.core.counters.message(Direction::In, flow.transport, kind);
                self.request(now, flow, message);
            }
            Ok(message) => {
                let kind = Kind::Response(message.status());
                self.core.counters.message(Direction::In, flow.transport, kind);
                self.response(now, flow, &message);
            }
            Err(error) => self.malformed(now, flow, &error),
        }
        self.count();
    }

    /// The ACK of a refusal that has no transaction: what it is for is read of it, and nothing more.
    fn absorb(&mut self, bytes: &[u8]) -> bool {
        AckSketch::read(bytes)
            .and_then(|ack| ack_key(&self.core.keys.table, &ack))
            .is_some_and(|key| self.recent.acknowledge(key))
    }

    /// The gate's answer to an [`Output::Ask`].
    pub fn decide(&mut self, now: Now, id: AskId, decision: Decision) {
        let waiting = self.core.asks.remove(&id);
        let Some(context) = waiting.and_then(|id| self.contexts.get_mut(id)) else {
            // Cancelled, given up, or an emergency call that did not wait: what was granted is given back.
            self.core.settle(decision.reservation, Outcome::Unsent);
            return;
        };
        let fresh = context.ask.take().is_some_and(|asked| asked.fresh);
        let id = context.id;
        if decision.forwards() {
            if fresh {
                self.core.trying(context, now);
            }
            context.valid_until = decision.verdict.valid_until.filter(|_| decision.enforced);
            context.settlement = Settlement::new(decision.reservation);
            self.core.start(context, now);
        } else if fresh {
            self.refuse_at_once(now, id, &decision);
            self.core.settle(decision.reservation, Outcome::Unsent);
        } else {
            self.core.refuse(context, now, &decision);
            self.core.settle(decision.reservation, Outcome::Unsent);
        }
        self.finish(id, now);
        self.count();
    }

    /// Refuses without a transaction (RFC 3261 §8.2.7): no 100 has been sent, so the caller repeats its INVITE until it hears the
    /// answer, which is kept for it until its ACK.
    fn refuse_at_once(&mut self, now: Now, id: ContextId, decision: &Decision) {
        let Some(context) = self.contexts.remove(id) else {
            return;
        };
        self.servers.remove(&context.key);
        let (status, bytes) = self.core.refusal(&context, decision);
        let until = now.mono + self.core.durations.give_up();
        let answer = Answer {
            status,
            bytes: bytes.clone(),
        };
        self.recent.insert(context.key, until, now.mono, Some(answer));
        self.core.send(context.reply, bytes, Kind::Response(status));
    }

    /// The gate takes its time: the call becomes one that waits.
    fn keep_waiting(&mut self, now: Now, id: ContextId) {
        if let Some(context) = self.contexts.get_mut(id)
            && let Some(asked) = context.ask.as_mut().filter(|asked| asked.fresh)
        {
            asked.fresh = false;
            self.core.trying(context, now);
            self.finish(id, now);
        }
    }

    /// A send failed for good (ICMP error, connection refused): as a 503 from that target (RFC 3261 §8.1.3.1, §16.9).
    pub fn send_failed(&mut self, now: Now, flow: Flow) {
        self.probes_failed(flow);
        // Only requests that nobody has answered: an error that comes later is about some other packet.
        let failed: Vec<u64> = self
            .core
            .unheard
            .range((flow.remote, 0)..=(flow.remote, u64::MAX))
            .map(|(_, unique)| *unique)
            .collect();
        for unique in failed {
            let id = self.core.clients.get(&unique).copied();
            let Some(context) = id.and_then(|id| self.contexts.get_mut(id)) else {
                continue;
            };
            let same = |branch: &context::Branch| branch.unique == unique && branch.flow.transport == flow.transport;
            if let Some(at) = context.branches.iter().position(same) {
                let id = context.id;
                self.core.silence(context, at, now, Silence::Undelivered);
                self.finish(id, now);
            }
        }
        self.count();
    }

    /// Fires the timers that are due.
    pub fn timeout(&mut self, now: Now) {
        self.fire_probes(now);
        while let Some(id) = self.core.timers.pop_due(now.mono) {
            if let Some(context) = self.contexts.get_mut(id) {
                context.armed = None;
                self.core.fire(context, now);
                self.finish(id, now);
            } else {
                self.fire_spent(id, now);
            }
        }
        self.count();
    }

    /// When to call [`Proxy::timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let probes = self.prober.as_ref().and_then(Prober::wake);
        earliest(self.core.timers.next(), probes)
    }

    /// Next thing to do; `None` when all is done for now.
    ///
    /// A question that is answered before the next call of this function is answered at once: where it is refused, nothing but
    /// the refusal is sent.
    pub fn poll(&mut self) -> Option<Output> {
        while self.core.outputs.is_empty() {
            let (id, asked) = self.fresh.pop()?;
            self.keep_waiting(asked, id);
        }
        self.core.outputs.pop_front()
    }

    fn request(&mut self, now: Now, flow: Flow, message: Message) {
        let method = message.method();
        let key = server_key(&self.core.keys.table, &message, method);
        let arrival = Arrival {
            flow,
            reply: reply_flow(flow, &message),
            peer: self.routed.directory.peer(&flow),
            key,
            message,
        };
        match method {
            Method::Ack => return self.ack(now, &arrival),
            Method::Cancel => return self.cancel(now, &arrival),
            _ => {}
        }
        if let Some(&id) = self.servers.get(&key) {
            return self.retransmitted(id);
        }
        if method == Method::Invite && self.recent.holds(key, now.mono) {
            self.core.counters.retransmission(Direction::In);
            if let Some(Answer { status, bytes }) = self.recent.answer(key) {
                self.core.resend(arrival.reply, bytes, Kind::Response(status));
            }
            return;
        }
        if arrival.message.to_tag().is_empty() {
            self.admit(now, arrival);
        } else {
            self.within_dialog(now, arrival);
        }
    }

    fn retransmitted(&mut self, id: ContextId) {
        self.core.counters.retransmission(Direction::In);
        let kept = if let Some(context) = self.contexts.get_mut(id) {
            Some((&mut context.server, &context.last, context.reply))
        } else {
            let spent = self.contexts.spent_mut(id);
            spent.map(|spent| (&mut spent.server, &spent.last, spent.reply))
        };
        if let Some((server, last, reply)) = kept
            && server.request() == ServerAction::Resend
            && let Some((status, bytes)) = last.clone()
        {
            self.core.resend(reply, bytes, Kind::Response(status));
        }
    }

    fn response(&mut self, now: Now, flow: Flow, response: &Message) {
        let Some(stamp) = Stamp::parse(response.branch()) else {
            return;
        };
        let Some(id) = self.core.clients.get(&stamp.unique).copied() else {
            if !self.probe_answered(&stamp, response) {
                self.stray(flow, &stamp, response);
            }
            return;
        };
        if !self.core.keys.is_ours(&stamp, response) {
            return;
        }
        // RFC 3261 §16.7 step 3: without a further Via it is meant for us, and we asked nothing but CANCEL.
        if response.method() != Method::Cancel && response.values(Header::Via).nth(1).is_none() {
            return;
        }
        let Some(context) = self.contexts.get_mut(id) else {
            return self.spent_response(now, id, stamp.unique, response);
        };
        let Some(at) = context.branches.iter().position(|branch| branch.unique == stamp.unique) else {
            return;
        };
        let same_method = response.cseq_name() == context.request.cseq_name();
        if same_method {
            self.core.branch_response(context, at, now, response);
        } else if response.method() == Method::Cancel
            && let Some(cancel) = &mut context.branches[at].cancel
        {
            let action = cancel
                .client
                .response(now.mono, &self.core.durations, response.status());
            if action == ClientAction::None {
                self.core.counters.retransmission(Direction::In);
            }
        }
        self.finish(id, now);
    }

    fn malformed(&mut self, now: Now, flow: Flow, error: &ParseError) {
        let cause = error.cause;
        self.core.note_fault(now, flow.remote, cause.header(), cause.as_str());
        let stranger = self.routed.directory.peer(&flow) == Peer::Unknown;
        if stranger && self.routed.routing.peers.silence_unknown {
            return;
        }
        if let Some(message) = &error.answerable {
            let to_tag = self
                .core
                .tag(server_key(&self.core.keys.table, message, message.method()));
            let bytes = Response {
                request: message,
                status: error.status,
                phrase: "",
                to_tag: to_tag.as_str(),
                received_from: Some(flow.remote),
                headers: &[],
            }
            .write(&mut self.core.scratch);
            self.core
                .send(reply_flow(flow, message), bytes, Kind::Response(error.status));
        }
    }

    /// After anything happened to a call: forgets what is over, and sets when it wants to be woken.
    fn finish(&mut self, id: ContextId, now: Now) {
        let Some(context) = self.contexts.get_mut(id).filter(|context| !context.is_fresh()) else {
            return;
        };
        self.core.sweep(context);
        let wake = context.wake();
        self.core.timers.set(id, &mut context.armed, wake);
        if wake.is_none() {
            let (key, holds_until) = (context.key, context.holds_until);
            self.forget(id, key, holds_until, now);
        } else if context.is_spent() {
            self.contexts.spend(id);
        }
    }

    /// A request is over; what was judged is not judged anew until then.
    fn forget(&mut self, id: ContextId, key: ServerKey, holds_until: Option<Instant>, now: Now) {
        self.contexts.remove(id);
        self.servers.remove(&key);
        if let Some(until) = holds_until.filter(|until| now.mono < *until) {
            self.recent.insert(key, until, now.mono, None);
        }
    }

    fn count(&mut self) {
        let transactions = self.contexts.len() + self.core.clients.len();
        self.core.counters.transactions(transactions);
    }
}
