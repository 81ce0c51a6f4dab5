//! Old segments: what still binds is carried on, the hot ones alone rebuild the ledger, and what is over is erased or deleted.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::journal::{self, Kind};
use crate::ledger::{OwnedRange, Suspended, Suspension};
use crate::rules::Contract;

/// Numbers that are called and told about.
const CALLEES: u64 = 12;

fn small(path: &Path) -> Options {
    Options {
        segment_bytes: 4096,
        attempt_days: 35,
        cold_after: 3,
        ..options(path)
    }
}

fn days(days: i64) -> DateTime<Utc> {
    moment() + TimeDelta::days(days)
}

fn folder_of(path: &Path) -> PathBuf {
    EmbeddedLedger::journal_folder(path)
}

/// Pseudo-random numbers (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn something(ledger: &EmbeddedLedger, chance: &mut Chance, at: DateTime<Utc>, call: u64) {
    let key = key(chance.below(CALLEES));
    let record = |entry: Entry| wait(ledger.record(vec![entry])).unwrap();
    match chance.below(12) {
        0 => drop(record(refusal(key, at))),
        1 => drop(record(consents(key, consent(at, ConsentScope::Prospecting)))),
        2 => {
            let known = history(ledger, key).consents;
            for mut consent in known {
                consent.withdrawn_at = Some(at);
                consent.expires = Some(at + TimeDelta::days(30));
                record(consents(key, consent));
            }
        }
        3 => {
            let from = at.date_naive();
            let contract = Contract {
                reference: format!("C-{}", chance.below(3)).into(),
                from,
                until: (chance.below(2) == 0).then(|| from + TimeDelta::days(400)),
            };
            record(Entry::Contract { key, contract });
        }
        4 => drop(record(imported(key, at, Outcome::NoAnswer))),
        5 => {
            let range = OwnedRange {
                first: E164::new(33_162_001_000).unwrap(),
                last: E164::new(33_162_001_999).unwrap(),
                professional: format!("p-{}", chance.below(2)).into(),
                from: moment().date_naive(),
                until: (chance.below(2) == 0).then(|| at.date_naive()),
            };
            record(Entry::Range(range));
        }
        6 => {
            let suspension = Suspension {
                what: Suspended::Source,
                id: "bpo-lyon".into(),
                suspended: chance.below(2) == 0,
            };
            record(Entry::Suspension(suspension));
        }
        7 if chance.below(8) == 0 => drop(wait(ledger.forget(key.callee, at)).unwrap()),
        _ => {
            if let Reserved::Granted(id) = reserve(ledger, key, at, call) {
                let outcome = [Outcome::Answered, Outcome::Failed, Outcome::Busy, Outcome::Abandoned];
                let outcome = outcome[usize::try_from(chance.below(4)).unwrap()];
                if outcome != Outcome::Abandoned {
                    ledger.settle_over(key, id, outcome, at + TimeDelta::seconds(9), "carrier-a");
                }
            }
        }
    }
}

/// All that the rules and the roster can ask for.
fn known(ledger: &EmbeddedLedger) -> (Vec<History>, Standing) {
    let histories = (0..CALLEES).map(|callee| history(ledger, key(callee))).collect();
    (histories, ledger.standing())
}

/// What a start makes of the hot segments alone.
fn rebuilt(path: &Path, now: DateTime<Utc>) -> (Vec<History>, Standing) {
    let copied = tempfile::tempdir().unwrap();
    copy(path, copied.path());
    fs::remove_dir_all(copied.path().join("ledger")).unwrap();
    let cold = folder_of(copied.path()).join("cold");
    if cold.exists() {
        fs::remove_dir_all(cold).unwrap();
    }
    let (ledger, opened) = EmbeddedLedger::open(small(copied.path())).unwrap();
    assert_eq!((opened.view, opened.unread), (ViewState::New, 0));
    // What is over by now may have been dropped in memory already.
    ledger.maintain(now);
    known(&ledger)
}

fn whole(path: &Path) -> journal::Report {
    let report = journal::verify(&folder_of(path)).unwrap();
    assert!(report.bad.is_none(), "{:?}", report.bad);
    report
}

/// Months of everything, old segments going cold on the way: hot segments alone always tell the same as memory.
fn months(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut chance = Chance(seed);
    let (ledger, _) = EmbeddedLedger::open(small(path)).unwrap();
    let (mut moved, mut carried) = (0, 0);
    for round in 0..16 {
        for step in 0..30 {
            let at = days(round * 5) + TimeDelta::minutes(step * 10);
            something(&ledger, &mut chance, at, u64::try_from(round * 100 + step + 1).unwrap());
        }
        let now = days(round * 5 + 1);
        ledger.maintain(now);
        ledger.checkpoint().unwrap();
        let aged = ledger.age(now).unwrap();
        moved += aged.moved;
        carried += aged.carried;
        ledger.checkpoint().unwrap();
        if round % 4 == 3 {
            let (rebuilt, known) = (rebuilt(path, now), known(&ledger));
            for (callee, (left, right)) in rebuilt.0.iter().zip(&known.0).enumerate() {
                assert_eq!(left, right, "seed {seed}, round {round}, callee {callee}");
            }
            assert_eq!(rebuilt.1, known.1, "seed {seed}, round {round}");
        }
    }
    assert!(moved > 3 && carried > 10, "{moved} moved, {carried} carried");
    let before = known(&ledger);
    close(ledger);
    let report = whole(path);
    assert_eq!((report.first, report.torn), (1, 0));
    assert!(report.segments > moved);
    let (ledger, opened) = EmbeddedLedger::open(small(path)).unwrap();
    assert_eq!((opened.view, opened.replayed), (ViewState::Used, 0));
    assert_eq!(known(&ledger), before);
}

#[test]
fn hot_segments_alone_rebuild_the_ledger() {
    for seed in 4..=6 {
        months(seed);
    }
}

/// A store with segments that are old enough, and a view that reflects them.
fn old(path: &Path) -> EmbeddedLedger {
    let (ledger, _) = EmbeddedLedger::open(small(path)).unwrap();
    for callee in 0..CALLEES {
        wait(ledger.record(vec![refusal(key(callee), hours(1))])).unwrap();
        for call in 0..4 {
            let at = hours(i64::try_from(call).unwrap() + 2);
            let Reserved::Granted(id) = wait(ledger.reserve(ReserveIf {
                refusal_known: Some(hours(1)),
                ..ask(key(callee), at, callee * 10 + call + 1)
            }))
            .unwrap() else {
                panic!("four calls go");
            };
            ledger.settle_over(key(callee), id, Outcome::Answered, at, "carrier-a");
        }
    }
    ledger.checkpoint().unwrap();
    ledger
}

#[test]
fn move_that_is_cut_off_anywhere_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = old(path);
    let before = known(&ledger);
    let now = days(10);
    let closed = journal::closed(&folder_of(path)).unwrap();
    assert!(closed.len() > 2, "{closed:?}");

    // Carried on, and stopped.
    ledger.core.carry(&closed[0], now).unwrap();
    assert_eq!(rebuilt(path, now), before);
    // Carried on, packed, and stopped before the original was removed.
    let hot = tempfile::tempdir().unwrap();
    copy(&folder_of(path), hot.path());
    ledger.core.journal.archive(&closed[0]).unwrap();
    assert_eq!(rebuilt(path, now), before);
    close(ledger);
    for name in [format!("{:020}.seg", 1), format!("{:020}.sig", 1)] {
        fs::copy(hot.path().join(&name), folder_of(path).join(&name)).unwrap();
    }
    // A copy that was still being written.
    fs::write(folder_of(path).join("cold/00000000000000000009.seg.new.tmp"), "x").unwrap();

    let (ledger, opened) = EmbeddedLedger::open(small(path)).unwrap();
    assert_eq!(opened.view, ViewState::Used);
    assert_eq!(known(&ledger), before);
    assert!(!folder_of(path).join("cold/00000000000000000009.seg.new.tmp").exists());
    let hot_again = |closed: &[journal::Closed]| closed[0].first == 1 && !closed[0].cold;
    assert!(hot_again(&journal::closed(&folder_of(path)).unwrap()));
    assert!(ledger.age(now).unwrap().moved > 1);
    assert_eq!(rebuilt(path, now), before);
    close(ledger);
    // Stopped between removing the original and its checkpoints.
    let first = format!("{:020}.sig", 1);
    fs::copy(folder_of(path).join("cold").join(&first), folder_of(path).join(&first)).unwrap();
    close(open(path));
    assert!(!folder_of(path).join(first).exists());
    whole(path);
}

#[test]
fn flipped_bit_in_a_cold_segment_is_named_by_segment_and_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = old(path);
    ledger.age(days(10)).unwrap();
    close(ledger);
    let cold = folder_of(path).join("cold").join(format!("{:020}.seg.zst", 1));
    let bytes = fs::read(&cold).unwrap();
    let plain = zstd::decode_all(&bytes[..]).unwrap();
    let mut found = BTreeSet::new();
    for at in (0..bytes.len()).step_by(61) {
        let mut bad = bytes.clone();
        bad[at] ^= 4;
        fs::write(&cold, &bad).unwrap();
        match journal::verify(&folder_of(path)).unwrap().bad {
            Some(journal::JournalError::Damaged { segment, sequence, .. }) => {
                assert!(segment.starts_with("00000000000000000001.seg"), "{segment}");
                found.insert(sequence);
            }
            // A few bits of a compressed frame mean nothing: what it holds is whole then.
            None => assert_eq!(zstd::decode_all(&bad[..]).unwrap(), plain, "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    assert!(found.len() > 3, "{found:?}");
    // A start needs none of it.
    assert_eq!(EmbeddedLedger::open(small(path)).unwrap().1.view, ViewState::Used);
}

#[test]
fn forgotten_number_leaves_the_cold_segments_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = old(path);
    ledger.age(days(10)).unwrap();
    assert!(holds(path, number(3)) > 8);
    let forgotten = wait(ledger.forget(number(3), days(11))).unwrap();
    // A refusal, four calls and what became of them, and the row that was carried on.
    assert!(forgotten.erased >= 10, "{forgotten:?}");
    assert_eq!(holds(path, number(3)), 0);
    assert!(holds(path, number(4)) > 8);
    // Its refusal still binds and its calls still count, after a start from the hot segments alone too.
    let known = history(&ledger, key(3));
    assert_eq!((known.attempts.len(), known.refused_at), (4, Some(hours(1))));
    assert_eq!(rebuilt(path, days(11)).0[3], known);
    close(ledger);
    whole(path);
}

/// Records of all segments that name a number.
fn holds(path: &Path, number: E164) -> usize {
    let needle = number.get().to_be_bytes();
    let records = journal::read(&folder_of(path), 0).unwrap();
    records
        .filter(|stored| {
            let body = stored.as_ref().unwrap().body.as_deref().unwrap_or_default();
            body.windows(8).any(|window| window == needle)
        })
        .count()
}

#[test]
fn records_end_with_their_time_by_kind_and_the_chain_stays_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    drop(old(path));
    let (ledger, _) = EmbeddedLedger::open(Options {
        retention: Retention {
            attempts: 100,
            ..Retention::default()
        },
        ..small(path)
    })
    .unwrap();
    let count = |kind: Kind| {
        let records = journal::read(&folder_of(path), 0).unwrap().map(Result::unwrap);
        records
            .filter(|stored| stored.kind == kind && stored.body.is_some())
            .count()
    };
    ledger.checkpoint().unwrap();
    let moved = ledger.age(days(10)).unwrap();
    assert_eq!((moved.erased, moved.deleted), (0, 0));
    let (calls, refusals) = (count(Kind::Reservation), count(Kind::Refusal));
    assert!(calls > 20 && refusals == 12);
    let over = ledger.age(days(101)).unwrap();
    assert!(over.erased > 20 && over.deleted == 0, "{over:?}");
    assert!(count(Kind::Reservation) < calls / 2);
    assert_eq!(count(Kind::Refusal), refusals);
    assert_eq!(ledger.age(days(102)).unwrap().erased, 0);

    // Refusals bind beyond the time that their records are kept.
    let after = ledger.age(days(1200)).unwrap();
    assert!(after.deleted > 0);
    close(ledger);
    assert!(whole(path).first > 1);
    let (ledger, _) = EmbeddedLedger::open(small(path)).unwrap();
    for callee in 0..CALLEES {
        assert_eq!(history(&ledger, key(callee)).refused_at, Some(hours(1)));
        assert_eq!(
            rebuilt(path, days(1200)).0[usize::try_from(callee).unwrap()].refused_at,
            Some(hours(1))
        );
    }
}
