//! Overload control: which share of new calls is turned away before any work is done for them, and what neighbours that speak
//! RFC 7339 are told of it. Requests within calls, ACK, CANCEL and emergency calls are never turned away here.
//!
//! Two signals. *Fill*: questions and transactions above their bounds turn every new call away until they are down to three quarters,
//! so that the bound is not crossed back and forth with each call. *Occupancy*: the share of time that the worker is busy is held at
//! [`TARGET`] by accepting a smaller part of new calls, adjusted at each interval (the occupancy algorithm of Hilt and Widjaja,
//! RFC 6357 §5.2). It begins only after several intervals without a moment to spare in which messages were left unread, and ends when
//! everything fits again.
//!
//! A 503 and its ACK cost a good part of what a call costs, so that answering everybody would leave nothing for calls under several
//! times the load. Beyond [`ANSWERED`] of them a second, new calls are left unread: [`Load::held_back`] says which share the sockets
//! are to drop, and what is turned away here is that much less.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Proxy;
use super::core::Core;
use super::counters::{Direction, Shed};
use super::keys::Chance;
use super::recent::Recent;
use super::refuse::Arrival;
use crate::sip::message::{Edit, Header, Message, Method, Via};
use crate::sip::peer::Peer;
use crate::sip::{Now, Transport};

/// What becomes of new calls, in a thousand of those that are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Turned away, held back included.
    pub loss: u32,
    /// Of those that come as datagrams, dropped by the sockets before they are read.
    pub held_back: u32,
}

/// The state of one worker.
#[derive(Default)]
pub(super) struct Overload {
    busy: Duration,
    idle: Duration,
    /// In this interval there was a turn that left nothing unread.
    caught_up: bool,
    /// Saturated intervals in a row.
    saturated: u8,
    /// New calls turned away in a thousand, by occupancy.
    loss: u32,
    /// New calls that came as datagrams in this interval, as far as the sockets let them through.
    seen: u32,
    /// What the sockets are to drop, by the last interval.
    held_back: u32,
    /// In force for the whole process; `None`: nobody but this proxy.
    in_force: Option<Load>,
    asks_full: bool,
    transactions_full: bool,
    /// INVITEs turned away lately: a retransmission is turned away too, so that no call is refused and then goes after all.
    shed: Recent,
}

impl Overload {
    /// A turn took so long, after nothing had been to do for so long.
    pub(super) fn worked(&mut self, busy: Duration, idle: Duration) {
        self.busy += busy;
        self.idle += idle;
        let whole = self.busy + self.idle;
        if whole < INTERVAL {
            return;
        }
        self.steer(whole);
        self.hold_back(whole);
    }

    /// Adjusts the accepted share to how busy the interval was.
    fn steer(&mut self, whole: Duration) {
        let occupancy = u32::try_from(self.busy.as_nanos() * 1000 / whole.as_nanos()).unwrap_or(1000);
        (self.busy, self.idle) = (Duration::ZERO, Duration::ZERO);
        // A worker that is busy all the time and leaves nothing unread has callers that wait for its answers: no overload.
        let caught_up = std::mem::take(&mut self.caught_up);
        self.saturated = if occupancy >= SATURATED && !caught_up {
            self.saturated.saturating_add(1)
        } else {
            0
        };
        if self.loss == 0 && self.saturated < PATIENCE {
            return;
        }
        let accepted = 1000 - self.loss;
        let factor = match occupancy {
            // There is no telling how much more than all of its time the worker would need.
            SATURATED.. if !caught_up => FASTEST_FALL,
            SATURATED.. => SLOW_RISE,
            _ => (TARGET * 1000 / occupancy.max(1)).min(FASTEST_RISE),
        };
        self.loss = 1000 - (accepted * factor / 1000).clamp(LEAST_ACCEPTED, 1000);
        // Below ten in a thousand the division above would stand still.
        if factor > 1000 && self.loss > 0 {
            self.loss -= 1;
        }
    }

    /// Leaves as many unread as could not be answered, judging by how many were seen in the interval.
    fn hold_back(&mut self, whole: Duration) {
        let seen = std::mem::take(&mut self.seen);
        let offered = u64::from(seen) * 1000 / u64::from(1000 - self.drops());
        let answered = u64::from(ANSWERED) * u64::try_from(whole.as_millis()).unwrap_or(u64::MAX) / 1000;
        let passing =
            (1000 - u64::from(self.loss())).saturating_add((answered * 1000).checked_div(offered).unwrap_or(1000));
        let held_back = u32::try_from(1000_u64.saturating_sub(passing)).unwrap_or(0);
        self.held_back = if held_back < LEAST_HELD_BACK {
            0
        } else {
            held_back.min(MOST_HELD_BACK)
        };
    }

    /// What the sockets drop now.
    fn drops(&self) -> u32 {
        self.in_force.map_or(0, |load| load.held_back).min(MOST_HELD_BACK)
    }

    /// Takes note of how full things are.
    pub(super) fn fill(&mut self, asks: usize, max_asks: usize, transactions: usize, max_transactions: usize) {
        let next = |was: bool, now: usize, most: usize| now >= most || (was && now > most - most / 4);
        self.asks_full = next(self.asks_full, asks, max_asks);
        self.transactions_full = next(self.transactions_full, transactions, max_transactions);
    }

    /// New calls turned away in a thousand.
    pub(super) fn loss(&self) -> u32 {
        if self.asks_full || self.transactions_full {
            1000
        } else {
            self.loss
        }
    }

    /// Is this one to be turned away? Of what the sockets let through, a smaller part is.
    fn sheds(&mut self, chance: &mut Chance, datagram: bool) -> bool {
        let mut dropped = 0;
        if datagram {
            self.seen += 1;
            dropped = self.drops();
        }
        match self.loss() {
            0 => false,
            1000 => true,
            loss => chance.below(u64::from(1000 - dropped)) < u64::from(loss.saturating_sub(dropped)),
        }
    }
}

impl Proxy {
    /// How long the last turn took, and for how long there was nothing to do before it: what the share of new calls is steered by.
    pub fn worked(&mut self, busy: Duration, idle: Duration) {
        self.core.overload.worked(busy, idle);
    }

    /// The last turn left nothing unread.
    pub fn caught_up(&mut self) {
        self.core.overload.caught_up = true;
    }

    /// What is to become of new calls, as far as this proxy can tell.
    pub fn load(&self) -> Load {
        let overload = &self.core.overload;
        Load {
            loss: overload.loss(),
            held_back: overload.held_back,
        }
    }

    /// What is in force for all workers of the process: neighbours know the process, not its workers, and are told this; and what the
    /// sockets drop is not turned away a second time.
    pub fn set_load(&mut self, load: Load) {
        self.core.overload.in_force = Some(load);
    }

    /// Turns an INVITE away that opens a dialog, where there is too much to do; true where it did.
    pub(super) fn sheds(&mut self, now: Now, arrival: &Arrival) -> bool {
        if arrival.message.method() != Method::Invite || arrival.peer == Peer::Unknown {
            return false;
        }
        let settings = &self.core.settings;
        let transactions = self.contexts.len() + self.core.clients.len();
        let asks = self.core.asks.len();
        self.core
            .overload
            .fill(asks, settings.max_asks, transactions, settings.max_transactions);
        let again = self.core.overload.shed.holds(arrival.key, now.mono);
        let datagram = arrival.flow.transport == Transport::Udp;
        if !again && !self.core.overload.sheds(&mut self.core.chance, datagram) {
            return false;
        }
        if self.may_be_emergency(now, arrival) {
            return false;
        }
        if again {
            self.core.counters.retransmission(Direction::In);
        } else {
            if let Peer::Source(index) = arrival.peer
                && let Some(source) = self.routed.routing.peers.sources.get(usize::from(index.0))
            {
                self.core.counters.shed(&source.id, Shed::Load);
            }
            self.core.note_shed(arrival, now.mono);
        }
        self.core.refuse_overloaded(arrival);
        true
    }
}

impl Core {
    /// An INVITE was refused for now, without a transaction: so are its retransmissions.
    pub(super) fn note_shed(&mut self, arrival: &Arrival, now: Instant) {
        let until = now + self.durations.give_up();
        self.overload.shed.insert(arrival.key, until, now, None);
    }

    /// A response whose topmost Via offers RFC 7339's overload control, with what we ask for filled in; any other as it is.
    pub(super) fn with_feedback(&mut self, offer: Option<Via<'_>>, bytes: Bytes) -> Bytes {
        if !offer.is_some_and(|via| offers_control(&via)) {
            return bytes;
        }
        let Ok(response) = Message::parse(bytes.clone()) else {
            return bytes;
        };
        let Some(via) = response.via() else { return bytes };
        let control = self.control();
        let filled = filled(&via, &control);
        Edit::new(&response)
            .replace_value(Header::Via, &filled)
            .write(&mut self.scratch)
    }

    /// [`Core::with_feedback`] for an answer of ours.
    pub(super) fn with_own_feedback(&mut self, request: &Message, bytes: Bytes) -> Bytes {
        if request.speaks_of_overload() {
            self.with_feedback(request.via(), bytes)
        } else {
            bytes
        }
    }

    fn control(&self) -> String {
        let loss = self
            .overload
            .in_force
            .map_or_else(|| self.overload.loss(), |load| load.loss);
        let percent = loss.div_ceil(10);
        let validity = if percent == 0 { 0 } else { VALIDITY.as_millis() };
        let millis = self.wall_millis.max(0);
        format!(
            "oc={percent};oc-algo=\"loss\";oc-validity={validity};oc-seq={}.{:03}",
            millis / 1000,
            millis % 1000
        )
    }
}

/// Is it worth looking for an offer of overload control in this Via? Nearly none has one.
pub(super) fn may_offer_control(via: &str) -> bool {
    let via = via.as_bytes();
    memchr::memchr2_iter(b'o', b'O', via).any(|at| via.get(at + 1).is_some_and(|next| next.eq_ignore_ascii_case(&b'c')))
}

/// The neighbour takes part (RFC 7339 §4.1): `oc` without a value, and the loss algorithm among those it names. Anything else is no
/// offer.
fn offers_control(via: &Via<'_>) -> bool {
    via.param("oc") == Some("")
        && via
            .param("oc-algo")
            .is_some_and(|algorithms| algorithms.split(',').any(|one| one.trim().eq_ignore_ascii_case("loss")))
}

/// A Via value with its `oc` parameters replaced.
fn filled(via: &Via<'_>, control: &str) -> String {
    let head = &via.raw[..via.raw.len() - via.params.len()];
    let mut value = String::with_capacity(via.raw.len() + control.len());
    value.push_str(head.trim_end_matches([';', ' ', '\t', '\r', '\n']));
    for param in via.params.split(';').map(str::trim).filter(|param| !param.is_empty()) {
        let name = param.split('=').next().unwrap_or_default().trim();
        let ours = ["oc", "oc-algo", "oc-validity", "oc-seq"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known));
        if !ours {
            let _ = write!(value, ";{param}");
        }
    }
    let _ = write!(value, ";{control}");
    value
}

/// From one adjustment to the next.
const INTERVAL: Duration = Duration::from_millis(50);

/// Share of time, in a thousand, that a loaded worker is kept busy.
const TARGET: u32 = 950;

/// From here on a worker is taken to need more than all of its time.
const SATURATED: u32 = 985;

/// Saturated intervals in a row before calls are turned away.
const PATIENCE: u8 = 3;

/// The accepted share falls by a fifth at most, in each interval, and rises by a tenth.
const FASTEST_FALL: u32 = 800;
const FASTEST_RISE: u32 = 1100;

/// By so much it rises while a worker that is busy all the time leaves nothing unread.
const SLOW_RISE: u32 = 1020;

/// Accepted in a thousand whatever happens, so that there is something to measure by.
const LEAST_ACCEPTED: u32 = 10;

/// New calls that one worker answers with 503 in a second before it leaves more of them unread. With its ACK each costs some tens of
/// microseconds, so that these cost a few hundredths of the worker's time.
const ANSWERED: u32 = 1_000;

/// A smaller share in a thousand is not worth a filter, and a larger one would leave nothing to measure by.
const LEAST_HELD_BACK: u32 = 50;
const MOST_HELD_BACK: u32 = 995;

/// For how long a neighbour is to go by what it was told.
const VALIDITY: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "overload_tests.rs"]
mod tests;
