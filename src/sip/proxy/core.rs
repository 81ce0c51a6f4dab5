//! What every part of the proxy needs: settings, keys, the queue of outputs, client transactions by branch, wake-ups, counts. Holds no
//! call; [`super::context`] does.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;

use super::authenticate::Accounts;
use super::calls::Calls;
use super::context::ContextId;
use super::counters::{Counters, Direction, Kind};
use super::keys::{Chance, Keys, Use, hex16};
use super::overload::Overload;
use super::{AskId, Listener, Output, Routing, Settings};
use crate::gate::Reservation;
use crate::ledger::Outcome;
use crate::sip::peer::Directory;
use crate::sip::transaction::Durations;
use crate::sip::transaction::key::ServerKey;
use crate::sip::transaction::timer::Timers;
use crate::sip::{Flow, ListenerId, Now, Transport};
use crate::telemetry::{Malformed, PeerLog};

/// Routing with its lookups; a call keeps the one it began with.
pub(super) struct Routed {
    pub(super) routing: Routing,
    pub(super) directory: Directory,
    pub(super) accounts: Accounts,
}

impl Routed {
    pub(super) fn new(routing: Routing) -> Arc<Self> {
        let directory = Directory::build(&routing.peers);
        let accounts = Accounts::new(&routing.peers);
        Arc::new(Self {
            routing,
            directory,
            accounts,
        })
    }
}

/// A To-tag of ours.
pub(super) struct Tag([u8; 16]);

impl Tag {
    pub(super) fn as_str(&self) -> &str {
        // Hexadecimal digits.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) durations: Durations,
    pub(super) keys: Keys,
    pub(super) counters: Counters,
    log: PeerLog,
    pub(super) outputs: VecDeque<Output>,
    /// Client transactions by the unique part of their branch.
    pub(super) clients: FxHashMap<u64, ContextId>,
    /// Client transactions that nobody has answered yet, by whom they went to.
    pub(super) unheard: BTreeSet<(SocketAddr, u64)>,
    pub(super) asks: FxHashMap<AskId, ContextId>,
    pub(super) timers: Timers<ContextId>,
    pub(super) chance: Chance,
    pub(super) overload: Overload,
    /// Calls in progress of sources that may have only so many.
    pub(super) calls: Calls,
    /// The wall clock when the last message came, in milliseconds of the Unix epoch: orders what neighbours are told.
    pub(super) wall_millis: i64,
    /// Messages are written here and split off, so that one allocation serves many.
    pub(super) scratch: BytesMut,
    next_ask: u64,
    next_branch: u64,
}

impl Core {
    pub(super) fn new(settings: Settings, counters: Counters) -> Self {
        Self {
            durations: Durations::from_t1(settings.t1),
            keys: Keys::new(&settings.secret, settings.instance),
            counters,
            log: PeerLog::default(),
            outputs: VecDeque::new(),
            clients: FxHashMap::default(),
            unheard: BTreeSet::new(),
            asks: FxHashMap::default(),
            timers: Timers::default(),
            chance: Chance::new(settings.seed),
            overload: Overload::default(),
            calls: Calls::default(),
            wall_millis: 0,
            scratch: BytesMut::new(),
            next_ask: 0,
            // Two starts of one instance must not use a branch again.
            next_branch: settings.seed,
            settings,
        }
    }

    pub(super) fn send(&mut self, flow: Flow, bytes: Bytes, kind: Kind) {
        self.counters.message(Direction::Out, flow.transport, kind);
        self.outputs.push_back(Output::Send { flow, bytes });
    }

    pub(super) fn resend(&mut self, flow: Flow, bytes: Bytes, kind: Kind) {
        self.counters.retransmission(Direction::Out);
        self.send(flow, bytes, kind);
    }

    /// Bad input: counted by its cause, and told in the log with whose it is and which header it is about, where that peer has not
    /// filled its share of lines.
    pub(super) fn note_fault(&self, now: Now, peer: SocketAddr, header: &str, cause: &str) {
        let counted = &self.counters.metrics.parse_errors;
        counted.with_label_values(&[cause]).inc();
        self.log.malformed(Malformed { peer, header, cause }, now.mono);
    }

    pub(super) fn ask_id(&mut self) -> AskId {
        self.next_ask += 1;
        AskId(self.next_ask)
    }

    /// A number for a new client transaction, used by none.
    pub(super) fn unique(&mut self) -> u64 {
        loop {
            self.next_branch = self.next_branch.wrapping_add(1);
            let unique = self.keys.unique(self.next_branch);
            if !self.clients.contains_key(&unique) {
                return unique;
            }
        }
    }

    /// Our To-tag for a request: the same for each retransmission, also where no transaction is kept (RFC 3261 §8.2.7).
    pub(super) fn tag(&self, key: ServerKey) -> Tag {
        Tag(hex16(self.keys.fields(Use::Tag).add(&key.0.to_le_bytes()).short()))
    }

    pub(super) fn settle(&mut self, reservation: Option<Arc<Reservation>>, outcome: Outcome) {
        if let Some(reservation) = reservation {
            self.outputs.push_back(Output::Settle { reservation, outcome });
        }
    }

    pub(super) fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.settings.listeners.iter().find(|listener| listener.id == id)
    }

    /// The flow to an address: from the listener that the request came in by where it can, else from the first that can.
    pub(super) fn flow(&self, came_by: ListenerId, remote: SocketAddr, transport: Transport) -> Option<Flow> {
        let fits = |listener: &&Listener| {
            listener.transport == transport
                && listener.local.ip().to_canonical().is_ipv4() == remote.ip().to_canonical().is_ipv4()
        };
        // A socket bound to the loopback reaches nothing else.
        let reaches = |listener: &&Listener| {
            let local = listener.local.ip().to_canonical();
            local.is_unspecified() || local.is_loopback() == remote.ip().to_canonical().is_loopback()
        };
        let listeners = &self.settings.listeners;
        let listener = listeners
            .iter()
            .filter(fits)
            .find(|listener| listener.id == came_by && reaches(listener))
            .or_else(|| listeners.iter().filter(fits).find(reaches))
            .or_else(|| listeners.iter().find(fits))?;
        Some(Flow::new(listener.id, transport, remote))
    }
}
