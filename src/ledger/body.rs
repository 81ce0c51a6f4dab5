//! The bodies of journal records: what `docs/record-bodies.md` describes. The ledger writes them and reads them at a replay; exports
//! read them years later. A body is one CBOR array; fields are only ever added at its end, and a reader ignores those it does not know.

mod carried;

use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};

use super::cbor::{CborError, Decoder, Encoder};
use super::record::{AttemptMeta, DecisionNote, Entry, Outcome, OwnedRange, Suspended, Suspension, Via};
use super::{AttemptId, Key, Siren};
use crate::journal::{Kind, Stored};
use crate::numbering::E164;
use crate::rules::{Consent, ConsentScope, Contract, Reason};

pub use carried::{Carried, Origin, ROW_VERSION, carried_record, carried_row};

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is not the CBOR that it should be.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// A code or number that this version does not know.
    #[error("a code or number is unknown")]
    Unknown,
}

/// What a journal record says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Record {
    /// A call was reserved; its sequence number is its [`AttemptId`].
    Reservation { key: Key, meta: AttemptMeta },
    /// What became of a reserved call.
    Settlement {
        key: Key,
        id: AttemptId,
        outcome: Outcome,
        /// The trunk that carried the call; not known of a call that was never sent.
        trunk: Option<Arc<str>>,
    },
    /// Identical refused or observed calls: how many, and when the last was.
    Decision {
        note: DecisionNote,
        count: u64,
        last: DateTime<Utc>,
    },
    /// One recorded fact. `import`: it is part of a large import and holds only if that import's last record is there.
    Entry { entry: Entry, import: Option<Import> },
    /// A number's personal data were erased; what binds stays under its keyed hash.
    Erasure { tag: [u8; 32], kept: Vec<Kept> },
    /// A call forwarded while the store could not answer.
    Recovered { key: Key, meta: AttemptMeta },
    /// What still bound of a segment when it went cold.
    Carried(Carried),
    /// Its personal part was erased, or its kind is none of the ledger's.
    Other,
}

/// The large import that a record is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// Drawn at random for each import.
    pub id: u64,
    /// With this record the whole import holds; without it none of it does.
    pub last: bool,
}

/// What still binds of an erased number, for one professional.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Kept {
    pub siren: Siren,
    /// Unix seconds of the attempts that may still count, oldest first.
    pub attempts: Vec<u32>,
    pub refused: Option<DateTime<Utc>>,
}

/// The body of a reservation, or of a recovered call.
pub fn attempt(callee: E164, meta: &AttemptMeta) -> Vec<u8> {
    let mut e = Encoder::array_of(10);
    e.uint(callee.get());
    e.option(meta.caller, |e, caller| e.uint(caller.get()));
    via(&mut e, &meta.via);
    text(&mut e, meta.regime.as_ref());
    e.option(meta.reason, |e, reason| e.text(reason.code()));
    text(&mut e, meta.evidence.as_ref());
    text(&mut e, meta.zone.as_ref());
    e.uint(meta.call).bool(meta.observed);
    e.finish()
}

/// The body of a settlement.
pub fn settlement(callee: E164, id: AttemptId, outcome: Outcome, trunk: Option<&str>) -> Vec<u8> {
    let mut e = Encoder::array_of(3 + u64::from(trunk.is_some()));
    e.uint(callee.get()).uint(id.0).text(outcome.code());
    if let Some(trunk) = trunk {
        e.text(trunk);
    }
    e.finish()
}

/// The body of a decision that was taken `count` times, the last time at `last`.
pub fn decision(note: &DecisionNote, count: u64, last: DateTime<Utc>) -> Vec<u8> {
    let mut e = Encoder::array_of(9);
    e.option(note.callee, |e, callee| e.uint(callee.get()));
    e.option(note.caller, |e, caller| e.uint(caller.get()));
    via(&mut e, &note.via);
    text(&mut e, note.regime.as_ref());
    e.array(note.reasons.len() as u64);
    for reason in &note.reasons {
        e.text(reason.code());
    }
    e.bool(note.observed).uint(count).int(last.timestamp_micros());
    e.finish()
}

/// The body of an erasure.
pub fn erasure(tag: &[u8; 32], kept: &[Kept]) -> Vec<u8> {
    let mut e = Encoder::array_of(2);
    e.bytes(tag).array(kept.len() as u64);
    for one in kept {
        e.array(3).uint(one.siren.0.into()).array(one.attempts.len() as u64);
        for at in &one.attempts {
            e.uint((*at).into());
        }
        time(&mut e, one.refused);
    }
    e.finish()
}

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

/// Reads a stored record.
pub fn read(stored: &Stored) -> Result<Record, BodyError> {
    let Some(body) = &stored.body else {
        return Ok(Record::Other);
    };
    let mut d = Decoder::new(body);
    let siren = Siren(stored.siren);
    let fields = d.array()?;
    Ok(match stored.kind {
        Kind::Reservation => {
            let (key, meta) = read_attempt(&mut d, siren)?;
            Record::Reservation { key, meta }
        }
        Kind::Recovered => {
            let (key, meta) = read_attempt(&mut d, siren)?;
            Record::Recovered { key, meta }
        }
        Kind::Settlement => Record::Settlement {
            key: read_key(&mut d, siren)?,
            id: AttemptId(d.uint()?),
            outcome: outcome_of(d.text()?)?,
            trunk: if fields > 3 { read_text(&mut d)? } else { None },
        },
        Kind::Decision => read_decision(&mut d, stored)?,
        Kind::Forgotten => {
            let tag = read_hash(&mut d)?;
            let mut kept = Vec::new();
            for _ in 0..d.array()? {
                kept.push(read_kept(&mut d)?);
            }
            Record::Erasure { tag, kept }
        }
        Kind::Refusal
        | Kind::Consent
        | Kind::ConsentUsed
        | Kind::Contract
        | Kind::Attempt
        | Kind::Range
        | Kind::Screening
        | Kind::Suspension
        | Kind::Configuration => {
            let import = d.option(|d| {
                d.array()?;
                Ok(Import {
                    id: d.uint()?,
                    last: d.bool()?,
                })
            })?;
            let entry = read_entry(&mut d, stored.kind, siren)?;
            Record::Entry { entry, import }
        }
        Kind::Carried => Record::Carried(carried::read(&mut d, siren)?),
        Kind::Checkpoint => Record::Other,
    })
}

fn read_attempt(d: &mut Decoder, siren: Siren) -> Result<(Key, AttemptMeta), BodyError> {
    let key = read_key(d, siren)?;
    let caller = d.option(Decoder::uint)?.map(number).transpose()?;
    let meta = AttemptMeta {
        caller,
        via: read_via(d)?,
        regime: read_text(d)?,
        reason: d.option(Decoder::text)?.map(reason).transpose()?,
        evidence: read_text(d)?,
        zone: read_text(d)?,
        call: d.uint()?,
        observed: d.bool()?,
    };
    Ok((key, meta))
}

fn read_decision(d: &mut Decoder, stored: &Stored) -> Result<Record, BodyError> {
    let callee = d.option(Decoder::uint)?.map(number).transpose()?;
    let caller = d.option(Decoder::uint)?.map(number).transpose()?;
    let via = read_via(d)?;
    let regime = read_text(d)?;
    let mut reasons = Vec::new();
    for _ in 0..d.array()? {
        reasons.push(reason(d.text()?)?);
    }
    let note = DecisionNote {
        at: stored.at,
        siren: (stored.siren != 0).then_some(Siren(stored.siren)),
        callee,
        caller,
        via,
        regime,
        reasons,
        observed: d.bool()?,
    };
    Ok(Record::Decision {
        note,
        count: d.uint()?,
        last: moment(d.int()?)?,
    })
}

fn read_kept(d: &mut Decoder) -> Result<Kept, BodyError> {
    d.array()?;
    let siren = Siren(u32::try_from(d.uint()?).map_err(|_| CborError::Range)?);
    let mut attempts = Vec::new();
    for _ in 0..d.array()? {
        attempts.push(u32::try_from(d.uint()?).map_err(|_| CborError::Range)?);
    }
    Ok(Kept {
        siren,
        attempts,
        refused: read_time(d)?,
    })
}

fn read_entry(d: &mut Decoder, kind: Kind, siren: Siren) -> Result<Entry, BodyError> {
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

fn outcome_of(code: &str) -> Result<Outcome, BodyError> {
    Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.code() == code)
        .ok_or(BodyError::Unknown)
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

fn reason(code: &str) -> Result<Reason, BodyError> {
    Reason::from_code(code).ok_or(BodyError::Unknown)
}

fn number(digits: u64) -> Result<E164, BodyError> {
    E164::new(digits).ok_or(BodyError::Cbor(CborError::Range))
}

fn read_key(d: &mut Decoder, siren: Siren) -> Result<Key, BodyError> {
    let callee = number(d.uint()?)?;
    Ok(Key { siren, callee })
}

fn via(e: &mut Encoder, via: &Via) {
    text(e, via.source.as_ref());
    text(e, via.professional.as_ref());
}

fn read_via(d: &mut Decoder) -> Result<Via, BodyError> {
    Ok(Via {
        source: read_text(d)?,
        professional: read_text(d)?,
    })
}

fn text(e: &mut Encoder, value: Option<&Arc<str>>) {
    e.option(value, |e, value| e.text(value));
}

fn read_text(d: &mut Decoder) -> Result<Option<Arc<str>>, BodyError> {
    Ok(d.option(Decoder::text)?.map(Arc::from))
}

fn read_hash(d: &mut Decoder) -> Result<[u8; 32], BodyError> {
    d.bytes()?.try_into().map_err(|_| BodyError::Cbor(CborError::Range))
}

fn time(e: &mut Encoder, at: Option<DateTime<Utc>>) {
    e.option(at, |e, at| e.int(at.timestamp_micros()));
}

fn read_time(d: &mut Decoder) -> Result<Option<DateTime<Utc>>, BodyError> {
    d.option(Decoder::int)?.map(moment).transpose()
}

fn moment(micros: i64) -> Result<DateTime<Utc>, BodyError> {
    DateTime::from_timestamp_micros(micros).ok_or(BodyError::Cbor(CborError::Range))
}

/// Days since 1970-01-01.
pub(super) fn day_number(day: NaiveDate) -> i64 {
    (day - NaiveDate::default()).num_days()
}

/// The day so many days after 1970-01-01.
pub(super) fn day(number: i64) -> Result<NaiveDate, BodyError> {
    let days = Days::new(number.unsigned_abs());
    let epoch = NaiveDate::default();
    let day = if number < 0 {
        epoch.checked_sub_days(days)
    } else {
        epoch.checked_add_days(days)
    };
    day.ok_or(BodyError::Cbor(CborError::Range))
}
