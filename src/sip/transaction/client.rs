//! The client machines: INVITE (RFC 3261 §17.1.1 with RFC 6026) and non-INVITE (§17.1.2). Called by `sip::proxy`; they hold no
//! message and send nothing themselves.

use std::time::{Duration, Instant};

use super::{Durations, earliest};

/// What the owner is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAction {
    /// Nothing.
    None,
    /// Send the request again (timers A and E).
    Retransmit,
    /// Look at the response.
    Pass,
    /// Look at the response, a final one of 300 to 699, and acknowledge it hop by hop (§17.1.1.3).
    PassAndAck,
    /// Acknowledge the response, a retransmission, and drop it.
    Ack,
    /// A provisional or 2xx after another final answer: of no use to the transaction, but the call may have been presented, and a
    /// 2xx is never held back (§16.7 step 5).
    Late,
    /// Timer B or F: nobody answered. The transaction is over.
    TimedOut,
    /// The transaction is over and can be forgotten (timers D, K, M).
    Ended,
}

/// States of the INVITE client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum InviteClientState {
    Calling,
    Proceeding,
    Completed,
    /// RFC 6026 §7.2: a 2xx came; further ones still pass.
    Accepted,
    Terminated,
}

/// INVITE client transaction.
#[derive(Clone, Copy, Debug)]
pub struct InviteClient {
    state: InviteClientState,
    reliable: bool,
    /// Timer A: next retransmission, unreliable transports only.
    retransmit: Option<Instant>,
    /// Timer A's present value: T1, doubled at each firing.
    interval: Duration,
    /// Timer B in Calling, D in Completed, M in Accepted.
    deadline: Option<Instant>,
}

impl InviteClient {
    /// The request has just been sent.
    pub fn new(now: Instant, durations: &Durations, reliable: bool) -> Self {
        Self {
            state: InviteClientState::Calling,
            reliable,
            retransmit: (!reliable).then_some(now + durations.t1),
            interval: durations.t1,
            deadline: Some(now + durations.give_up()),
        }
    }

    /// A response of that status came.
    pub fn response(&mut self, now: Instant, durations: &Durations, status: u16) -> ClientAction {
        use InviteClientState as S;
        match (self.state, status) {
            (S::Calling | S::Proceeding, 100..=199) => {
                self.enter(S::Proceeding, None);
                ClientAction::Pass
            }
            (S::Calling | S::Proceeding, 200..=299) => {
                self.enter(S::Accepted, Some(now + durations.give_up()));
                ClientAction::Pass
            }
            (S::Calling | S::Proceeding, _) if self.reliable => {
                // Timer D is zero over a reliable transport; the owner still has to acknowledge this one.
                self.enter(S::Completed, Some(now));
                ClientAction::PassAndAck
            }
            (S::Calling | S::Proceeding, _) => {
                self.enter(S::Completed, Some(now + durations.give_up()));
                ClientAction::PassAndAck
            }
            (S::Accepted, 200..=299) => ClientAction::Pass,
            (S::Completed | S::Terminated, 300..) => ClientAction::Ack,
            (S::Completed | S::Terminated, 101..=299) => ClientAction::Late,
            _ => ClientAction::None,
        }
    }

    /// The moment given by [`InviteClient::wake`] has come.
    pub fn timeout(&mut self, now: Instant) -> ClientAction {
        use InviteClientState as S;
        if self.deadline.is_some_and(|at| at <= now) {
            let waited = self.state;
            self.enter(S::Terminated, None);
            return match waited {
                S::Calling => ClientAction::TimedOut,
                _ => ClientAction::Ended,
            };
        }
        if self.retransmit.is_some_and(|at| at <= now) {
            self.interval *= 2;
            self.retransmit = Some(now + self.interval);
            return ClientAction::Retransmit;
        }
        ClientAction::None
    }

    /// The transport could not deliver the request (§17.1.4): over, as if it had never been.
    pub fn fail(&mut self) {
        self.enter(InviteClientState::Terminated, None);
    }

    /// When to call [`InviteClient::timeout`].
    pub fn wake(&self) -> Option<Instant> {
        earliest(self.retransmit, self.deadline)
    }

    /// The state.
    pub fn state(&self) -> InviteClientState {
        self.state
    }

    fn enter(&mut self, state: InviteClientState, deadline: Option<Instant>) {
        self.state = state;
        self.retransmit = None;
        self.deadline = deadline;
    }
}

/// States of the non-INVITE client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NonInviteClientState {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// Non-INVITE client transaction.
#[derive(Clone, Copy, Debug)]
pub struct NonInviteClient {
    state: NonInviteClientState,
    reliable: bool,
    /// Timer E: next retransmission, unreliable transports only.
    retransmit: Option<Instant>,
    /// Timer E's present value: T1, doubled up to T2.
    interval: Duration,
    /// Timer F in Trying and Proceeding, K in Completed.
    deadline: Option<Instant>,
}

impl NonInviteClient {
    /// The request has just been sent.
    pub fn new(now: Instant, durations: &Durations, reliable: bool) -> Self {
        Self {
            state: NonInviteClientState::Trying,
            reliable,
            retransmit: (!reliable).then_some(now + durations.t1),
            interval: durations.t1,
            deadline: Some(now + durations.give_up()),
        }
    }

    /// A response of that status came.
    pub fn response(&mut self, now: Instant, durations: &Durations, status: u16) -> ClientAction {
        use NonInviteClientState as S;
        match (self.state, status) {
            (S::Trying | S::Proceeding, 100..=199) => {
                self.state = S::Proceeding;
                ClientAction::Pass
            }
            (S::Trying | S::Proceeding, _) => {
                self.state = S::Completed;
                self.retransmit = None;
                let timer_k = if self.reliable { Duration::ZERO } else { durations.t4 };
                self.deadline = Some(now + timer_k);
                ClientAction::Pass
            }
            _ => ClientAction::None,
        }
    }

    /// The moment given by [`NonInviteClient::wake`] has come.
    pub fn timeout(&mut self, now: Instant, durations: &Durations) -> ClientAction {
        use NonInviteClientState as S;
        if self.deadline.is_some_and(|at| at <= now) {
            let waited = self.state;
            self.fail();
            return match waited {
                S::Trying | S::Proceeding => ClientAction::TimedOut,
                S::Completed | S::Terminated => ClientAction::Ended,
            };
        }
        if self.retransmit.is_some_and(|at| at <= now) {
            self.interval = match self.state {
                S::Proceeding => durations.t2,
                _ => (self.interval * 2).min(durations.t2),
            };
            self.retransmit = Some(now + self.interval);
            return ClientAction::Retransmit;
        }
        ClientAction::None
    }

    /// The transport could not deliver the request (§17.1.4).
    pub fn fail(&mut self) {
        self.state = NonInviteClientState::Terminated;
        self.retransmit = None;
        self.deadline = None;
    }

    /// When to call [`NonInviteClient::timeout`].
    pub fn wake(&self) -> Option<Instant> {
        earliest(self.retransmit, self.deadline)
    }

    /// The state.
    pub fn state(&self) -> NonInviteClientState {
        self.state
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
