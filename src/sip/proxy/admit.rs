//! Requests that open something: which are judged, relayed, answered by us, or refused (contract, "What is judged").
//!
//! From a source, INVITE is judged and everything else (OPTIONS with a user part, REGISTER, …) goes where its calls would; from a
//! trunk, everything goes to the source whose `inbound` holds the number, or gets 404. OPTIONS to ourselves are answered 200. What
//! is answered before a question is asked keeps no transaction, so that it costs an attacker more than us.

use smallvec::SmallVec;

use super::choose;
use super::context::{Asked, Context, ContextId, Server};
use super::counters::Shed;
use super::forward::must_be_secure;
use super::keys::Stamp;
use super::outcome::Settlement;
use super::question;
use super::refuse::{Arrival, is_ours};
use super::{Output, Proxy};
use crate::gate::{Question, SourceIndex};
use crate::numbering::Number;
use crate::rules::{Callee, Reason};
use crate::sip::Now;
use crate::sip::message::{Header, Message, Method, Snippet, Uri, Via};
use crate::sip::peer::{Peer, TrunkIndex};

/// Why a request goes no further (RFC 3261 §16.3).
pub(super) struct Fault {
    status: u16,
    /// Label of `clapet_parse_errors_total{cause}`.
    cause: &'static str,
    /// The header at fault; empty where it is the Request-URI.
    at: &'static str,
    header: Option<(&'static str, String)>,
}

impl Proxy {
    /// A request without a To-tag that no transaction knows.
    pub(super) fn admit(&mut self, now: Now, mut arrival: Arrival) {
        if self.sheds(now, &arrival) {
            return;
        }
        match self.authenticate(now, &arrival) {
            Some(peer) => arrival.peer = peer,
            None => return,
        }
        match arrival.peer {
            Peer::Source(source) => self.admit_from_source(now, arrival, source),
            Peer::Trunk(_) => self.admit_from_trunk(now, arrival),
            Peer::Unknown => self.admit_from_stranger(now, arrival),
        }
    }

    fn admit_from_source(&mut self, now: Now, arrival: Arrival, index: SourceIndex) {
        let routed = self.routed.clone();
        let Some(source) = routed.routing.peers.sources.get(usize::from(index.0)) else {
            return self.refuse_stranger(&arrival);
        };
        let plan = &routed.routing.plan;
        let message = &arrival.message;
        let is_invite = message.method() == Method::Invite;
        let callee = if is_invite {
            question::callee(plan, message.request_uri())
        } else {
            Callee::Unparseable
        };
        let emergency = question::is_emergency(plan, callee, now.wall.date_naive());
        if message.method() == Method::Options && self.is_for_us(message) {
            return self.answer_options(&arrival);
        }
        let unjudged = match message.method() {
            Method::Message | Method::Refer | Method::Subscribe | Method::Publish => true,
            // Names are case-sensitive (RFC 3261 §7.1), so `invite` is no INVITE and would not be judged; a lenient trunk might ring for it.
            Method::Other => message.method_name().eq_ignore_ascii_case("INVITE"),
            _ => false,
        };
        if unjudged && source.canvasses {
            return self.core.reply(&arrival, 405, &[("Allow", ALLOW)]);
        }
        if let Err(fault) = self.check(message, arrival.peer, emergency) {
            return self.reject(now, &arrival, &fault);
        }
        let asks_are_full = self.core.asks.len() >= self.core.settings.max_asks;
        if self.is_full(is_invite, emergency) || (is_invite && !emergency && (self.draining || asks_are_full)) {
            if is_invite {
                let cause = if self.draining { Shed::Drain } else { Shed::Load };
                self.core.counters.shed(&source.id, cause);
                self.core.note_shed(&arrival, now.mono);
            }
            return self.core.refuse_overloaded(&arrival);
        }
        let held = match self.core.within_limits(now, source, is_invite && !emergency) {
            Ok(held) => held,
            Err(wait) => {
                self.core.note_shed(&arrival, now.mono);
                return self.core.refuse_over_rate(&arrival, &source.id, wait);
            }
        };
        let call = self.core.keys.call(message);
        let question = is_invite.then(|| question::question(plan, message, callee, index, &source.trusted, call));
        let trunks = self.trunks(now, message, &source.trunks, emergency);
        let judged = question.is_some() && !emergency;
        let id = self.open(arrival, trunks, emergency);
        if let Some(context) = self.contexts.get_mut(id) {
            context.held = held;
        }
        if !judged {
            self.trying(now, id);
        }
        match question {
            // Told, so that it is counted; nobody waits for the answer.
            Some(question) if emergency => {
                if !asks_are_full {
                    let ask = self.core.ask_id();
                    self.core.outputs.push_back(Output::Ask { id: ask, question });
                }
                self.start(now, id);
            }
            Some(question) => self.ask(now, id, question),
            None => self.start(now, id),
        }
        self.finish(id, now);
    }

    fn ask(&mut self, now: Now, id: ContextId, question: Question) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let ask = self.core.ask_id();
        context.ask = Some(Asked {
            id: ask,
            until: now.mono + self.core.durations.give_up(),
            fresh: true,
        });
        self.fresh.push((id, now));
        self.core.asks.insert(ask, id);
        self.core.outputs.push_back(Output::Ask { id: ask, question });
    }

    fn start(&mut self, now: Now, id: ContextId) {
        if let Some(context) = self.contexts.get_mut(id) {
            self.core.start(context, now);
        }
    }

    /// Calls from a trunk are relayed to whose number it is, and never judged.
    fn admit_from_trunk(&mut self, now: Now, arrival: Arrival) {
        let routed = self.routed.clone();
        let plan = &routed.routing.plan;
        let message = &arrival.message;
        if message.method() == Method::Options && self.is_for_us(message) {
            return self.answer_options(&arrival);
        }
        if let Err(fault) = self.check(message, arrival.peer, false) {
            return self.reject(now, &arrival, &fault);
        }
        let source = match question::callee(plan, message.request_uri()) {
            Callee::Number(Number::E164(callee)) => routed.directory.inbound(callee, now.wall.date_naive()),
            _ => None,
        };
        let sources = &routed.routing.peers.sources;
        let found = source.and_then(|index| {
            let source = sources.get(usize::from(index.0))?;
            Some((index, source.target.as_ref()?, &source.places))
        });
        let Some((index, target, found)) = found else {
            return self.core.reply(&arrival, 404, &[]);
        };
        let is_invite = message.method() == Method::Invite;
        if self.is_full(is_invite, false) || (is_invite && self.draining) {
            return self.core.refuse_overloaded(&arrival);
        }
        let id = self.open(arrival, SmallVec::new(), false);
        self.trying(now, id);
        if let Some(context) = self.contexts.get_mut(id) {
            let places = choose::places(target, found, &mut self.core.chance);
            let peer = Peer::Source(index);
            context.places.extend(places.into_iter().map(|place| (peer, place)));
        }
        self.start(now, id);
        self.finish(id, now);
    }

    /// An unknown address reaches emergency numbers, where it may.
    fn admit_from_stranger(&mut self, now: Now, arrival: Arrival) {
        let routed = self.routed.clone();
        let (peers, plan) = (&routed.routing.peers, &routed.routing.plan);
        let message = &arrival.message;
        let address = arrival.flow.remote.ip().to_canonical();
        let may = message.method() == Method::Invite && peers.emergency_from.iter().any(|net| net.contains(&address));
        let emergency = may
            && question::is_emergency(
                plan,
                question::callee(plan, message.request_uri()),
                now.wall.date_naive(),
            );
        if !emergency {
            return self.refuse_stranger(&arrival);
        }
        if let Err(fault) = self.check(message, arrival.peer, true) {
            return self.reject(now, &arrival, &fault);
        }
        if self.is_full(true, true) {
            return self.core.refuse_overloaded(&arrival);
        }
        self.core
            .counters
            .invite("unknown", "allow", Reason::ExemptEmergency.code());
        let trunks = self.trunks(now, message, &[], true);
        let id = self.open(arrival, trunks, true);
        self.trying(now, id);
        self.start(now, id);
        self.finish(id, now);
    }

    /// Keeps a request.
    pub(super) fn open(&mut self, arrival: Arrival, trunks: SmallVec<[TrunkIndex; 4]>, emergency: bool) -> ContextId {
        let key = arrival.key;
        let method = arrival.message.method();
        let routed = self.routed.clone();
        let id = self.contexts.insert(|id| Context {
            id,
            key,
            flow: arrival.flow,
            reply: arrival.reply,
            peer: arrival.peer,
            routed,
            server: Server::new(method, arrival.flow.transport),
            request: arrival.message,
            last: None,
            branches: SmallVec::new(),
            trunks,
            places: SmallVec::new(),
            ask: None,
            emergency,
            cancelled: false,
            cancel_reason: None,
            timer_c: None,
            rang_out: false,
            trying_at: None,
            settlement: Settlement::default(),
            valid_until: None,
            best: None,
            holds_until: None,
            held: None,
            armed: None,
        });
        self.servers.insert(key, id);
        id
    }

    /// 100 to an INVITE at once (RFC 3261 §17.2.1), to anything else when it is late (RFC 4320 §4.1).
    pub(super) fn trying(&mut self, now: Now, id: ContextId) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        if context.is_invite() {
            self.core.trying(context, now);
        } else {
            context.trying_at = Some(now.mono + self.core.durations.until_t2());
        }
    }

    /// The trunks a request may go to, first to be tried last: those that are up, and where none is, all of them all the same. An
    /// emergency call falls back to those that are down, and to those its source may not use.
    fn trunks(
        &mut self,
        now: Now,
        message: &Message,
        allowed: &[TrunkIndex],
        emergency: bool,
    ) -> SmallVec<[TrunkIndex; 4]> {
        let peers = &self.routed.routing.peers;
        let over_any = emergency || !must_be_secure(message);
        let fits = |trunk: &crate::sip::peer::Trunk| !trunk.target.is_lost() && (over_any || trunk.takes_tls());
        let up = |trunk: &crate::sip::peer::Trunk| trunk.watch.health.is_usable(now.mono);
        let chance = &mut self.core.chance;
        let mut order = choose::order(peers, allowed, chance, |trunk| fits(trunk) && up(trunk));
        if order.is_empty() || emergency {
            let down = choose::order(peers, allowed, chance, |trunk| fits(trunk) && !up(trunk));
            order.insert_many(0, down);
        }
        if emergency && !allowed.is_empty() {
            let mut all = choose::order(peers, &[], &mut self.core.chance, fits);
            all.retain(|trunk| !order.contains(trunk));
            order.insert_many(0, all);
        }
        order
    }

    /// RFC 3261 §16.3: what is wrong with a request before it is routed.
    pub(super) fn check(&self, message: &Message, peer: Peer, emergency: bool) -> Result<(), Fault> {
        let fault = |status, cause, at| {
            Err(Fault {
                status,
                cause,
                at,
                header: None,
            })
        };
        let known = question::has_numbers(message.request_scheme())
            || Uri::parse(message.request_uri()).is_some_and(|uri| uri.is_emergency_service());
        if !known {
            return fault(416, "uri-scheme", "");
        }
        if message.max_forwards() == Some(0) {
            return fault(483, "too-many-hops", "Max-Forwards");
        }
        // RFC 5393 §5.3.3: even the one branch is too many.
        if message
            .first(Header::MaxBreadth)
            .is_some_and(|breadth| breadth.trim_matches('0').is_empty())
        {
            return fault(440, "max-breadth", "Max-Breadth");
        }
        let keys = &self.core.keys;
        let looped = message
            .values(Header::Via)
            // Shorter than a branch of ours.
            .filter(|value| value.len() > Stamp::LENGTH)
            .filter_map(|value| Stamp::parse(Via::parse(value)?.branch()?))
            .any(|stamp| stamp.loop_hash == keys.loop_hash(message, peer) && keys.is_ours(&stamp, message));
        if looped {
            return fault(482, "loop", "Via");
        }
        // An emergency call is not refused for an extension that nobody here knows.
        if !emergency && message.first(Header::ProxyRequire).is_some() {
            let options: Vec<&str> = message.values(Header::ProxyRequire).collect();
            return Err(Fault {
                status: 420,
                cause: "proxy-require",
                at: "Proxy-Require",
                header: Some(("Unsupported", options.join(", "))),
            });
        }
        Ok(())
    }

    pub(super) fn reject(&mut self, now: Now, arrival: &Arrival, fault: &Fault) {
        self.core.note_fault(now, arrival.flow.remote, fault.at, fault.cause);
        let header: Option<Snippet<'_>> = fault.header.as_ref().map(|(name, value)| (*name, value.as_str()));
        self.core.reply(arrival, fault.status, header.as_slice());
    }

    /// Too many transactions. New calls stop first, so that calls in progress can end; emergency calls last.
    pub(super) fn is_full(&self, new_call: bool, emergency: bool) -> bool {
        let most = self.core.settings.max_transactions;
        let most = match (new_call, emergency) {
            (true, false) => most,
            (false, _) => most + most / 4 + RESERVED,
            (true, true) => most + most / 2 + 2 * RESERVED,
        };
        self.contexts.len() + self.core.clients.len() >= most
    }

    /// OPTIONS to ourselves (RFC 3261 §11): no user part, and no host but ours; however many hops are left, since it goes no further.
    /// For anybody else we do not answer, though §16.3 would let us where no hop is left: who traces a path wants to see the 483.
    fn is_for_us(&self, message: &Message) -> bool {
        Uri::parse(message.request_uri()).is_some_and(|uri| uri.user.is_none() && is_ours(&self.core, &uri))
    }

    fn answer_options(&mut self, arrival: &Arrival) {
        let headers = [("Allow", ALLOW), ("Accept", "application/sdp")];
        self.core.reply(arrival, 200, &headers);
    }

    pub(super) fn refuse_stranger(&mut self, arrival: &Arrival) {
        let silence = self.routed.routing.peers.silence_unknown;
        self.core.refuse_stranger(arrival, silence);
    }
}

/// What we let through, and a source that canvasses may use outside a dialog.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, NOTIFY, REGISTER";

/// Transactions kept free for those that go on when new calls are refused.
const RESERVED: usize = 1_024;
