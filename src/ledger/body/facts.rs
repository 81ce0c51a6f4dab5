//! The bodies of facts: what is imported or recorded of callees, ranges, lists, suspensions and the configuration.

use super::super::Siren;
use super::super::cbor::{Decoder, Encoder};
use super::super::record::{Entry, OwnedRange, Suspended, Suspension};
use super::{
    BodyError, Import, day, day_number, erasure, moment, number, outcome_of, read_hash, read_key, read_time, time,
};
use crate::journal::Kind;
use crate::rules::{Consent, ConsentScope, Contract};

/// Kind, SIREN (zero: nobody's) and body of an entry.
pub fn entry(entry: &Entry, import: Option<Import>) -> (Kind, u32, Vec<u8>) {
    let begin = |values: u64| {
        let mut e = Encoder::array_of(values + 1);
        e.option(import, |e, import| e.array(2).uint(import.id).bool(import.last));
        e
    };
    match entry {
        Entry::Refusal { key, at, channel } => {
            let mut e = begin(3);
            e.uint(key.callee.get()).int(at.timestamp_micros()).text(channel);
            (Kind::Refusal, key.siren.0, e.finish())
        }
        Entry::Consent {
            key,
            consent,
            channel,
            object,
        } => {
            let mut e = begin(11);
            e.uint(key.callee.get()).text(scope_code(consent.scope));
            e.int(consent.given_at.timestamp_micros());
            time(&mut e, consent.expires);
            time(&mut e, consent.slot.map(|slot| slot.0));
            time(&mut e, consent.slot.map(|slot| slot.1));
            time(&mut e, consent.withdrawn_at);
            time(&mut e, consent.used_at);
            e.text(&consent.evidence).text(channel).text(object);
            (Kind::Consent, key.siren.0, e.finish())
        }
        Entry::ConsentUsed {
            key,
            given_at,
            scope,
            at,
        } => {
            let mut e = begin(4);
            e.uint(key.callee.get()).int(given_at.timestamp_micros());
            e.text(scope_code(*scope)).int(at.timestamp_micros());
            (Kind::ConsentUsed, key.siren.0, e.finish())
        }
        Entry::Contract { key, contract } => {
            let mut e = begin(4);
            e.uint(key.callee.get())
                .text(&contract.reference)
                .int(day_number(contract.from));
            e.option(contract.until, |e, until| e.int(day_number(until)));
            (Kind::Contract, key.siren.0, e.finish())
        }
        Entry::Attempt {
            key,
            at,
            outcome,
            source,
        } => {
            let mut e = begin(4);
            e.uint(key.callee.get()).int(at.timestamp_micros());
            e.text(outcome.code()).text(source);
            (Kind::Attempt, key.siren.0, e.finish())
        }
        Entry::Range(range) => {
            let mut e = begin(5);
            e.uint(range.first.get())
                .uint(range.last.get())
                .text(&range.professional);
            e.int(day_number(range.from));
            e.option(range.until, |e, until| e.int(day_number(until)));
            (Kind::Range, 0, e.finish())
        }
        Entry::Screening {
            list,
            siren,
            day,
            numbers,
            opposed,
            sha256,
        } => {
            let mut e = begin(5);
            e.text(list)
                .int(day_number(*day))
                .uint(*numbers)
                .uint(*opposed)
                .bytes(sha256);
            (Kind::Screening, siren.map_or(0, |siren| siren.0), e.finish())
        }
        Entry::Suspension(suspension) => {
            let mut e = begin(3);
            let what = match suspension.what {
                Suspended::Source => "source",
                Suspended::Professional => "professional",
            };
            e.text(what).text(&suspension.id).bool(suspension.suspended);
            (Kind::Suspension, 0, e.finish())
        }
        Entry::Configuration { what, sha256 } => {
            let mut e = begin(2);
            e.text(what).bytes(sha256);
            (Kind::Configuration, 0, e.finish())
        }
        Entry::Forgotten { tag } => (Kind::Forgotten, 0, erasure(tag, &[])),
    }
}

pub(super) fn read(d: &mut Decoder, kind: Kind, siren: Siren) -> Result<Entry, BodyError> {
    Ok(match kind {
        Kind::Refusal => Entry::Refusal {
            key: read_key(d, siren)?,
            at: moment(d.int()?)?,
            channel: d.text()?.into(),
        },
        Kind::Consent => {
            let key = read_key(d, siren)?;
            let scope = scope_of(d.text()?)?;
            let given_at = moment(d.int()?)?;
            let expires = read_time(d)?;
            let slot = read_time(d)?.zip(read_time(d)?);
            let withdrawn_at = read_time(d)?;
            let used_at = read_time(d)?;
            let evidence = d.text()?.into();
            Entry::Consent {
                key,
                consent: Consent {
                    scope,
                    given_at,
                    expires,
                    slot,
                    withdrawn_at,
                    used_at,
                    evidence,
                },
                channel: d.text()?.into(),
                object: d.text()?.into(),
            }
        }
        Kind::ConsentUsed => Entry::ConsentUsed {
            key: read_key(d, siren)?,
            given_at: moment(d.int()?)?,
            scope: scope_of(d.text()?)?,
            at: moment(d.int()?)?,
        },
        Kind::Contract => Entry::Contract {
            key: read_key(d, siren)?,
            contract: Contract {
                reference: d.text()?.into(),
                from: day(d.int()?)?,
                until: d.option(Decoder::int)?.map(day).transpose()?,
            },
        },
        Kind::Attempt => Entry::Attempt {
            key: read_key(d, siren)?,
            at: moment(d.int()?)?,
            outcome: outcome_of(d.text()?)?,
            source: d.text()?.into(),
        },
        Kind::Range => Entry::Range(OwnedRange {
            first: number(d.uint()?)?,
            last: number(d.uint()?)?,
            professional: d.text()?.into(),
            from: day(d.int()?)?,
            until: d.option(Decoder::int)?.map(day).transpose()?,
        }),
        Kind::Screening => Entry::Screening {
            siren: (siren.0 != 0).then_some(siren),
            list: d.text()?.into(),
            day: day(d.int()?)?,
            numbers: d.uint()?,
            opposed: d.uint()?,
            sha256: read_hash(d)?,
        },
        Kind::Suspension => Entry::Suspension(Suspension {
            what: match d.text()? {
                "source" => Suspended::Source,
                "professional" => Suspended::Professional,
                _ => return Err(BodyError::Unknown),
            },
            id: d.text()?.into(),
            suspended: d.bool()?,
        }),
        Kind::Configuration => Entry::Configuration {
            what: d.text()?.into(),
            sha256: read_hash(d)?,
        },
        _ => return Err(BodyError::Unknown),
    })
}

const fn scope_code(scope: ConsentScope) -> &'static str {
    match scope {
        ConsentScope::Prospecting => "prospecting",
        ConsentScope::Hours => "hours",
        ConsentScope::Requested => "requested",
    }
}

fn scope_of(code: &str) -> Result<ConsentScope, BodyError> {
    match code {
        "prospecting" => Ok(ConsentScope::Prospecting),
        "hours" => Ok(ConsentScope::Hours),
        "requested" => Ok(ConsentScope::Requested),
        _ => Err(BodyError::Unknown),
    }
}
