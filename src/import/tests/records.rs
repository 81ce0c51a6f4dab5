//! Refusals, consents, contracts, attempts, caller numbers: the good lines and the bad.

use super::*;
use crate::ledger::{Key, Outcome};
use crate::rules::ConsentScope;

fn entries(kind: Kind, text: &str) -> Vec<Entry> {
    let read = read(kind, text);
    assert_eq!(read.rejected, [], "{text}");
    read.batch.unwrap().entries
}

fn key(n: u64) -> Key {
    Key {
        siren: ACME,
        callee: number(33_612_345_600 + n),
    }
}

#[test]
fn refusals_are_read() {
    let text = "number,professional,at,channel\n0612345601,acme,2023-03-02T10:00:00+01:00,call\n";
    let expected = Entry::Refusal {
        key: key(1),
        at: "2023-03-02T09:00:00Z".parse().unwrap(),
        channel: "call".into(),
    };
    assert_eq!(entries(Kind::Refusals, text), std::slice::from_ref(&expected));
    let other_order = "AT;Channel;number;professional\n2023-03-02T09:00:00Z;call;+33612345601;acme\n";
    assert_eq!(entries(Kind::Refusals, other_order), std::slice::from_ref(&expected));
    let by_option = "number,professional,at,channel\n0612345601,,2023-03-02T10:00:00+01:00,call\n";
    let read = read_with(Kind::Refusals, by_option.as_bytes(), Some("acme"), None, false);
    assert_eq!(read.batch.unwrap().entries, [expected]);
}

#[test]
fn attempts_are_read() {
    let text = "number,professional,at,outcome,source\n\
        0612345601,acme,2023-03-02T10:00:00Z,answered,bpo\n0612345602,acme,2023-03-02T10:00:00Z,no-answer,bpo\n\
        0612345603,acme,2023-03-02T10:00:00Z,busy,\n0612345604,acme,2023-03-02T10:00:00Z,failed,bpo\n";
    let outcomes = [Outcome::Answered, Outcome::NoAnswer, Outcome::Busy, Outcome::Failed];
    let expected = (1..).zip(outcomes).map(|(n, outcome)| Entry::Attempt {
        key: key(n),
        at: "2023-03-02T10:00:00Z".parse().unwrap(),
        outcome,
        source: if n == 3 { "".into() } else { "bpo".into() },
    });
    assert_eq!(entries(Kind::Attempts, text), expected.collect::<Vec<_>>());
    let counts = read(Kind::Attempts, text).batch.unwrap().counts;
    assert_eq!(counts, [("answered", 1), ("busy", 1), ("failed", 1), ("no-answer", 1)]);
}

#[test]
fn contracts_and_ranges_are_read() {
    let contracts = entries(
        Kind::Contracts,
        "number,professional,reference,from,until\n0612345601,acme,C-1,2023-01-01,\n",
    );
    let Entry::Contract { contract, .. } = &contracts[0] else {
        panic!("{contracts:?}")
    };
    assert_eq!(
        (&*contract.reference, contract.from, contract.until),
        ("C-1", day("2023-01-01"), None)
    );
    let ranges = entries(
        Kind::Numbers,
        "first,last,professional,from,until\n0162001000,0162001999,acme,2023-01-01,2023-12-31\n",
    );
    let Entry::Range(range) = &ranges[0] else {
        panic!("{ranges:?}")
    };
    assert_eq!(
        (range.first, range.last),
        (number(33_162_001_000), number(33_162_001_999))
    );
    assert_eq!((&*range.professional, range.until), ("acme", Some(day("2023-12-31"))));
}

#[test]
fn consents_are_read() {
    let text = format!(
        "{CONSENT}0612345601,acme,2026-08-20T10:00:00+02:00,web,form-7,prospecting,2027-01-31,insurance,,,2026-09-01T08:00:00Z\n"
    );
    let read = entries(Kind::Consents, &text);
    let Entry::Consent {
        key: of,
        consent,
        channel,
        object,
    } = &read[0]
    else {
        panic!("{read:?}")
    };
    assert_eq!((*of, &**channel, &**object), (key(1), "web", "insurance"));
    assert_eq!(
        (consent.scope, &*consent.evidence, consent.used_at),
        (ConsentScope::Prospecting, "form-7", None)
    );
    assert_eq!(
        consent.given_at,
        "2026-08-20T08:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap()
    );
    // The last local day is whole.
    assert_eq!(consent.expires, Some("2027-01-31T22:59:59.999Z".parse().unwrap()));
    assert_eq!(consent.withdrawn_at, Some("2026-09-01T08:00:00Z".parse().unwrap()));
    let without_options = "number;professional;given_at;channel;evidence;scope;expires;object\n\
        0612345601;acme;2023-08-20T10:00:00+02:00;;f;requested;2024-01-01T00:00:00Z;works\n";
    assert_eq!(entries(Kind::Consents, without_options).len(), 1);
}

/// (given at, scope, expires, slot from, slot until, evidence, object, column at fault)
#[test]
fn consents_that_could_not_hold_are_rejected() {
    let evening = ("2026-09-01T20:30:00+02:00", "2026-09-01T21:30:00+02:00");
    for (given_at, scope, expires, (from, until), evidence, object, fault) in [
        ("2026-08-20T10:00:00Z", "hours", "", evening, "e", "o", None),
        (
            "2026-08-20T10:00:00Z",
            "hours",
            "",
            (evening.0, "2026-09-01T21:30:01+02:00"),
            "e",
            "o",
            Some("slot_until: expected a slot at most 60 minutes"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "hours",
            "",
            ("2026-09-01T23:00:00+02:00", "2026-09-02T00:00:00+02:00"),
            "e",
            "o",
            None,
        ),
        (
            "2026-08-20T10:00:00Z",
            "hours",
            "",
            ("2026-09-01T23:30:00+02:00", "2026-09-02T00:15:00+02:00"),
            "e",
            "o",
            Some("slot_until: expected a slot on one local date"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "hours",
            "",
            ("", ""),
            "e",
            "o",
            Some("slot_from: expected the slot"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "hours",
            "",
            (evening.0, ""),
            "e",
            "o",
            Some("slot_until: expected both ends"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "hours",
            "",
            ("", evening.1),
            "e",
            "o",
            Some("slot_from: expected both ends"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "hours",
            "",
            (evening.1, evening.0),
            "e",
            "o",
            Some("slot_until: expected a moment after"),
        ),
        // Before the opt-in no slot is needed, and one may be wide.
        ("2025-08-20T10:00:00Z", "hours", "", ("", ""), "e", "o", None),
        (
            "2025-08-20T10:00:00Z",
            "hours",
            "",
            ("2025-09-01T06:00:00Z", "2025-09-05T20:00:00Z"),
            "e",
            "o",
            None,
        ),
        // Given before, for a day after it.
        (
            "2025-08-20T10:00:00Z",
            "hours",
            "",
            ("2026-09-01T18:00:00Z", "2026-09-01T20:00:00Z"),
            "e",
            "o",
            Some("slot_until: expected a slot at most 60 minutes"),
        ),
        (
            "2025-08-20T10:00:00Z",
            "hours",
            "",
            ("2026-08-01T18:00:00Z", "2026-08-20T20:00:00Z"),
            "e",
            "o",
            Some("slot_until: expected a slot on one local date"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "prospecting",
            "",
            evening,
            "e",
            "o",
            Some("slot_from: expected nothing"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "prospecting",
            "",
            ("", ""),
            "",
            "o",
            Some("evidence: expected a reference"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "prospecting",
            "",
            ("", ""),
            "e",
            " ",
            Some("object: expected the nature"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "prospecting",
            "2026-08-19",
            ("", ""),
            "e",
            "o",
            Some("expires: expected a moment not before"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "prospecting",
            "tomorrow",
            ("", ""),
            "e",
            "o",
            Some("expires: expected an RFC 3339"),
        ),
        (
            "2026-08-20",
            "prospecting",
            "",
            ("", ""),
            "e",
            "o",
            Some("given_at: expected an RFC 3339"),
        ),
        (
            "2026-08-20T10:00:00",
            "prospecting",
            "",
            ("", ""),
            "e",
            "o",
            Some("given_at: expected an RFC 3339"),
        ),
        (
            "2026-08-20T10:00:00Z",
            "everything",
            "",
            ("", ""),
            "e",
            "o",
            Some("scope: expected prospecting"),
        ),
    ] {
        let line = format!("0612345601,acme,{given_at},web,{evidence},{scope},{expires},{object},{from},{until},");
        let read = read(Kind::Consents, &format!("{CONSENT}{line}\n"));
        match fault {
            None => assert_eq!(read.rejected, [], "{line}"),
            Some(fault) => {
                assert_eq!(read.rejected.len(), 1, "{line}");
                assert!(
                    read.rejected[0].reason.starts_with(fault),
                    "{line}: {}",
                    read.rejected[0].reason
                );
                assert_eq!((read.rejected[0].line, &*read.rejected[0].text), (2, &*line));
                assert!(read.batch.unwrap().is_empty());
            }
        }
    }
}

#[test]
fn a_slot_s_date_is_the_callee_s() {
    // 21:30 to 22:10 in Paris; across midnight for nobody there, but in La Réunion 23:30 to 00:10.
    let slot = "2026-09-01T19:30:00Z,2026-09-01T20:10:00Z";
    for (callee, good) in [("0612345601", true), ("0262123456", false)] {
        let line = format!("{CONSENT}{callee},acme,2026-08-20T10:00:00Z,web,e,hours,,o,{slot},\n");
        assert_eq!(read(Kind::Consents, &line).rejected.is_empty(), good, "{callee}");
    }
}

#[test]
fn every_bad_line_says_its_column_and_what_was_expected() {
    for (kind, header, line, reason) in [
        (
            Kind::Refusals,
            "number,professional,at,channel",
            "0612345601,nobody,2023-03-02T10:00:00Z,c",
            "professional: expected the id of a configured professional, found \"nobody\"",
        ),
        (
            Kind::Refusals,
            "number,professional,at,channel",
            "0612345601,,2023-03-02T10:00:00Z,c",
            "professional: expected the id of a configured professional, found nothing",
        ),
        (
            Kind::Refusals,
            "number,professional,at,channel",
            "alice,acme,2023-03-02T10:00:00Z,c",
            "number: expected a telephone number (character 'a' at 0 is no digit), found \"alice\"",
        ),
        (
            Kind::Refusals,
            "number,professional,at,channel",
            "0612345601,acme,02/03/2023,c",
            "at: expected an RFC 3339 time such as 2023-06-06T10:00:00+02:00, found \"02/03/2023\"",
        ),
        (
            Kind::Refusals,
            "number,professional,at,channel",
            "0612345601,acme,2023-03-02T10:00:00Z,c,d",
            "expected 4 columns, found 5",
        ),
        (
            Kind::Refusals,
            "number,professional,at,channel",
            "\"0612345601,acme",
            "expected the quote to end on its line",
        ),
        (
            Kind::Attempts,
            "number,professional,at,outcome,source",
            "0612345601,acme,2023-03-02T10:00:00Z,rung,s",
            "outcome: expected answered, no-answer, busy or failed, found \"rung\"",
        ),
        (
            Kind::Contracts,
            "number,professional,reference,from,until",
            "0612345601,acme,,2023-03-02,",
            "reference: expected the contract's reference, found nothing",
        ),
        (
            Kind::Contracts,
            "number,professional,reference,from,until",
            "0612345601,acme,r,2023-3-2,",
            "from: expected a date such as 2023-06-06, found \"2023-3-2\"",
        ),
        (
            Kind::Contracts,
            "number,professional,reference,from,until",
            "0612345601,acme,r,2023-03-02,2023-03-01",
            "until: expected a date not before `from`, found \"2023-03-01\"",
        ),
        (
            Kind::Numbers,
            "first,last,professional,from,until",
            "0162001999,0162001000,acme,2023-01-01,",
            "last: expected a number not before `first` and as long, found \"0162001000\"",
        ),
        (
            Kind::Numbers,
            "first,last,professional,from,until",
            "0162001000,+3938123456789,acme,2023-01-01,",
            "last: expected a number not before `first` and as long, found \"+3938123456789\"",
        ),
    ] {
        let read = read(kind, &format!("{header}\n{line}\n"));
        let found: Vec<_> = read.rejected.iter().map(|r| (r.line, &*r.reason)).collect();
        assert_eq!(found, [(2, reason)], "{line}");
    }
}

#[test]
fn a_bad_header_names_the_column() {
    for (kind, header, fault) in [
        (Kind::Refusals, "number,professional,at", "column `channel` is missing"),
        (Kind::Refusals, "", "column \"\" is unknown"),
        (
            Kind::Consents,
            "number,professional,given_at,channel,evidence,scope,expires,object,slot_form",
            "column \"slot_form\" is unknown",
        ),
        (
            Kind::Attempts,
            "number,number,professional,at,outcome,source",
            "column `number` stands there twice",
        ),
    ] {
        let error = read(kind, &format!("{header}\n")).batch.unwrap_err();
        assert!(error.to_string().ends_with(fault), "{error}");
    }
}
