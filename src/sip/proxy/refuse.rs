//! Answers of our own: those of a protocol element, without a transaction (RFC 3261 §8.2.7), and the refusal of a judged call in its
//! server transaction, with the reason code in Reason and Warning.

use std::time::Duration;

use bytes::Bytes;

use super::context::Context;
use super::core::{Core, Tag};
use super::counters::Kind;
use crate::gate::Decision;
use crate::rules::Reason;
use crate::sip::message::{HostPort, Message, Method, Response, Snippet, Uri};
use crate::sip::peer::Peer;
use crate::sip::transaction::key::ServerKey;
use crate::sip::{Flow, Now, Transport};

/// A request as it came in.
pub(super) struct Arrival {
    pub(super) flow: Flow,
    /// Where its responses go.
    pub(super) reply: Flow,
    pub(super) peer: Peer,
    pub(super) key: ServerKey,
    pub(super) message: Message,
}

/// Where the responses to a request go: RFC 3261 §18.2.2 with `rport` (RFC 3581 §4). `maddr` is not followed: it would let anyone
/// direct our answers at a third party. Over a stream they go back by the request's connection, and where that is gone by a new one
/// to the port of `sent-by` at the address that the request came from.
pub(super) fn reply_flow(flow: Flow, message: &Message) -> Flow {
    let mut reply = flow;
    let default = if flow.transport == Transport::Tls { 5061 } else { 5060 };
    let symmetric = flow.transport == Transport::Udp;
    if !(symmetric && message.asks_rport())
        && let Some(sent_by) = message.sent_by()
    {
        reply.remote.set_port(sent_by.port.unwrap_or(default));
    }
    reply
}

impl Core {
    /// Answers without keeping anything; a retransmission gets the same again.
    pub(super) fn reply(&mut self, arrival: &Arrival, status: u16, headers: &[Snippet<'_>]) {
        let to_tag = self.tag(arrival.key);
        let bytes = Response {
            request: &arrival.message,
            status,
            phrase: "",
            to_tag: to_tag.as_str(),
            received_from: Some(arrival.flow.remote),
            headers,
        }
        .write(&mut self.scratch);
        let bytes = self.with_own_feedback(&arrival.message, bytes);
        self.send(arrival.reply, bytes, Kind::Response(status));
    }

    /// Writes a response of ours to a context's request.
    pub(super) fn response(&mut self, context: &Context, status: u16, headers: &[Snippet<'_>]) -> Bytes {
        // A 100 opens nothing, and has none.
        let to_tag = (status != 100).then(|| self.tag(context.key));
        let bytes = Response {
            request: &context.request,
            status,
            phrase: "",
            to_tag: to_tag.as_ref().map_or("", Tag::as_str),
            received_from: Some(context.flow.remote),
            headers,
        }
        .write(&mut self.scratch);
        self.with_own_feedback(&context.request, bytes)
    }

    /// Who we are in a Warning.
    pub(super) fn agent(&self, flow: Flow) -> std::sync::Arc<str> {
        self.listener(flow.listener)
            .map_or_else(|| std::sync::Arc::from("clapet"), |listener| listener.advertise.clone())
    }

    /// Refuses a judged call as its source wants it.
    pub(super) fn refuse(&mut self, context: &mut Context, now: Now, decision: &Decision) {
        let (status, bytes) = self.refusal(context, decision);
        self.answer(context, now, status, bytes);
    }

    /// As [`Core::refuse`], with the reason given.
    pub(super) fn refuse_for(&mut self, context: &mut Context, now: Now, reason: Option<Reason>, text: Option<&str>) {
        let (status, bytes) = self.refusal_for(context, reason, text);
        self.answer(context, now, status, bytes);
    }

    /// The answer to a judged call that is refused.
    pub(super) fn refusal(&mut self, context: &Context, decision: &Decision) -> (u16, Bytes) {
        let reason = decision.verdict.reason.or(decision.verdict.reasons.first().copied());
        self.refusal_for(context, reason, decision.text.as_deref())
    }

    fn refusal_for(&mut self, context: &Context, reason: Option<Reason>, text: Option<&str>) -> (u16, Bytes) {
        let routed = context.routed.clone();
        let source = match context.peer {
            Peer::Source(index) => routed.routing.peers.sources.get(usize::from(index.0)),
            _ => None,
        };
        let status = match reason {
            Some(Reason::SourceRate) => 503,
            _ => source.map_or(403, |source| source.refuse_with),
        };
        let code = reason.map_or("refused", Reason::code);
        let agent = self.agent(context.flow);
        let reason = reason_value(status, code);
        let warning = warning_value(&agent, code, text);
        let mut headers: smallvec::SmallVec<[Snippet<'_>; 4]> =
            smallvec::smallvec![("Reason", reason.as_str()), ("Warning", warning.as_str())];
        if status == 503 {
            headers.push(("Retry-After", RETRY_AFTER));
        }
        if let (608, Some(redress)) = (status, source.and_then(|source| source.redress.as_deref())) {
            headers.push(("Call-Info", redress));
        }
        (status, self.response(context, status, &headers))
    }

    /// 403 `source.unknown`, or silence.
    pub(super) fn refuse_stranger(&mut self, arrival: &Arrival, silence: bool) {
        if arrival.message.method() == Method::Invite {
            self.counters.invite("unknown", "refuse", Reason::SourceUnknown.code());
        }
        if !silence {
            let code = Reason::SourceUnknown.code();
            let reason = reason_value(403, code);
            let warning = warning_value(&self.agent(arrival.flow), code, None);
            self.reply(arrival, 403, &[("Reason", &reason), ("Warning", &warning)]);
        }
    }

    /// 503 `source.rate` with Retry-After: the source calls more than it may.
    pub(super) fn refuse_over_rate(&mut self, arrival: &Arrival, source: &str, wait: Duration) {
        let code = Reason::SourceRate.code();
        self.counters.invite(source, "refuse", code);
        let reason = reason_value(503, code);
        let warning = warning_value(&self.agent(arrival.flow), code, None);
        let seconds = wait.as_millis().div_ceil(1000).max(1).to_string();
        let headers = [("Reason", &*reason), ("Warning", &*warning), ("Retry-After", &*seconds)];
        self.reply(arrival, 503, &headers);
    }

    /// 503 with Retry-After: more than can be carried, or draining.
    pub(super) fn refuse_overloaded(&mut self, arrival: &Arrival) {
        self.reply(arrival, 503, &[("Retry-After", RETRY_AFTER)]);
    }
}

/// `SIP;cause=403;text="frequency.exhausted"` (RFC 3326).
fn reason_value(status: u16, code: &str) -> String {
    format!("SIP;cause={status};text=\"{code}\"")
}

/// `399 host "code: text"` (RFC 3261 §20.43).
fn warning_value(agent: &str, code: &str, text: Option<&str>) -> String {
    let mut value = String::with_capacity(32 + agent.len() + code.len() + text.map_or(0, str::len));
    for piece in ["399 ", agent, " \"", code] {
        value.push_str(piece);
    }
    if let Some(text) = text {
        value.push_str(": ");
        let mut rest = text;
        while let Some(at) = rest.find(['"', '\\']) {
            value.push_str(&rest[..at]);
            value.push('\\');
            // Both are one byte long.
            value.push_str(&rest[at..=at]);
            rest = &rest[at + 1..];
        }
        value.push_str(rest);
    }
    value.push('"');
    value
}

/// Is the host one of ours?
pub(super) fn is_ours(core: &Core, uri: &Uri<'_>) -> bool {
    let Some(host) = uri.host_port else { return false };
    core.settings.listeners.iter().any(|listener| {
        let advertised =
            HostPort::parse(&listener.advertise).is_some_and(|ours| ours.host.eq_ignore_ascii_case(host.host));
        advertised || host.ip().is_some_and(|ip| ip == listener.local.ip().to_canonical())
    })
}

/// Seconds after which a refused caller may try again.
const RETRY_AFTER: &str = "5";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_go_to_the_port_that_the_request_asks_for_and_by_its_connection() {
        let connection = Some(crate::sip::Connection {
            id: crate::sip::ConnectionId(std::num::NonZeroU64::MIN),
            source: None,
        });
        for (transport, via, expected) in [
            (Transport::Udp, "h:5070;rport", 40_000),
            (Transport::Udp, "h:5070", 5070),
            (Transport::Udp, "h", 5060),
            (Transport::Tcp, "h:5070;rport", 5070),
            (Transport::Tcp, "h", 5060),
            (Transport::Tls, "h;rport", 5061),
        ] {
            let text = format!(
                "BYE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>\r\n\
                 Call-ID: c\r\nCSeq: 1 BYE\r\n\r\n"
            );
            let message = Message::parse(Bytes::from(text)).unwrap();
            let mut flow = Flow::new(crate::sip::ListenerId(0), transport, "192.0.2.7:40000".parse().unwrap());
            flow.connection = connection;
            let reply = reply_flow(flow, &message);
            assert_eq!(
                (reply.remote.port(), reply.connection),
                (expected, connection),
                "{transport:?} {via}"
            );
        }
    }

    #[test]
    fn a_warning_quotes_what_would_end_its_text() {
        assert_eq!(
            warning_value("h:5060", "hours.window", Some("a \"b\" \\c")),
            r#"399 h:5060 "hours.window: a \"b\" \\c""#
        );
        assert_eq!(warning_value("h", "source.unknown", None), r#"399 h "source.unknown""#);
    }
}
