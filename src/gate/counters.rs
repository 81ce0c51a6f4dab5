//! The gate's counters, looked up once for each combination of labels rather than once a call.

use dashmap::DashMap;
use prometheus::IntCounter;
use rustc_hash::FxBuildHasher;

use super::inquiry::Inquiry;
use crate::ledger::Outcome;
use crate::rules::Reason;
use crate::telemetry::Metrics;

/// Label `verdict` of `invites_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VerdictLabel {
    Allow,
    Refuse,
    Observe,
}

impl VerdictLabel {
    const fn name(self) -> &'static str {
        match self {
            VerdictLabel::Allow => "allow",
            VerdictLabel::Refuse => "refuse",
            VerdictLabel::Observe => "observe",
        }
    }
}

/// `invites_total` by positions in one roster: as many as combinations that occur, all of the configuration's making.
#[derive(Default)]
pub(super) struct InviteCounters {
    known: DashMap<[u16; 4], IntCounter, FxBuildHasher>,
}

impl InviteCounters {
    pub(super) fn count(&self, metrics: &Metrics, inquiry: &Inquiry, verdict: VerdictLabel, reason: Option<Reason>) {
        let position = [
            inquiry.source.map_or(u16::MAX, |index| index.0),
            inquiry.professional.map_or(u16::MAX, |index| index.0),
            verdict as u16,
            reason.map_or(u16::MAX, |reason| reason as u16),
        ];
        if let Some(counter) = self.known.get(&position) {
            counter.inc();
            return;
        }
        let source = inquiry.source_id().map_or("none", |id| &**id);
        let professional = inquiry.professional_id().map_or("none", |id| &**id);
        let reason = reason.map_or("none", Reason::code);
        let labels = [source, professional, verdict.name(), reason];
        let counter = metrics.invites.with_label_values(&labels);
        counter.inc();
        self.known.insert(position, counter);
    }
}

/// `attempts_total` by outcome.
pub(super) struct AttemptCounters([IntCounter; Outcome::ALL.len()]);

impl AttemptCounters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self(Outcome::ALL.map(|outcome| metrics.attempts.with_label_values(&[outcome.code()])))
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_counter() {
        let metrics = Metrics::new().unwrap();
        let counters = AttemptCounters::new(&metrics);
        for (position, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, position);
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.code());
            counters.count(outcome);
            assert_eq!(metrics.attempts.with_label_values(&[outcome.code()]).get(), 1);
        }
    }
}
