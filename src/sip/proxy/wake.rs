//! What happens when nothing comes: the timers of a call's transactions, timer C, and a gate that does not answer.

use super::answer::Silence;
use super::context::{Asked, Client, Context, Server};
use super::core::Core;
use super::counters::Kind;
use crate::rules::Reason;
use crate::sip::Now;
use crate::sip::message::Method;
use crate::sip::transaction::client::{ClientAction, InviteClientState};
use crate::sip::transaction::server::ServerAction;

impl Core {
    /// Does what is due in one call.
    pub(super) fn fire(&mut self, context: &mut Context, now: Now) {
        if context.server.timeout(now.mono, &self.durations) == ServerAction::Resend
            && let Some((status, bytes)) = context.last.clone()
        {
            self.resend(context.reply, bytes, Kind::Response(status));
        }
        if let Some(Asked { id: ask, until, .. }) = context.ask
            && until <= now.mono
        {
            context.ask = None;
            self.asks.remove(&ask);
            self.refuse_for(context, now, Some(Reason::StoreUnavailable), None);
        }
        if context.trying_at.is_some_and(|at| at <= now.mono) {
            context.trying_at = None;
            if matches!(context.server, Server::NonInvite(_)) && context.server.is_open() {
                let bytes = self.response(context, 100, &[]);
                self.answer(context, now, 100, bytes);
            }
        }
        if context.timer_c.is_some_and(|at| at <= now.mono) {
            self.timer_c(context, now);
        }
        // A branch that ends may start another, which is not due yet.
        for at in 0..context.branches.len() {
            self.fire_branch(context, at, now);
        }
    }

    /// RFC 3261 §16.8: it has rung long enough.
    fn timer_c(&mut self, context: &mut Context, now: Now) {
        context.timer_c = None;
        context.rang_out = true;
        context.end_search();
        for at in 0..context.branches.len() {
            let calling = matches!(
                context.branches[at].client,
                Client::Invite(client) if client.state() == InviteClientState::Calling
            );
            if calling {
                self.silence(context, at, now, Silence::TimedOut);
            } else if context.branches[at].is_waiting() {
                self.cancel_branch(context, at, now);
            }
        }
    }

    fn fire_branch(&mut self, context: &mut Context, at: usize, now: Now) {
        let durations = self.durations;
        let method = context.request.method();
        let branch = &mut context.branches[at];
        if branch.linger.is_some_and(|until| until <= now.mono) {
            branch.linger = None;
        }
        if let Some(cancel) = &mut branch.cancel
            && cancel.client.wake().is_some_and(|at| at <= now.mono)
            && cancel.client.timeout(now.mono, &durations) == ClientAction::Retransmit
        {
            self.resend(branch.flow, cancel.request.clone(), Kind::Request(Method::Cancel));
        }
        match branch.client.timeout(now.mono, &durations) {
            ClientAction::Retransmit => self.resend(branch.flow, branch.request.clone(), Kind::Request(method)),
            ClientAction::TimedOut => self.silence(context, at, now, Silence::TimedOut),
            _ => {}
        }
        let branch = &mut context.branches[at];
        if branch.give_up_at.is_some_and(|until| until <= now.mono) {
            branch.give_up_at = None;
            if branch.is_waiting() {
                self.silence(context, at, now, Silence::GivenUp);
            }
        }
    }
}
