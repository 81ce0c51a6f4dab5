//! Who calls for whom, what is not judged, and what the operator suspended.

use super::*;
use crate::ledger::Suspended;
use crate::rules::Reason::{
    CallerIdMasked, CallerIdMobile, CallerIdNotNpv, CallerIdNotOwned, ExemptEmergency, ExemptForeign, ExemptPurpose,
    HoursWindow, ProfessionalSuspended, ProfessionalUnknown, SourceSuspended, SourceUnknown,
};

fn named(question: &Question, id: &str) -> Question {
    Question {
        professional: Some(id.into()),
        ..question.clone()
    }
}

#[test]
fn the_professional_is_the_owner_else_the_named_else_the_only_one() {
    let world = World::new();
    let nobodys = 33_162_009_999;
    for (question, professional, reason) in [
        (question(BPO, ACME), Some("acme"), None),
        (question(BPO, ACME + 150), Some("acme-bis"), None), // one SIREN, one professional
        (question(BPO, BETA), Some("acme"), Some(CallerIdNotOwned)),
        (question(BPO, nobodys), Some("acme"), Some(CallerIdNotOwned)),
        (question(MULTI, BETA), Some("beta"), None),
        (named(&question(MULTI, BETA), "acme"), Some("beta"), None),
        (
            named(&question(MULTI, nobodys), "beta"),
            Some("beta"),
            Some(CallerIdNotOwned),
        ),
        (question(MULTI, nobodys), None, Some(ProfessionalUnknown)),
        (
            named(&question(MULTI, nobodys), "gamma"),
            None,
            Some(ProfessionalUnknown),
        ),
        (
            named(&question(BPO, nobodys), "no-such"),
            None,
            Some(ProfessionalUnknown),
        ),
        (question(MULTI, GAMMA), None, Some(CallerIdNotOwned)),
        // Without a source: automated canvassing, for anybody.
        (question(None, ACME), Some("acme"), None),
        (question(None, nobodys), None, Some(ProfessionalUnknown)),
        (
            named(&question(None, nobodys), "beta"),
            Some("beta"),
            Some(CallerIdNotOwned),
        ),
        (question(None, 33_142_345_678), None, Some(CallerIdNotNpv)),
        (question(None, CALLEE), None, Some(CallerIdMobile)),
    ] {
        let decision = world.admit(&question, OPEN);
        assert_eq!(decision.professional.as_deref(), professional, "{question:?}");
        assert_eq!(decision.verdict.reason, reason, "{question:?}");
        assert_eq!(decision.forwards(), reason.is_none());
    }
}

#[test]
fn a_masked_caller_is_refused_for_that() {
    let world = World::new();
    for source in [BPO, MULTI, None] {
        let masked = Question {
            caller: CallerId::Masked,
            ..question(source, ACME)
        };
        refused(&world.admit(&masked, OPEN), CallerIdMasked);
    }
}

#[test]
fn emergency_numbers_pass_whatever_is_broken() {
    let world = World::with(StoreMode::Failing, OnStoreFailure::Refuse).bpo(|bpo| bpo.suspended = true);
    let plan = &world.gate.policy().law.plan;
    for callee in [Callee::Number(plan.read("112").unwrap()), Callee::EmergencyService] {
        for source in [BPO, MULTI, None, Some(SourceIndex(99))] {
            let emergency = Question {
                callee,
                caller: CallerId::Missing,
                ..question(source, ACME)
            };
            for decision in [
                world.admit(&emergency, LUNCH),
                world.gate.without_store(&emergency, at(LUNCH)),
            ] {
                assert_eq!(decision.verdict.reason, Some(ExemptEmergency));
                assert!(decision.forwards() && decision.reservation.is_none());
            }
        }
    }
}

#[test]
fn short_and_foreign_numbers_ask_the_store_nothing() {
    let world = World::with(StoreMode::Failing, OnStoreFailure::Refuse);
    let plan = &world.gate.policy().law.plan;
    let to = |text: &str| Question {
        callee: Callee::Number(plan.read(text).unwrap()),
        ..ordinary()
    };
    assert!(world.admit(&to("3949"), LUNCH).forwards());
    let abroad = world.admit(&to("+442071234567"), LUNCH);
    assert_eq!(abroad.verdict.reason, Some(ExemptForeign));
    assert!(abroad.forwards() && abroad.reservation.is_none());
}

#[test]
fn other_purposes_ask_the_store_nothing_and_are_not_counted() {
    for (dialling, purpose, reason) in [
        (Dialling::Manual, Purpose::Other, Some(ExemptPurpose)),
        (Dialling::Automated, Purpose::Other, None),
        (Dialling::Automated, Purpose::Business, None),
    ] {
        let world = World::with(StoreMode::Failing, OnStoreFailure::Refuse).bpo(|bpo| {
            bpo.dialling = dialling;
            bpo.purpose = purpose;
        });
        let decision = world.admit(&ordinary(), LUNCH);
        assert_eq!((decision.verdict.reason, decision.forwards()), (reason, true));
        assert!(decision.reservation.is_none() && !decision.verdict.counts);
        // A trusted header names the purpose of one call.
        let canvassing = Question {
            purpose: Some(Purpose::Canvassing),
            ..ordinary()
        };
        assert!(!world.admit(&canvassing, LUNCH).forwards());
    }
}

#[test]
fn suspensions_bind_until_taken_back_whoever_is_only_observed_too() {
    let world = World::new();
    let suspend = |what, id: &str, suspended| {
        world.gate.suspend(&Suspension {
            what,
            id: id.into(),
            suspended,
        })
    };
    assert!(suspend(Suspended::Source, "bpo", true));
    refused(&world.admit(&ordinary(), OPEN), SourceSuspended);
    assert!(world.store.lock().notes.is_empty(), "`source.*` is metrics only");
    assert!(suspend(Suspended::Source, "bpo", false));
    assert!(world.admit(&ordinary(), OPEN).forwards());
    assert!(suspend(Suspended::Professional, "acme", true));
    refused(&world.admit(&ordinary(), OPEN), ProfessionalSuspended);
    // The legal entity is suspended, under each of its ids.
    refused(&world.admit(&question(BPO, ACME + 150), OPEN), ProfessionalSuspended);
    assert_eq!(world.store.lock().notes[0].reasons, [ProfessionalSuspended]);
    assert!(world.admit(&question(MULTI, BETA), OPEN).forwards());
    assert!(suspend(Suspended::Professional, "gamma", true));
    refused(&world.admit(&question(WATCHED, GAMMA), OPEN), ProfessionalSuspended);
    assert!(!suspend(Suspended::Source, "nobody", true));
}

#[test]
fn a_source_that_a_reload_took_away_is_unknown() {
    let world = World::new();
    refused(&world.admit(&question(Some(SourceIndex(3)), ACME), OPEN), SourceUnknown);
}

#[test]
fn refusals_say_in_the_callees_time_when_the_call_may_go() {
    let world = World::new();
    let overseas = Question {
        callee: Callee::Number(Number::E164(number(590_690_123_456))),
        ..ordinary()
    };
    let decision = world.admit(&overseas, "2023-06-06T13:00:00Z");
    refused(&decision, HoursWindow);
    assert_eq!(decision.text.as_deref(), Some("next 2023-06-06T10:00:00-04:00"));
    let never = world.admit(&question(BPO, CALLEE), OPEN);
    assert_eq!(never.text, None);
}

#[test]
fn answers_are_counted_by_source_professional_verdict_and_reason() {
    let world = World::new();
    let _kept = world.admit(&ordinary(), OPEN);
    world.admit(&ordinary(), LUNCH);
    world.admit(&ordinary(), LUNCH);
    world.admit(&question(WATCHED, GAMMA), LUNCH);
    world.admit(&question(None, 33_162_009_999), OPEN);
    let _asked = ready(world.gate.ask(&ordinary(), at(OPEN)));
    assert_eq!(world.invites(["bpo", "acme", "allow", "none"]), 1);
    assert_eq!(world.invites(["bpo", "acme", "refuse", "hours.window"]), 2);
    assert_eq!(world.invites(["gamma", "gamma", "observe", "hours.window"]), 1);
    assert_eq!(world.invites(["none", "none", "refuse", "professional.unknown"]), 1);
    assert_eq!(world.metrics.decision_seconds.get_sample_count(), 6);
    assert_eq!(world.metrics.reserve_seconds.get_sample_count(), 2);
}

#[test]
fn violations_are_noted_and_parse_refusals_are_not() {
    let world = World::new();
    world.admit(&ordinary(), LUNCH);
    world.admit(&question(WATCHED, GAMMA), LUNCH);
    for (caller, callee) in [
        (CallerId::Unparseable, ordinary().callee),
        (ordinary().caller, Callee::Unparseable),
    ] {
        world.admit(
            &Question {
                caller,
                callee,
                ..ordinary()
            },
            OPEN,
        );
    }
    let notes = std::mem::take(&mut world.store.lock().notes);
    assert_eq!(notes.len(), 2);
    assert_eq!(notes[0].reasons, [HoursWindow]);
    assert_eq!((notes[0].siren, notes[0].observed), (Some(ACME_SIREN), false));
    assert_eq!(notes[0].callee, Some(number(CALLEE)));
    assert_eq!(notes[0].via.source.as_deref(), Some("bpo"));
    assert!(notes[1].observed);
}
