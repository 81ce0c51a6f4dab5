//! The embedded store as a whole, in a folder of its own for each test.

mod calls;
mod cold;
mod damage;
mod erasure;
mod facts;
mod model;

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::ledger::{Siren, Via};
use crate::rules::{Consent, ConsentScope};

/// A moment on Tuesday 2023-06-06.
fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp(1_686_042_000, 0).unwrap()
}

fn hours(hours: i64) -> DateTime<Utc> {
    moment() + TimeDelta::hours(hours)
}

fn key(callee: u64) -> Key {
    Key {
        siren: Siren(552_100_554),
        callee: number(callee),
    }
}

fn number(last: u64) -> E164 {
    E164::new(33_612_000_000 + last).unwrap()
}

fn meta(call: u64) -> AttemptMeta {
    AttemptMeta {
        via: Via {
            source: Some("bpo-lyon".into()),
            professional: Some("acme".into()),
        },
        caller: E164::new(33_162_001_234),
        regime: Some("fr-2023-03".into()),
        reason: None,
        evidence: None,
        zone: Some("Europe/Paris".into()),
        call,
        observed: false,
    }
}

fn options(path: &Path) -> Options {
    Options {
        path: path.to_owned(),
        strict: false,
        checkpoint_every: Duration::from_secs(3600),
        clock: moment,
        ..Options::default()
    }
}

fn open(path: &Path) -> EmbeddedLedger {
    EmbeddedLedger::open(options(path)).unwrap().0
}

/// Four calls in the thirty days before `at`.
fn ask(key: Key, at: DateTime<Utc>, call: u64) -> ReserveIf {
    ReserveIf {
        key,
        at,
        limit: Some((4, at - TimeDelta::days(29))),
        refusal_known: None,
        meta: meta(call),
    }
}

fn wait<T>(answer: Answer<Result<T, StoreError>>) -> Result<T, StoreError> {
    wait_here(answer)
}

fn reserve(ledger: &EmbeddedLedger, key: Key, at: DateTime<Utc>, call: u64) -> Reserved {
    wait(ledger.reserve(ask(key, at, call))).unwrap()
}

fn granted(ledger: &EmbeddedLedger, key: Key, at: DateTime<Utc>, call: u64) -> AttemptId {
    match reserve(ledger, key, at, call) {
        Reserved::Granted(id) | Reserved::Held(id) => id,
        other => panic!("expected a grant, got {other:?}"),
    }
}

fn history(ledger: &EmbeddedLedger, key: Key) -> History {
    wait(ledger.history(key)).unwrap()
}

fn close(ledger: EmbeddedLedger) {
    wait(ledger.close()).unwrap();
    drop(ledger);
}

fn refusal(key: Key, at: DateTime<Utc>) -> Entry {
    Entry::Refusal {
        key,
        at,
        channel: "agent".into(),
    }
}

fn consent(given_at: DateTime<Utc>, scope: ConsentScope) -> Consent {
    Consent {
        scope,
        given_at,
        expires: Some(given_at + TimeDelta::days(365)),
        slot: None,
        withdrawn_at: None,
        used_at: None,
        evidence: "form-2023-117".into(),
    }
}

fn consents(key: Key, consent: Consent) -> Entry {
    Entry::Consent {
        key,
        consent,
        channel: "web".into(),
        object: "insurance".into(),
    }
}

fn imported(key: Key, at: DateTime<Utc>, outcome: Outcome) -> Entry {
    Entry::Attempt {
        key,
        at,
        outcome,
        source: "bpo-lille".into(),
    }
}

/// The store's folder as a stopped process would leave it at this moment, without its lock.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            // Files come and go while the store is in use.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}
