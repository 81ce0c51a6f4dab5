//! The calls of an export: each with what became of it, which its record does not yet say. What is held in memory are the calls that may
//! still be settled.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::EvidenceError;
use super::export::{Asked, Exported, siren};
use super::lines::{Line, Lines};
use super::record::{number, time};
use crate::journal::{Kind, Stored};
use crate::law::Law;
use crate::ledger::body::{self, Record};
use crate::ledger::{AttemptMeta, Entry, Outcome, Via};
use crate::numbering::{E164, Number};
use crate::rules::Reason;

/// Calls that may wait for what becomes of them. Beyond, the oldest is written as it stands.
const OPEN_CALLS: usize = 1 << 17;
/// How long after its settlement a call that was given back, or not answered, may still turn out otherwise: above Timer C.
const FINAL_AFTER: TimeDelta = TimeDelta::seconds(300);
/// A call that nobody settled for so long stays as it is: it counts.
pub(super) const UNSETTLED: TimeDelta = TimeDelta::days(1);

/// A call.
#[derive(Serialize)]
struct Call {
    sequence: u64,
    at: String,
    local_time: Option<String>,
    zone: Option<Arc<str>>,
    professional: Option<Arc<str>>,
    siren: String,
    source: Option<Arc<str>>,
    trunk: Option<Arc<str>>,
    caller: Option<String>,
    callee: Option<String>,
    regime: Option<Arc<str>>,
    rule: Option<&'static str>,
    observed: bool,
    evidence: Option<Arc<str>>,
    outcome: &'static str,
    counts: bool,
    settled_at: Option<String>,
    calls: u64,
}

impl Line for Call {
    const COLUMNS: &'static [&'static str] = &[
        "sequence",
        "at",
        "local_time",
        "zone",
        "professional",
        "siren",
        "source",
        "trunk",
        "caller",
        "callee",
        "regime",
        "rule",
        "observed",
        "evidence",
        "outcome",
        "counts",
        "settled_at",
        "calls",
    ];
}

/// A call, and what became of it so far.
struct Open {
    at: DateTime<Utc>,
    callee: E164,
    meta: AttemptMeta,
    settled: Option<(DateTime<Utc>, Outcome)>,
    trunk: Option<Arc<str>>,
}

impl Open {
    /// Nothing later can change it.
    fn is_final(&self, now: DateTime<Utc>) -> bool {
        match self.settled {
            None => self.at + UNSETTLED < now,
            Some((_, Outcome::Answered)) => true,
            Some((at, _)) => at + FINAL_AFTER < now,
        }
    }
}

/// Pairs each call with its settlement and writes it once nothing can change it.
pub(super) struct Calls<'w, 'a> {
    lines: Lines<'w>,
    law: &'a Law,
    asked: &'a Asked,
    open: HashMap<u64, Open>,
    exported: &'a mut Exported,
}

impl<'w, 'a> Calls<'w, 'a> {
    pub(super) fn begin(
        law: &'a Law,
        asked: &'a Asked,
        out: &'w mut dyn Write,
        exported: &'a mut Exported,
    ) -> Result<Self, EvidenceError> {
        Ok(Self {
            lines: Lines::begin::<Call>(asked.format, out)?,
            law,
            asked,
            open: HashMap::new(),
            exported,
        })
    }

    /// The next record, in the journal's order.
    pub(super) fn take(&mut self, stored: &Stored, completed: &HashSet<u64>) -> Result<(), EvidenceError> {
        let call = matches!(
            stored.kind,
            Kind::Reservation | Kind::Recovered | Kind::Attempt | Kind::Decision
        );
        self.exported.erased += u64::from(call && stored.body.is_none() && self.asked.holds(stored.at));
        match body::read(stored) {
            Ok(Record::Reservation { key, meta } | Record::Recovered { key, meta }) if self.asked.holds(stored.at) => {
                let open = Open {
                    at: stored.at,
                    callee: key.callee,
                    meta,
                    settled: None,
                    trunk: None,
                };
                self.open.insert(stored.sequence, open);
                if self.open.len() > OPEN_CALLS {
                    self.make_room(stored.at)?;
                }
            }
            Ok(Record::Settlement { id, outcome, trunk, .. }) => {
                if let Some(open) = self.open.get_mut(&id.0) {
                    open.settled = Some((stored.at, outcome));
                    open.trunk = trunk.or(open.trunk.take());
                    if open.is_final(stored.at) {
                        self.close(id.0)?;
                    }
                }
            }
            Ok(Record::Decision { note, count, .. }) if !note.observed && self.asked.holds(stored.at) => {
                let rule = note.reasons.first().map(|reason| reason.code());
                let line = Call {
                    caller: note.caller.map(number),
                    regime: note.regime,
                    rule,
                    calls: count,
                    ..self.line(stored.sequence, stored.at, note.callee, note.via, None, "refused")
                };
                self.write(&line)?;
            }
            Ok(Record::Entry {
                entry:
                    Entry::Attempt {
                        key,
                        at,
                        outcome,
                        source,
                    },
                import,
            }) if self.asked.holds(at) && import.is_none_or(|import| completed.contains(&import.id)) => {
                let via = Via {
                    source: Some(source),
                    professional: Some(self.asked.professional.clone()),
                };
                let line = Call {
                    counts: outcome.counts(),
                    ..self.line(stored.sequence, at, Some(key.callee), via, None, outcome.code())
                };
                self.write(&line)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn line(
        &self,
        sequence: u64,
        at: DateTime<Utc>,
        callee: Option<E164>,
        via: Via,
        zone: Option<Arc<str>>,
        outcome: &'static str,
    ) -> Call {
        let zone = zone.or_else(|| callee.and_then(|callee| self.zone_of(callee, at)));
        let local = zone.as_ref().and_then(|zone| zone.parse::<Tz>().ok());
        Call {
            sequence,
            at: time(at),
            local_time: local.map(|zone| at.with_timezone(&zone).to_rfc3339()),
            zone,
            professional: via.professional,
            siren: siren(self.asked.siren.0),
            source: via.source,
            trunk: None,
            caller: None,
            callee: callee.map(number),
            regime: None,
            rule: None,
            observed: false,
            evidence: None,
            outcome,
            counts: false,
            settled_at: None,
            calls: 1,
        }
    }

    /// Where the record does not name it: refusals and calls made elsewhere.
    fn zone_of(&self, callee: E164, at: DateTime<Utc>) -> Option<Arc<str>> {
        let territory = self.law.plan.class(Number::E164(callee), at.date_naive()).territory?;
        Some(self.law.zone(territory).name().into())
    }

    fn close(&mut self, sequence: u64) -> Result<(), EvidenceError> {
        let Some(open) = self.open.remove(&sequence) else {
            return Ok(());
        };
        let outcome = open.settled.map(|settled| settled.1);
        let meta = open.meta;
        let line = Call {
            trunk: open.trunk,
            caller: meta.caller.map(number),
            regime: meta.regime,
            rule: meta.reason.map(Reason::code),
            observed: meta.observed,
            evidence: meta.evidence,
            counts: outcome.is_none_or(Outcome::counts),
            settled_at: open.settled.map(|settled| time(settled.0)),
            ..self.line(
                sequence,
                open.at,
                Some(open.callee),
                meta.via,
                meta.zone,
                outcome.map_or("unsettled", Outcome::code),
            )
        };
        self.write(&line)
    }

    fn write(&mut self, line: &Call) -> Result<(), EvidenceError> {
        self.exported.lines += 1;
        Ok(self.lines.write(line)?)
    }

    /// Writes what is final; where that is nothing, the oldest as it stands.
    fn make_room(&mut self, now: DateTime<Utc>) -> Result<(), EvidenceError> {
        let mut over: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.is_final(now))
            .map(|(sequence, _)| *sequence)
            .collect();
        if over.is_empty() {
            over.extend(self.open.keys().min());
            self.exported.open += 1;
        }
        over.sort_unstable();
        over.into_iter().try_for_each(|sequence| self.close(sequence))
    }

    /// Writes the calls that are still open as they stand.
    pub(super) fn finish(mut self) -> Result<(), EvidenceError> {
        let mut rest: Vec<u64> = self.open.keys().copied().collect();
        rest.sort_unstable();
        rest.into_iter().try_for_each(|sequence| self.close(sequence))?;
        Ok(self.lines.finish()?)
    }
}
