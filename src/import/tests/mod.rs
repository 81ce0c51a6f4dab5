//! Each kind as a table of lines, and files that nobody would write on purpose.

mod lists;
mod records;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::numbering::E164;

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

const CONSENT: &str =
    "number,professional,given_at,channel,evidence,scope,expires,object,slot_from,slot_until,withdrawn_at\n";

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
