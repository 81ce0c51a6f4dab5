//! `clapet export`: one professional's records as lines, streamed. What is held in memory are the numbers of the imports that were
//! completed, and what [`Calls`] holds.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::EvidenceError;
use super::calls::{Calls, UNSETTLED};
use super::lines::{Line, Lines};
use super::record::{details, kind_name, number, time};
use crate::journal::{self, Kind, Stored};
use crate::law::Law;
use crate::ledger::body::{self, Carried, Record};
use crate::ledger::{Entry, Siren, Suspended};

/// What to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Calls placed and calls refused.
    Attempts,
    /// Refusals of called persons.
    Refusals,
    /// Consents as they were recorded, withdrawn and used.
    Consents,
    /// Every record, and those that are nobody's but apply to all.
    Journal,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Csv,
    Jsonl,
}

/// An export asked for.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Asked {
    pub what: What,
    /// The professional's id, as refusals and consents are imported under it.
    pub professional: Arc<str>,
    pub siren: Siren,
    /// From this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
    pub format: Format,
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Exported {
    pub lines: u64,
    /// Records whose personal part has been erased: there is nothing left to show of them.
    pub erased: u64,
    /// Calls written before it was known what became of them, because too many were open at a time.
    pub open: u64,
}

/// A refusal, in the columns of the import and two more.
#[derive(Serialize)]
struct Refusal {
    number: String,
    professional: Arc<str>,
    at: String,
    channel: Arc<str>,
    sequence: u64,
    recorded_at: String,
}

impl Line for Refusal {
    const COLUMNS: &'static [&'static str] = &["number", "professional", "at", "channel", "sequence", "recorded_at"];
}

/// A consent as one record says it, in the columns of the import and three more.
#[derive(Serialize)]
struct Consent {
    number: String,
    professional: Arc<str>,
    given_at: String,
    channel: Option<Arc<str>>,
    evidence: Option<Arc<str>>,
    scope: crate::rules::ConsentScope,
    expires: Option<String>,
    object: Option<Arc<str>>,
    slot_from: Option<String>,
    slot_until: Option<String>,
    withdrawn_at: Option<String>,
    used_at: Option<String>,
    sequence: u64,
    recorded_at: String,
}

impl Line for Consent {
    const COLUMNS: &'static [&'static str] = &[
        "number",
        "professional",
        "given_at",
        "channel",
        "evidence",
        "scope",
        "expires",
        "object",
        "slot_from",
        "slot_until",
        "withdrawn_at",
        "used_at",
        "sequence",
        "recorded_at",
    ];
}

/// Any record. In CSV the details are JSON in one column.
#[derive(Serialize)]
struct Any {
    sequence: u64,
    at: String,
    kind: &'static str,
    siren: String,
    erased: bool,
    details: Details,
}

impl Line for Any {
    const COLUMNS: &'static [&'static str] = &["sequence", "at", "kind", "siren", "erased", "details"];
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details {
    Value(serde_json::Value),
    Text(String),
}

/// Writes the export. `folder`: the journal's. Reads it twice where imports are in question.
pub fn export(folder: &Path, law: &Law, asked: &Asked, out: &mut dyn Write) -> Result<Exported, EvidenceError> {
    let mut exported = Exported::default();
    match asked.what {
        What::Attempts => {
            let mut calls = Calls::begin(law, asked, out, &mut exported)?;
            let completed = completed_imports(folder, asked)?;
            for stored in relevant(folder, asked)? {
                calls.take(&stored?, &completed)?;
            }
            calls.finish()?;
        }
        What::Refusals => {
            let mut lines = Lines::begin::<Refusal>(asked.format, out)?;
            facts(folder, asked, &mut exported, |stored, entry| match entry {
                Entry::Refusal { key, at, channel } if asked.holds(at) => lines
                    .write(&Refusal {
                        number: number(key.callee),
                        professional: asked.professional.clone(),
                        at: time(at),
                        channel,
                        sequence: stored.sequence,
                        recorded_at: time(stored.at),
                    })
                    .map(|()| true),
                _ => Ok(false),
            })?;
            lines.finish()?;
        }
        What::Consents => {
            let mut lines = Lines::begin::<Consent>(asked.format, out)?;
            facts(folder, asked, &mut exported, |stored, entry| {
                match consent(asked, stored, entry) {
                    Some(line) => lines.write(&line).map(|()| true),
                    None => Ok(false),
                }
            })?;
            lines.finish()?;
        }
        What::Journal => {
            let mut lines = Lines::begin::<Any>(asked.format, out)?;
            for stored in relevant(folder, asked)? {
                let stored = stored?;
                if !asked.holds(stored.at) {
                    continue;
                }
                let said = details(&stored);
                lines.write(&Any {
                    sequence: stored.sequence,
                    at: time(stored.at),
                    kind: kind_name(stored.kind),
                    siren: siren(stored.siren),
                    erased: stored.body.is_none(),
                    details: match asked.format {
                        Format::Jsonl => Details::Value(said),
                        Format::Csv => Details::Text(said.to_string()),
                    },
                })?;
                exported.lines += 1;
                exported.erased += u64::from(stored.body.is_none());
            }
            lines.finish()?;
        }
    }
    Ok(exported)
}

impl Asked {
    /// Is this moment asked for?
    pub(super) fn holds(&self, at: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whose records are meant: the professional's, and with the whole journal those that are nobody's and apply to it too.
    pub(super) fn concerns(&self, stored: &Stored) -> bool {
        if stored.siren == self.siren.0 {
            return true;
        }
        let everybody = matches!(
            stored.kind,
            Kind::Configuration | Kind::Screening | Kind::Suspension | Kind::Range | Kind::Forgotten | Kind::Carried
        );
        if self.what != What::Journal || stored.siren != 0 || !everybody {
            return false;
        }
        // Other professionals' number ranges and suspensions are their own business.
        match body::read(stored) {
            Ok(Record::Entry {
                entry: Entry::Range(range),
                ..
            }) => range.professional == self.professional,
            Ok(Record::Entry {
                entry: Entry::Suspension(suspension),
                ..
            }) if suspension.what == Suspended::Professional => suspension.id == self.professional,
            Ok(Record::Carried(Carried::Record(origin))) => self.concerns(&origin),
            _ => true,
        }
    }
}

/// Nine digits; empty where a record is nobody's.
pub(super) fn siren(siren: u32) -> String {
    if siren == 0 {
        String::new()
    } else {
        Siren(siren).to_string()
    }
}

fn relevant<'a>(
    folder: &Path,
    asked: &'a Asked,
) -> Result<impl Iterator<Item = Result<Stored, journal::JournalError>> + use<'a>, EvidenceError> {
    // A fact may have been recorded long after its time, or an earlier one be asked for: only calls are looked for by the record's time.
    let by_time = matches!(asked.what, What::Attempts | What::Journal);
    let after = match asked.since.filter(|_| by_time) {
        Some(since) => {
            let earlier = since.checked_sub_signed(UNSETTLED).unwrap_or(DateTime::<Utc>::MIN_UTC);
            let closed = journal::closed(folder)?;
            let before = closed.iter().take_while(|segment| segment.at < earlier).last();
            before.map_or(0, |segment| segment.last)
        }
        None => 0,
    };
    let records = journal::read(folder, after)?;
    Ok(records.filter(|stored| stored.as_ref().map_or(true, |stored| asked.concerns(stored))))
}

/// Large imports hold only with their last record, whoever that concerns.
fn completed_imports(folder: &Path, asked: &Asked) -> Result<HashSet<u64>, EvidenceError> {
    let kinds: &[Kind] = match asked.what {
        What::Attempts => &[Kind::Attempt],
        What::Refusals => &[Kind::Refusal],
        What::Consents => &[Kind::Consent, Kind::ConsentUsed],
        What::Journal => return Ok(HashSet::new()),
    };
    let mut completed = HashSet::new();
    for stored in journal::read(folder, 0)? {
        let stored = stored?;
        if kinds.contains(&stored.kind)
            && let Ok(Record::Entry {
                import: Some(import), ..
            }) = body::read(&stored)
            && import.last
        {
            completed.insert(import.id);
        }
    }
    Ok(completed)
}

fn facts(
    folder: &Path,
    asked: &Asked,
    exported: &mut Exported,
    mut write: impl FnMut(&Stored, Entry) -> std::io::Result<bool>,
) -> Result<(), EvidenceError> {
    let completed = completed_imports(folder, asked)?;
    let kinds: &[Kind] = match asked.what {
        What::Refusals => &[Kind::Refusal],
        _ => &[Kind::Consent, Kind::ConsentUsed],
    };
    for stored in relevant(folder, asked)? {
        let stored = stored?;
        if !kinds.contains(&stored.kind) {
            continue;
        }
        exported.erased += u64::from(stored.body.is_none());
        if let Ok(Record::Entry { entry, import }) = body::read(&stored)
            && import.is_none_or(|import| completed.contains(&import.id))
        {
            exported.lines += u64::from(write(&stored, entry)?);
        }
    }
    Ok(())
}

fn consent(asked: &Asked, stored: &Stored, entry: Entry) -> Option<Consent> {
    match entry {
        Entry::Consent {
            key,
            consent,
            channel,
            object,
        } if asked.holds(consent.given_at) => Some(Consent {
            number: number(key.callee),
            professional: asked.professional.clone(),
            given_at: time(consent.given_at),
            channel: Some(channel),
            evidence: Some(consent.evidence),
            scope: consent.scope,
            expires: consent.expires.map(time),
            object: Some(object),
            slot_from: consent.slot.map(|slot| time(slot.0)),
            slot_until: consent.slot.map(|slot| time(slot.1)),
            withdrawn_at: consent.withdrawn_at.map(time),
            used_at: consent.used_at.map(time),
            sequence: stored.sequence,
            recorded_at: time(stored.at),
        }),
        Entry::ConsentUsed {
            key,
            given_at,
            scope,
            at,
        } if asked.holds(given_at) => Some(Consent {
            number: number(key.callee),
            professional: asked.professional.clone(),
            given_at: time(given_at),
            channel: None,
            evidence: None,
            scope,
            expires: None,
            object: None,
            slot_from: None,
            slot_until: None,
            withdrawn_at: None,
            used_at: Some(time(at)),
            sequence: stored.sequence,
            recorded_at: time(stored.at),
        }),
        _ => None,
    }
}
