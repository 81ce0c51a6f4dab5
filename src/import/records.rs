//! Refusals, consents, contracts, attempts and caller numbers: one line, one ledger entry.

use std::io::Read;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use rustc_hash::FxHashSet;

use super::lines::{Line, Lines};
use super::reject::{Counted, Fault};
use super::table::{Columns, Header, Row, parse_day};
use super::{Content, ImportError, Kind, MAX_ENTRIES, Options, Professionals};
use crate::law::Law;
use crate::ledger::{Entry, Key, Outcome, OwnedRange, Siren};
use crate::numbering::{E164, Number, Territory};
use crate::rules::{Consent, ConsentScope, Contract};

const REFUSALS: Columns = Columns {
    required: &["number", "professional", "at", "channel"],
    optional: &[],
};
const CONSENTS: Columns = Columns {
    required: &[
        "number",
        "professional",
        "given_at",
        "channel",
        "evidence",
        "scope",
        "expires",
        "object",
    ],
    optional: &["slot_from", "slot_until", "withdrawn_at"],
};
const CONTRACTS: Columns = Columns {
    required: &["number", "professional", "reference", "from", "until"],
    optional: &[],
};
const ATTEMPTS: Columns = Columns {
    required: &["number", "professional", "at", "outcome", "source"],
    optional: &[],
};
const NUMBERS: Columns = Columns {
    required: &["first", "last", "professional", "from", "until"],
    optional: &[],
};

/// Texts that are shared between entries; beyond it each entry holds its own.
const MAX_SHARED: usize = 4096;

/// Reads a file with a header.
pub(super) fn read(
    kind: Kind,
    reader: &mut dyn Read,
    options: &Options<'_>,
    law: &Law,
    professionals: &dyn Professionals,
    rejects: &mut Counted<'_>,
) -> Result<Content, ImportError> {
    let columns = match kind {
        Kind::Consents => &CONSENTS,
        Kind::Contracts => &CONTRACTS,
        Kind::Attempts => &ATTEMPTS,
        Kind::Numbers => &NUMBERS,
        Kind::Refusals | Kind::Bloctel | Kind::Opposition => &REFUSALS,
    };
    let mut lines = Lines::new(reader, options.progress);
    lines
        .begin()
        .map_err(ImportError::Read)?
        .map_err(|_| ImportError::Encoding)?;
    let mut context = Context {
        law,
        professionals,
        professional: options.professional,
        shared: FxHashSet::default(),
    };
    let mut header: Option<Header> = None;
    let mut entries = Vec::new();
    while let Some(Line { number: at, text }) = lines.next().map_err(ImportError::Read)? {
        let Some(known) = &header else {
            let line = text.map_err(|(why, _)| why).unwrap_or_default();
            header = Some(Header::read(line, columns)?);
            continue;
        };
        let read = match text {
            Ok(line) => known
                .row(line)
                .and_then(|row| context.entry(kind, &row))
                .map_err(|fault| (fault, line.to_owned())),
            Err((expected, legible)) => Err((Fault::line(expected), legible)),
        };
        match read {
            Ok(_) if entries.len() == MAX_ENTRIES => return Err(ImportError::TooMany),
            Ok(entry) => entries.push(entry),
            Err((fault, line)) => rejects.reject(at, &fault, &line)?,
        }
    }
    if header.is_none() {
        // An empty file has no header either: say which was expected.
        Header::read("", columns)?;
    }
    let counts = counts(&entries);
    Ok((entries, None, counts))
}

/// First moment, and the first that is no part of it any more.
type Slot = (DateTime<Utc>, DateTime<Utc>);

struct Context<'a> {
    law: &'a Law,
    professionals: &'a dyn Professionals,
    professional: Option<&'a str>,
    shared: FxHashSet<Arc<str>>,
}

impl Context<'_> {
    fn entry(&mut self, kind: Kind, row: &Row<'_>) -> Result<Entry, Fault> {
        match kind {
            Kind::Consents => self.consent(row),
            Kind::Contracts => self.contract(row),
            Kind::Attempts => self.attempt(row),
            Kind::Numbers => self.range(row),
            Kind::Refusals | Kind::Bloctel | Kind::Opposition => self.refusal(row),
        }
    }

    fn refusal(&mut self, row: &Row<'_>) -> Result<Entry, Fault> {
        Ok(Entry::Refusal {
            key: self.key(row)?,
            at: row.time("at")?,
            channel: self.share(row.get("channel")),
        })
    }

    fn contract(&mut self, row: &Row<'_>) -> Result<Entry, Fault> {
        let key = self.key(row)?;
        let reference = row.text("reference", "expected the contract's reference")?.into();
        let (from, until) = (row.day("from")?, row.day_or_none("until")?);
        if until.is_some_and(|until| until < from) {
            return Err(Fault::new(
                "until",
                "expected a date not before `from`",
                row.get("until"),
            ));
        }
        Ok(Entry::Contract {
            key,
            contract: Contract { reference, from, until },
        })
    }

    fn attempt(&mut self, row: &Row<'_>) -> Result<Entry, Fault> {
        let outcome = match row.get("outcome") {
            "answered" => Outcome::Answered,
            "no-answer" => Outcome::NoAnswer,
            "busy" => Outcome::Busy,
            "failed" => Outcome::Failed,
            other => {
                return Err(Fault::new(
                    "outcome",
                    "expected answered, no-answer, busy or failed",
                    other,
                ));
            }
        };
        Ok(Entry::Attempt {
            key: self.key(row)?,
            at: row.time("at")?,
            outcome,
            source: self.share(row.get("source")),
        })
    }

    fn range(&mut self, row: &Row<'_>) -> Result<Entry, Fault> {
        let first = row.number("first", &self.law.plan)?;
        let last = row.number("last", &self.law.plan)?;
        if last < first || last.get().ilog10() != first.get().ilog10() {
            let expected = "expected a number not before `first` and as long";
            return Err(Fault::new("last", expected, row.get("last")));
        }
        let (_, id) = self.professional(row)?;
        let (from, until) = (row.day("from")?, row.day_or_none("until")?);
        if until.is_some_and(|until| until < from) {
            return Err(Fault::new(
                "until",
                "expected a date not before `from`",
                row.get("until"),
            ));
        }
        Ok(Entry::Range(OwnedRange {
            first,
            last,
            professional: id,
            from,
            until,
        }))
    }

    fn consent(&mut self, row: &Row<'_>) -> Result<Entry, Fault> {
        let key = self.key(row)?;
        let evidence = row.text("evidence", "expected a reference of the proof")?;
        let object = row.text("object", "expected the nature of the goods or services")?;
        let scope = match row.get("scope") {
            "prospecting" => ConsentScope::Prospecting,
            "hours" => ConsentScope::Hours,
            "requested" => ConsentScope::Requested,
            other => return Err(Fault::new("scope", "expected prospecting, hours or requested", other)),
        };
        let given_at = row.time("given_at")?;
        let expires = self.expires(row, key.callee)?;
        if expires.is_some_and(|expires| expires < given_at) {
            return Err(Fault::new(
                "expires",
                "expected a moment not before `given_at`",
                row.get("expires"),
            ));
        }
        let slot = self.slot(row, key.callee, scope, given_at)?;
        Ok(Entry::Consent {
            key,
            consent: Consent {
                scope,
                given_at,
                expires,
                slot,
                withdrawn_at: row.time_or_none("withdrawn_at")?,
                used_at: None,
                evidence: evidence.into(),
            },
            channel: self.share(row.get("channel")),
            object: self.share(object),
        })
    }

    /// A moment, or the last local day: then its last millisecond.
    fn expires(&self, row: &Row<'_>, callee: E164) -> Result<Option<DateTime<Utc>>, Fault> {
        let text = row.get("expires");
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(next) = parse_day(text).and_then(|day| day.succ_opt()) {
            let end = self.law.start_of_day(next, self.territory(callee)) - Duration::milliseconds(1);
            return Ok(Some(end));
        }
        row.time("expires").map(Some).map_err(|_| {
            let expected = "expected an RFC 3339 time, a date such as 2023-06-06, or nothing";
            Fault::new("expires", expected, text)
        })
    }

    /// The hours consented to. Where the regime of the day bounds them, a slot must be there, lie on one local date and be no wider.
    fn slot(
        &self,
        row: &Row<'_>,
        callee: E164,
        scope: ConsentScope,
        given_at: DateTime<Utc>,
    ) -> Result<Option<Slot>, Fault> {
        let territory = self.territory(callee);
        let widest = |at| {
            let regime = self.law.regime_on(self.law.local_day(at, territory));
            regime.and_then(|regime| regime.consent.slot_max_minutes)
        };
        let (Some(from), Some(until)) = (row.time_or_none("slot_from")?, row.time_or_none("slot_until")?) else {
            let (there, missing) = match (row.get("slot_from"), row.get("slot_until")) {
                ("", "") if scope == ConsentScope::Hours && widest(given_at).is_some() => ("", "slot_from"),
                ("", "") => return Ok(None),
                ("", there) => (there, "slot_from"),
                (there, _) => (there, "slot_until"),
            };
            let expected = if there.is_empty() {
                "expected the slot, without which an hours consent of that day lifts nothing"
            } else {
                "expected both ends of the slot"
            };
            return Err(Fault::new(missing, expected, ""));
        };
        if scope != ConsentScope::Hours {
            let expected = "expected nothing: only a consent of scope hours has a slot";
            return Err(Fault::new("slot_from", expected, row.get("slot_from")));
        }
        if until <= from {
            return Err(Fault::new(
                "slot_until",
                "expected a moment after `slot_from`",
                row.get("slot_until"),
            ));
        }
        // The end is no part of the slot: one until midnight lies on one date.
        let last = until - Duration::milliseconds(1);
        if let Some(minutes) = widest(last).or_else(|| widest(from)) {
            if self.law.local_day(from, territory) != self.law.local_day(last, territory) {
                return Err(Fault::new(
                    "slot_until",
                    "expected a slot on one local date",
                    row.get("slot_until"),
                ));
            }
            if until - from > Duration::minutes(minutes.into()) {
                let expected = format!("expected a slot at most {minutes} minutes wide");
                return Err(Fault::new("slot_until", expected, row.get("slot_until")));
            }
        }
        Ok(Some((from, until)))
    }

    fn key(&self, row: &Row<'_>) -> Result<Key, Fault> {
        let callee = row.number("number", &self.law.plan)?;
        let (siren, _) = self.professional(row)?;
        Ok(Key { siren, callee })
    }

    /// The one that the line names, else the one of `--professional`.
    fn professional(&self, row: &Row<'_>) -> Result<(Siren, Arc<str>), Fault> {
        let id = Some(row.get("professional"))
            .filter(|id| !id.is_empty())
            .or(self.professional)
            .unwrap_or("");
        let siren = self.professionals.siren(id);
        let unknown = || Fault::new("professional", "expected the id of a configured professional", id);
        siren.map(|siren| (siren, id.into())).ok_or_else(unknown)
    }

    /// Where local dates are taken; other countries' numbers count as metropolitan.
    fn territory(&self, callee: E164) -> Territory {
        let latest = self.law.regimes().last().map(|regime| regime.from).unwrap_or_default();
        let class = self.law.plan.class(Number::E164(callee), latest);
        class.territory.unwrap_or(Territory::Metropole)
    }

    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.shared.get(text) {
            return shared.clone();
        }
        let fresh: Arc<str> = text.into();
        if self.shared.len() < MAX_SHARED {
            self.shared.insert(fresh.clone());
        }
        fresh
    }
}

/// What was read, by scope or outcome where there is one.
fn counts(entries: &[Entry]) -> Vec<(&'static str, u64)> {
    let mut counts: Vec<(&'static str, u64)> = Vec::new();
    for entry in entries {
        let what = match entry {
            Entry::Refusal { .. } => "refusals",
            Entry::Contract { .. } => "contracts",
            Entry::Range(_) => "ranges",
            Entry::Consent { consent, .. } => match consent.scope {
                ConsentScope::Prospecting => "prospecting",
                ConsentScope::Hours => "hours",
                ConsentScope::Requested => "requested",
            },
            Entry::Attempt { outcome, .. } => match outcome {
                Outcome::Answered => "answered",
                Outcome::NoAnswer => "no-answer",
                Outcome::Busy => "busy",
                _ => "failed",
            },
            _ => continue,
        };
        match counts.iter_mut().find(|(known, _)| *known == what) {
            Some((_, count)) => *count += 1,
            None => counts.push((what, 1)),
        }
    }
    counts.sort_unstable();
    counts
}
