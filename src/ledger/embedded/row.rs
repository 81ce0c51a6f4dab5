//! One (SIREN, callee) in memory: what the hot state knows of it, and its compact bytes, which are also the view's.
//!
//! A page keeps rows as bytes and only unfolds the one it works on, so that five million of them fit in the memory of a small machine.
//! Knows no rule: what counts is what the outcome says, what is kept is what could still be asked for.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use smallvec::SmallVec;

use super::super::body;
use super::super::record::{Entry, Outcome};
use crate::rules::{Consent, ConsentScope, Contract};

/// One call holds one attempt: an INVITE of the same call within this many seconds after its settlement is the same attempt
/// (64·T1, RFC 3261 §17.1.1.2).
const SAME_CALL_SECONDS: u32 = 32;
/// How long an attempt that was given back can still be counted again by a late 18x or 2xx: above Timer C (RFC 3261 §16.6).
const GIVEN_BACK_SECONDS: u32 = 300;
/// An attempt that nobody settled for so long will not be settled any more; it counts.
const UNSETTLED_SECONDS: u32 = 86_400;
/// Newest refusals kept to tell a repeated line from a new one; all of them are in the journal.
const REFUSALS: usize = 4;
/// How long after its end a consent or contract is still kept, so that a question about a past day finds it.
const ENDED_SECONDS: u32 = 400 * 86_400;

/// An attempt of a call that may still be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Sequence of its journal record; zero while a recovered call waits for one.
    pub id: u64,
    /// Hash of Call-ID and From-tag; zero: none.
    pub call: u64,
    pub at: u32,
    /// When it was settled first, and how it stands now.
    pub settled: Option<(u32, Outcome)>,
}

impl Mark {
    pub fn counts(&self) -> bool {
        self.settled.is_none_or(|(_, outcome)| outcome.counts())
    }

    fn is_of_call(&self, call: u64, now: u32) -> bool {
        self.call == call
            && self.id != 0
            && self.counts()
            && self
                .settled
                .is_none_or(|(at, _)| now <= at.saturating_add(SAME_CALL_SECONDS))
    }

    fn is_open(&self, call: u64, at: u32) -> bool {
        call != 0 && self.call == call && self.at == at && self.settled.is_none()
    }

    fn is_over(&self, now: u32) -> bool {
        let kept_until = match self.settled {
            None => self.at.saturating_add(UNSETTLED_SECONDS),
            Some((at, outcome)) if outcome.counts() => at.saturating_add(SAME_CALL_SECONDS),
            Some((at, _)) => at.saturating_add(GIVEN_BACK_SECONDS),
        };
        self.id != 0 && now > kept_until
    }
}

/// An attempt made elsewhere, told from others by all of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Imported {
    pub at: u32,
    pub outcome: Outcome,
    pub source: u64,
}

/// What is known of one (SIREN, callee).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// Counted attempts that nothing can change any more, oldest first.
    pub plain: SmallVec<[u32; 6]>,
    pub marks: SmallVec<[Mark; 2]>,
    pub imported: SmallVec<[Imported; 1]>,
    /// The newest refusals, oldest first, in microseconds.
    pub refusals: SmallVec<[i64; 2]>,
    pub consents: Vec<Consent>,
    pub contracts: Vec<Contract>,
}

/// Unix seconds, held within what a row can keep (1970 to 2106).
pub(super) fn seconds(at: DateTime<Utc>) -> u32 {
    u32::try_from(at.timestamp().max(0)).unwrap_or(u32::MAX)
}

impl Row {
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty()
            && self.marks.is_empty()
            && self.imported.is_empty()
            && self.refusals.is_empty()
            && self.consents.is_empty()
            && self.contracts.is_empty()
    }

    /// Unix seconds of all counted attempts, in no order.
    pub fn counted(&self) -> impl Iterator<Item = u32> {
        let marks = self.marks.iter().filter(|mark| mark.counts()).map(|mark| mark.at);
        let imported = self
            .imported
            .iter()
            .filter(|one| one.outcome.counts())
            .map(|one| one.at);
        self.plain.iter().copied().chain(marks).chain(imported)
    }

    /// The newest refusal in microseconds.
    pub fn refused(&self) -> Option<i64> {
        self.refusals.last().copied()
    }

    /// The attempt that this call holds already.
    pub fn of_call(&self, call: u64, now: u32) -> Option<u64> {
        (call != 0).then_some(())?;
        self.marks
            .iter()
            .find(|mark| mark.is_of_call(call, now))
            .map(|mark| mark.id)
    }

    /// Has it an attempt of that call that was made at that moment and never settled?
    pub fn has_open(&self, call: u64, at: u32) -> bool {
        self.marks.iter().any(|mark| mark.is_open(call, at))
    }

    /// Gives such an attempt back: another stands for it.
    pub fn supersede(&mut self, call: u64, at: u32) {
        for mark in self.marks.iter_mut().filter(|mark| mark.is_open(call, at)) {
            mark.settled = Some((at, Outcome::Unsent));
        }
    }

    /// Settles the attempt; false where it is not known any more.
    pub fn settle(&mut self, id: u64, outcome: Outcome, at: u32) -> bool {
        let Some(mark) = self.marks.iter_mut().find(|mark| mark.id == id) else {
            return false;
        };
        // The first settlement's time stays: repeating a call cannot prolong the time in which it is the same call.
        let first = mark
            .settled
            .map_or(at, |(first, before)| if before.counts() { first } else { at });
        mark.settled = Some((first, outcome));
        true
    }

    /// Takes a fact in; false where it changes nothing. Facts about nobody's callee change nothing here.
    pub fn apply(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::Refusal { at, .. } => self.refuse(at.timestamp_micros()),
            Entry::Consent { consent, .. } => self.consent(consent),
            Entry::ConsentUsed {
                given_at, scope, at, ..
            } => self.use_consent(*given_at, *scope, *at),
            Entry::Contract { contract, .. } => {
                match self
                    .contracts
                    .iter_mut()
                    .find(|known| known.reference == contract.reference)
                {
                    Some(known) if known == contract => return false,
                    Some(known) => *known = contract.clone(),
                    None => self.contracts.push(contract.clone()),
                }
                true
            }
            Entry::Attempt {
                at, outcome, source, ..
            } => {
                let one = Imported {
                    at: seconds(*at),
                    outcome: *outcome,
                    source: source_hash(source),
                };
                let new = !self.imported.contains(&one);
                if new {
                    self.imported.push(one);
                }
                new
            }
            Entry::Range(_)
            | Entry::Screening { .. }
            | Entry::Suspension(_)
            | Entry::Configuration { .. }
            | Entry::Forgotten { .. } => false,
        }
    }

    fn refuse(&mut self, at: i64) -> bool {
        let full = self.refusals.len() >= REFUSALS;
        match self.refusals.binary_search(&at) {
            Ok(_) => false,
            Err(0) if full => false,
            Err(place) => {
                self.refusals.insert(place, at);
                if full {
                    self.refusals.remove(0);
                }
                true
            }
        }
    }

    /// The same consent again can be withdrawn or used, never taken back into force; its end and its proof are the newest line's.
    fn consent(&mut self, consent: &Consent) -> bool {
        let consent = Consent {
            given_at: micros(consent.given_at),
            expires: consent.expires.map(micros),
            slot: consent.slot.map(|(from, until)| (micros(from), micros(until))),
            withdrawn_at: consent.withdrawn_at.map(micros),
            used_at: consent.used_at.map(micros),
            ..consent.clone()
        };
        let same = |known: &&mut Consent| {
            known.scope == consent.scope && known.given_at == consent.given_at && known.slot == consent.slot
        };
        let Some(known) = self.consents.iter_mut().find(same) else {
            let place = self
                .consents
                .partition_point(|known| known.given_at <= consent.given_at);
            self.consents.insert(place, consent);
            return true;
        };
        let joined = Consent {
            withdrawn_at: earliest(known.withdrawn_at, consent.withdrawn_at),
            used_at: earliest(known.used_at, consent.used_at),
            ..consent
        };
        let changed = joined != *known;
        *known = joined;
        changed
    }

    fn use_consent(&mut self, given_at: DateTime<Utc>, scope: ConsentScope, at: DateTime<Utc>) -> bool {
        let given_at = micros(given_at);
        let unused = |known: &&mut Consent| {
            known.scope == scope
                && known.given_at == given_at
                && known.used_at.is_none()
                // Slots given at one moment stand side by side; the call consumes the one that it was in.
                && known.slot.is_none_or(|(from, until)| from <= at && at < until)
        };
        match self.consents.iter_mut().find(unused) {
            Some(known) => {
                known.used_at = Some(micros(at));
                true
            }
            None => false,
        }
    }

    /// Drops what no rule can ask for any more, and the detail of attempts that nothing can change any more. Attempts before `since`
    /// are over; refusals never are. True where anything changed.
    pub fn tidy(&mut self, now: u32, since: u32) -> bool {
        let before = (
            self.plain.len(),
            self.marks.len(),
            self.imported.len(),
            self.consents.len(),
            self.contracts.len(),
        );
        let plain = &mut self.plain;
        self.marks.retain(|mark| {
            let over = mark.is_over(now);
            if over && mark.counts() {
                let place = plain.partition_point(|at| *at <= mark.at);
                plain.insert(place, mark.at);
            }
            !over
        });
        self.plain.retain(|at| *at >= since);
        self.imported.retain(|one| one.at >= since);
        if !self.consents.is_empty() {
            self.tidy_consents(now);
        }
        let today = i64::from(now) / 86_400;
        self.contracts.retain(|contract| {
            let end = contract.until.map(body::day_number);
            end.is_none_or(|end| end + i64::from(ENDED_SECONDS / 86_400) >= today)
        });
        let after = (
            self.plain.len(),
            self.marks.len(),
            self.imported.len(),
            self.consents.len(),
            self.contracts.len(),
        );
        before != after
    }

    /// Oldest first and only while all older ones of the scope are gone, so that the end of a newer one never revives an older; beside a
    /// refusal the newest stays, since it may be what lifts it.
    fn tidy_consents(&mut self, now: u32) {
        for scope in [ConsentScope::Prospecting, ConsentScope::Hours, ConsentScope::Requested] {
            let mut left = self.consents.iter().filter(|consent| consent.scope == scope).count();
            while left > usize::from(!self.refusals.is_empty()) {
                let Some(oldest) = self.consents.iter().position(|consent| consent.scope == scope) else {
                    break;
                };
                let consent = &self.consents[oldest];
                let ends = [consent.expires, consent.withdrawn_at, consent.slot.map(|slot| slot.1)];
                let end = ends.into_iter().flatten().min().map(seconds);
                if end.is_none_or(|end| end.saturating_add(ENDED_SECONDS) >= now) {
                    break;
                }
                self.consents.remove(oldest);
                left -= 1;
            }
        }
    }
}

fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Tells sources apart in a row; stable, since it is kept in the view.
pub(super) fn source_hash(source: &str) -> u64 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(0, 0);
    hasher.write(source.as_bytes());
    hasher.finish()
}

const HAS_MARKS: u8 = 1;
const HAS_IMPORTED: u8 = 2;
const HAS_REFUSALS: u8 = 4;
const HAS_CONSENTS: u8 = 8;
const HAS_CONTRACTS: u8 = 16;
/// The number of plain attempts stands in the flags where it is below this.
const MANY: u8 = 7;

impl Row {
    /// Appends the row's bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let few = u8::try_from(self.plain.len()).unwrap_or(MANY).min(MANY);
        let flag = |present: bool, flag: u8| if present { flag } else { 0 };
        out.push(
            few << 5
                | flag(!self.marks.is_empty(), HAS_MARKS)
                | flag(!self.imported.is_empty(), HAS_IMPORTED)
                | flag(!self.refusals.is_empty(), HAS_REFUSALS)
                | flag(!self.consents.is_empty(), HAS_CONSENTS)
                | flag(!self.contracts.is_empty(), HAS_CONTRACTS),
        );
        if few == MANY {
            put(out, self.plain.len() as u64);
        }
        let mut before = 0;
        for at in &self.plain {
            // Sorted, so that all but the first are small differences.
            put(out, u64::from(at - before));
            before = *at;
        }
        list(out, &self.marks, |out, mark| {
            put(out, mark.id);
            out.extend_from_slice(&mark.call.to_le_bytes());
            put(out, mark.at.into());
            match mark.settled {
                None => out.push(u8::MAX),
                Some((at, outcome)) => {
                    out.push(outcome_number(outcome));
                    put(out, at.into());
                }
            }
        });
        list(out, &self.imported, |out, one| {
            put(out, one.at.into());
            out.push(outcome_number(one.outcome));
            out.extend_from_slice(&one.source.to_le_bytes());
        });
        list(out, &self.refusals, |out, at| put_signed(out, *at));
        list(out, &self.consents, write_consent);
        list(out, &self.contracts, |out, contract| {
            put_text(out, &contract.reference);
            put_signed(out, body::day_number(contract.from));
            put_option(out, contract.until.map(body::day_number));
        });
    }

    /// Reads a row from exactly these bytes; `None`: they are none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        let flags = r.byte()?;
        let mut row = Self::default();
        let plain = match flags >> 5 {
            MANY => r.number()?,
            few => few.into(),
        };
        let mut at = 0u32;
        for _ in 0..plain {
            at = at.checked_add(r.seconds()?)?;
            row.plain.push(at);
        }
        for _ in 0..r.count(flags & HAS_MARKS)? {
            row.marks.push(Mark {
                id: r.number()?,
                call: r.fixed()?,
                at: r.seconds()?,
                settled: match r.byte()? {
                    u8::MAX => None,
                    outcome => Some((*Outcome::ALL.get(usize::from(outcome))?, r.seconds()?)).map(|(o, at)| (at, o)),
                },
            });
        }
        for _ in 0..r.count(flags & HAS_IMPORTED)? {
            row.imported.push(Imported {
                at: r.seconds()?,
                outcome: *Outcome::ALL.get(usize::from(r.byte()?))?,
                source: r.fixed()?,
            });
        }
        for _ in 0..r.count(flags & HAS_REFUSALS)? {
            row.refusals.push(r.signed()?);
        }
        for _ in 0..r.count(flags & HAS_CONSENTS)? {
            row.consents.push(r.consent()?);
        }
        for _ in 0..r.count(flags & HAS_CONTRACTS)? {
            row.contracts.push(Contract {
                reference: r.text()?,
                from: body::day(r.signed()?).ok()?,
                until: r.option().ok()?.map(body::day).transpose().ok()?,
            });
        }
        r.0.is_empty().then_some(row)
    }
}

fn write_consent(out: &mut Vec<u8>, consent: &Consent) {
    out.push(match consent.scope {
        ConsentScope::Prospecting => 0,
        ConsentScope::Hours => 1,
        ConsentScope::Requested => 2,
    });
    let given = consent.given_at.timestamp_micros();
    put_signed(out, given);
    let times = [
        consent.expires,
        consent.slot.map(|slot| slot.0),
        consent.slot.map(|slot| slot.1),
        consent.withdrawn_at,
        consent.used_at,
    ];
    for at in times {
        put_option(out, at.map(|at| at.timestamp_micros()));
    }
    put_text(out, &consent.evidence);
}

fn outcome_number(outcome: Outcome) -> u8 {
    let place = Outcome::ALL.iter().position(|one| *one == outcome);
    u8::try_from(place.unwrap_or_default()).unwrap_or_default()
}

/// Seven bits a byte, the lowest first (LEB128).
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value << 1 ^ value >> 63).cast_unsigned());
}

fn put_option(out: &mut Vec<u8>, value: Option<i64>) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        put_signed(out, value);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Nothing where the flags say so, else how many and each.
fn list<T>(out: &mut Vec<u8>, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    if !values.is_empty() {
        put(out, values.len() as u64);
        for value in values {
            write(out, value);
        }
    }
}

/// The bytes are no row's.
#[derive(Debug)]
struct Malformed;

/// Reads what the functions above write.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn seconds(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn count(&mut self, flag: u8) -> Option<u64> {
        if flag == 0 { Some(0) } else { self.number() }
    }

    fn fixed(&mut self) -> Option<u64> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*value))
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    fn option(&mut self) -> Result<Option<i64>, Malformed> {
        match self.byte().ok_or(Malformed)? {
            0 => Ok(None),
            _ => self.signed().ok_or(Malformed).map(Some),
        }
    }

    /// So many bytes as the number before them says.
    pub fn bytes(&mut self) -> Option<&[u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<Arc<str>> {
        std::str::from_utf8(self.bytes()?).ok().map(Arc::from)
    }

    fn moment(&mut self) -> Result<Option<DateTime<Utc>>, Malformed> {
        let read = |at| DateTime::from_timestamp_micros(at).ok_or(Malformed);
        self.option()?.map(read).transpose()
    }

    fn consent(&mut self) -> Option<Consent> {
        let scope = match self.byte()? {
            0 => ConsentScope::Prospecting,
            1 => ConsentScope::Hours,
            2 => ConsentScope::Requested,
            _ => return None,
        };
        Some(Consent {
            scope,
            given_at: DateTime::from_timestamp_micros(self.signed()?)?,
            expires: self.moment().ok()?,
            slot: {
                let from = self.moment().ok()?;
                from.zip(self.moment().ok()?)
            },
            withdrawn_at: self.moment().ok()?,
            used_at: self.moment().ok()?,
            evidence: self.text()?,
        })
    }
}
