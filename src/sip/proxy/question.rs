//! Who calls whom: the question to the gate, read from a dialog-opening INVITE (contract, "Who is shown" and "Numbers"). Judges nothing.

use chrono::NaiveDate;

use crate::gate::{Question, SourceIndex};
use crate::numbering::{Category, Number, Plan};
use crate::rules::{Callee, CallerId, Purpose};
use crate::sip::message::{Header, Message, NameAddr, Uri, split_values};
use crate::sip::peer::TrustedHeaders;

/// Whom the Request-URI names.
pub(super) fn callee(plan: &Plan, uri: &str) -> Callee {
    match Uri::parse(uri) {
        Some(uri) if uri.is_emergency_service() => Callee::EmergencyService,
        Some(uri) => number(plan, &uri).map_or(Callee::Unparseable, Callee::Number),
        None => Callee::Unparseable,
    }
}

/// Is it a number that is never blocked?
pub(super) fn is_emergency(plan: &Plan, callee: Callee, on: NaiveDate) -> bool {
    match callee {
        Callee::EmergencyService => true,
        Callee::Number(number) => plan.class(number, on).category == Category::Emergency,
        Callee::Unparseable => false,
    }
}

/// The whole question of a configured source.
pub(super) fn question(
    plan: &Plan,
    message: &Message,
    callee: Callee,
    source: SourceIndex,
    trusted: &TrustedHeaders,
    call: u64,
) -> Question {
    let named = |header: &Option<std::sync::Arc<str>>| {
        let value = message.named(header.as_deref()?)?.trim();
        (!value.is_empty()).then_some(value)
    };
    Question {
        source: Some(source),
        caller: caller(plan, message),
        callee,
        professional: named(&trusted.professional).map(std::sync::Arc::from),
        purpose: named(&trusted.purpose).and_then(purpose),
        call,
    }
}

/// The number that the callee will see: From's, else an asserted one.
pub(super) fn caller(plan: &Plan, message: &Message) -> CallerId {
    let from = message.from();
    if asks_for_privacy(message) || from.is_some_and(|from| is_anonymous(&from.uri)) {
        return CallerId::Masked;
    }
    let asserted = message
        .values(Header::PAssertedIdentity)
        .take(MAX_ASSERTED)
        .filter_map(NameAddr::parse);
    let mut seen = CallerId::Missing;
    for address in from.into_iter().chain(asserted) {
        if let Some(number) = number(plan, &address.uri) {
            return CallerId::Shown(number);
        }
        if address.uri.user.is_some() {
            seen = CallerId::Unparseable;
        }
    }
    seen
}

/// The number in a URI's user part; a host is never taken for one.
pub(super) fn number(plan: &Plan, uri: &Uri<'_>) -> Option<Number> {
    uri.user?;
    if !has_numbers(uri.scheme) {
        return None;
    }
    plan.read(uri.raw).ok()
}

/// Is it a scheme of URIs whose user part may be a number, and that are routed by it?
pub(super) fn has_numbers(scheme: &str) -> bool {
    ["sip", "sips", "tel"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

fn is_anonymous(uri: &Uri<'_>) -> bool {
    let user = uri.user.unwrap_or_default().split(';').next().unwrap_or_default();
    let host = uri.host_port.map_or("", |host| host.host);
    user.eq_ignore_ascii_case("anonymous") || host.trim_end_matches('.').eq_ignore_ascii_case("anonymous.invalid")
}

/// `Privacy: id|user|header` (RFC 3323 §4.2, RFC 3325 §9.3).
fn asks_for_privacy(message: &Message) -> bool {
    message
        .spans()
        .iter()
        .filter(|span| span.header == Header::Privacy)
        .flat_map(|span| split_values(message.value(span)))
        .flat_map(|value| value.split(';'))
        .any(|value| {
            ["id", "user", "header"]
                .iter()
                .any(|hides| value.trim().eq_ignore_ascii_case(hides))
        })
}

fn purpose(name: &str) -> Option<Purpose> {
    [
        ("canvassing", Purpose::Canvassing),
        ("press", Purpose::Press),
        ("business", Purpose::Business),
        ("other", Purpose::Other),
    ]
    .into_iter()
    .find(|(known, _)| name.eq_ignore_ascii_case(known))
    .map(|(_, purpose)| purpose)
}

/// Asserted identities looked at: RFC 3325 §9.1 allows two.
const MAX_ASSERTED: usize = 4;

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
