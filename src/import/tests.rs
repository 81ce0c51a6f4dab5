//! Each kind as a table of lines, and files that nobody would write on purpose.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ledger::{Key, Outcome};
use crate::numbering::E164;
use crate::rules::ConsentScope;

const ACME: Siren = Siren(552_100_554);
const OTHER: Siren = Siren(443_061_841);

struct Known;

impl Professionals for Known {
    fn siren(&self, id: &str) -> Option<Siren> {
        BTreeMap::from([("acme", ACME), ("other", OTHER)]).get(id).copied()
    }
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn number(n: u64) -> E164 {
    E164::new(n).unwrap()
}

struct Read {
    batch: Result<Batch, ImportError>,
    rejected: Vec<Rejected>,
}

fn read_with(kind: Kind, bytes: &[u8], professional: Option<&str>, submitted: Option<&[u8]>, force: bool) -> Read {
    let mut submitted = submitted;
    let options = Options {
        professional,
        submitted: submitted.as_mut().map(|reader| reader as &mut dyn std::io::Read),
        today: day("2023-06-06"),
        force,
        progress: None,
    };
    let mut rejects = FirstRejected::new(1000);
    let mut reader = bytes;
    let batch = run(kind, &mut reader, options, &Law::embedded(), &Known, &mut rejects);
    if let Ok(batch) = &batch {
        assert_eq!(batch.rejected, rejects.lines.len() as u64);
    }
    Read {
        batch,
        rejected: rejects.lines,
    }
}

fn read(kind: Kind, text: &str) -> Read {
    read_with(kind, text.as_bytes(), None, None, false)
}

/// The numbers of a list with their status.
fn listed(read: &Read, asked: &[u64]) -> Vec<Option<bool>> {
    let snapshot = read.batch.as_ref().unwrap().snapshot.as_ref().unwrap();
    asked
        .iter()
        .map(|n| snapshot.numbers.holds(number(33_612_345_600 + n)))
        .collect()
}

const OPPOSED: Option<bool> = Some(true);
const CLEAR: Option<bool> = Some(false);

#[test]
fn bloctel_s_answer_opposes_the_lines_whose_status_is_not_ok() {
    for text in [
        "0612345601;a;OK\n0612345602;b;OPPOSE\n+33 6 12 34 56 03;c;ok\n0612345604;d;\n",
        "number,id,status\n0612345601,a,OK\n0612345602,b,KO\n0612345603,c,OK\n0612345604,d,KO\n",
        "\u{feff}Statut\tTéléphone\r\nOK\t0612345601\r\nNOK\t0612345602\r\nOK\t33612345603\r\n\"N;OK\"\t0612345604\r\n",
        "Numéro;Référence;Retour\n0612345601;;OK\n0612345602;;x\n0612345603;;OK\n0612345604;;x",
    ] {
        let read = read(Kind::Bloctel, text);
        assert_eq!(
            listed(&read, &[1, 2, 3, 4, 5]),
            [CLEAR, OPPOSED, CLEAR, OPPOSED, None],
            "{text}"
        );
        let batch = read.batch.unwrap();
        assert_eq!(batch.counts, [("screened", 4), ("opposed", 2), ("clear", 2)]);
        assert_eq!(
            (batch.siren, batch.rejected, batch.snapshot.unwrap().day),
            (None, 0, day("2023-06-06"))
        );
    }
}

#[test]
fn a_plain_bloctel_list_is_the_opposed() {
    for text in [
        "0612345601\n0612345602\n",
        "numero\n0612345601\n+33612345602\n",
        "whatever it is called\n0612345601;\n0612345602;\n",
        "name,phone\nA,0612345601\nB,0612345602\n",
    ] {
        let read = read_with(Kind::Bloctel, text.as_bytes(), Some("acme"), None, false);
        assert_eq!(listed(&read, &[1, 2, 3]), [OPPOSED, OPPOSED, None], "{text}");
        let batch = read.batch.unwrap();
        assert_eq!((batch.siren, batch.counts), (Some(ACME), vec![("opposed", 2)]));
    }
}

#[test]
fn what_was_sent_and_did_not_come_back_is_opposed() {
    let sent = b"number;name\n0612345601;A\n0612345602;B\n06 12 34 56 03;C\n";
    for back in [
        "0612345601\n+33612345603\n",
        "number;name;city\n0612345603;C;Paris\n0612345601;A;Lyon\n",
    ] {
        let read = read_with(Kind::Bloctel, back.as_bytes(), Some("acme"), Some(sent), false);
        assert_eq!(listed(&read, &[1, 2, 3, 4]), [CLEAR, OPPOSED, CLEAR, None], "{back}");
        assert_eq!(
            read.batch.unwrap().counts,
            [("screened", 3), ("opposed", 1), ("clear", 2)]
        );
    }
    let read = read_with(Kind::Bloctel, b"0612345601\n0612345699\n", None, Some(sent), false);
    assert_eq!(
        read.rejected[0].reason,
        "number: expected a number of the submitted file, found \"0612345699\""
    );
    assert_eq!(listed(&read, &[1, 2, 3, 99]), [CLEAR, OPPOSED, OPPOSED, None]);
}

#[test]
fn a_status_answers_for_what_was_sent_and_what_it_leaves_out_is_opposed() {
    let sent = b"0612345601\n0612345602\n0612345603\n";
    let read = read_with(
        Kind::Bloctel,
        b"0612345601;1;OK\n0612345602;2;KO\n",
        None,
        Some(sent),
        false,
    );
    assert_eq!(listed(&read, &[1, 2, 3]), [CLEAR, OPPOSED, OPPOSED]);
}

#[test]
fn a_rejected_line_of_the_submitted_file_says_so() {
    let read = read_with(
        Kind::Bloctel,
        b"0612345601\n",
        None,
        Some(b"0612345601\nx\n0612345602\n"),
        false,
    );
    assert_eq!(read.rejected.len(), 1);
    assert!(
        read.rejected[0].reason.starts_with("submitted file: number: "),
        "{}",
        read.rejected[0].reason
    );
}

#[test]
fn an_import_that_would_oppose_none_or_all_of_what_was_sent_stops_unless_forced() {
    let none = "0612345601;;OK\n0612345602;;OK\n";
    let all = "0612345601;;KO\n0612345602;;KO\n";
    assert!(matches!(
        read(Kind::Bloctel, none).batch,
        Err(ImportError::NoneOpposed { sent: 2 })
    ));
    assert!(matches!(
        read(Kind::Bloctel, all).batch,
        Err(ImportError::AllOpposed { sent: 2 })
    ));
    let sent = Some(&b"0612345601\n0612345602\n"[..]);
    let back = read_with(Kind::Bloctel, b"0612345601\n0612345602\n", None, sent, false);
    assert!(matches!(back.batch, Err(ImportError::NoneOpposed { sent: 2 })));
    let nothing_back = read_with(Kind::Bloctel, b"", None, sent, false);
    assert!(matches!(nothing_back.batch, Err(ImportError::AllOpposed { sent: 2 })));
    for (text, expected) in [(none, CLEAR), (all, OPPOSED)] {
        let forced = read_with(Kind::Bloctel, text.as_bytes(), None, None, true);
        assert_eq!(listed(&forced, &[1, 2]), [expected, expected]);
    }
}

#[test]
fn a_number_opposed_on_one_line_of_an_answer_is_opposed() {
    let read = read(
        Kind::Bloctel,
        "0612345601;;OK\n0612345601;;KO\n0612345601;;OK\n0612345602;;OK\n",
    );
    assert_eq!(listed(&read, &[1, 2]), [OPPOSED, CLEAR]);
}

#[test]
fn an_opposition_file_is_a_number_a_line() {
    let read = read(
        Kind::Opposition,
        "numero\n0612345601\n\n tel:+33-6-12-34-56-02 \n3949\n06123\n",
    );
    assert_eq!(listed(&read, &[1, 2]), [OPPOSED, OPPOSED]);
    let reasons: Vec<_> = read.rejected.iter().map(|r| (r.line, &*r.reason, &*r.text)).collect();
    assert_eq!(
        reasons,
        [
            (
                5,
                "number: expected a subscriber number, no short one, found \"3949\"",
                "3949"
            ),
            (
                6,
                "number: expected a telephone number (5 digits are no number of the plan), found \"06123\"",
                "06123"
            ),
        ]
    );
    assert_eq!(read.batch.unwrap().counts, [("opposed", 2)]);
}

#[test]
fn lists_of_an_unknown_layout_are_refused() {
    for (kind, text) in [
        (Kind::Bloctel, "0612345601;KO\n"),
        (Kind::Bloctel, "a;b;c;d\n0612345601;x;y;z\n"),
        (Kind::Opposition, "0612345601;x\n"),
        (Kind::Opposition, "name;city\nA;Paris\n"),
    ] {
        assert!(
            matches!(read(kind, text).batch, Err(ImportError::Header { .. })),
            "{text}"
        );
    }
    let unknown = read_with(Kind::Bloctel, b"0612345601", Some("nobody"), None, false);
    assert!(matches!(unknown.batch, Err(ImportError::UnknownProfessional(id)) if id == "nobody"));
    let submitted = read_with(Kind::Opposition, b"0612345601", None, Some(b""), false);
    assert!(matches!(submitted.batch, Err(ImportError::Submitted)));
}

#[test]
fn an_empty_list_loads_nothing() {
    for (kind, text) in [
        (Kind::Bloctel, ""),
        (Kind::Bloctel, "numero\n"),
        (Kind::Opposition, "\n\n"),
        (Kind::Opposition, "n\nx\n"),
    ] {
        let batch = read(kind, text).batch.unwrap();
        assert!(batch.is_empty(), "{text}");
    }
}

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

const CONSENT: &str =
    "number,professional,given_at,channel,evidence,scope,expires,object,slot_from,slot_until,withdrawn_at\n";

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

#[test]
fn good_lines_are_kept_beside_hostile_ones() {
    let mut bytes = b"number,professional,at,channel\n".to_vec();
    bytes.extend(b"0612345601,acme,2023-03-02T10:00:00Z,call\n");
    bytes.extend(b"\0\0\0\0\n\xff\xfe\xe9,acme,x\n");
    bytes.extend(vec![b'9'; 4 * MAX_LINE]);
    bytes.extend(b"\n\"\"\"\"\"\n,,,\n0612345602,acme,2023-03-02T10:00:00Z,call");
    let read = read_with(Kind::Refusals, &bytes, None, None, false);
    assert_eq!(read.batch.unwrap().entries.len(), 2);
    assert_eq!(
        read.rejected.iter().map(|r| r.line).collect::<Vec<_>>(),
        [3, 4, 5, 6, 7]
    );
    assert!(read.rejected.iter().all(|r| r.text.len() <= 3 * MAX_LINE));
}

#[test]
fn utf_16_is_refused_as_a_whole() {
    for kind in Kind::ALL {
        let read = read_with(kind, b"\xff\xfen\0u\0m\0", None, None, false);
        assert!(matches!(read.batch, Err(ImportError::Encoding)), "{kind}");
    }
}

#[test]
fn rejected_lines_go_to_a_file_beside_the_imported_one() {
    let folder = tempfile::tempdir().unwrap();
    let imported = folder.path().join("list.csv");
    let mut file = RejectedFile::beside(&imported);
    let path = file.path().to_owned();
    let rejected = Rejected {
        line: 3,
        reason: "number: expected, found \"x\"".into(),
        text: "x;\"y\"\r".into(),
    };
    file.reject(&rejected).unwrap();
    file.finish().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        "line,reason,text\n3,\"number: expected, found \"\"x\"\"\",\"x;\"\"y\"\"\"\n"
    );
    RejectedFile::beside(&imported).finish().unwrap();
    assert!(
        !path.exists(),
        "a later import without rejected lines leaves no old ones"
    );
}

#[test]
fn kinds_are_named_as_on_the_command_line() {
    for kind in Kind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("blocktel".parse::<Kind>().unwrap_err().contains("bloctel, opposition"));
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(kind in prop::sample::select(&Kind::ALL[..]), bytes in prop::collection::vec(any::<u8>(), 0..400), force: bool) {
        let _ = read_with(kind, &bytes, None, None, force);
    }

    #[test]
    fn nothing_that_looks_like_a_file_makes_it_panic(
        kind in prop::sample::select(&Kind::ALL[..]),
        header in prop::sample::select(&["", "number\n", "number;id;status\n", "number,professional,at,channel\n", CONSENT, "number,professional,reference,from,until\n",
            "number,professional,at,outcome,source\n", "first,last,professional,from,until\n"][..]),
        lines in "([0-9+;,\t\" ZT:.-]{0,12}(acme|hours|OK|2026-08-20T10:00:00Z|0612345601|answered)?[;,\n\"]){0,40}",
        submitted in prop::option::of("(0612345[0-9]{3}\n){0,5}"),
    ) {
        let submitted = submitted.as_deref().map(str::as_bytes).filter(|_| kind == Kind::Bloctel);
        let read = read_with(kind, format!("{header}{lines}").as_bytes(), Some("acme"), submitted, false);
        if let Ok(batch) = read.batch {
            prop_assert!(batch.entries.len() + read.rejected.len() <= lines.lines().count() + 6);
        }
    }

    /// What Bloctel's three forms have in common: of distinct numbers, each is opposed or not as it was told.
    #[test]
    fn the_forms_agree(statuses in prop::collection::btree_map(0..99u64, any::<bool>(), 2..30)) {
        let spelled = |n: &u64| format!("06123456{n:02}");
        let sent: String = statuses.keys().map(|n| spelled(n) + "\n").collect();
        let answer: Vec<_> = statuses.iter().map(|(n, ok)| format!("{};{n};{}", spelled(n), if *ok { "OK" } else { "KO" })).collect();
        let answer = answer.join("\n");
        let back: String = statuses.iter().filter(|(_, ok)| **ok).map(|(n, _)| spelled(n) + "\n").collect();
        let asked: Vec<u64> = statuses.keys().copied().collect();
        let expected: Vec<_> = statuses.values().map(|ok| Some(!ok)).collect();
        let by_status = read_with(Kind::Bloctel, answer.as_bytes(), None, None, true);
        prop_assert_eq!(listed(&by_status, &asked), expected.clone());
        let by_difference = read_with(Kind::Bloctel, back.as_bytes(), None, Some(sent.as_bytes()), true);
        prop_assert_eq!(listed(&by_difference, &asked), expected);
    }
}
