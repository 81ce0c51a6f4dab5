//! What becomes of responses (RFC 3261 §16.7): provisional ones pass, every 2xx passes, of the others the best goes back once no
//! branch is left; 503 and silence lead to the next trunk. Says what became of the call.

use bytes::Bytes;

use super::context::{Context, Final, Server};
use super::core::Core;
use super::counters::Kind;
use super::outcome::Settlement;
use super::overload::may_offer_control;
use super::{health, outcome};
use crate::ledger::Outcome;
use crate::sip::Now;
use crate::sip::message::{Edit, Header, Message, Via};
use crate::sip::transaction::client::ClientAction;

/// Why a branch ended without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Timer B or F: nobody answered at all (or, to a non-INVITE request, finally).
    TimedOut,
    /// The request could not be delivered: as a 503 (§16.9).
    Undelivered,
    /// No final response after the CANCEL.
    GivenUp,
}

impl Core {
    /// A response to the request of a branch.
    pub(super) fn branch_response(&mut self, context: &mut Context, at: usize, now: Now, response: &Message) {
        let status = response.status();
        let durations = self.durations;
        let branch = &mut context.branches[at];
        self.unheard.remove(&(branch.flow.remote, branch.unique));
        let was_waiting = branch.is_waiting();
        match branch.client.response(now.mono, &durations, status) {
            ClientAction::Pass if status < 200 => self.provisional(context, at, now, response),
            ClientAction::Pass if status < 300 => self.success(context, at, now, response, was_waiting),
            ClientAction::Pass => self.failure(context, at, now, response),
            ClientAction::PassAndAck => {
                self.acknowledge(branch, response);
                self.failure(context, at, now, response);
            }
            ClientAction::Ack => {
                self.counters.retransmission(super::counters::Direction::In);
                match branch.ack.clone() {
                    Some(ack) => self.resend(branch.flow, ack, Kind::Request(crate::sip::message::Method::Ack)),
                    // The transaction had been given up before this answer came.
                    None => self.acknowledge(branch, response),
                }
            }
            ClientAction::Late => self.late(context, at, now, response),
            _ => self.counters.retransmission(super::counters::Direction::In),
        }
    }

    fn provisional(&mut self, context: &mut Context, at: usize, now: Now, response: &Message) {
        if context.branches[at].cancel_wanted {
            self.cancel_branch(context, at, now);
        }
        let status = response.status();
        // RFC 4320 §4.1: to a non-INVITE request only 100 is sent, which each hop makes for itself.
        if status == 100 || !context.is_invite() {
            return;
        }
        self.note_ringing(&mut context.settlement, status);
        if context.timer_c.is_some() {
            context.timer_c = Some(now.mono + self.settings.timer_c);
        }
        let bytes = self.upstream(response);
        self.answer(context, now, status, bytes);
    }

    pub(super) fn note_ringing(&mut self, settlement: &mut Settlement, status: u16) {
        if (180..190).contains(&status) && settlement.ring() {
            self.settle(settlement.reservation.clone(), Outcome::NoAnswer);
        }
    }

    fn success(&mut self, context: &mut Context, at: usize, now: Now, response: &Message, first: bool) {
        if first {
            self.count_final(context, at, response.status());
            context.branches[at].give_up_at = None;
        }
        self.answered(context, now, response);
    }

    /// A 2xx goes back whatever was sent before (§16.7 step 5), and ends the search.
    fn answered(&mut self, context: &mut Context, now: Now, response: &Message) {
        let status = response.status();
        context.timer_c = None;
        context.end_search();
        if let Some(held) = context.held.take() {
            self.calls.keep(self.keys.call(&context.request), held, now.mono);
        }
        self.reach(&mut context.settlement, Outcome::Answered);
        let bytes = self.upstream(response);
        if context.server.respond(now.mono, &self.durations, status) {
            context.last = Some((status, bytes.clone()));
            context.trying_at = None;
            self.send(context.reply, bytes, Kind::Response(status));
        } else if context.is_invite() {
            self.send(context.reply, bytes, Kind::Response(status));
        }
        if context.is_invite() {
            self.cancel_branches(context, now);
        }
    }

    /// A provisional or a 2xx on a branch that had ended otherwise: the phone may have rung after all.
    fn late(&mut self, context: &mut Context, at: usize, now: Now, response: &Message) {
        let status = response.status();
        if status >= 200 {
            self.answered(context, now, response);
            return;
        }
        self.note_ringing(&mut context.settlement, status);
        // The next hop is still at it after we gave up: it is to stop.
        if context.branches[at].linger.is_some() {
            self.cancel_branch(context, at, now);
        }
    }

    fn failure(&mut self, context: &mut Context, at: usize, now: Now, response: &Message) {
        let status = response.status();
        self.count_final(context, at, status);
        context.branches[at].give_up_at = None;
        context.branches[at].cancel_wanted = false;
        let routed = context.routed.clone();
        let trunk = context.branches[at].trunk;
        let trunk = trunk.and_then(|index| routed.routing.peers.trunks.get(usize::from(index.0)));
        if let Some(trunk) = trunk.filter(|_| status == 503) {
            health::leave_alone(trunk, now.mono, response);
        }
        let by_clapet = outcome::is_refused_by_clapet(response);
        let outcome = match status {
            487 if context.rang_out => Outcome::NoAnswer,
            _ => outcome::of_response(status, context.settlement.rung, context.cancelled, by_clapet),
        };
        let last = match status {
            487 if context.rang_out && !context.cancelled => Final {
                status: 408,
                bytes: None,
            },
            503 if context.cancelled => Final {
                status: 487,
                bytes: None,
            },
            // Only we cannot be reached through this trunk; our own service is not unavailable (§16.7 step 6).
            503 => Final {
                status: 500,
                bytes: None,
            },
            _ => Final {
                status,
                bytes: Some(self.upstream(response)),
            },
        };
        // An emergency call tries whatever else may take it.
        let again = status == 503 || (context.emergency && (status == 408 || status / 100 == 5));
        self.branch_ended(context, now, last, outcome, again);
    }

    /// A branch ended without a final response.
    pub(super) fn silence(&mut self, context: &mut Context, at: usize, now: Now, silence: Silence) {
        let branch = &mut context.branches[at];
        branch.client.fail();
        branch.give_up_at = None;
        branch.cancel_wanted = false;
        // Until then a late answer is recognised, and a late final one acknowledged.
        branch.linger = Some(now.mono + self.durations.give_up());
        self.unheard.remove(&(branch.flow.remote, branch.unique));
        let outcome = match silence {
            Silence::GivenUp if context.cancelled => Outcome::Cancelled,
            Silence::GivenUp => Outcome::NoAnswer,
            Silence::TimedOut | Silence::Undelivered => Outcome::Failed,
        };
        let status = match silence {
            _ if context.cancelled => 487,
            Silence::Undelivered => 500,
            Silence::TimedOut | Silence::GivenUp => 408,
        };
        // Nobody waits for a non-INVITE request any longer than timer F.
        let again = silence == Silence::Undelivered || (silence == Silence::TimedOut && context.is_invite());
        self.branch_ended(context, now, Final { status, bytes: None }, outcome, again);
    }

    /// The next trunk, where the last could not do it; else the best response there is.
    fn branch_ended(&mut self, context: &mut Context, now: Now, last: Final, outcome: Outcome, again: bool) {
        context.timer_c = None;
        let best = better(context.best.take(), last);
        context.best = Some(best.clone());
        // A phone that rang is not made to ring again through another trunk.
        let may_go_on = again && !context.cancelled && !context.rang_out && !context.settlement.rung;
        if may_go_on && context.server.is_open() && self.next_branch(context, now) {
            return;
        }
        context.end_search();
        if context.has_waiting_branch() {
            return;
        }
        self.reach(&mut context.settlement, outcome);
        if let (408, Server::NonInvite(server)) = (best.status, &mut context.server) {
            // An answer would come too late (RFC 4320 §4.2): there is none.
            server.abandon();
            context.trying_at = None;
            return;
        }
        let bytes = match best.bytes {
            Some(bytes) => bytes,
            None => self.response(context, best.status, &[]),
        };
        self.answer(context, now, best.status, bytes);
    }

    /// Sends a response upstream through the server transaction, unless a final one stands already.
    pub(super) fn answer(&mut self, context: &mut Context, now: Now, status: u16, bytes: Bytes) {
        if !context.server.respond(now.mono, &self.durations, status) {
            return;
        }
        if status >= 300 {
            context.held = None;
        }
        if status >= 200 {
            context.trying_at = None;
            context.holds_until = context.is_invite().then(|| now.mono + self.durations.give_up());
        }
        context.last = Some((status, bytes.clone()));
        self.send(context.reply, bytes, Kind::Response(status));
    }

    /// 100 to an INVITE.
    pub(super) fn trying(&mut self, context: &mut Context, now: Now) {
        let bytes = self.response(context, 100, &[]);
        self.answer(context, now, 100, bytes);
    }

    /// A response without our Via.
    pub(super) fn upstream(&mut self, response: &Message) -> Bytes {
        let bytes = Edit::new(response).pop_value(Header::Via).write(&mut self.scratch);
        let next = response
            .values(Header::Via)
            .nth(1)
            .filter(|next| may_offer_control(next));
        self.with_feedback(next.and_then(Via::parse), bytes)
    }

    pub(super) fn reach(&mut self, settlement: &mut Settlement, outcome: Outcome) {
        if settlement.reach(outcome) {
            self.settle(settlement.reservation.clone(), outcome);
        }
    }

    fn count_final(&mut self, context: &mut Context, at: usize, status: u16) {
        let branch = &mut context.branches[at];
        if std::mem::replace(&mut branch.counted, true) {
            return;
        }
        let trunks = &context.routed.routing.peers.trunks;
        if let Some(trunk) = branch.trunk.and_then(|index| trunks.get(usize::from(index.0))) {
            self.counters.trunk_response(&trunk.id, status);
        }
    }
}

/// The better of two final responses (§16.7 step 6): a 6xx, else the lowest class, and in it the one that tells the caller more.
fn better(one: Option<Final>, other: Final) -> Final {
    let rank = |candidate: &Final| match candidate.status {
        600..=699 => (0, false),
        status => (
            status / 100,
            candidate.bytes.is_none() || !matches!(status, 401 | 407 | 415 | 420 | 484),
        ),
    };
    match one {
        Some(one) if rank(&one) < rank(&other) => one,
        _ => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(status: u16) -> Final {
        Final {
            status,
            bytes: Some(Bytes::new()),
        }
    }

    #[test]
    fn the_best_response_is_a_6xx_or_of_the_lowest_class() {
        for (one, other, expected) in [
            (500, 404, 404),
            (404, 500, 404),
            (404, 603, 603),
            (603, 302, 603),
            (302, 404, 302),
            (486, 407, 407),
            (407, 486, 407),
            (480, 486, 486),
        ] {
            assert_eq!(
                better(Some(relayed(one)), relayed(other)).status,
                expected,
                "{one} {other}"
            );
        }
        assert_eq!(better(None, relayed(503)).status, 503);
    }
}
