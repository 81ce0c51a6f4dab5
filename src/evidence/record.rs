//! A journal record in words: the JSON object that `export journal` and bundles show for a body. Names are those of the exports.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::journal::{Kind, Stored};
use crate::ledger::body::{self, Carried, Record};
use crate::ledger::{AttemptMeta, Entry, Suspended, Via};
use crate::numbering::E164;
use crate::rules::Reason;

/// The kind's name.
pub(super) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Reservation => "reservation",
        Kind::Settlement => "settlement",
        Kind::Decision => "decision",
        Kind::Refusal => "refusal",
        Kind::Consent => "consent",
        Kind::ConsentUsed => "consent-used",
        Kind::Contract => "contract",
        Kind::Attempt => "attempt",
        Kind::Range => "range",
        Kind::Screening => "screening",
        Kind::Suspension => "suspension",
        Kind::Configuration => "configuration",
        Kind::Forgotten => "forgotten",
        Kind::Recovered => "recovered",
        Kind::Carried => "carried",
        Kind::Checkpoint => "stamp",
    }
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The full number with `+`: an export is evidence, and not a log.
pub(super) fn number(number: E164) -> String {
    format!("+{}", number.get())
}

/// What the body says; null once it is erased.
pub(super) fn details(stored: &Stored) -> Value {
    if stored.body.is_none() {
        return Value::Null;
    }
    match body::read(stored) {
        Ok(record) => said(record),
        Err(error) => json!({ "unread": error.to_string() }),
    }
}

fn said(record: Record) -> Value {
    match record {
        Record::Reservation { key, meta } | Record::Recovered { key, meta } => attempt(key.callee, &meta),
        Record::Settlement {
            key,
            id,
            outcome,
            trunk,
        } => json!({
            "callee": number(key.callee), "reservation": id.0, "outcome": outcome, "counts": outcome.counts(), "trunk": trunk,
        }),
        Record::Decision { note, count, last } => {
            let mut map = parties(&note.via);
            map.insert("callee".into(), json!(note.callee.map(number)));
            map.insert("caller".into(), json!(note.caller.map(number)));
            map.insert("regime".into(), json!(note.regime));
            let reasons: Vec<_> = note.reasons.iter().map(|reason| reason.code()).collect();
            map.insert("reasons".into(), json!(reasons));
            map.insert("observed".into(), json!(note.observed));
            map.insert("count".into(), json!(count));
            map.insert("last".into(), json!(time(last)));
            Value::Object(map)
        }
        Record::Entry { entry, import } => {
            let mut value = entry_said(entry);
            if let (Some(import), Value::Object(map)) = (import, &mut value) {
                map.insert("import".into(), json!({ "id": import.id, "last": import.last }));
            }
            value
        }
        Record::Erasure { tag, kept } => json!({ "tag": hex(&tag), "kept_for": kept.len() }),
        Record::Carried(Carried::Row { key, origins, .. }) => json!({
            "callee": number(key.callee),
            "of": origins
                .iter()
                .map(|origin| {
                    let stored = Stored {
                        sequence: origin.sequence,
                        kind: origin.kind,
                        at: origin.at,
                        siren: key.siren.0,
                        body: origin.body.clone(),
                    };
                    original(&stored)
                })
                .collect::<Vec<_>>(),
        }),
        Record::Carried(Carried::Record(stored)) => json!({ "of": [original(&stored)] }),
        Record::Other => Value::Null,
    }
}

fn original(stored: &Stored) -> Value {
    json!({
        "sequence": stored.sequence, "at": time(stored.at), "kind": kind_name(stored.kind), "details": details(stored),
    })
}

fn parties(via: &Via) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("source".into(), json!(via.source));
    map.insert("professional".into(), json!(via.professional));
    map
}

fn attempt(callee: E164, meta: &AttemptMeta) -> Value {
    let mut map = parties(&meta.via);
    map.insert("callee".into(), json!(number(callee)));
    map.insert("caller".into(), json!(meta.caller.map(number)));
    map.insert("regime".into(), json!(meta.regime));
    map.insert("rule".into(), json!(meta.reason.map(Reason::code)));
    map.insert("evidence".into(), json!(meta.evidence));
    map.insert("zone".into(), json!(meta.zone));
    map.insert("observed".into(), json!(meta.observed));
    Value::Object(map)
}

fn entry_said(entry: Entry) -> Value {
    match entry {
        Entry::Refusal { key, at, channel } => {
            json!({ "callee": number(key.callee), "at": time(at), "channel": channel })
        }
        Entry::Consent {
            key,
            consent,
            channel,
            object,
        } => json!({
            "callee": number(key.callee), "scope": consent.scope, "given_at": time(consent.given_at),
            "expires": consent.expires.map(time), "slot_from": consent.slot.map(|slot| time(slot.0)),
            "slot_until": consent.slot.map(|slot| time(slot.1)), "withdrawn_at": consent.withdrawn_at.map(time),
            "used_at": consent.used_at.map(time), "evidence": consent.evidence, "channel": channel, "object": object,
        }),
        Entry::ConsentUsed {
            key,
            given_at,
            scope,
            at,
        } => json!({ "callee": number(key.callee), "given_at": time(given_at), "scope": scope, "used_at": time(at) }),
        Entry::Contract { key, contract } => json!({
            "callee": number(key.callee), "reference": contract.reference, "from": contract.from, "until": contract.until,
        }),
        Entry::Attempt {
            key,
            at,
            outcome,
            source,
        } => json!({ "callee": number(key.callee), "at": time(at), "outcome": outcome, "source": source }),
        Entry::Range(range) => json!({
            "first": number(range.first), "last": number(range.last), "professional": range.professional,
            "from": range.from, "until": range.until,
        }),
        Entry::Screening {
            list,
            siren: _,
            day,
            numbers,
            opposed,
            sha256,
        } => json!({ "list": list, "day": day, "numbers": numbers, "opposed": opposed, "sha256": hex(&sha256) }),
        Entry::Suspension(suspension) => {
            let what = match suspension.what {
                Suspended::Source => "source",
                Suspended::Professional => "professional",
            };
            json!({ "what": what, "id": suspension.id, "suspended": suspension.suspended })
        }
        Entry::Configuration { what, sha256 } => json!({ "what": what, "sha256": hex(&sha256) }),
        Entry::Forgotten { tag } => json!({ "tag": hex(&tag) }),
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
