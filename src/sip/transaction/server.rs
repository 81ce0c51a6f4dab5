//! The server machines: INVITE (RFC 3261 §17.2.1 with RFC 6026) and non-INVITE (§17.2.2). Called by `sip::proxy`, which keeps the
//! last response for them; they hold no message and send nothing themselves.

use std::time::{Duration, Instant};

use super::{Durations, earliest};

/// What the owner is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerAction {
    /// Nothing.
    None,
    /// Send the last response again, if there is one.
    Resend,
    /// The ACK belongs to a 2xx: route it (RFC 6026 §7.1).
    PassAck,
    /// The transaction is over and can be forgotten (timers H, I, J, L).
    Ended,
}

/// States of the INVITE server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum InviteServerState {
    Proceeding,
    Completed,
    Confirmed,
    /// RFC 6026 §7.1: a 2xx was sent; further ones may follow.
    Accepted,
    Terminated,
}

/// INVITE server transaction.
#[derive(Clone, Copy, Debug)]
pub struct InviteServer {
    state: InviteServerState,
    reliable: bool,
    /// Timer G: next retransmission of the final response, unreliable transports only.
    retransmit: Option<Instant>,
    /// Timer G's present value: T1, doubled up to T2.
    interval: Duration,
    /// Timer H in Completed, I in Confirmed, L in Accepted.
    deadline: Option<Instant>,
}

impl InviteServer {
    /// The request has just come; the owner sends 100 at once.
    pub fn new(reliable: bool) -> Self {
        Self {
            state: InviteServerState::Proceeding,
            reliable,
            retransmit: None,
            interval: Duration::ZERO,
            deadline: None,
        }
    }

    /// The INVITE came again.
    pub fn request(&mut self) -> ServerAction {
        match self.state {
            InviteServerState::Proceeding | InviteServerState::Completed => ServerAction::Resend,
            _ => ServerAction::None,
        }
    }

    /// An ACK with the INVITE's branch came.
    pub fn ack(&mut self, now: Instant, durations: &Durations) -> ServerAction {
        match self.state {
            InviteServerState::Completed => {
                let timer_i = if self.reliable { Duration::ZERO } else { durations.t4 };
                self.enter(InviteServerState::Confirmed, Some(now + timer_i));
                ServerAction::None
            }
            InviteServerState::Accepted => ServerAction::PassAck,
            _ => ServerAction::None,
        }
    }

    /// The owner wants to send a response; true: it is sent (a 2xx may follow another), false: a final answer stands already.
    pub fn respond(&mut self, now: Instant, durations: &Durations, status: u16) -> bool {
        use InviteServerState as S;
        match (self.state, status) {
            (S::Proceeding, 100..=199) | (S::Accepted, 200..=299) => true,
            (S::Proceeding, 200..=299) => {
                self.enter(S::Accepted, Some(now + durations.give_up()));
                true
            }
            (S::Proceeding, _) => {
                self.enter(S::Completed, Some(now + durations.give_up()));
                self.interval = durations.t1;
                self.retransmit = (!self.reliable).then_some(now + durations.t1);
                true
            }
            _ => false,
        }
    }

    /// The moment given by [`InviteServer::wake`] has come.
    pub fn timeout(&mut self, now: Instant, durations: &Durations) -> ServerAction {
        if self.deadline.is_some_and(|at| at <= now) {
            self.enter(InviteServerState::Terminated, None);
            return ServerAction::Ended;
        }
        if self.retransmit.is_some_and(|at| at <= now) {
            self.interval = (self.interval * 2).min(durations.t2);
            self.retransmit = Some(now + self.interval);
            return ServerAction::Resend;
        }
        ServerAction::None
    }

    /// When to call [`InviteServer::timeout`].
    pub fn wake(&self) -> Option<Instant> {
        earliest(self.retransmit, self.deadline)
    }

    /// The state.
    pub fn state(&self) -> InviteServerState {
        self.state
    }

    fn enter(&mut self, state: InviteServerState, deadline: Option<Instant>) {
        self.state = state;
        self.retransmit = None;
        self.deadline = deadline;
    }
}

/// States of the non-INVITE server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NonInviteServerState {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// Non-INVITE server transaction.
#[derive(Clone, Copy, Debug)]
pub struct NonInviteServer {
    state: NonInviteServerState,
    reliable: bool,
    /// Timer J in Completed.
    deadline: Option<Instant>,
}

impl NonInviteServer {
    /// The request has just come.
    pub fn new(reliable: bool) -> Self {
        Self {
            state: NonInviteServerState::Trying,
            reliable,
            deadline: None,
        }
    }

    /// The request came again.
    pub fn request(&self) -> ServerAction {
        match self.state {
            NonInviteServerState::Proceeding | NonInviteServerState::Completed => ServerAction::Resend,
            NonInviteServerState::Trying | NonInviteServerState::Terminated => ServerAction::None,
        }
    }

    /// The owner wants to send a response; false: a final answer stands already.
    pub fn respond(&mut self, now: Instant, durations: &Durations, status: u16) -> bool {
        use NonInviteServerState as S;
        match (self.state, status) {
            (S::Trying | S::Proceeding, 100..=199) => {
                self.state = S::Proceeding;
                true
            }
            (S::Trying | S::Proceeding, _) => {
                self.state = S::Completed;
                let timer_j = if self.reliable {
                    Duration::ZERO
                } else {
                    durations.give_up()
                };
                self.deadline = Some(now + timer_j);
                true
            }
            _ => false,
        }
    }

    /// Nobody will answer any more (RFC 4320 §4.2: no 408 is sent): over without a final response.
    pub fn abandon(&mut self) {
        self.state = NonInviteServerState::Terminated;
        self.deadline = None;
    }

    /// The moment given by [`NonInviteServer::wake`] has come.
    pub fn timeout(&mut self, now: Instant) -> ServerAction {
        if self.deadline.is_some_and(|at| at <= now) {
            self.abandon();
            return ServerAction::Ended;
        }
        ServerAction::None
    }

    /// When to call [`NonInviteServer::timeout`].
    pub fn wake(&self) -> Option<Instant> {
        self.deadline
    }

    /// The state.
    pub fn state(&self) -> NonInviteServerState {
        self.state
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
