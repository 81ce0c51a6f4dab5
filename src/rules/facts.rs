//! What a decision is taken from: the call ([`Attempt`]) and what is known about the two people ([`Facts`]).

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::law::{Frequency, Hours, Sector};
use crate::numbering::Number;

/// How the source dials; decides the caller-id rule whatever the purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialling {
    /// Predictive or progressive: the caller number must be an NPV or the like.
    Automated,
    /// A person dials each call.
    Manual,
    /// Voice bot (L.34-5 CPCE): consent of anyone it canvasses.
    Machine,
}

/// Why the source calls; decides all rules but the caller-id's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Telephone canvassing [démarchage téléphonique].
    Canvassing,
    /// Press subscriptions (L.223-5): no consent needed, hours and frequency hold.
    Press,
    /// Between businesses: caller-id only.
    Business,
    /// Service calls, surveys.
    Other,
}

/// The number that the callee will see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerId {
    /// This number.
    Shown(Number),
    /// Anonymous or with privacy asked for, whatever is asserted.
    Masked,
    /// No header holds a user part.
    Missing,
    /// No header holds a number.
    Unparseable,
}

/// Whom the Request-URI names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// This number.
    Number(Number),
    /// `urn:service:sos` and its like.
    EmergencyService,
    /// No number.
    Unparseable,
}

/// One call as the rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Attempt {
    pub caller: CallerId,
    pub callee: Callee,
    pub dialling: Dialling,
    pub purpose: Purpose,
}

/// Whose number the caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Of a professional for whom the source may call.
    Own,
    /// Of another owner, or of nobody known.
    Other,
    /// The source names no professional and nobody owns the number (`professional.unknown`).
    NoProfessional,
}

/// What screening says of the callee for this professional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bloctel {
    /// The professional never loaded a list: a warning, not a refusal.
    NoList,
    /// Opposed, by the list or screening taken on this day.
    Opposed(NaiveDate),
    /// Not opposed by the list or screening taken on this day.
    Clear(NaiveDate),
    /// In no screened file, where screened files are what the professional loads.
    Unscreened(Option<NaiveDate>),
}

/// What a consent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentScope {
    /// May be canvassed; at most a year.
    Prospecting,
    /// May be called outside the hours.
    Hours,
    /// Asked to be called: answered within five working days.
    Requested,
}

/// One consent with all that the rules need of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// What it is for.
    pub scope: ConsentScope,
    /// When it was given.
    pub given_at: DateTime<Utc>,
    /// Last moment it claims to hold; the regime may end it earlier.
    pub expires: Option<DateTime<Utc>>,
    /// Start and end of the hours consented to (scope `hours`).
    pub slot: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// When it was withdrawn.
    pub withdrawn_at: Option<DateTime<Utc>>,
    /// When the first answered call that it exempted consumed it.
    pub used_at: Option<DateTime<Utc>>,
    /// Reference of the proof.
    pub evidence: Arc<str>,
}

/// A current contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Contract {
    pub reference: Arc<str>,
    /// First local day.
    pub from: NaiveDate,
    /// Last local day; absent: open.
    pub until: Option<NaiveDate>,
}

/// A professional's own settings, stricter than the law, never laxer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct OwnLimits {
    pub hours: Option<Hours>,
    pub frequency: Option<Frequency>,
}

/// What is known about the professional and the callee.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Facts<'a> {
    pub ownership: Ownership,
    pub sector: Option<Sector>,
    pub own: Option<&'a OwnLimits>,
    /// Counted attempts of the same professional on the callee, oldest first; never this call's own.
    pub attempts: &'a [DateTime<Utc>],
    /// The newest refusal.
    pub refused_at: Option<DateTime<Utc>>,
    pub consents: &'a [Consent],
    pub contracts: &'a [Contract],
    pub bloctel: Bloctel,
    /// `[law] bloctel_required`.
    pub bloctel_required: bool,
    /// On the operator's or professional's own list since this day.
    pub opposed_since: Option<NaiveDate>,
}
