//! Every kind of record that the ledger makes is in the chain, in the export and in a bundle that verifies by itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use clapet::evidence::{self, Asked, Format, What};
use clapet::journal;
use clapet::law::Law;
use clapet::ledger::{
    Answer, AttemptMeta, DecisionNote, EmbeddedLedger, Entry, Key, Ledger, Options, Outcome, OwnedRange, ReserveIf,
    Reserved, Siren, StoreError, Suspended, Suspension, Via,
};
use clapet::numbering::E164;
use clapet::rules::{Consent, ConsentScope, Contract, Reason};
use serde_json::Value;

const ACME: Siren = Siren(552_100_554);

/// All of them. A third party's stamp is the only kind that clapet does not make.
const KINDS: [&str; 15] = [
    "attempt",
    "carried",
    "configuration",
    "consent",
    "consent-used",
    "contract",
    "decision",
    "forgotten",
    "range",
    "recovered",
    "refusal",
    "reservation",
    "screening",
    "settlement",
    "suspension",
];

/// 2026-03-02 11:00 in Paris.
fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_445_600, 0).expect("a moment")
}

fn key(callee: u64) -> Key {
    Key {
        siren: ACME,
        callee: E164::new(33_612_000_000 + callee).expect("a number"),
    }
}

fn via() -> Via {
    Via {
        source: Some("bpo-lyon".into()),
        professional: Some("acme".into()),
    }
}

fn meta() -> AttemptMeta {
    AttemptMeta {
        via: via(),
        caller: E164::new(33_162_001_234),
        regime: Some("fr-2023-03".into()),
        reason: None,
        evidence: Some("form-77".into()),
        zone: Some("Europe/Paris".into()),
        call: 0,
        observed: false,
    }
}

fn wait<T>(answer: Answer<Result<T, StoreError>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(answer.wait()).expect("the store answers")
}

fn call(ledger: &EmbeddedLedger, callee: u64, at: DateTime<Utc>) {
    let asked = ReserveIf {
        key: key(callee),
        at,
        limit: Some((4, at - TimeDelta::days(29))),
        refusal_known: None,
        meta: meta(),
    };
    let Reserved::Granted(id) = wait(ledger.reserve(asked)) else {
        panic!("not granted");
    };
    ledger.settle_over(key(callee), id, Outcome::Answered, at, "carrier-a");
}

/// Each fact that can be recorded.
fn facts() -> Vec<Entry> {
    let at = moment();
    let consent = Consent {
        scope: ConsentScope::Prospecting,
        given_at: at,
        expires: None,
        slot: None,
        withdrawn_at: None,
        used_at: None,
        evidence: "form-77".into(),
    };
    vec![
        Entry::Refusal {
            key: key(1),
            at,
            channel: "call".into(),
        },
        Entry::Consent {
            key: key(2),
            consent,
            channel: "web".into(),
            object: "insurance".into(),
        },
        Entry::ConsentUsed {
            key: key(2),
            given_at: at,
            scope: ConsentScope::Prospecting,
            at,
        },
        Entry::Contract {
            key: key(3),
            contract: Contract {
                reference: "C-1".into(),
                from: at.date_naive(),
                until: None,
            },
        },
        Entry::Attempt {
            key: key(4),
            at,
            outcome: Outcome::NoAnswer,
            source: "bpo-lille".into(),
        },
        Entry::Range(OwnedRange {
            first: E164::new(33_162_001_000).expect("a number"),
            last: E164::new(33_162_001_999).expect("a number"),
            professional: "acme".into(),
            from: at.date_naive(),
            until: None,
        }),
        Entry::Screening {
            list: "bloctel".into(),
            siren: Some(ACME),
            day: at.date_naive(),
            numbers: 2,
            opposed: 1,
            sha256: [7; 32],
        },
        Entry::Suspension(Suspension {
            what: Suspended::Source,
            id: "bpo-lyon".into(),
            suspended: true,
        }),
        Entry::Configuration {
            what: "configuration".into(),
            sha256: [9; 32],
        },
    ]
}

/// A store in which everything has happened once.
fn filled(path: &Path) {
    let options = Options {
        path: path.to_owned(),
        strict: false,
        segment_bytes: 4096,
        cold_after: 3,
        clock: moment,
        ..Options::default()
    };
    let (ledger, _) = EmbeddedLedger::open(options).expect("a store");
    wait(ledger.record(facts()));
    ledger.note_decision(DecisionNote {
        at: moment(),
        siren: Some(ACME),
        callee: Some(key(5).callee),
        caller: E164::new(33_162_001_234),
        via: via(),
        regime: Some("fr-2023-03".into()),
        reasons: vec![Reason::FrequencyExhausted],
        observed: false,
    });
    ledger.recover(key(6), moment(), meta());
    for callee in 10..60 {
        call(&ledger, callee, moment());
    }
    wait(ledger.forget(key(10).callee, moment()));
    wait(ledger.sign());
    ledger.checkpoint().expect("a view");
    let aged = ledger.age(moment() + TimeDelta::days(5)).expect("old segments");
    assert!(aged.moved > 0 && aged.carried > 0, "{aged:?}");
    wait(ledger.sign());
    wait(ledger.close());
}

fn kinds(lines: &str, of: impl Fn(&Value) -> Value) -> BTreeSet<String> {
    lines
        .lines()
        .map(|line| of(&serde_json::from_str(line).expect("a JSON object a line")))
        .map(|kind| kind.as_str().expect("a kind").to_owned())
        .collect()
}

#[test]
fn every_kind_of_record_is_chained_exported_and_proved() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    filled(&store);
    let journal = EmbeddedLedger::journal_folder(&store);
    let expected: BTreeSet<String> = KINDS.map(str::to_owned).into();

    let report = journal::verify(&journal).expect("a journal");
    assert!(report.bad.is_none(), "{:?}", report.bad);
    assert_eq!(report.signed, report.last, "all of it is under a signature");
    let chained: BTreeSet<u8> = journal::read(&journal, 0)
        .expect("a journal")
        .map(|stored| stored.expect("a record").kind as u8)
        .collect();
    assert_eq!(chained.len(), KINDS.len(), "{chained:?}");

    let asked = Asked {
        what: What::Journal,
        professional: "acme".into(),
        siren: ACME,
        since: None,
        until: None,
        format: Format::Jsonl,
    };
    let mut lines = Vec::new();
    let exported = evidence::export(&journal, &Law::embedded(), &asked, &mut lines).expect("an export");
    assert_eq!(
        exported.lines, report.records,
        "nothing of it is another professional's"
    );
    let lines = String::from_utf8(lines).expect("UTF-8");
    assert_eq!(kinds(&lines, |line| line["kind"].clone()), expected);

    let bundle = folder.path().join("bundle");
    let bundled = evidence::bundle(&journal, &asked, moment(), &bundle).expect("a bundle");
    assert_eq!(bundled.records, report.records);
    let checked = evidence::verify_bundle(&bundle, &report.keys).expect("a bundle");
    assert!(checked.bad.is_none() && checked.trusted, "{:?}", checked.bad);
    let shown = fs::read_to_string(bundle.join("records.jsonl")).expect("records");
    let shown = kinds(&shown, |line| line["says"]["kind"].clone());
    assert_eq!(shown, expected);
}
