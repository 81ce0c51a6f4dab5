//! Forwarding a request (RFC 3261 §16.6): Via, Max-Forwards, Record-Route, Request-URI and Routes in one edit, then a branch that waits.

use std::sync::Arc;

use bytes::Bytes;

use super::Listener;
use super::choose;
use super::context::{Branch, Client, Context, is_reliable};
use super::core::Core;
use super::counters::Kind;
use super::record_route::{Dialog, Side};
use super::target_uri;
use crate::ledger::Outcome;
use crate::numbering::Plan;
use crate::rules::Reason;
use crate::sip::message::{Credentials, Edit, Header, Message, Method};
use crate::sip::peer::{NumberFormat, Peer, Target, TrunkIndex, TrustedHeaders};
use crate::sip::{Flow, Now, Transport};

/// How a request goes on.
#[derive(Clone, Copy)]
pub(super) struct Onward<'a> {
    pub(super) flow: Flow,
    pub(super) trunk: Option<TrunkIndex>,
    /// Instead of the Request-URI that came.
    pub(super) uri: Option<&'a str>,
    pub(super) routes: Routes<'a>,
    /// We stay in the dialog that this request opens.
    pub(super) dialog: Option<Dialog>,
    /// Headers that only the source's word is trusted for, and nobody else sees.
    pub(super) trusted: Option<&'a TrustedHeaders>,
    /// Realms whose credentials were for us.
    pub(super) realms: &'a [Arc<str>],
}

/// What becomes of the Route headers.
#[derive(Clone, Copy)]
pub(super) enum Routes<'a> {
    /// All go: the peer pre-loaded them, and where its calls go is our decision.
    Clear,
    /// So many of the topmost were ours.
    Pop(usize),
    /// Rewritten for a strict router.
    Set(&'a str),
}

impl Core {
    /// The call may go: starts its first branch, or answers where there is none to start.
    pub(super) fn start(&mut self, context: &mut Context, now: Now) {
        if self.next_branch(context, now) {
            return;
        }
        let reservation = context.settlement.reservation.take();
        self.settle(reservation, Outcome::Unsent);
        if is_past(context, now) {
            self.refuse_for(context, now, Some(Reason::HoursWindow), None);
        } else {
            let bytes = self.response(context, 500, &[]);
            self.answer(context, now, 500, bytes);
        }
    }

    /// Sends the request to the next address in order, of the next trunk where there is none; false where none is left, or the time
    /// for new branches is over.
    pub(super) fn next_branch(&mut self, context: &mut Context, now: Now) -> bool {
        let routed = context.routed.clone();
        let peers = &routed.routing.peers;
        loop {
            if is_past(context, now) {
                context.end_search();
                return false;
            }
            let Some((peer, place)) = context.places.pop() else {
                let Some(index) = context.trunks.pop() else {
                    return false;
                };
                if let Some(trunk) = peers.trunks.get(usize::from(index.0)) {
                    let places = choose::places(&trunk.target, &trunk.places, &mut self.chance);
                    let peer = Peer::Trunk(index);
                    context.places.extend(places.into_iter().map(|place| (peer, place)));
                }
                continue;
            };
            let (uri, format, trunk) = match peer {
                Peer::Trunk(index) => match peers.trunks.get(usize::from(index.0)) {
                    Some(trunk) => (&trunk.target.uri, trunk.number_format, Some(index)),
                    None => continue,
                },
                Peer::Source(index) => match peers.sources.get(usize::from(index.0)).map(|source| &source.target) {
                    Some(Some(target)) => (&target.uri, NumberFormat::AsDialled, None),
                    _ => continue,
                },
                Peer::Unknown => continue,
            };
            // RFC 5630 §5.3: `sips` goes nowhere but over TLS; an emergency call goes anyhow.
            let fits = place.transport == Transport::Tls || trunk.is_none() || context.emergency;
            if !fits && must_be_secure(&context.request) {
                continue;
            }
            let target = Target {
                uri: Arc::clone(uri),
                address: place.address,
                transport: place.transport,
            };
            let to = To {
                target: &target,
                format,
                trunk,
                outbound: trunk.is_some(),
            };
            if self.open_branch(context, now, &to, &routed.routing.plan) {
                return true;
            }
        }
    }

    /// Sends a request that opens a dialog, or is outside any, to a configured target; false where no listener reaches it.
    pub(super) fn open_branch(&mut self, context: &mut Context, now: Now, to: &To<'_>, plan: &Plan) -> bool {
        let target = to.target;
        let Some(flow) = self.flow(context.flow.listener, target.address, target.transport) else {
            return false;
        };
        let uri = target_uri::rewritten(plan, context.request.request_uri(), target, to.format);
        let opens = matches!(
            context.request.method(),
            Method::Invite | Method::Subscribe | Method::Refer
        );
        let dialog = opens.then(|| {
            let side = |address, transport| Side { address, transport };
            Dialog::opening(
                &self.keys,
                plan,
                &context.request,
                to.outbound,
                side(context.flow.remote, context.flow.transport),
                side(target.address, target.transport),
            )
        });
        let routed = context.routed.clone();
        let onward = Onward {
            flow,
            trunk: to.trunk,
            uri: Some(&uri),
            routes: Routes::Clear,
            dialog,
            trusted: trusted(&routed, context.peer),
            realms: &routed.accounts.realms,
        };
        self.send_branch(context, now, &onward);
        true
    }

    /// Sends the request on and waits for what comes of it.
    pub(super) fn send_branch(&mut self, context: &mut Context, now: Now, onward: &Onward<'_>) {
        let unique = self.unique();
        let loop_hash = self.keys.loop_hash(&context.request, context.peer);
        let mut flow = onward.flow;
        let mut request = self.forwarded(&context.request, context.flow, onward, unique, loop_hash);
        if let Some(over_tcp) = self.over_tcp(context, flow, request.len()) {
            flow = over_tcp;
            let onward = Onward { flow, ..*onward };
            request = self.forwarded(&context.request, context.flow, &onward, unique, loop_hash);
        }
        if let Some(reservation) = &context.settlement.reservation
            && let Some(trunk) = onward.trunk
            && let Some(trunk) = context.routed.routing.peers.trunks.get(usize::from(trunk.0))
        {
            reservation.carried_by(&trunk.id);
        }
        let method = context.request.method();
        let reliable = is_reliable(flow.transport);
        self.clients.insert(unique, context.id);
        self.unheard.insert((flow.remote, unique));
        if context.is_invite() {
            context.timer_c = Some(now.mono + self.settings.timer_c);
        }
        context.branches.push(Branch {
            unique,
            flow,
            trunk: onward.trunk,
            request: request.clone(),
            client: Client::new(method, now.mono, &self.durations, reliable),
            ack: None,
            cancel_wanted: false,
            cancel: None,
            give_up_at: None,
            linger: None,
            counted: false,
        });
        self.send(flow, request, Kind::Request(method));
    }

    /// RFC 3261 §18.1.1: a request that may not fit into a packet goes over TCP, where its trunk takes that.
    fn over_tcp(&self, context: &Context, flow: Flow, length: usize) -> Option<Flow> {
        if flow.transport != Transport::Udp || length <= LARGEST_DATAGRAM {
            return None;
        }
        let trunks = &context.routed.routing.peers.trunks;
        let takes_it = |trunk: &crate::sip::peer::Trunk| trunk.large_over_tcp && trunk.target.address == flow.remote;
        trunks
            .iter()
            .any(takes_it)
            .then(|| self.flow(flow.listener, flow.remote, Transport::Tcp))
            .flatten()
    }

    /// Writes a request as it goes on.
    pub(super) fn forwarded(
        &mut self,
        request: &Message,
        came_by: Flow,
        onward: &Onward<'_>,
        unique: u64,
        loop_hash: u64,
    ) -> Bytes {
        let hops = request
            .max_forwards()
            .map_or(MAX_FORWARDS, |hops| hops.saturating_sub(1));
        let hops = hops.to_string();
        let mut via = String::with_capacity(160);
        let mut records = [String::new(), String::new()];
        if let Some(out) = self.listener(onward.flow.listener) {
            let name = match out.transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
                Transport::Tls => "TLS",
            };
            for piece in ["SIP/2.0/", name, " ", &out.advertise, ";branch="] {
                via.push_str(piece);
            }
            self.keys.push_branch(&mut via, unique, loop_hash, request);
            via.push_str(";rport");
            if let Some(dialog) = &onward.dialog {
                self.push_record(&mut records[0], out, dialog, request);
                // RFC 5658: each side sees the listener that it can reach.
                if let Some(came) = self.listener(came_by.listener).filter(|came| came.id != out.id) {
                    self.push_record(&mut records[1], came, dialog, request);
                }
            }
        }
        let mut edit = Edit::new(request);
        edit.received_from(came_by.remote)
            .prepend(Header::Via, &via)
            .set(Header::MaxForwards, &hops);
        // The last one prepended stands first: the side that we send to.
        for record in records.iter().rev().filter(|record| !record.is_empty()) {
            edit.prepend(Header::RecordRoute, record);
        }
        // RFC 5393 §5.3.3: branches of ours follow each other, so that each may have the whole breadth.
        if onward.dialog.is_some() && request.first(Header::MaxBreadth).is_none() {
            edit.prepend(Header::MaxBreadth, MAX_BREADTH);
        }
        if let Some(uri) = onward.uri {
            edit.request_uri(uri);
        }
        match onward.routes {
            Routes::Clear => {
                edit.remove(Header::Route);
            }
            Routes::Pop(ours) => (0..ours).for_each(|_| {
                edit.pop_value(Header::Route);
            }),
            Routes::Set(routes) => {
                edit.remove(Header::Route).prepend(Header::Route, routes);
            }
        }
        if let Some(trusted) = onward.trusted {
            for name in [&trusted.professional, &trusted.purpose].into_iter().flatten() {
                edit.remove_named(name);
            }
        }
        if !onward.realms.is_empty() {
            for span in request.spans() {
                if span.header == Header::ProxyAuthorization && is_of(onward.realms, request.value(span)) {
                    edit.remove_line(span);
                }
            }
        }
        edit.write(&mut self.scratch)
    }

    fn push_record(&self, out: &mut String, listener: &Listener, dialog: &Dialog, request: &Message) {
        out.push_str("<sip:");
        dialog.push(out, &self.keys, request.call_id(), request.from_tag());
        let transport = match listener.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        for piece in ["@", &listener.advertise, transport, ";lr>"] {
            out.push_str(piece);
        }
    }
}

/// Credentials of one of these realms (RFC 3261 §22.3).
fn is_of(realms: &[Arc<str>], value: &str) -> bool {
    Credentials::parse(value).is_some_and(|shown| realms.iter().any(|realm| **realm == *shown.realm))
}

/// A configured target.
pub(super) struct To<'a> {
    pub(super) target: &'a Target,
    pub(super) format: NumberFormat,
    pub(super) trunk: Option<TrunkIndex>,
    pub(super) outbound: bool,
}

/// The headers trusted from a peer.
pub(super) fn trusted(routed: &super::core::Routed, peer: Peer) -> Option<&TrustedHeaders> {
    match peer {
        Peer::Source(index) => {
            let source = routed.routing.peers.sources.get(usize::from(index.0))?;
            Some(&source.trusted)
        }
        Peer::Trunk(_) | Peer::Unknown => None,
    }
}

/// Is it a `sips:` URI that is asked for?
pub(super) fn must_be_secure(request: &Message) -> bool {
    request.request_scheme().eq_ignore_ascii_case("sips")
}

/// The window in which the call may start has closed.
fn is_past(context: &Context, now: Now) -> bool {
    context.valid_until.is_some_and(|until| now.wall >= until)
}

/// RFC 3261 §16.6 step 3.
const MAX_FORWARDS: u8 = 70;

/// RFC 5393 §5.3.3: what a request without any is given.
const MAX_BREADTH: &str = "60";

/// Two hundred bytes below the MTU of Ethernet, whose headers and growth on the way they leave room for (RFC 3261 §18.1.1: the path's
/// MTU is not known, so that 1300 bytes hold).
const LARGEST_DATAGRAM: usize = 1300;
