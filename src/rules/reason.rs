//! Reason codes: a stable contract used in SIP answers, the API, the journal and the metrics.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// Why a call was refused, or let through without all or some of the rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// All of them, in the contract's order.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// The stable code, such as `frequency.exhausted`.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)+ }
            }
        }
    };
}

reasons! {
    /// Not a configured source.
    SourceUnknown = "source.unknown",
    /// Suspended by the operator.
    SourceSuspended = "source.suspended",
    /// Over its rate.
    SourceRate = "source.rate",
    /// Nobody owns the caller number and none is named.
    ProfessionalUnknown = "professional.unknown",
    /// Suspended by the operator.
    ProfessionalSuspended = "professional.suspended",
    /// No caller number.
    CallerIdMissing = "caller-id.missing",
    /// Presented anonymously (L.221-17).
    CallerIdMasked = "caller-id.masked",
    /// Not a number.
    CallerIdUnparseable = "caller-id.unparseable",
    /// 06 or 07.
    CallerIdMobile = "caller-id.mobile",
    /// An automated call showing a geographic or polyvalent number.
    CallerIdNotNpv = "caller-id.not-npv",
    /// Any other category that the regime does not allow.
    CallerIdCategory = "caller-id.category",
    /// A number of another owner.
    CallerIdNotOwned = "caller-id.not-owned",
    /// Identity missing or false.
    CallerIdUnverified = "caller-id.unverified",
    /// The Request-URI holds no number.
    CalleeUnparseable = "callee.unparseable",
    /// The trade may not canvass at all.
    SectorBanned = "sector.banned",
    /// The callee refused.
    RefusalActive = "refusal.active",
    /// Prior consent is needed and there is none.
    ConsentMissing = "consent.missing",
    /// On the Bloctel list.
    BloctelOpposed = "bloctel.opposed",
    /// The professional's screening is older than it may be.
    BloctelStale = "bloctel.stale",
    /// Never screened, where that is required.
    BloctelUnscreened = "bloctel.unscreened",
    /// On the operator's or the professional's own list.
    OppositionListed = "opposition.listed",
    /// Weekend.
    HoursDay = "hours.day",
    /// Public holiday [jour férié].
    HoursHoliday = "hours.holiday",
    /// Outside the hours.
    HoursWindow = "hours.window",
    /// The calls allowed in the period are used up.
    FrequencyExhausted = "frequency.exhausted",
    /// The store could not answer and the policy is to refuse.
    StoreUnavailable = "store.unavailable",
    /// An emergency number.
    ExemptEmergency = "exempt.emergency",
    /// A manual call that does not canvass.
    ExemptPurpose = "exempt.purpose",
    /// The person asked to be called.
    ExemptRequested = "exempt.requested",
    /// Within a current contract.
    ExemptContract = "exempt.contract",
    /// To another country.
    ExemptForeign = "exempt.foreign",
}

impl Reason {
    /// One of the `exempt.*` codes, which stand on allowed calls.
    pub const fn is_exemption(self) -> bool {
        self as u8 >= Reason::ExemptEmergency as u8
    }

    /// The reason of a code, as [`Reason::code`] writes it.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> serde::Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Reason::from_code(&code).ok_or_else(|| serde::de::Error::custom("unknown reason code"))
    }
}

/// The violated rules of one call, in the regime's order; one code a rule.
pub type Reasons = smallvec::SmallVec<[Reason; 8]>;
