//! The question and the answer of `POST /v1/decisions` and `clapet decide`: from their fields to the gate's question, from its
//! decision to the contract's members.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Problem;
use crate::gate::{Decision, Policy, Question};
use crate::law::Law;
use crate::rules::{Callee, CallerId, Reason};

/// May `from` call `to`?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ask {
    /// The caller number in any dialled form, or `anonymous`.
    pub from: String,
    /// The callee in any dialled form, or an emergency URN.
    pub to: String,
    /// Id of a professional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub professional: Option<String>,
    /// Id of a source; without one the call is judged as automated canvassing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When; absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}

impl Ask {
    /// From a JSON object; the problem names the field.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            let detail = format!("expected a JSON object: {error}");
            Problem::new(axum::http::StatusCode::BAD_REQUEST, detail)
        })?;
        let mut text = |field: &str| match fields.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= MAX_FIELD => Ok(Some(text)),
            Some(_) => Err(Problem::field(
                field,
                format!("expected a text of at most {MAX_FIELD} bytes"),
            )),
        };
        let required = |field: &str, value: Option<String>| {
            value.ok_or_else(|| Problem::field(field, "missing: expected a number in any dialled form"))
        };
        let from = text("from")?;
        let to = text("to")?;
        let at = text("at")?.map(|at| moment(&at).map_err(|expected| Problem::field("at", expected)));
        let ask = Self {
            from: required("from", from)?,
            to: required("to", to)?,
            professional: text("professional")?,
            source: text("source")?,
            at: at.transpose()?,
        };
        match fields.keys().next() {
            Some(unknown) => Err(Problem::field(
                unknown,
                "unknown: expected from, to, professional, source, at",
            )),
            None => Ok(ask),
        }
    }

    /// The gate's question.
    pub fn question(&self, policy: &Policy) -> Result<Question, Problem> {
        let plan = &policy.law.plan;
        let unread = |field, error| Problem::field(field, format!("{error}: expected a number in any dialled form"));
        let caller = if self.from.eq_ignore_ascii_case("anonymous") {
            CallerId::Masked
        } else {
            CallerId::Shown(plan.read(&self.from).map_err(|error| unread("from", error))?)
        };
        let urn = crate::sip::message::Uri::parse(&self.to).filter(crate::sip::message::Uri::is_emergency_service);
        let callee = if urn.is_some() {
            Callee::EmergencyService
        } else {
            Callee::Number(plan.read(&self.to).map_err(|error| unread("to", error))?)
        };
        let source = self.source.as_deref().map(|id| {
            let found = policy.roster.source(id);
            found.ok_or_else(|| Problem::field("source", "expected the id of a configured source"))
        });
        if let Some(id) = &self.professional
            && policy.roster.professional(id).is_none()
        {
            let expected = "expected the id of a configured professional";
            return Err(Problem::field("professional", expected));
        }
        Ok(Question {
            source: source.transpose()?,
            caller,
            callee,
            professional: self.professional.as_deref().map(Arc::from),
            purpose: None,
            call: 0,
        })
    }
}

/// The contract's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs)]
pub struct Answer {
    pub verdict: Word,
    #[schema(value_type = Option<String>, example = "frequency.exhausted")]
    pub reason: Option<Reason>,
    #[schema(value_type = Vec<String>)]
    pub reasons: Vec<Reason>,
    pub attempts_left: Option<u8>,
    /// RFC 3339 in the callee's local time.
    pub next_allowed: Option<String>,
    pub regime: Option<String>,
    /// The professional is only observed: the call would go all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
}

/// May the call go?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Word {
    Allow,
    Refuse,
}

impl Answer {
    /// What a decision says, times in the callee's local time.
    pub fn of(decision: &Decision, law: &Law) -> Self {
        let verdict = &decision.verdict;
        let local = |at: DateTime<Utc>| match verdict.territory {
            Some(territory) => at
                .with_timezone(&law.zone(territory))
                .to_rfc3339_opts(SecondsFormat::Secs, true),
            None => at.to_rfc3339_opts(SecondsFormat::Secs, true),
        };
        Self {
            verdict: if verdict.allowed { Word::Allow } else { Word::Refuse },
            reason: verdict.reason,
            reasons: verdict.reasons.to_vec(),
            attempts_left: verdict.attempts_left,
            next_allowed: verdict.next_allowed.map(local),
            regime: verdict.regime.as_deref().map(str::to_owned),
            observed: !verdict.allowed && !decision.enforced,
        }
    }
}

/// A moment as RFC 3339 writes it, within the years that the law's calendar works with.
pub fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    use chrono::Datelike as _;
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        .filter(|at| (1970..=9000).contains(&at.year()))
        .ok_or_else(|| "expected a time such as \"2026-11-24T10:30:00+01:00\" (RFC 3339)".to_owned())
}

/// Longest text of a field, in bytes.
const MAX_FIELD: usize = 256;
