//! What holds of any call, whatever is known and whenever it is made.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::law::{Frequency, Holidays, Hours};
use crate::numbering::Territory;

/// From before the first regime to years after the last.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    let seconds = |from: &str, until: &str| at(from).timestamp()..at(until).timestamp();
    prop_oneof![
        seconds("2022-11-01T00:00:00Z", "2028-06-01T00:00:00Z"),
        // Where the law changes.
        seconds("2026-07-01T00:00:00Z", "2026-09-15T00:00:00Z"),
    ]
    .prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}

fn near(now: DateTime<Utc>, days: i64) -> impl Strategy<Value = DateTime<Utc>> {
    (-days * 86_400..days * 86_400 / 3).prop_map(move |seconds| now + TimeDelta::seconds(seconds))
}

fn any_consent(now: DateTime<Utc>) -> impl Strategy<Value = Consent> {
    let scope = prop_oneof![
        2 => Just(ConsentScope::Prospecting),
        1 => Just(ConsentScope::Hours),
        1 => Just(ConsentScope::Requested)
    ];
    let slot = prop::option::of((near(now, 9), 1i64..90));
    let end = || prop::option::weighted(0.2, near(now, 40));
    (scope, near(now, 20), end(), slot, end(), end()).prop_map(
        |(scope, given_at, expires, slot, withdrawn_at, used_at)| Consent {
            scope,
            given_at,
            expires,
            slot: slot.map(|(from, minutes)| (from, from + TimeDelta::minutes(minutes))),
            withdrawn_at,
            used_at,
            evidence: Arc::from("proof"),
        },
    )
}

fn any_limits() -> impl Strategy<Value = OwnLimits> {
    let windows = prop_oneof![
        Just(vec![(9 * 3600, 12 * 3600)]),
        Just(vec![(0, 86_400)]),
        Just(vec![(12 * 3600, 13 * 3600 + 1800), (19 * 3600, 22 * 3600)]),
    ];
    let hours = (prop::array::uniform7(prop::bool::weighted(0.7)), windows).prop_map(|(days, windows)| Hours {
        days,
        windows,
        holidays: Holidays::NationalAndTerritory,
    });
    let frequency = (0u8..6, 1u16..40).prop_map(|(max, days)| Frequency { max, days });
    (prop::option::of(hours), prop::option::of(frequency)).prop_map(|(hours, frequency)| OwnLimits { hours, frequency })
}

fn callee() -> impl Strategy<Value = u64> {
    prop::sample::select(vec![
        MOBILE,
        LANDLINE,
        590_690_123_456,
        594_694_123_456,
        596_696_123_456,
        262_692_123_456,
        262_639_123_456,
        508_411_234,
        687_751_234,
        681_821_234,
        68_987_123_456,
    ])
}

fn bloctel(now: DateTime<Utc>) -> impl Strategy<Value = Bloctel> {
    let listed = || near(now, 60).prop_map(|at| at.date_naive());
    prop_oneof![
        4 => Just(Bloctel::NoList),
        1 => listed().prop_map(Bloctel::Opposed),
        2 => listed().prop_map(Bloctel::Clear),
        1 => prop::option::of(listed()).prop_map(Bloctel::Unscreened),
    ]
}

fn any_attempt() -> impl Strategy<Value = Attempt> {
    let caller = prop_oneof![
        6 => Just(NPV),
        1 => prop::sample::select(vec![LANDLINE, MOBILE, 262_268_812_345, 33_820_123_456]),
    ];
    let dialling = prop::sample::select(vec![Dialling::Automated, Dialling::Manual, Dialling::Machine]);
    let purpose = prop_oneof![4 => Just(Purpose::Canvassing), 1 => Just(Purpose::Press)];
    (caller, callee(), dialling, purpose).prop_map(|(caller, callee, dialling, purpose)| Attempt {
        caller: CallerId::Shown(number(caller)),
        callee: Callee::Number(number(callee)),
        dialling,
        purpose,
    })
}

fn case_at(now: DateTime<Utc>) -> impl Strategy<Value = Case> {
    let sector = prop::option::weighted(0.1, Just(Sector::HomeAdaptation));
    let contract = prop::option::weighted(0.2, (near(now, 30), 0i64..60));
    let people = (
        prop::collection::vec(near(now, 40), 0..7),
        prop::option::weighted(0.3, near(now, 80)),
        prop::collection::vec(any_consent(now), 0..4),
        contract,
        prop::option::weighted(0.1, near(now, 10)),
    );
    (
        any_attempt(),
        sector,
        prop::option::weighted(0.2, any_limits()),
        people,
        bloctel(now),
        any::<bool>(),
    )
        .prop_map(
            |(
                attempt,
                sector,
                own,
                (mut attempts, refused_at, consents, contract, opposed),
                bloctel,
                bloctel_required,
            )| {
                attempts.sort_unstable();
                Case {
                    attempt,
                    ownership: Ownership::Own,
                    sector,
                    own,
                    attempts,
                    refused_at,
                    consents,
                    contracts: Vec::from_iter(contract.map(|(from, days)| Contract {
                        reference: "C".into(),
                        from: from.date_naive(),
                        until: (days > 0).then(|| from.date_naive() + TimeDelta::days(days)),
                    })),
                    bloctel,
                    bloctel_required,
                    opposed_since: opposed.map(|at| at.date_naive()),
                }
            },
        )
}

fn case_and_moment() -> impl Strategy<Value = (Case, DateTime<Utc>)> {
    moment().prop_flat_map(|now| (case_at(now), Just(now)))
}

/// Local moments at which something may begin: every full and half hour, slots, and what was given.
fn beginnings(case: &Case, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let half_hour = TimeDelta::minutes(30);
    let mut at = DateTime::from_timestamp(from.timestamp() / 1800 * 1800, 0).unwrap();
    let mut moments = Vec::new();
    while at < until {
        moments.push(at);
        at += half_hour;
    }
    moments.extend(
        case.consents
            .iter()
            .flat_map(|consent| [Some(consent.given_at), consent.slot.map(|slot| slot.0)])
            .flatten(),
    );
    moments.retain(|at| *at > from && *at < until);
    moments
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn the_next_allowed_moment_is_allowed_and_the_minute_before_is_not((case, now) in case_and_moment()) {
        let verdict = case.judge_at(now);
        prop_assert_eq!(verdict.allowed, verdict.reasons.is_empty());
        if let Some(next) = verdict.next_allowed {
            prop_assert!(!verdict.allowed && next > now);
            let then = case.judge_at(next);
            prop_assert!(then.allowed, "{next}: {:?}", then.reasons);
            for before in [TimeDelta::minutes(1), TimeDelta::seconds(1), TimeDelta::nanoseconds(1)] {
                if next - before > now {
                    prop_assert!(!case.judge_at(next - before).allowed, "{before} before {next}");
                }
            }
        }
    }

    #[test]
    fn an_allowed_call_stays_allowed_until_it_has_to_be_judged_anew((case, now) in case_and_moment()) {
        let verdict = case.judge_at(now);
        if let (true, Some(until)) = (verdict.allowed, verdict.valid_until) {
            // What is known today to come later (a refusal, attempts elsewhere, the call that uses a consent up) is no part of it.
            let mut case = case;
            case.attempts.retain(|attempt| *attempt <= now);
            case.refused_at = case.refused_at.filter(|refused| *refused <= now);
            case.consents.retain(|consent| consent.given_at <= now);
            for consent in &mut case.consents {
                consent.used_at = consent.used_at.filter(|used| *used <= now);
            }
            case.opposed_since = case.opposed_since.filter(|since| since.and_hms_opt(0, 0, 0).unwrap().and_utc() + TimeDelta::days(2) < now);
            prop_assert!(until >= now);
            let last = (until - TimeDelta::seconds(1)).max(now);
            let same_day = last.min(now + TimeDelta::hours(1));
            let then = case.judge_at(same_day);
            prop_assert!(then.allowed || then.reasons.iter().all(|reason| *reason == Reason::BloctelStale), "{same_day}: {:?}", then.reasons);
        }
    }

    #[test]
    fn the_same_facts_give_the_same_answer_in_any_order_of_consents((case, now) in case_and_moment()) {
        let mut reversed = case.clone();
        reversed.consents.reverse();
        let (one, other) = (case.judge_at(now), reversed.judge_at(now));
        prop_assert_eq!((one.allowed, one.reasons, one.next_allowed), (other.allowed, other.reasons, other.next_allowed));
    }

    #[test]
    fn a_count_below_the_maximum_never_answers_frequency((case, now) in case_and_moment()) {
        let verdict = case.judge_at(now);
        let exhausted = verdict.reasons.contains(&Reason::FrequencyExhausted);
        prop_assert_eq!(exhausted, verdict.attempts_left == Some(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// The other half of exactness: between now and the next moment, nothing is lawful.
    #[test]
    fn no_moment_before_the_next_is_allowed((case, now) in case_and_moment()) {
        let verdict = case.judge_at(now);
        if !verdict.allowed {
            let horizon = now + TimeDelta::days(100);
            let until = verdict.next_allowed.unwrap_or(horizon).min(horizon);
            for between in beginnings(&case, now, until) {
                prop_assert!(!case.judge_at(between).allowed, "{between}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(
        (mut case, _) in case_and_moment(),
        now in prop::sample::select(vec![DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, DateTime::UNIX_EPOCH, at("2026-08-10T22:00:00Z")]),
        extreme in prop::sample::select(vec![DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC]),
        digits in 1..=E164::MAX,
        days in any::<u16>(),
        which in 0..8,
    ) {
        case.attempt.callee = Callee::Number(number(digits));
        match which {
            0 => case.attempts.push(extreme),
            1 => case.attempts.insert(0, extreme),
            2 => case.refused_at = Some(extreme),
            3 => case.consents.push(Consent { slot: Some((extreme, extreme)), ..request("2026-08-10T22:00:00Z") }),
            4 => case.consents.push(Consent { given_at: extreme, ..consent(ConsentScope::Prospecting, "2026-08-10T22:00:00Z") }),
            5 => case.contracts.push(Contract { reference: "C".into(), from: NaiveDate::MIN, until: Some(NaiveDate::MAX) }),
            6 => case.bloctel = Bloctel::Clear(NaiveDate::MIN),
            _ => case.own = Some(OwnLimits { hours: None, frequency: Some(Frequency { max: 0, days }) }),
        }
        let verdict = case.judge_at(now);
        prop_assert_eq!(verdict.allowed, verdict.reasons.is_empty());
        case.attempts.reverse();
        let _ = case.judge_at(now);
    }

    #[test]
    fn every_territory_is_judged_by_its_own_day(territory in prop::sample::select(Territory::ALL.to_vec()), now in moment()) {
        let law = Law::embedded();
        let callee = [MOBILE, 590_690_123_456, 594_694_123_456, 596_696_123_456, 262_692_123_456, 262_639_123_456, 508_411_234, 687_751_234, 681_821_234, 68_987_123_456];
        let verdict = Case::default().to(callee[territory as usize]).judge_at(now);
        prop_assert_eq!(verdict.territory, Some(territory));
        let regime = law.regime_on(law.local_day(now, territory)).map(|regime| regime.name.clone());
        prop_assert_eq!(verdict.regime, regime);
    }
}
