//! What became of a call, for its reservation (contract, "What counts"). Reads statuses; knows no rule and no count.

use std::sync::Arc;

use crate::gate::Reservation;
use crate::ledger::Outcome;
use crate::rules::Reason;
use crate::sip::message::{Header, Message};

/// The reservation of a call and what it was last settled to.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    pub(super) reservation: Option<Arc<Reservation>>,
    /// A phone rang: some 18x came.
    pub(super) rung: bool,
    pub(super) last: Option<Outcome>,
}

impl Settlement {
    pub(super) fn new(reservation: Option<Arc<Reservation>>) -> Self {
        Self {
            reservation,
            ..Self::default()
        }
    }

    /// The call has come to this; true where that is news. An answered call stays answered, and one that counts keeps counting.
    pub(super) fn reach(&mut self, outcome: Outcome) -> bool {
        let settled = self.last.is_some_and(|last| {
            last == outcome || last == Outcome::Answered || (last.counts() && outcome != Outcome::Answered)
        });
        if !settled {
            self.last = Some(outcome);
        }
        !settled
    }

    /// An 18x came; true where the call had been given back and counts again.
    pub(super) fn ring(&mut self) -> bool {
        self.rung = true;
        match self.last {
            Some(last) if !last.counts() => self.reach(Outcome::NoAnswer),
            _ => false,
        }
    }
}

/// The outcome of a final response.
pub(super) fn of_response(status: u16, rung: bool, cancelled: bool, refused_by_clapet: bool) -> Outcome {
    match status {
        200..=299 => Outcome::Answered,
        487 if cancelled => Outcome::Cancelled,
        _ if !rung && (refused_by_clapet || could_not_be_presented(status)) => Outcome::Failed,
        486 | 600 => Outcome::Busy,
        408 | 480 => Outcome::NoAnswer,
        _ => Outcome::Rejected,
    }
}

/// The network says that the call reached no phone.
fn could_not_be_presented(status: u16) -> bool {
    matches!(status, 300..=399 | 401 | 403 | 404 | 407 | 410 | 484 | 604 | 500..=599)
}

/// `Reason: SIP;cause=403;text="frequency.exhausted"`: the next proxy is a clapet too.
pub(super) fn is_refused_by_clapet(response: &Message) -> bool {
    response.values(Header::Reason).any(|value| {
        value.split(';').skip(1).any(|param| {
            param
                .split_once('=')
                .filter(|(name, _)| name.trim().eq_ignore_ascii_case("text"))
                .and_then(|(_, text)| Reason::from_code(text.trim().trim_matches('"')))
                .is_some_and(|reason| !reason.is_exemption())
        })
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_sent_call_counts_unless_the_network_says_it_could_not_be_presented() {
        use Outcome as O;
        let failed_unless_rung = [
            300, 302, 380, 401, 403, 404, 407, 410, 484, 604, 500, 502, 503, 504, 580,
        ];
        for status in failed_unless_rung {
            assert_eq!(of_response(status, false, false, false), O::Failed, "{status}");
            assert_eq!(
                of_response(status, true, false, false),
                O::Rejected,
                "{status} after 18x"
            );
        }
        for (status, expected) in [
            (200, O::Answered),
            (202, O::Answered),
            (486, O::Busy),
            (600, O::Busy),
            (408, O::NoAnswer),
            (480, O::NoAnswer),
            (400, O::Rejected),
            (402, O::Rejected),
            (488, O::Rejected),
            (487, O::Rejected),
            (603, O::Rejected),
            (607, O::Rejected),
            (608, O::Rejected),
        ] {
            for rung in [false, true] {
                assert_eq!(
                    of_response(status, rung, false, false),
                    expected,
                    "{status} rung {rung}"
                );
            }
        }
        assert_eq!(of_response(487, false, true, false), O::Cancelled);
        assert_eq!(of_response(486, false, true, false), O::Busy);
        assert_eq!(of_response(603, false, false, true), O::Failed);
        assert_eq!(of_response(603, true, false, true), O::Rejected);
    }

    #[test]
    fn a_clapet_is_known_by_its_reason_code() {
        for (reason, expected) in [
            ("SIP;cause=403;text=\"frequency.exhausted\"", true),
            ("Q.850;cause=16, SIP ;cause=603; text = \"hours.window\"", true),
            ("SIP;cause=403;text=\"exempt.emergency\"", false),
            ("SIP;cause=403;text=\"Forbidden\"", false),
            ("Q.850;cause=21", false),
        ] {
            let response = Message::parse(Bytes::from(format!(
                "SIP/2.0 403 Forbidden\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>;tag=t\r\n\
                 Call-ID: c\r\nCSeq: 1 INVITE\r\nReason: {reason}\r\n\r\n"
            )))
            .unwrap();
            assert_eq!(is_refused_by_clapet(&response), expected, "{reason}");
        }
    }

    #[test]
    fn a_late_ring_or_answer_counts_a_call_again_and_nothing_takes_it_back() {
        use Outcome as O;
        let mut settlement = Settlement::default();
        assert!(settlement.reach(O::Failed));
        assert!(!settlement.reach(O::Failed));
        assert!(settlement.ring());
        assert_eq!(settlement.last, Some(O::NoAnswer));
        assert!(!settlement.reach(O::Failed));
        assert!(settlement.reach(O::Answered));
        assert!(!settlement.reach(O::Answered), "the second 200 of a fork");
        assert!(!settlement.reach(O::Cancelled));
        assert_eq!(settlement.last, Some(O::Answered));
    }
}
