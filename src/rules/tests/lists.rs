//! Sector bans, refusals, opposition, Bloctel.

use super::Reason::{
    BloctelOpposed, BloctelStale, BloctelUnscreened, ConsentMissing, ExemptContract, ExemptRequested, HoursWindow,
    OppositionListed, RefusalActive, SectorBanned,
};
use super::*;

#[test]
fn banned_trades_by_date() {
    for (sector, now, banned) in [
        (Sector::EnergyRenovation, "2023-01-02T10:00:00Z", true),
        (Sector::TrainingAccount, "2023-01-02T10:00:00Z", true),
        (Sector::HomeAdaptation, "2026-08-10T10:00:00Z", false),
        (Sector::HomeAdaptation, "2026-08-11T10:00:00Z", true),
        (Sector::EnergyRenovation, "2026-08-11T10:00:00Z", true),
    ] {
        let verdict = Case::consented("2022-12-01T10:00:00Z")
            .with(consent(ConsentScope::Prospecting, "2026-08-01T10:00:00Z"))
            .trade(sector)
            .judge(now);
        assert_eq!(verdict.reason, banned.then_some(SectorBanned), "{sector:?} {now}");
        assert_eq!(verdict.next_allowed, None, "even with consent");
    }
}

#[test]
fn sixty_days_elapse_before_the_next_call() {
    // Refused on Thursday 1 June 2023, local: D+61 is 1 August, a Tuesday.
    let case = Case::default().refused("2023-06-01T10:00:00Z");
    for now in ["2023-06-01T10:00:00Z", "2023-06-02T10:00:00Z", "2023-07-31T10:00:00Z"] {
        refused(&case.judge(now), &[RefusalActive], Some("2023-08-01T08:00:00Z"));
    }
    allowed(&case.judge("2023-08-01T08:00:00Z"), None);
    // By the callee's day: 22:30Z on 31 May is 1 June in Paris.
    let late = Case::default().refused("2023-05-31T22:30:00Z");
    assert_eq!(late.judge("2023-07-31T10:00:00Z").reason, Some(RefusalActive));
    // No consent shortens the term, and none was asked before March 2023.
    let consented = Case::consented("2023-06-05T10:00:00Z").refused("2023-06-01T10:00:00Z");
    assert_eq!(consented.judge("2023-06-06T10:00:00Z").reason, Some(RefusalActive));
    allowed(
        &Case::default()
            .refused("2023-02-01T10:00:00Z")
            .judge("2023-02-02T10:00:00Z"),
        None,
    );
    let early = Case::default().refused("2023-02-01T10:00:00Z");
    refused(
        &early.judge("2023-03-01T10:00:00Z"),
        &[RefusalActive],
        Some("2023-04-03T08:00:00Z"),
    );
}

#[test]
fn a_refusal_does_not_bind_a_call_made_before_it() {
    allowed(
        &Case::default()
            .refused("2023-06-06T09:05:00Z")
            .judge("2023-06-06T09:00:00Z"),
        None,
    );
}

#[test]
fn a_refusal_of_the_last_summer_of_the_old_law_never_becomes_lawful_without_consent() {
    // D+61 of 10 June 2026 is 10 August, the last day of the sixty-day rule.
    let in_time = Case::default().refused("2026-06-10T10:00:00Z");
    refused(
        &in_time.judge("2026-08-07T10:00:00Z"),
        &[RefusalActive],
        Some("2026-08-10T08:00:00Z"),
    );
    let too_late = Case::default().refused("2026-07-01T10:00:00Z");
    refused(&too_late.judge("2026-08-07T10:00:00Z"), &[RefusalActive], None);
    // A consent given after the refusal makes it lawful when the sixty days stop to bind: on the day of the new law.
    let consented = Case::consented("2026-07-20T10:00:00Z").refused("2026-07-01T10:00:00Z");
    refused(
        &consented.judge("2026-08-07T10:00:00Z"),
        &[RefusalActive],
        Some("2026-08-11T08:00:00Z"),
    );
    // One given before it does not.
    let before = Case::consented("2026-06-20T10:00:00Z").refused("2026-07-01T10:00:00Z");
    refused(&before.judge("2026-08-07T10:00:00Z"), &[RefusalActive], None);
}

#[test]
fn since_the_opt_in_a_refusal_binds_until_a_newer_consent_is_given() {
    let refused_then = |given: &str| Case::consented(given).refused("2026-09-01T10:00:00Z");
    refused(
        &refused_then("2026-08-20T10:00:00Z").judge("2028-09-05T10:00:00Z"),
        &[RefusalActive, ConsentMissing],
        None,
    );
    refused(
        &refused_then("2026-08-20T10:00:00Z").judge("2026-09-02T10:00:00Z"),
        &[RefusalActive],
        None,
    );
    allowed(
        &refused_then("2026-09-01T10:00:01Z").judge("2026-09-02T10:00:00Z"),
        None,
    );
    // Given at the same moment it is no newer one.
    assert_eq!(
        refused_then("2026-09-01T10:00:00Z")
            .judge("2026-09-02T10:00:00Z")
            .reason,
        Some(RefusalActive)
    );
    // Withdrawn, it ended nothing; expired, it did.
    let newer = |change: fn(&mut Consent)| {
        let mut case = refused_then("2026-09-03T10:00:00Z");
        change(&mut case.consents[0]);
        case.judge("2026-09-08T10:00:00Z")
    };
    refused(
        &newer(|c| c.withdrawn_at = Some(at("2026-09-07T10:00:00Z"))),
        &[RefusalActive, ConsentMissing],
        None,
    );
    refused(
        &newer(|c| c.expires = Some(at("2026-09-07T10:00:00Z"))),
        &[ConsentMissing],
        None,
    );
}

#[test]
fn an_own_list_never_lets_go() {
    let case = Case::default().opposed("2023-06-06");
    allowed(&case.judge("2023-06-05T10:00:00Z"), None);
    refused(&case.judge("2023-06-06T10:00:00Z"), &[OppositionListed], None);
    let consented = Case::consented("2026-08-20T10:00:00Z").opposed("2023-06-06");
    refused(&consented.judge("2026-09-02T10:00:00Z"), &[OppositionListed], None);
}

#[test]
fn a_screening_is_fresh_for_thirty_days() {
    let screened = |on: &str| Case::default().listed(Bloctel::Clear(day(on)));
    allowed(&screened("2023-05-07").judge("2023-06-06T09:00:00Z"), None);
    refused(
        &screened("2023-05-06").judge("2023-06-06T09:00:00Z"),
        &[BloctelStale],
        None,
    );
    // Fresh today, stale by the time that the hours open again.
    let weekend = screened("2023-05-07").judge("2023-06-06T18:30:00Z");
    refused(&weekend, &[HoursWindow], None);
}

#[test]
fn who_is_in_no_screened_file() {
    let newest = |on: Option<&str>, required| Case {
        bloctel_required: required,
        ..Case::default().listed(Bloctel::Unscreened(on.map(day)))
    };
    let now = "2023-06-06T09:00:00Z";
    allowed(&newest(Some("2023-06-01"), false).judge(now), None);
    allowed(&newest(None, false).judge(now), None);
    refused(&newest(Some("2023-05-01"), false).judge(now), &[BloctelStale], None);
    refused(&newest(Some("2023-06-01"), true).judge(now), &[BloctelUnscreened], None);
    refused(&newest(None, true).judge(now), &[BloctelUnscreened], None);
    let no_list = Case {
        bloctel_required: true,
        ..Case::default()
    };
    refused(&no_list.judge(now), &[BloctelUnscreened], None);
    let clear = Case {
        bloctel_required: true,
        ..Case::default().listed(Bloctel::Clear(day("2023-06-01")))
    };
    allowed(&clear.judge(now), None);
}

#[test]
fn bloctel_ends_with_the_opt_in_which_needs_consent() {
    let opposed = Case::default().listed(Bloctel::Opposed(day("2026-08-01")));
    refused(&opposed.judge("2026-08-07T09:00:00Z"), &[BloctelOpposed], None);
    // Consent lifts it while it lasts.
    let consented = Case::consented("2026-08-01T09:00:00Z").listed(Bloctel::Opposed(day("2026-08-01")));
    allowed(&consented.judge("2026-08-07T09:00:00Z"), None);
    assert_eq!(consented.relies("2026-08-07T09:00:00Z"), Some(0));
    // One that begins later lifts it from then on.
    let later = Case::consented("2026-08-07T12:00:00Z").listed(Bloctel::Opposed(day("2026-08-01")));
    refused(
        &later.judge("2026-08-07T09:00:00Z"),
        &[BloctelOpposed],
        Some("2026-08-07T12:00:00Z"),
    );
}

#[test]
fn a_request_lifts_what_is_older_than_itself() {
    let base = || Case::default().with(request("2023-06-05T10:00:00Z"));
    let now = "2023-06-06T09:00:00Z";
    for (case, reason) in [
        (base().opposed("2023-06-04"), None),
        (base().opposed("2023-06-05"), Some(OppositionListed)),
        (base().listed(Bloctel::Opposed(day("2023-06-04"))), None),
        (base().listed(Bloctel::Opposed(day("2023-06-06"))), Some(BloctelOpposed)),
        (base().listed(Bloctel::Clear(day("2023-01-06"))), None),
        (base().refused("2023-06-05T09:59:59Z"), None),
        (base().refused("2023-06-05T10:00:01Z"), Some(RefusalActive)),
    ] {
        let verdict = case.judge(now);
        assert_eq!(verdict.reason, reason.or(Some(ExemptRequested)), "{case:?}");
    }
}

#[test]
fn a_contract_lifts_neither_refusal_nor_own_list() {
    let contract = || Case::default().contract("2026-08-12", Some("2026-09-30"));
    allowed(&contract().judge("2026-09-30T10:00:00Z"), Some(ExemptContract));
    refused(&contract().judge("2026-10-01T10:00:00Z"), &[ConsentMissing], None);
    refused(
        &contract().judge("2026-08-11T10:00:00Z"),
        &[ConsentMissing],
        Some("2026-08-12T08:00:00Z"),
    );
    refused(
        &contract().opposed("2026-01-01").judge("2026-09-01T10:00:00Z"),
        &[OppositionListed],
        None,
    );
    refused(
        &contract().refused("2026-01-01T10:00:00Z").judge("2026-09-01T10:00:00Z"),
        &[RefusalActive],
        None,
    );
    refused(
        &contract()
            .tried(&["2026-08-31T10:00:00Z"; 4])
            .judge("2026-09-01T10:00:00Z"),
        &[Reason::FrequencyExhausted],
        Some("2026-09-30T08:00:00Z"),
    );
    // Where nothing has to be lifted, nothing is said.
    allowed(
        &Case::default()
            .contract("2023-01-01", None)
            .judge("2023-06-06T10:00:00Z"),
        None,
    );
    // The contract's last day bounds the verdict.
    let last = Case::default()
        .contract("2022-01-01", Some("2023-02-10"))
        .listed(Bloctel::Opposed(day("2023-01-15")));
    assert_eq!(
        last.judge("2023-02-10T22:00:00Z").valid_until,
        Some(at("2023-02-10T23:00:00Z"))
    );
}
