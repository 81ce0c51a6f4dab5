//! What is left of a request once nothing can come of it but what has been: enough to know what is sent again and to say it again
//! (RFC 3261 §17, RFC 6026), for the half minute that this takes. It is a tenth of an open call, which so many calls a second would
//! otherwise keep in memory long after they were answered. Holds no request, and starts nothing.

use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Proxy;
use super::context::{Branch, Client, Context, ContextId, Server};
use super::core::Core;
use super::counters::{Direction, Kind};
use super::outcome::Settlement;
use crate::ledger::Outcome;
use crate::sip::message::{Message, Method};
use crate::sip::transaction::client::ClientAction;
use crate::sip::transaction::earliest;
use crate::sip::transaction::key::ServerKey;
use crate::sip::transaction::server::InviteServerState;
use crate::sip::{Flow, Now};

pub(super) struct Spent {
    key: ServerKey,
    /// Where its responses went.
    pub(super) reply: Flow,
    pub(super) server: Server,
    /// The final response to a request that is not INVITE, for its retransmissions.
    pub(super) last: Option<(u16, Bytes)>,
    branches: SmallVec<[SpentBranch; 1]>,
    settlement: Settlement,
    cancelled: bool,
    holds_until: Option<Instant>,
    armed: Option<Instant>,
}

struct SpentBranch {
    unique: u64,
    client: Client,
    /// The ACK for a final response of 300 to 699, and where it goes.
    ack: Option<Box<(Flow, Bytes)>>,
}

impl Branch {
    /// All that it still waits for is that its client transaction forgets it.
    fn is_spent(&self) -> bool {
        let cancel = self.cancel.as_ref().and_then(|cancel| cancel.client.wake());
        !self.is_waiting() && cancel.is_none() && self.give_up_at.is_none() && self.linger.is_none()
    }
}

impl Context {
    /// A final response has gone, and of an INVITE it needs not be sent again: it was a 2xx, or its ACK has come.
    pub(super) fn is_spent(&self) -> bool {
        let said = match &self.server {
            Server::Invite(server) => {
                matches!(
                    server.state(),
                    InviteServerState::Accepted | InviteServerState::Confirmed
                )
            }
            Server::NonInvite(_) => !self.server.is_open(),
        };
        said && self.ask.is_none() && self.branches.iter().all(Branch::is_spent)
    }
}

impl Spent {
    pub(super) fn of(context: Context) -> Self {
        // A slice would keep all that was written beside it.
        let whole = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let last = context.last.filter(|_| matches!(context.server, Server::NonInvite(_)));
        let branches = context.branches.iter().map(|branch| SpentBranch {
            unique: branch.unique,
            client: branch.client,
            ack: branch.ack.as_ref().map(|ack| Box::new((branch.flow, whole(ack)))),
        });
        Self {
            key: context.key,
            reply: context.reply,
            server: context.server,
            last: last.map(|(status, bytes)| (status, whole(&bytes))),
            branches: branches.collect(),
            settlement: context.settlement,
            cancelled: context.cancelled,
            holds_until: context.holds_until,
            armed: context.armed,
        }
    }

    fn wake(&self) -> Option<Instant> {
        let branches = self.branches.iter().map(|branch| branch.client.wake());
        branches.fold(self.server.wake(), earliest)
    }

    fn is_invite(&self) -> bool {
        matches!(self.server, Server::Invite(_))
    }

    /// What became of it, where it is an INVITE.
    #[cfg(test)]
    pub(super) fn invite(&self) -> Option<&Settlement> {
        self.is_invite().then_some(&self.settlement)
    }
}

impl Proxy {
    /// A CANCEL that came too late to change anything.
    pub(super) fn spent_cancelled(&mut self, id: ContextId) {
        if self.contexts.spent_mut(id).is_some_and(|spent| spent.cancelled) {
            self.core.counters.retransmission(Direction::In);
        }
    }

    /// A response to what it sent, with a branch of ours.
    pub(super) fn spent_response(&mut self, now: Now, id: ContextId, unique: u64, response: &Message) {
        let Some(spent) = self.contexts.spent_mut(id) else {
            return;
        };
        // The client transaction of a CANCEL is over by now.
        if spent.is_invite() != (response.method() == Method::Invite) {
            return;
        }
        self.core.spent_response(spent, now, unique, response);
        self.finish_spent(id, now);
    }

    /// Fires the timers that are due.
    pub(super) fn fire_spent(&mut self, id: ContextId, now: Now) {
        let durations = self.core.durations;
        let Some(spent) = self.contexts.spent_mut(id) else {
            return;
        };
        spent.armed = None;
        spent.server.timeout(now.mono, &durations);
        for branch in &mut spent.branches {
            branch.client.timeout(now.mono, &durations);
        }
        self.finish_spent(id, now);
    }

    /// Forgets what is over, and sets when it wants to be woken.
    fn finish_spent(&mut self, id: ContextId, now: Now) {
        let Some(spent) = self.contexts.spent_mut(id) else {
            return;
        };
        let clients = &mut self.core.clients;
        spent.branches.retain(|branch| {
            let over = branch.client.wake().is_none();
            if over {
                clients.remove(&branch.unique);
            }
            !over
        });
        let wake = spent.wake();
        self.core.timers.set(id, &mut spent.armed, wake);
        if wake.is_none() {
            let (key, holds_until) = (spent.key, spent.holds_until);
            self.forget(id, key, holds_until, now);
        }
    }
}

impl Core {
    fn spent_response(&mut self, spent: &mut Spent, now: Now, unique: u64, response: &Message) {
        let status = response.status();
        let Some(branch) = spent.branches.iter_mut().find(|branch| branch.unique == unique) else {
            return;
        };
        match branch.client.response(now.mono, &self.durations, status) {
            // Every 2xx goes back whatever was sent before (§16.7 step 5).
            ClientAction::Pass | ClientAction::Late if status >= 200 => {
                self.reach(&mut spent.settlement, Outcome::Answered);
                let bytes = self.upstream(response);
                self.send(spent.reply, bytes, Kind::Response(status));
            }
            // The phone may have rung after all.
            ClientAction::Late => self.note_ringing(&mut spent.settlement, status),
            action => {
                self.counters.retransmission(Direction::In);
                if let (ClientAction::Ack, Some(ack)) = (action, &branch.ack) {
                    let (flow, bytes) = (ack.0, ack.1.clone());
                    self.resend(flow, bytes, Kind::Request(Method::Ack));
                }
            }
        }
    }
}
