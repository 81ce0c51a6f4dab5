//! One question with everybody it concerns: the source, the professional, whose number is shown. Judges it once the facts are there; asks
//! the lists, never the store.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, Utc};
use smallvec::SmallVec;

use super::{
    Decision, Mode, OnStoreFailure, Professional, ProfessionalIndex, Question, SourceIndex, SourcePolicy, State, text,
};
use crate::law::RuleKind;
use crate::ledger::{AttemptMeta, DecisionNote, History, Key, ReserveIf, Via};
use crate::numbering::{E164, Number};
use crate::rules::{
    Attempt, Bloctel, Callee, CallerId, ConsentScope, Dialling, Facts, Ownership, Purpose, Reach, Reason, Verdict,
    examine,
};
use crate::screening::Screening;

/// Owns all it needs, so that it can wait for the store.
#[derive(Clone)]
pub(super) struct Inquiry {
    pub(super) state: Arc<State>,
    pub(super) now: DateTime<Utc>,
    pub(super) began: Instant,
    /// The source as configured; `None` where asked without one, or where it is gone.
    pub(super) source: Option<SourceIndex>,
    pub(super) professional: Option<ProfessionalIndex>,
    pub(super) call: u64,
    /// A source was named that is not configured.
    stranger: bool,
    attempt: Attempt,
    reach: Reach,
    ownership: Ownership,
    /// Local day of the callee.
    day: NaiveDate,
}

/// What the reservation of an allowed call has to know of its verdict.
pub(super) struct Judged {
    pub(super) decision: Decision,
    /// The consent that an answered call consumes.
    pub(super) consumes: Option<(DateTime<Utc>, ConsentScope)>,
    /// Evidence reference of the consent relied on.
    pub(super) evidence: Option<Arc<str>>,
}

impl Inquiry {
    pub(super) fn new(state: Arc<State>, question: &Question, now: DateTime<Utc>) -> Self {
        let policy = &state.policy;
        let source = question
            .source
            .and_then(|index| policy.roster.sources().get(usize::from(index.0)));
        let attempt = Attempt {
            caller: question.caller,
            callee: question.callee,
            dialling: source.map_or(Dialling::Automated, |source| source.dialling),
            purpose: question
                .purpose
                .or(source.map(|source| source.purpose))
                .unwrap_or(Purpose::Canvassing),
        };
        let reach = Reach::of(&attempt, &policy.law.plan);
        let day = policy.law.local_day(now, reach.place());
        let (professional, ownership) = party(&state, question, source, day);
        let configured = source.is_some();
        Self {
            now,
            began: Instant::now(),
            source: question.source.filter(|_| configured),
            professional,
            call: question.call,
            stranger: question.source.is_some() && !configured,
            attempt,
            reach,
            ownership,
            day,
            state,
        }
    }

    /// The answer of a call that depends on nothing the store knows.
    pub(super) fn without_history(&self) -> Option<Decision> {
        let suspended = |suspended: bool| suspended && self.reach != Reach::Emergency;
        let reason = if suspended(self.stranger) {
            Reason::SourceUnknown
        } else if suspended(self.source_policy().is_some_and(|source| source.suspended)) {
            Reason::SourceSuspended
        } else if suspended(
            self.principal()
                .is_some_and(|professional| self.state.suspended.contains(&professional.siren)),
        ) {
            Reason::ProfessionalSuspended
        } else if self.reach.needs_history(&self.attempt) && self.principal().is_some() {
            return None;
        } else {
            return Some(self.judge(&History::default(), None).decision);
        };
        let mut verdict = self.judge(&History::default(), None).decision.verdict;
        verdict = Verdict {
            reasons: SmallVec::new(),
            attempts_left: None,
            next_allowed: None,
            valid_until: None,
            counts: false,
            count_since: None,
            consumes: None,
            ..verdict
        };
        verdict.refuse(reason);
        // The operator's order binds whoever is only observed by the rules, too.
        Some(Decision {
            enforced: true,
            ..self.decision(verdict)
        })
    }

    /// Whose attempts on whom, where the store knows something of it.
    pub(super) fn key(&self) -> Option<Key> {
        let siren = self.principal()?.siren;
        match self.attempt.callee {
            Callee::Number(Number::E164(callee)) => Some(Key { siren, callee }),
            _ => None,
        }
    }

    /// Judges by what the store knows, and by the lists where they are given.
    pub(super) fn judge(&self, history: &History, lists: Option<&Screening>) -> Judged {
        let policy = &self.state.policy;
        let (bloctel, opposed_since) = lists.map_or((Bloctel::NoList, None), |lists| self.listed(lists));
        let facts = Facts {
            ownership: self.ownership,
            sector: self.principal().and_then(|professional| professional.sector),
            own: self.principal().map(|professional| &professional.own),
            attempts: &history.attempts,
            refused_at: history.refused_at,
            consents: &history.consents,
            contracts: &history.contracts,
            bloctel,
            bloctel_required: policy.bloctel_required,
            opposed_since,
        };
        let (verdict, relied) = examine(&self.attempt, self.reach, &facts, &policy.law, self.now);
        let consent = |index: usize| history.consents.get(index);
        Judged {
            consumes: verdict
                .consumes
                .and_then(consent)
                .map(|consent| (consent.given_at, consent.scope)),
            evidence: relied.and_then(consent).map(|consent| Arc::clone(&consent.evidence)),
            decision: self.decision(verdict),
        }
    }

    fn listed(&self, lists: &Screening) -> (Bloctel, Option<NaiveDate>) {
        let Some(key) = self.key() else {
            return (Bloctel::NoList, None);
        };
        let law = &self.state.policy.law;
        // Also of a regime to come: the next allowed moment is judged by it.
        let mut regimes = law
            .regime_on(self.day)
            .into_iter()
            .chain(law.regimes().iter().filter(|regime| regime.from > self.day));
        let bloctel = if regimes.any(|regime| regime.rules.contains(&RuleKind::Bloctel)) {
            lists.bloctel(key.siren, key.callee, self.day)
        } else {
            Bloctel::NoList
        };
        (bloctel, lists.opposed_since(key.siren, key.callee, self.day))
    }

    /// The answer where the store cannot tell (`[law] on_store_failure`). Refused: what no stored fact could lift comes first. Forwarded:
    /// what is known without the store holds as ever (caller-id, hours, sector, lists); consent, refusals and the count, which only it
    /// knows, are waived.
    pub(super) fn unavailable(&self, lists: &Screening) -> Decision {
        let judged = self.judge(&History::default(), Some(lists)).decision.verdict;
        let mut verdict = Verdict {
            allowed: true,
            reason: None,
            reasons: SmallVec::new(),
            attempts_left: None,
            next_allowed: None,
            count_since: None,
            consumes: None,
            ..judged.clone()
        };
        match self.state.policy.on_store_failure {
            OnStoreFailure::Refuse => {
                let shown = judged.reasons.iter().filter(|reason| of_the_caller(**reason));
                shown.for_each(|reason| verdict.refuse(*reason));
                verdict.refuse(Reason::StoreUnavailable);
            }
            OnStoreFailure::Forward => {
                let known = judged
                    .reasons
                    .iter()
                    .filter(|reason| **reason != Reason::ConsentMissing);
                known.for_each(|reason| verdict.refuse(*reason));
                if verdict.allowed && !judged.allowed {
                    verdict.valid_until = self.closes();
                }
            }
        }
        self.decision(verdict)
    }

    /// When a call that waives consent has to be judged anew: as one of the press, which needs none.
    fn closes(&self) -> Option<DateTime<Utc>> {
        let press = Attempt {
            dialling: Dialling::Automated,
            purpose: Purpose::Press,
            ..self.attempt
        };
        let facts = Facts {
            ownership: self.ownership,
            sector: None,
            own: self.principal().map(|professional| &professional.own),
            attempts: &[],
            refused_at: None,
            consents: &[],
            contracts: &[],
            bloctel: Bloctel::NoList,
            bloctel_required: false,
            opposed_since: None,
        };
        let law = &self.state.policy.law;
        examine(&press, Reach::of(&press, &law.plan), &facts, law, self.now)
            .0
            .valid_until
    }

    /// The answer where the reservation found the count to be reached although the history did not show it.
    pub(super) fn exhausted(&self, mut verdict: Verdict) -> Decision {
        verdict.reasons.clear();
        verdict.refuse(Reason::FrequencyExhausted);
        self.decision(Verdict {
            attempts_left: Some(0),
            valid_until: None,
            consumes: None,
            ..verdict
        })
    }

    fn decision(&self, verdict: Verdict) -> Decision {
        let observed = self
            .principal()
            .is_some_and(|professional| professional.mode == Mode::Observe);
        let enforced = verdict.allowed || !observed;
        let says = !verdict.allowed && enforced;
        Decision {
            text: says.then(|| text::of(&verdict, &self.state.policy.law)).flatten(),
            verdict,
            enforced,
            professional: self.professional_id().cloned(),
            reservation: None,
        }
    }

    pub(super) fn reserve_if(
        &self,
        key: Key,
        decision: &Decision,
        evidence: Option<Arc<str>>,
        history: &History,
    ) -> ReserveIf {
        ReserveIf {
            key,
            at: self.now,
            // An observed call in violation goes whatever the count.
            limit: decision.verdict.count_since.filter(|_| decision.verdict.allowed),
            refusal_known: history.refused_at,
            meta: self.meta(decision, evidence),
        }
    }

    pub(super) fn meta(&self, decision: &Decision, evidence: Option<Arc<str>>) -> AttemptMeta {
        let zone = decision.verdict.territory;
        AttemptMeta {
            via: self.via(),
            caller: self.shown(),
            regime: decision.verdict.regime.clone(),
            reason: decision.verdict.reason,
            evidence,
            zone: zone.map(|territory| Arc::clone(&self.state.zones[territory as usize])),
            call: self.call,
            observed: !decision.verdict.allowed,
        }
    }

    pub(super) fn note(&self, decision: &Decision) -> DecisionNote {
        DecisionNote {
            at: self.now,
            siren: self.principal().map(|professional| professional.siren),
            callee: match self.attempt.callee {
                Callee::Number(Number::E164(callee)) => Some(callee),
                _ => None,
            },
            caller: self.shown(),
            via: self.via(),
            regime: decision.verdict.regime.clone(),
            reasons: decision.verdict.reasons.to_vec(),
            observed: !decision.enforced,
        }
    }

    fn via(&self) -> Via {
        Via {
            source: self.source_id().cloned(),
            professional: self.professional_id().cloned(),
        }
    }

    fn shown(&self) -> Option<E164> {
        match self.attempt.caller {
            CallerId::Shown(Number::E164(caller)) => Some(caller),
            _ => None,
        }
    }

    fn source_policy(&self) -> Option<&SourcePolicy> {
        self.state.policy.roster.sources().get(usize::from(self.source?.0))
    }

    /// The professional on whose behalf the call is made.
    fn principal(&self) -> Option<&Professional> {
        self.state
            .policy
            .roster
            .professionals()
            .get(usize::from(self.professional?.0))
    }

    pub(super) fn source_id(&self) -> Option<&Arc<str>> {
        Some(&self.source_policy()?.id)
    }

    pub(super) fn professional_id(&self) -> Option<&Arc<str>> {
        Some(&self.principal()?.id)
    }
}

/// The professional is the owner of the caller number, else the one that is named, else the source's only one; a source may only call for
/// its own, ids that share a SIREN being one.
fn party(
    state: &State,
    question: &Question,
    source: Option<&SourcePolicy>,
    day: NaiveDate,
) -> (Option<ProfessionalIndex>, Ownership) {
    let roster = &*state.policy.roster;
    let may = |professional| source.is_none_or(|source| roster.may_call_for(source, professional));
    let owner = match question.caller {
        CallerId::Shown(Number::E164(caller)) => roster.owner(caller, day),
        _ => None,
    };
    if let Some(owner) = owner.filter(|owner| may(*owner)) {
        return (Some(owner), Ownership::Own);
    }
    // Who names somebody unknown, or somebody it may not call for, names nobody: nobody else is then guessed.
    let named = match &question.professional {
        Some(id) => roster.professional(id).filter(|professional| may(*professional)),
        None => source.and_then(|source| roster.only_professional(source)),
    };
    let ownership = match (owner, named) {
        (None, None) => Ownership::NoProfessional,
        _ => Ownership::Other,
    };
    (named, ownership)
}

const fn of_the_caller(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CallerIdMissing
            | Reason::CallerIdMasked
            | Reason::CallerIdUnparseable
            | Reason::CallerIdMobile
            | Reason::CallerIdNotNpv
            | Reason::CallerIdCategory
            | Reason::CallerIdNotOwned
            | Reason::CallerIdUnverified
            | Reason::ProfessionalUnknown
    )
}
