//! One call at one moment: which rules hold there, which are violated, and what lifts them. Used for the moment of the call and
//! for every moment that `next` looks at.

use chrono::{DateTime, NaiveDate, Utc};
use smallvec::SmallVec;

use super::lifts::Lifts;
use super::reach::{needs_machine_consent, solicits};
use super::{Attempt, Facts, Purpose, Reach, Reason, caller_id, frequency, hours, lists};
use crate::law::{Law, Regime, RuleKind};
use crate::numbering::{Placed, Territory};

/// The call with all that is known of it.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) attempt: &'a Attempt,
    pub(super) facts: &'a Facts<'a>,
    pub(super) law: &'a Law,
    pub(super) reach: Reach,
    pub(super) territory: Territory,
    /// The caller's number, where one is shown.
    pub(super) shown: Option<&'a Placed<'a>>,
}

/// A moment, on the callee's local day, under that day's regime.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) at: DateTime<Utc>,
    pub(super) day: NaiveDate,
    pub(super) regime: Option<&'a Regime>,
}

/// A rule that does not hold, and which exemption would lift it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Violation {
    pub(super) kind: RuleKind,
    pub(super) reason: Reason,
    pub(super) by_contract: bool,
    pub(super) by_request: bool,
}

pub(super) type Violations = SmallVec<[Violation; 8]>;

/// What one moment looks like.
pub(super) struct Judged {
    /// In the regime's order; empty: the call may go.
    pub(super) violated: Violations,
    /// What the person's acts would lift.
    held: Lifts,
    /// What of it the call may not go without.
    pub(super) used: Lifts,
    /// Why the call is let through without some of the rules.
    pub(super) exemption: Option<Reason>,
}

impl<'a> Case<'a> {
    pub(super) fn moment(&self, at: DateTime<Utc>) -> Moment<'a> {
        let day = self.law.local_day(at, self.territory);
        Moment {
            at,
            day,
            regime: self.law.regime_on(day),
        }
    }

    /// Does this kind of rule hold for the call, where the regime has it?
    pub(super) fn subject_to(&self, kind: RuleKind, regime: Option<&Regime>) -> bool {
        let purpose = self.attempt.purpose;
        match kind {
            RuleKind::CallerId => true,
            _ if !matches!(self.reach, Reach::Callee(_)) => false,
            RuleKind::Consent => {
                let required = regime.is_some_and(|regime| regime.consent.required);
                needs_machine_consent(self.attempt) || (purpose == Purpose::Canvassing && required)
            }
            RuleKind::Bloctel => purpose == Purpose::Canvassing,
            RuleKind::Sector | RuleKind::Refusal | RuleKind::Opposition | RuleKind::Hours | RuleKind::Frequency => {
                solicits(purpose)
            }
        }
    }

    /// The rules in the order in which they answer: the regime's, and those that hold whatever it says (a machine's consent, the
    /// professional's own limits).
    pub(super) fn rules(&self, regime: Option<&Regime>) -> SmallVec<[RuleKind; 8]> {
        let mut rules: SmallVec<[RuleKind; 8]> =
            regime.map_or_else(SmallVec::new, |regime| regime.rules.iter().copied().collect());
        if regime.is_some() && needs_machine_consent(self.attempt) && !rules.contains(&RuleKind::Consent) {
            let opposition = rules.iter().position(|kind| *kind == RuleKind::Opposition);
            rules.insert(opposition.map_or(rules.len(), |at| at + 1), RuleKind::Consent);
        }
        if let Some(own) = self.facts.own {
            if own.hours.is_some() && !rules.contains(&RuleKind::Hours) {
                rules.push(RuleKind::Hours);
            }
            if own.frequency.is_some() && !rules.contains(&RuleKind::Frequency) {
                rules.push(RuleKind::Frequency);
            }
        }
        rules.retain(|kind| self.subject_to(*kind, regime));
        rules
    }

    pub(super) fn judge(&self, moment: &Moment<'_>) -> Judged {
        let mut judged = Judged {
            violated: Violations::new(),
            held: Lifts::at(self, moment),
            used: Lifts::default(),
            exemption: None,
        };
        for kind in self.rules(moment.regime) {
            self.check(kind, moment, &mut judged);
        }
        judged.exempt();
        judged
    }

    fn check(&self, kind: RuleKind, moment: &Moment<'_>, judged: &mut Judged) {
        let Judged { held, used, .. } = judged;
        let request = held.request.as_ref();
        // (code, lifted by a contract, lifted by a request)
        let found = match kind {
            RuleKind::CallerId => caller_id::violation(self, moment).map(|reason| (reason, false, false)),
            RuleKind::Sector => lists::sector(self, moment).map(|reason| (reason, true, true)),
            RuleKind::Refusal => lists::refusal(self, moment, held).map(|refused| {
                let older = request.is_some_and(|request| refused <= request.given_at);
                (Reason::RefusalActive, false, older)
            }),
            RuleKind::Opposition => lists::opposition(self, moment).map(|since| {
                let older = request.is_some_and(|request| since < request.day);
                (Reason::OppositionListed, false, older)
            }),
            RuleKind::Consent => {
                used.prospecting = held.prospecting;
                let missing = held.prospecting.is_none();
                missing.then_some((Reason::ConsentMissing, true, true))
            }
            RuleKind::Bloctel => {
                let lifts = moment.regime.is_some_and(|regime| regime.consent.lifts_bloctel);
                match (lists::bloctel(self, moment), held.prospecting.filter(|_| lifts)) {
                    (None, _) => None,
                    (Some(_), consent @ Some(_)) => {
                        used.prospecting = consent;
                        None
                    }
                    (Some((reason, opposed)), None) => {
                        let older = request.is_some_and(|request| opposed.is_none_or(|day| day < request.day));
                        Some((reason, true, older))
                    }
                }
            }
            RuleKind::Hours => match (hours::violation(self, moment), held.slot) {
                (None, _) => None,
                (Some(_), slot @ Some(_)) => {
                    used.slot = slot;
                    None
                }
                (Some(reason), None) => Some((reason, false, true)),
            },
            RuleKind::Frequency => {
                frequency::is_exhausted(self, moment).then_some((Reason::FrequencyExhausted, false, false))
            }
        };
        if let Some((reason, by_contract, by_request)) = found {
            judged.violated.push(Violation {
                kind,
                reason,
                by_contract,
                by_request,
            });
        }
    }
}

impl Judged {
    /// Takes away what a contract or a request lifts. The contract goes first, since it is not used up.
    fn exempt(&mut self) {
        let Self { held, violated, .. } = self;
        if violated.is_empty() || (held.contract.is_none() && held.request.is_none()) {
            return;
        }
        let contract_suffices = held.contract.is_some() && violated.iter().all(|violation| violation.by_contract);
        let request_suffices = held.request.is_some() && violated.iter().all(|violation| violation.by_request);
        self.used.contract = held.contract.filter(|_| contract_suffices || !request_suffices);
        self.used.request = held.request.filter(|_| !contract_suffices);
        let (contract, request) = (self.used.contract.is_some(), self.used.request.is_some());
        violated.retain(|violation| !(contract && violation.by_contract || request && violation.by_request));
        if violated.is_empty() {
            self.exemption = Some(if request {
                Reason::ExemptRequested
            } else {
                Reason::ExemptContract
            });
        }
    }
}
