//! How far the rules reach for a call, before anything is known about the two people. Asked by the evaluation, and by the gate to
//! know whether the store has to be asked at all.

use chrono::NaiveDate;

use super::{Attempt, Callee, Dialling, Purpose};
use crate::numbering::{Category, Number, Plan, Territory};

/// Which rules can hold for a call (contract, "How the cases are read").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// An emergency number [numéro d'urgence]: none, whatever is broken.
    Emergency,
    /// None: a manual call of purpose `other`, or a short number, which is nobody's.
    Nothing,
    /// The callee cannot be read, so nothing can be judged.
    Unparseable,
    /// Only caller-id: to another country.
    Foreign,
    /// A callee in a territory of the law.
    Callee(Territory),
}

impl Reach {
    /// Of this call. The newest plan tells where a callee lives: the territory of a number does not change with the date judged.
    pub fn of(attempt: &Attempt, plan: &Plan) -> Self {
        let class = match attempt.callee {
            Callee::EmergencyService => return Reach::Emergency,
            Callee::Number(number) => Some((number, plan.class(number, NaiveDate::MAX))),
            Callee::Unparseable => None,
        };
        let unjudged = attempt.dialling == Dialling::Manual && attempt.purpose == Purpose::Other;
        match class {
            Some((_, class)) if class.category == Category::Emergency => Reach::Emergency,
            _ if unjudged => Reach::Nothing,
            None => Reach::Unparseable,
            Some((Number::Short(_), _)) => Reach::Nothing,
            Some((_, class)) if class.category == Category::Foreign => Reach::Foreign,
            Some((_, class)) => Reach::Callee(class.territory.unwrap_or(Territory::Metropole)),
        }
    }

    /// Where the call is judged: the callee's territory, and the metropole where there is none.
    pub fn place(self) -> Territory {
        match self {
            Reach::Callee(territory) => territory,
            _ => Territory::Metropole,
        }
    }

    /// Does the answer depend on what the store and the lists know of the callee?
    pub fn needs_history(self, attempt: &Attempt) -> bool {
        matches!(self, Reach::Callee(_)) && (solicits(attempt.purpose) || needs_machine_consent(attempt))
    }

    /// Does the call, if sent, count among the professional's attempts?
    pub fn counts(self, attempt: &Attempt) -> bool {
        matches!(self, Reach::Callee(_)) && solicits(attempt.purpose)
    }
}

/// Does the purpose solicit a consumer, so that days, hours and frequency hold (D.223-9)?
pub(super) const fn solicits(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::Canvassing | Purpose::Press)
}

/// A calling machine needs consent from anyone it canvasses, consumer or not (L.34-5 CPCE; L.223-7 for press).
pub(super) const fn needs_machine_consent(attempt: &Attempt) -> bool {
    matches!(attempt.dialling, Dialling::Machine) && !matches!(attempt.purpose, Purpose::Other)
}
