//! CANCEL at every stage, and the requests that a hop makes for itself: CANCEL and the ACK of a final response of 300 to 699
//! (RFC 3261 §9.1, §17.1.1.3).

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

use super::Proxy;
use super::context::{Asked, Branch, Cancel, Client, Context, is_reliable};
use super::core::Core;
use super::counters::{Direction, Kind};
use super::refuse::Arrival;
use crate::sip::Now;
use crate::sip::message::{Header, Message, Method};
use crate::sip::peer::Peer;
use crate::sip::transaction::client::{InviteClientState, NonInviteClient};
use crate::sip::transaction::key::server_key;

impl Proxy {
    /// A CANCEL came. It is answered without a transaction: its retransmission finds the call cancelled and gets the same answer.
    pub(super) fn cancel(&mut self, now: Now, arrival: &Arrival) {
        let invite = server_key(&self.core.keys.table, &arrival.message, Method::Invite);
        let id = self.servers.get(&invite).copied();
        if id.is_none() && !self.recent.holds(invite, now.mono) {
            return match arrival.peer {
                Peer::Unknown => self.refuse_stranger(arrival),
                _ => self.core.reply(arrival, 481, &[]),
            };
        }
        // The 200 has the To-tag of our answers to the INVITE (§9.2).
        let answer = Arrival {
            message: arrival.message.clone(),
            key: invite,
            ..*arrival
        };
        self.core.reply(&answer, 200, &[]);
        // An INVITE that has its final answer is not changed by its CANCEL.
        let Some(context) = id.and_then(|id| self.contexts.get_mut(id)) else {
            if let Some(id) = id {
                self.spent_cancelled(id);
            }
            return;
        };
        let id = context.id;
        if context.cancelled {
            self.core.counters.retransmission(Direction::In);
        } else if context.server.is_open() {
            context.cancelled = true;
            context.cancel_reason = arrival.message.first(Header::Reason).map(Box::from);
            self.core.give_up(context, now);
        }
        self.finish(id, now);
    }
}

impl Core {
    /// The caller is gone: 487 where nothing was sent yet, CANCEL where something was.
    fn give_up(&mut self, context: &mut Context, now: Now) {
        if let Some(Asked { id: ask, .. }) = context.ask.take() {
            // What the gate grants late is given back: it finds no question.
            self.asks.remove(&ask);
            let bytes = self.response(context, 487, &[]);
            self.answer(context, now, 487, bytes);
        }
        context.end_search();
        self.cancel_branches(context, now);
    }

    /// Cancels every branch that may still bring a final response.
    pub(super) fn cancel_branches(&mut self, context: &mut Context, now: Now) {
        for at in 0..context.branches.len() {
            if context.branches[at].is_waiting() {
                self.cancel_branch(context, at, now);
            }
        }
    }

    /// Cancels one branch, or notes that it is to be cancelled at its first provisional response.
    pub(super) fn cancel_branch(&mut self, context: &mut Context, at: usize, now: Now) {
        let branch = &mut context.branches[at];
        if branch.cancel.is_some() {
            return;
        }
        match branch.client {
            Client::Invite(client) if client.state() == InviteClientState::Calling => branch.cancel_wanted = true,
            Client::Invite(_) => self.send_cancel(context, at, now),
            // RFC 3261 §9.1: only an INVITE is cancelled.
            Client::NonInvite(_) => {}
        }
    }

    fn send_cancel(&mut self, context: &mut Context, at: usize, now: Now) {
        let reason = context.cancel_reason.clone();
        let branch = &mut context.branches[at];
        branch.cancel_wanted = false;
        let Some(request) = hop_request(&mut self.scratch, branch, "CANCEL", None, reason.as_deref()) else {
            return;
        };
        branch.give_up_at = branch.is_waiting().then(|| now.mono + self.durations.give_up());
        let reliable = is_reliable(branch.flow.transport);
        branch.cancel = Some(Cancel {
            request: request.clone(),
            client: NonInviteClient::new(now.mono, &self.durations, reliable),
        });
        self.send(branch.flow, request, Kind::Request(Method::Cancel));
    }

    /// Acknowledges a final response of 300 to 699, hop by hop.
    pub(super) fn acknowledge(&mut self, branch: &mut Branch, response: &Message) {
        let to = response.first(Header::To);
        branch.ack = hop_request(&mut self.scratch, branch, "ACK", to, None);
        if let Some(ack) = branch.ack.clone() {
            self.send(branch.flow, ack, Kind::Request(Method::Ack));
        }
    }
}

/// A request of our own on a branch: its topmost Via, From, Call-ID, CSeq number, Routes and Request-URI are the INVITE's.
fn hop_request(
    scratch: &mut BytesMut,
    branch: &Branch,
    method: &str,
    to: Option<&str>,
    reason: Option<&str>,
) -> Option<Bytes> {
    let invite = Message::parse(branch.request.clone()).ok()?;
    let (via, cseq) = (invite.via()?, invite.cseq()?);
    let begin = scratch.len();
    scratch.reserve(512);
    // Writing into `BytesMut` cannot fail: it grows.
    let _ = write!(
        scratch,
        "{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n",
        uri = invite.request_uri(),
        via = via.raw
    );
    let from = invite.first(Header::From)?;
    let to = to.or_else(|| invite.first(Header::To))?;
    for route in invite.values(Header::Route) {
        let _ = write!(scratch, "Route: {route}\r\n");
    }
    let _ = write!(
        scratch,
        "From: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {number} {method}\r\n",
        call = invite.call_id(),
        number = cseq.number
    );
    if let Some(reason) = reason {
        // A folded value is one line here.
        let _ = write!(scratch, "Reason: {}\r\n", reason.replace(['\r', '\n'], " "));
    }
    let _ = write!(scratch, "Content-Length: 0\r\n\r\n");
    Some(scratch.split_off(begin).freeze())
}
