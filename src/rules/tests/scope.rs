//! Who is shown, how and why the call is made, and whom it is for.

use super::Reason::{
    CalleeUnparseable, CallerIdCategory, CallerIdMasked, CallerIdMobile, CallerIdNotNpv, CallerIdNotOwned,
    ConsentMissing, ExemptEmergency, ExemptForeign, ExemptPurpose, HoursDay, HoursWindow, ProfessionalUnknown,
};
use super::*;
use crate::numbering::{Category, Territory};

#[test]
fn every_category_is_judged_by_how_the_call_is_dialled() {
    let law = Law::embedded();
    for (shown, category, automated, manual) in [
        (NPV, Category::Npv, None, None),
        (LANDLINE, Category::Geographic, Some(CallerIdNotNpv), None),
        (33_970_123_456, Category::Polyvalent, Some(CallerIdNotNpv), None),
        (
            33_612_345_678,
            Category::Mobile,
            Some(CallerIdMobile),
            Some(CallerIdMobile),
        ),
        (
            33_762_345_678,
            Category::Mobile,
            Some(CallerIdMobile),
            Some(CallerIdMobile),
        ),
        (33_937_123_456, Category::Platform, None, Some(CallerIdCategory)),
        (33_800_123_456, Category::SpecialFree, None, None),
        (33_806_123_456, Category::Special, None, None),
        (33_820_123_456, Category::Premium, None, None),
        (
            33_891_123_456,
            Category::Premium089,
            Some(CallerIdCategory),
            Some(CallerIdCategory),
        ),
        (33_151_012_345, Category::GeneralInterest, None, Some(CallerIdCategory)),
        (
            ABROAD,
            Category::Foreign,
            Some(CallerIdCategory),
            Some(CallerIdCategory),
        ),
        (590_947_512_345, Category::Npv, None, None),
    ] {
        assert_eq!(
            law.plan.class(number(shown), day("2026-03-03")).category,
            category,
            "{shown}"
        );
        for (dialling, expected) in [
            (Dialling::Automated, automated),
            (Dialling::Machine, automated),
            (Dialling::Manual, manual),
        ] {
            let case = Case::consented("2026-03-01T10:00:00Z")
                .showing(shown)
                .of(dialling, Purpose::Canvassing);
            let verdict = case.judge("2026-03-03T10:00:00Z");
            assert_eq!(verdict.reason, expected, "{shown} {dialling:?}");
            assert_eq!(verdict.allowed, expected.is_none());
        }
    }
    let short = |code| CallerId::Shown(law.plan.read(code).unwrap());
    for (caller, expected) in [
        (short("3008"), Some(CallerIdCategory)),
        (short("118712"), Some(CallerIdCategory)),
    ] {
        let mut case = Case::default();
        case.attempt.caller = caller;
        assert_eq!(case.judge("2026-03-03T10:00:00Z").reason, expected);
    }
}

#[test]
fn what_the_number_is_answers_before_whose_it_is() {
    let now = "2023-06-06T09:00:00Z";
    for (ownership, reason) in [
        (Ownership::Other, CallerIdNotOwned),
        (Ownership::NoProfessional, ProfessionalUnknown),
    ] {
        let mut case = Case {
            ownership,
            ..Case::default()
        };
        refused(&case.judge(now), &[reason], None);
        refused(&case.clone().showing(MOBILE).judge(now), &[CallerIdMobile], None);
        case.attempt.caller = CallerId::Masked;
        refused(&case.judge(now), &[CallerIdMasked], None);
    }
}

#[test]
fn a_block_that_becomes_an_npv_makes_the_call_lawful_from_that_day() {
    // 0268 8: verified numbers in the plan's version of 1 January 2026, a holiday.
    let case = Case::default().showing(262_268_812_345);
    refused(
        &case.judge("2025-12-30T10:00:00Z"),
        &[CallerIdCategory],
        Some("2026-01-02T09:00:00Z"),
    );
    allowed(&case.judge("2026-01-02T09:00:00Z"), None);
}

#[test]
fn the_premium_numbers_become_allowed_with_their_regime() {
    let case = Case::default().showing(33_820_123_456);
    refused(
        &case.judge("2025-12-30T10:00:00Z"),
        &[CallerIdCategory],
        Some("2026-01-02T09:00:00Z"),
    );
}

#[test]
fn before_the_first_regime_nothing_but_ownership_is_asked() {
    let verdict = Case::default().showing(LANDLINE).judge("2022-12-31T22:59:59Z");
    allowed(&verdict, None);
    assert_eq!((verdict.regime.as_deref(), verdict.counts), (None, true));
    assert_eq!(
        Case::default().showing(LANDLINE).judge("2022-12-31T23:00:00Z").reason,
        Some(CallerIdNotNpv)
    );
}

#[test]
fn each_purpose_has_its_rules() {
    let night = "2026-09-06T02:00:00Z"; // Sunday
    for (dialling, purpose, reasons, counts) in [
        (
            Dialling::Automated,
            Purpose::Canvassing,
            &[ConsentMissing, HoursDay][..],
            true,
        ),
        (Dialling::Automated, Purpose::Press, &[HoursDay], true),
        (Dialling::Automated, Purpose::Business, &[], false),
        (Dialling::Automated, Purpose::Other, &[], false),
        (Dialling::Manual, Purpose::Canvassing, &[ConsentMissing, HoursDay], true),
        (Dialling::Manual, Purpose::Press, &[HoursDay], true),
        (Dialling::Manual, Purpose::Business, &[], false),
        (
            Dialling::Machine,
            Purpose::Canvassing,
            &[ConsentMissing, HoursDay],
            true,
        ),
        (Dialling::Machine, Purpose::Press, &[ConsentMissing, HoursDay], true),
        (Dialling::Machine, Purpose::Business, &[ConsentMissing], false),
        (Dialling::Machine, Purpose::Other, &[], false),
    ] {
        let verdict = Case::default().of(dialling, purpose).judge(night);
        assert_eq!(verdict.reasons.as_slice(), reasons, "{dialling:?} {purpose:?}");
        assert_eq!(verdict.counts, counts, "{dialling:?} {purpose:?}");
        assert_eq!(verdict.reason, reasons.first().copied());
    }
    let mut manual = Case::default().of(Dialling::Manual, Purpose::Other).showing(MOBILE);
    manual.ownership = Ownership::NoProfessional;
    allowed(&manual.judge(night), Some(ExemptPurpose));
    manual.attempt.callee = Callee::Unparseable;
    allowed(&manual.judge(night), Some(ExemptPurpose));
}

#[test]
fn press_is_free_of_consent_and_bloctel_only() {
    let press = || Case::default().of(Dialling::Automated, Purpose::Press);
    allowed(
        &press()
            .listed(Bloctel::Opposed(day("2023-06-01")))
            .judge("2023-06-06T09:00:00Z"),
        None,
    );
    allowed(&press().judge("2026-09-01T09:00:00Z"), None);
    for (case, reason) in [
        (press().refused("2026-08-30T10:00:00Z"), Reason::RefusalActive),
        (press().opposed("2026-08-30"), Reason::OppositionListed),
        (press().tried(&["2026-08-30T10:00:00Z"; 4]), Reason::FrequencyExhausted),
        (press().trade(Sector::EnergyRenovation), Reason::SectorBanned),
        (press().showing(LANDLINE), CallerIdNotNpv),
    ] {
        assert_eq!(case.judge("2026-09-01T09:00:00Z").reason, Some(reason));
    }
}

#[test]
fn a_machines_consent_stands_after_opposition_under_every_regime() {
    for (now, reasons) in [
        (
            "2023-02-01T09:00:00Z",
            &[Reason::OppositionListed, ConsentMissing, Reason::BloctelOpposed][..],
        ),
        (
            "2023-06-06T02:00:00Z",
            &[
                Reason::OppositionListed,
                ConsentMissing,
                Reason::BloctelOpposed,
                HoursWindow,
            ],
        ),
        (
            "2026-09-01T02:00:00Z",
            &[Reason::OppositionListed, ConsentMissing, HoursWindow],
        ),
    ] {
        let case = Case::default()
            .of(Dialling::Machine, Purpose::Canvassing)
            .opposed("2023-01-01")
            .listed(Bloctel::Opposed(day("2023-01-01")));
        assert_eq!(case.judge(now).reasons.as_slice(), reasons, "{now}");
    }
    let contract = Case::default()
        .of(Dialling::Machine, Purpose::Canvassing)
        .contract("2023-01-01", None);
    allowed(&contract.judge("2023-06-06T09:00:00Z"), Some(Reason::ExemptContract));
}

#[test]
fn emergency_calls_pass_whatever_is_shown_and_known() {
    let law = Law::embedded();
    let mut case = Case::default().refused("2026-09-01T10:00:00Z").opposed("2026-01-01");
    case.attempt.caller = CallerId::Missing;
    case.ownership = Ownership::NoProfessional;
    for code in [
        "15", "17", "18", "112", "114", "115", "119", "191", "196", "197", "116000", "116117", "116111",
    ] {
        case.attempt.callee = Callee::Number(law.plan.read(code).unwrap());
        let verdict = case.judge("2026-09-06T02:00:00Z");
        allowed(&verdict, Some(ExemptEmergency));
        assert!(!verdict.counts && verdict.territory.is_none(), "{code}");
    }
    case.attempt.callee = Callee::EmergencyService;
    allowed(&case.judge("2026-09-06T02:00:00Z"), Some(ExemptEmergency));
}

#[test]
fn other_short_numbers_are_nobodys_and_not_judged() {
    let law = Law::embedded();
    for code in ["3949", "118712", "1014", "3008"] {
        let mut case = Case::default().showing(LANDLINE);
        case.attempt.callee = Callee::Number(law.plan.read(code).unwrap());
        let verdict = case.judge("2026-09-06T02:00:00Z");
        allowed(&verdict, Some(ExemptPurpose));
        assert!(!verdict.counts);
    }
}

#[test]
fn to_other_countries_only_caller_id_holds() {
    let abroad = Case::default()
        .to(ABROAD)
        .tried(&["2026-09-05T10:00:00Z"; 4])
        .refused("2026-09-01T10:00:00Z");
    let verdict = abroad.judge("2026-09-06T02:00:00Z");
    allowed(&verdict, Some(ExemptForeign));
    assert_eq!(
        (verdict.counts, verdict.attempts_left, verdict.territory),
        (false, None, None)
    );
    refused(
        &abroad.showing(LANDLINE).judge("2026-09-06T02:00:00Z"),
        &[CallerIdNotNpv],
        None,
    );
    // New Caledonia, Polynesia, Wallis and Futuna are not abroad.
    for (callee, territory) in [
        (687_751_234, Territory::NewCaledonia),
        (68_987_123_456, Territory::Polynesia),
        (681_821_234, Territory::WallisFutuna),
    ] {
        let verdict = Case::default().to(callee).judge("2026-09-07T02:00:00Z");
        assert_eq!(
            (verdict.reason, verdict.territory),
            (Some(ConsentMissing), Some(territory))
        );
    }
}

#[test]
fn a_callee_that_holds_no_number_is_refused_for_that_alone() {
    let mut case = Case::default();
    case.attempt.callee = Callee::Unparseable;
    let verdict = case.judge("2023-06-10T02:00:00Z");
    refused(&verdict, &[CalleeUnparseable], None);
    assert!(!verdict.counts);
}

#[test]
fn an_ordinary_call_is_judged_without_allocating() {
    let law = Law::embedded();
    let case = Case::default().tried(&["2023-06-01T10:00:00Z"; 3]);
    let facts = case.facts();
    let counted = allocation_counter::measure(|| {
        let verdict = evaluate(&case.attempt, &facts, &law, at("2023-06-06T09:00:00Z"));
        assert!(verdict.allowed);
    });
    assert_eq!(counted.count_total, 0);
}
