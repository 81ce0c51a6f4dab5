//! The response context of one request (RFC 3261 §16.2): its server transaction, its branches, and what has come of them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use smallvec::SmallVec;

use super::AskId;
use super::core::{Core, Routed};
use super::outcome::Settlement;
use super::spent::Spent;
use crate::sip::message::{Message, Method};
use crate::sip::peer::{Held, Peer, Place, TrunkIndex};
use crate::sip::transaction::client::{ClientAction, InviteClient, NonInviteClient};
use crate::sip::transaction::key::ServerKey;
use crate::sip::transaction::server::{
    InviteServer, InviteServerState, NonInviteServer, NonInviteServerState, ServerAction,
};
use crate::sip::transaction::{Durations, earliest};
use crate::sip::{Flow, Transport};

/// Position of a context in the [`Table`], and which of those that held it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ContextId {
    index: u32,
    generation: u32,
}

pub(super) struct Context {
    pub(super) id: ContextId,
    pub(super) key: ServerKey,
    pub(super) request: Message,
    /// Where the request came from.
    pub(super) flow: Flow,
    /// Where its responses go.
    pub(super) reply: Flow,
    pub(super) peer: Peer,
    pub(super) routed: Arc<Routed>,
    pub(super) server: Server,
    /// The last response sent, for retransmission.
    pub(super) last: Option<(u16, Bytes)>,
    pub(super) branches: SmallVec<[Branch; 1]>,
    /// Trunks still to be tried, the next one last.
    pub(super) trunks: SmallVec<[TrunkIndex; 4]>,
    /// Addresses of the trunk being tried, or of the source that is called, that are still to be tried, the next one last (RFC 3263
    /// §4.3).
    pub(super) places: SmallVec<[(Peer, Place); 1]>,
    /// The question that the gate has not answered.
    pub(super) ask: Option<Asked>,
    pub(super) emergency: bool,
    /// The caller gave up.
    pub(super) cancelled: bool,
    /// The CANCEL's Reason, for the next hop (RFC 3326).
    pub(super) cancel_reason: Option<Box<str>>,
    /// Timer C.
    pub(super) timer_c: Option<Instant>,
    /// Timer C has fired.
    pub(super) rang_out: bool,
    /// When a non-INVITE request that nobody has answered gets 100 (RFC 4320 §4.1).
    pub(super) trying_at: Option<Instant>,
    pub(super) settlement: Settlement,
    /// No new branch starts at or after this moment.
    pub(super) valid_until: Option<DateTime<Utc>>,
    /// The best final response so far of branches that have ended: what is sent if no other does better.
    pub(super) best: Option<Final>,
    /// Until when a retransmission must find the verdict.
    pub(super) holds_until: Option<Instant>,
    pub(super) armed: Option<Instant>,
    /// Its place among its source's calls in progress.
    pub(super) held: Option<Held>,
}

/// A question to the gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) id: AskId,
    /// When the gate has had its time.
    pub(super) until: Instant,
    /// It has only just been asked: no 100 has been sent and no timer set, since most answers come at once.
    pub(super) fresh: bool,
}

/// A final response to be chosen from.
#[derive(Clone, Debug)]
pub(super) struct Final {
    pub(super) status: u16,
    /// As it goes upstream; `None`: to be made by us.
    pub(super) bytes: Option<Bytes>,
}

/// The server transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Server {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
}

/// One request sent on.
pub(super) struct Branch {
    pub(super) unique: u64,
    pub(super) flow: Flow,
    pub(super) trunk: Option<TrunkIndex>,
    pub(super) request: Bytes,
    pub(super) client: Client,
    /// The ACK for a final response of 300 to 699, for its retransmissions.
    pub(super) ack: Option<Bytes>,
    /// CANCEL is to be sent as soon as there is a provisional response (RFC 3261 §9.1).
    pub(super) cancel_wanted: bool,
    pub(super) cancel: Option<Cancel>,
    /// No final response 64·T1 after the CANCEL: the branch is given up (§9.1).
    pub(super) give_up_at: Option<Instant>,
    /// The transaction is over without an answer; a late one is still recognised until then.
    pub(super) linger: Option<Instant>,
    /// Its final response has been counted.
    pub(super) counted: bool,
}

/// The client transaction of a CANCEL.
pub(super) struct Cancel {
    pub(super) request: Bytes,
    pub(super) client: NonInviteClient,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Client {
    Invite(InviteClient),
    NonInvite(NonInviteClient),
}

impl Client {
    pub(super) fn new(method: Method, now: Instant, durations: &Durations, reliable: bool) -> Self {
        match method {
            Method::Invite => Self::Invite(InviteClient::new(now, durations, reliable)),
            _ => Self::NonInvite(NonInviteClient::new(now, durations, reliable)),
        }
    }

    pub(super) fn response(&mut self, now: Instant, durations: &Durations, status: u16) -> ClientAction {
        match self {
            Self::Invite(client) => client.response(now, durations, status),
            Self::NonInvite(client) => client.response(now, durations, status),
        }
    }

    pub(super) fn timeout(&mut self, now: Instant, durations: &Durations) -> ClientAction {
        match self {
            Self::Invite(client) => client.timeout(now),
            Self::NonInvite(client) => client.timeout(now, durations),
        }
    }

    pub(super) fn fail(&mut self) {
        match self {
            Self::Invite(client) => client.fail(),
            Self::NonInvite(client) => client.fail(),
        }
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        match self {
            Self::Invite(client) => client.wake(),
            Self::NonInvite(client) => client.wake(),
        }
    }
}

impl Branch {
    pub(super) fn wake(&self) -> Option<Instant> {
        [
            self.cancel.as_ref().and_then(|cancel| cancel.client.wake()),
            self.give_up_at,
            self.linger,
        ]
        .into_iter()
        .fold(self.client.wake(), earliest)
    }

    /// Nothing can come of it any more.
    pub(super) fn is_over(&self) -> bool {
        self.wake().is_none() && !self.is_waiting()
    }

    /// A final response may still come.
    pub(super) fn is_waiting(&self) -> bool {
        use crate::sip::transaction::client::{InviteClientState as I, NonInviteClientState as N};
        match &self.client {
            Client::Invite(client) => matches!(client.state(), I::Calling | I::Proceeding),
            Client::NonInvite(client) => matches!(client.state(), N::Trying | N::Proceeding),
        }
    }
}

impl Server {
    pub(super) fn new(method: Method, transport: Transport) -> Self {
        let reliable = is_reliable(transport);
        match method {
            Method::Invite => Self::Invite(InviteServer::new(reliable)),
            _ => Self::NonInvite(NonInviteServer::new(reliable)),
        }
    }

    pub(super) fn request(&mut self) -> ServerAction {
        match self {
            Self::Invite(server) => server.request(),
            Self::NonInvite(server) => server.request(),
        }
    }

    pub(super) fn respond(&mut self, now: Instant, durations: &Durations, status: u16) -> bool {
        match self {
            Self::Invite(server) => server.respond(now, durations, status),
            Self::NonInvite(server) => server.respond(now, durations, status),
        }
    }

    pub(super) fn timeout(&mut self, now: Instant, durations: &Durations) -> ServerAction {
        match self {
            Self::Invite(server) => server.timeout(now, durations),
            Self::NonInvite(server) => server.timeout(now),
        }
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        match self {
            Self::Invite(server) => server.wake(),
            Self::NonInvite(server) => server.wake(),
        }
    }

    /// No final response has been sent.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Invite(server) => server.state() == InviteServerState::Proceeding,
            Self::NonInvite(server) => {
                matches!(
                    server.state(),
                    NonInviteServerState::Trying | NonInviteServerState::Proceeding
                )
            }
        }
    }
}

impl Context {
    pub(super) fn is_invite(&self) -> bool {
        matches!(self.server, Server::Invite(_))
    }

    /// The gate has only just been asked.
    pub(super) fn is_fresh(&self) -> bool {
        self.ask.is_some_and(|asked| asked.fresh)
    }

    /// Nobody else is tried.
    pub(super) fn end_search(&mut self) {
        self.trunks.clear();
        self.places.clear();
    }

    /// Some branch may still bring a final response.
    pub(super) fn has_waiting_branch(&self) -> bool {
        self.branches.iter().any(Branch::is_waiting)
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        let own = [self.ask.map(|asked| asked.until), self.timer_c, self.trying_at];
        own.into_iter()
            .chain(self.branches.iter().map(Branch::wake))
            .fold(self.server.wake(), earliest)
    }
}

pub(super) fn is_reliable(transport: Transport) -> bool {
    transport != Transport::Udp
}

/// All contexts; freed positions are used again.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    entry: Entry,
}

#[derive(Default)]
enum Entry {
    #[default]
    Free,
    Open(Box<Context>),
    Spent(Box<Spent>),
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Those that are open.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Context> {
        self.slots.iter().filter_map(|slot| match &slot.entry {
            Entry::Open(context) => Some(&**context),
            Entry::Spent(_) | Entry::Free => None,
        })
    }

    /// What became of each INVITE, open or spent.
    #[cfg(test)]
    pub(super) fn invites(&self) -> impl Iterator<Item = &Settlement> {
        self.slots.iter().filter_map(|slot| match &slot.entry {
            Entry::Open(context) => context.is_invite().then_some(&context.settlement),
            Entry::Spent(spent) => spent.invite(),
            Entry::Free => None,
        })
    }

    /// Puts in what `make` makes of its id.
    pub(super) fn insert(&mut self, make: impl FnOnce(ContextId) -> Context) -> ContextId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // Bounded by `max_transactions` far below 2^32.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[index as usize];
        let id = ContextId {
            index,
            generation: slot.generation,
        };
        slot.entry = Entry::Open(Box::new(make(id)));
        id
    }

    /// One that is open.
    pub(super) fn get_mut(&mut self, id: ContextId) -> Option<&mut Context> {
        match self.entry_mut(id)? {
            Entry::Open(context) => Some(context),
            Entry::Spent(_) | Entry::Free => None,
        }
    }

    /// One that is spent.
    pub(super) fn spent_mut(&mut self, id: ContextId) -> Option<&mut Spent> {
        match self.entry_mut(id)? {
            Entry::Spent(spent) => Some(spent),
            Entry::Open(_) | Entry::Free => None,
        }
    }

    /// Leaves of an open one what [`Spent`] needs, under the same id.
    pub(super) fn spend(&mut self, id: ContextId) {
        if let Some(entry) = self.entry_mut(id) {
            *entry = match std::mem::take(entry) {
                Entry::Open(context) => Entry::Spent(Box::new(Spent::of(*context))),
                other => other,
            };
        }
    }

    /// Takes one out; gives it where it was open.
    pub(super) fn remove(&mut self, id: ContextId) -> Option<Box<Context>> {
        let entry = std::mem::take(self.entry_mut(id)?);
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        match entry {
            Entry::Open(context) => Some(context),
            Entry::Spent(_) | Entry::Free => None,
        }
    }

    fn entry_mut(&mut self, id: ContextId) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(id.index as usize)?;
        let held = slot.generation == id.generation && !matches!(slot.entry, Entry::Free);
        held.then_some(&mut slot.entry)
    }
}

impl Core {
    /// Forgets the branches of which nothing can come any more.
    pub(super) fn sweep(&mut self, context: &mut Context) {
        let (clients, unheard) = (&mut self.clients, &mut self.unheard);
        context.branches.retain(|branch| {
            let over = branch.is_over();
            if over {
                clients.remove(&branch.unique);
                unheard.remove(&(branch.flow.remote, branch.unique));
            }
            !over
        });
    }
}
