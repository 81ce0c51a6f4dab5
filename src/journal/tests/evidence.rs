//! What the journal proves: erasure leaves the chain valid, checkpoints show what was removed or rewritten, proofs hold and forged
//! ones do not.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::checkpoint::{Lines, public_keys};
use super::super::frame::{self, Place};
use super::super::segment::Segment;
use super::*;

/// A closed journal of 24 records in batches of one to three, over several segments.
fn closed() -> (TempDir, PathBuf) {
    let (above, folder) = folder();
    let small = Options {
        segment_bytes: 1500,
        ..options()
    };
    let (journal, _) = Journal::open(&folder, small).unwrap();
    let mut next = 1;
    for size in (1..=3).cycle().take(12) {
        wait(
            journal
                .append(Class::Binding, (next..next + size).map(draft).collect())
                .unwrap(),
        )
        .unwrap();
        next += size;
    }
    journal.close().unwrap();
    (above, folder)
}

fn bad(folder: &Path) -> Option<(String, u64)> {
    damaged(verify(folder).unwrap().bad.map_or(Ok(()), Err))
}

fn keys(above: &TempDir) -> Vec<PublicKey> {
    public_keys(above.path()).unwrap().unwrap()
}

#[test]
fn whole_journal_verifies_and_is_signed_to_its_end() {
    let (above, folder) = closed();
    let report = verify(&folder).unwrap();
    assert!(report.bad.is_none(), "{:?}", report.bad);
    assert_eq!(
        (report.first, report.last, report.records, report.batches),
        (1, 24, 24, 12)
    );
    assert_eq!((report.signed, report.erased, report.torn), (24, 0, 0));
    assert_eq!(report.segments, Segment::list(&folder).unwrap().len() as u64);
    assert!(report.segments > 2 && report.checkpoints >= report.segments - 1);
    assert_eq!(report.keys, keys(&above));
}

#[test]
fn secret_key_and_records_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (above, folder) = closed();
    for path in [above.path().join("signing.key"), first_segment(&folder)] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
fn erased_records_are_gone_from_the_files_and_the_chain_stays_valid() {
    let (above, folder) = closed();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    append(&journal, 25..=26);
    assert_eq!(journal.erase(&[2, 11, 26, 26, 99, 0]).unwrap(), 3);
    assert_eq!(journal.erase(&[2, 11, 26, 3]).unwrap(), 1);
    append(&journal, 27..=27);
    let erased = [2, 3, 11, 26];
    for record in all(&folder, 0) {
        let mut expected = stored(record.sequence);
        if erased.contains(&record.sequence) {
            expected.body = None;
        }
        assert_eq!(record, expected);
    }
    for segment in Segment::list(&folder).unwrap() {
        let bytes = std::fs::read(&segment.path).unwrap();
        for number in erased {
            assert!(memchr::memmem::find(&bytes, &draft(number).body).is_none() || number < 3);
        }
    }
    journal.close().unwrap();
    let report = verify(&folder).unwrap();
    assert!(report.bad.is_none(), "{:?}", report.bad);
    assert_eq!((report.last, report.erased, report.unfinished), (27, 4, 0));
    let proofs = prove(&folder, &[11, 12]).unwrap();
    assert_eq!(proofs[0].opening, None);
    for proof in proofs {
        proof.verify(&keys(&above)).unwrap();
    }
    assert_eq!(
        Journal::open(&folder, options()).unwrap().1,
        Opened { last: 27, torn: 0 }
    );
}

#[test]
fn erasing_waits_for_records_that_are_still_queued() {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    for number in 1..=40 {
        let pending = journal.append(Class::Binding, vec![draft(number)]).unwrap();
        assert_eq!(journal.erase(&[pending.first]).unwrap(), 1);
        wait(pending).unwrap();
    }
    assert!(all(&folder, 0).iter().all(|record| record.body.is_none()));
}

#[test]
fn erasing_races_appending_and_reading_safely() {
    let (_above, folder) = folder();
    let small = Options {
        segment_bytes: 4000,
        ..options()
    };
    let (journal, _) = Journal::open(&folder, small).unwrap();
    append(&journal, 1..=1);
    let erased = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| append(&journal, 2..=150));
        scope.spawn(|| {
            for number in (1..=150).step_by(2) {
                erased.fetch_add(journal.erase(&[number]).unwrap(), Ordering::SeqCst);
            }
        });
        scope.spawn(|| {
            for _ in 0..30 {
                for record in read(&folder, 0).unwrap() {
                    record.unwrap();
                }
            }
        });
    });
    let odd: Vec<u64> = (1..=150).step_by(2).collect();
    let rest = journal.erase(&odd).unwrap();
    assert_eq!(erased.into_inner() + rest, 75);
    journal.close().unwrap();
    let report = verify(&folder).unwrap();
    assert!(report.bad.is_none());
    assert_eq!((report.records, report.erased), (150, 75));
}

#[test]
fn interrupted_erasure_reads_as_erased_and_is_finished_by_erasing_again() {
    let (bytes, starts) = unsigned_segment(2);
    let mut marked = bytes.clone();
    // The seal of the only record of the second batch: after header and table.
    let seal = starts[1] + 72 + 52;
    marked[seal..seal + 4].fill(0);
    let (_above, folder) = folder_with(&marked);
    assert_eq!(verify(&folder).unwrap().unfinished, 1);
    assert_eq!(all(&folder, 1)[0].body, None);
    let (journal, opened) = Journal::open(&folder, options()).unwrap();
    assert_eq!(opened.last, 2);
    assert_eq!(journal.erase(&[2]).unwrap(), 0);
    let report = verify(&folder).unwrap();
    assert_eq!((report.erased, report.unfinished), (1, 0));
    assert!(report.bad.is_none());
}

#[test]
fn body_exchanged_under_a_fitting_seal_is_named() {
    let (mut bytes, starts) = unsigned_segment(3);
    let seal = starts[1] + 72 + 52;
    let body = seal + 4 + 16;
    bytes[body] = b'T';
    let length = draft(2).body.len();
    let sum = crc32fast::hash(&bytes[seal + 4..body + length]).to_le_bytes();
    bytes[seal..seal + 4].copy_from_slice(&sum);
    let (_above, folder) = folder_with(&bytes);
    assert_eq!(bad(&folder), Some(("00000000000000000001.seg".into(), 2)));
}

#[test]
fn journal_rewritten_without_the_key_disagrees_with_its_checkpoints() {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    append(&journal, 1..=3);
    journal.close().unwrap();
    let path = first_segment(&folder);
    let original = std::fs::read(&path).unwrap();
    // A forger who knows the format writes a whole chain anew, with another second record.
    let mut forged = original[..128].to_vec();
    let (id, mut chain) = (
        original[16..32].try_into().unwrap(),
        original[40..72].try_into().unwrap(),
    );
    for number in 1..=3 {
        let mut batch = Vec::new();
        let place = Place {
            id: &id,
            first: number,
            synced: number - 1,
            previous: &chain,
        };
        let changed = Draft {
            siren: 1,
            ..draft(number)
        };
        let record = if number == 2 { changed } else { draft(number) };
        chain = frame::encode(&mut batch, place, [record].iter(), || [9; 16]);
        forged.extend_from_slice(&batch);
    }
    std::fs::write(&path, &forged).unwrap();
    assert_eq!(all(&folder, 0).len(), 3);
    assert_eq!(bad(&folder), Some(("00000000000000000001.seg".into(), 3)));
}

#[test]
fn removed_or_foreign_checkpoints_show() {
    let (above, folder) = closed();
    let second = Segment::list(&folder).unwrap()[1].clone();
    let third = Segment::list(&folder).unwrap()[2].first;
    let path = second.path.with_extension("sig");
    let lines = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(bad(&folder), Some((second.name.clone(), third - 1)));

    let mut flipped = lines.clone();
    let digit = memchr::memmem::find(&lines, b"\"head\":\"").unwrap() + 8;
    flipped[digit] = if flipped[digit] == b'0' { b'1' } else { b'0' };
    std::fs::write(&path, flipped).unwrap();
    assert_eq!(bad(&folder), Some((second.name.clone(), second.first)));

    std::fs::write(&path, lines).unwrap();
    assert_eq!(bad(&folder), None);
    std::fs::write(above.path().join("signing.pub"), format!("{:064}\n", 0)).unwrap();
    assert_eq!(bad(&folder), Some(("00000000000000000001.seg".into(), 1)));
}

#[test]
fn damaged_checkpoints_and_keys_never_stop_the_start() {
    let (above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    append(&journal, 1..=2);
    journal.close().unwrap();
    let path = first_segment(&folder).with_extension("sig");
    let mut lines = std::fs::read(&path).unwrap();
    lines[40] ^= 1;
    lines.extend_from_slice(b"{\"journal\":\"00");
    std::fs::write(&path, &lines).unwrap();
    std::fs::write(above.path().join("signing.key"), "no key").unwrap();
    let (journal, opened) = Journal::open(&folder, options()).unwrap();
    assert_eq!(opened.last, 2);
    append(&journal, 3..=3);
    journal.close().unwrap();
    let segment = Segment::new(&folder, 1);
    let checkpoints: Vec<_> = Lines::read(&segment).unwrap().checkpoints().collect();
    assert_eq!(checkpoints.len(), 2, "the half line was cut");
    let last = checkpoints[1].as_ref().unwrap();
    assert_eq!((last.first, last.last), (1, 3), "it covers what the damaged one did");
    assert_eq!(keys(&above).len(), 2, "the old key stays listed");
    assert!(above.path().join("signing.unreadable").exists());
}

#[test]
fn checkpoint_is_signed_while_records_keep_coming() {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(
        &folder,
        Options {
            queue: 10_000,
            ..options()
        },
    )
    .unwrap();
    for _ in 0..3 {
        wait(journal.append(Class::Binding, (0..3000).map(draft).collect()).unwrap()).unwrap();
    }
    // The next batch is written after the checkpoint that the second one made due.
    wait(journal.append(Class::Binding, vec![draft(0)]).unwrap()).unwrap();
    assert_eq!(
        Lines::read(&Segment::new(&folder, 1)).unwrap().last().unwrap().last,
        6000
    );
}

#[test]
fn every_record_is_proved_without_showing_another() {
    let (above, folder) = closed();
    let sequences: Vec<u64> = (1..=30).collect();
    let proofs = prove(&folder, &sequences).unwrap();
    assert_eq!(proofs.len(), 24);
    for (proof, number) in proofs.iter().zip(1..) {
        assert_eq!(proof.sequence, number);
        assert_eq!(proof.opening.as_ref().unwrap().body, draft(number).body);
        proof.verify(&keys(&above)).unwrap();
        let text = serde_json::to_string(proof).unwrap();
        let back: Proof = serde_json::from_str(&text).unwrap();
        assert_eq!(back, *proof);
        assert_eq!(prove(&folder, &[number]).unwrap(), std::slice::from_ref(proof));
    }
}

#[test]
fn forged_proofs_do_not_hold() {
    let (above, folder) = closed();
    let keys = keys(&above);
    let good = prove(&folder, &[6]).unwrap().remove(0);
    let forge = |change: &dyn Fn(&mut Proof)| {
        let mut proof = good.clone();
        change(&mut proof);
        assert_ne!(proof, good);
        proof.verify(&keys)
    };
    let place = Err(ProofError::Place);
    assert_eq!(forge(&|proof| proof.siren += 1), place);
    assert_eq!(forge(&|proof| proof.at += 1), place);
    assert_eq!(forge(&|proof| proof.kind += 1), place);
    assert_eq!(forge(&|proof| proof.sequence -= 1), place);
    assert_eq!(forge(&|proof| proof.batch_first -= 1), place);
    assert_eq!(forge(&|proof| proof.batch_count += 1), place);
    assert_eq!(forge(&|proof| proof.batch_index += 1), place);
    assert_eq!(forge(&|proof| proof.previous[0] ^= 1), place);
    assert_eq!(forge(&|proof| proof.record_path[0][0] ^= 1), place);
    assert_eq!(forge(&|proof| proof.record_path.push([0; 32])), place);
    assert_eq!(forge(&|proof| proof.batch_path.push([0; 32])), place);
    assert_eq!(forge(&|proof| proof.checkpoint.tree[0] ^= 1), place);
    assert_eq!(forge(&|proof| proof.checkpoint.at += 1), Err(ProofError::Signature));
    assert_eq!(
        forge(&|proof| proof.checkpoint.signature[0] ^= 1),
        Err(ProofError::Signature)
    );
    assert_eq!(forge(&|proof| proof.commitment[0] ^= 1), Err(ProofError::Body));
    assert_eq!(
        forge(&|proof| proof.opening.as_mut().unwrap().body[0] ^= 1),
        Err(ProofError::Body)
    );
    assert_eq!(good.verify(&[[0; 32]]), Err(ProofError::Key));
}

#[test]
fn checkpoint_on_request_covers_everything_taken_so_far() {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    append(&journal, 1..=3);
    assert!(prove(&folder, &[1, 2, 3]).unwrap().is_empty());
    let waiting = journal.append(Class::Binding, vec![draft(4)]).unwrap();
    wait(journal.checkpoint().unwrap()).unwrap();
    wait(waiting).unwrap();
    let sequences = |proofs: Vec<Proof>| proofs.iter().map(|proof| proof.sequence).collect::<Vec<_>>();
    assert_eq!(sequences(prove(&folder, &[1, 2, 3, 4]).unwrap()), [1, 2, 3, 4]);
    // Nothing new to sign is no error, and what follows is proved by the next.
    wait(journal.checkpoint().unwrap()).unwrap();
    append(&journal, 5..=5);
    wait(journal.checkpoint().unwrap()).unwrap();
    assert_eq!(sequences(prove(&folder, &[1, 5]).unwrap()), [1, 5]);
    journal.close().unwrap();
    assert_eq!(journal.checkpoint().map(|_| ()), Err(AppendError::Closed));
    assert!(bad(&folder).is_none());
}
