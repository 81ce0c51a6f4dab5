//! Reason codes in words, for people who read a terminal.

use crate::rules::Reason;

/// What a code means.
pub(super) const fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::SourceUnknown => "not a configured source",
        Reason::SourceSuspended => "the source is suspended",
        Reason::SourceRate => "the source is over its rate",
        Reason::ProfessionalUnknown => "nobody owns the caller number and no professional is named",
        Reason::ProfessionalSuspended => "the professional is suspended",
        Reason::CallerIdMissing => "no caller number is shown",
        Reason::CallerIdMasked => "the caller number is hidden",
        Reason::CallerIdUnparseable => "the caller number is no number",
        Reason::CallerIdMobile => "a mobile number may not be shown",
        Reason::CallerIdNotNpv => "an automated call may not show a geographic or polyvalent number",
        Reason::CallerIdCategory => "a number of this category may not be shown",
        Reason::CallerIdNotOwned => "the caller number belongs to another owner",
        Reason::CallerIdUnverified => "the caller's identity is missing or false",
        Reason::CalleeUnparseable => "the number called is no number",
        Reason::SectorBanned => "the professional's trade may not canvass",
        Reason::RefusalActive => "the person refused to be called",
        Reason::ConsentMissing => "the person has not consented",
        Reason::BloctelOpposed => "the person is on the Bloctel list",
        Reason::BloctelStale => "the professional's Bloctel list is too old",
        Reason::BloctelUnscreened => "the number was never screened by Bloctel",
        Reason::OppositionListed => "the number is on the operator's or the professional's own list",
        Reason::HoursDay => "not a day of the week on which calls may be placed",
        Reason::HoursHoliday => "a public holiday",
        Reason::HoursWindow => "outside the hours in which calls may be placed",
        Reason::FrequencyExhausted => "the calls allowed in the period are used up",
        Reason::StoreUnavailable => "the store could not answer",
        Reason::ExemptEmergency => "an emergency number",
        Reason::ExemptPurpose => "a call dialled by hand that does not canvass",
        Reason::ExemptRequested => "the person asked to be called",
        Reason::ExemptContract => "within a current contract",
        Reason::ExemptForeign => "to another country",
    }
}
