//! Torn tails are cut and said so; everything else is damage and named.

use super::super::frame::{self, Place};
use super::*;

#[test]
fn tail_torn_at_any_byte_is_cut_and_appending_goes_on() {
    let (bytes, starts) = unsigned_segment(3);
    let start = starts[2];
    for end in start + 1..bytes.len() {
        let (_above, folder) = folder_with(&bytes[..end]);
        assert_eq!(all(&folder, 0), [stored(1), stored(2)], "cut at {end}");
        let report = verify(&folder).unwrap();
        assert_eq!((report.last, report.torn), (2, (end - start) as u64));
        assert!(report.bad.is_none());
        let (journal, opened) = Journal::open(&folder, options()).unwrap();
        let torn = (end - start) as u64;
        assert_eq!(opened, Opened { last: 2, torn });
        append(&journal, 3..=3);
        assert_eq!(all(&folder, 0), [stored(1), stored(2), stored(3)]);
        journal.close().unwrap();
        assert_eq!(verify(&folder).unwrap().signed, 3);
    }
}

#[test]
fn flipped_bit_anywhere_is_named_by_segment_and_sequence() {
    let (bytes, starts) = unsigned_segment(3);
    let name = "00000000000000000001.seg".to_owned();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let (_above, folder) = folder_with(&flipped);
        let batch = starts.iter().filter(|start| **start <= at).count().max(1) as u64;
        let expected = Some((name.clone(), batch));
        assert_eq!(damaged(Journal::open(&folder, options())), expected, "open, byte {at}");
        let outcome = read(&folder, 0).unwrap().collect::<Result<Vec<_>, _>>();
        assert_eq!(damaged(outcome), expected, "read, byte {at}");
        let report = verify(&folder).unwrap();
        assert_eq!(damaged(report.bad.map_or(Ok(()), Err)), expected, "verify, byte {at}");
        assert_eq!(report.last, batch - 1);
    }
}

/// A first segment of three batches whose second is longer than two sectors.
fn with_long_middle(options: Options) -> (Vec<u8>, Vec<usize>) {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options).unwrap();
    append(&journal, 1..=1);
    let long = Draft {
        body: vec![b'x'; 2000],
        ..draft(2)
    };
    wait(journal.append(Class::Binding, vec![long]).unwrap()).unwrap();
    append(&journal, 3..=3);
    (std::fs::read(first_segment(&folder)).unwrap(), batch_starts(&folder))
}

/// Zeros the first whole sector in the second batch.
fn punch(bytes: &mut [u8], starts: &[usize]) {
    let sector = starts[1].next_multiple_of(512);
    assert!(sector + 512 < starts[2]);
    bytes[sector..sector + 512].fill(0);
}

#[test]
fn sector_never_written_at_the_end_is_a_torn_tail() {
    let (mut bytes, starts) = with_long_middle(options());
    bytes.truncate(starts[2]);
    punch(&mut bytes, &starts);
    let (_above, folder) = folder_with(&bytes);
    let (_journal, opened) = Journal::open(&folder, options()).unwrap();
    assert_eq!(opened.last, 1);
    assert_eq!(opened.torn, (starts[2] - starts[1]) as u64);
}

#[test]
fn sector_missing_before_a_batch_that_was_written_after_a_sync_is_damage() {
    let (mut bytes, starts) = with_long_middle(options());
    punch(&mut bytes, &starts);
    let (_above, folder) = folder_with(&bytes);
    let (segment, sequence) = damaged(Journal::open(&folder, options())).unwrap();
    assert_eq!((segment.as_str(), sequence), ("00000000000000000001.seg", 2));
    let kept = std::fs::read(first_segment(&folder)).unwrap();
    assert_eq!(kept, bytes, "nothing was cut");
}

#[test]
fn sector_missing_among_batches_of_which_none_was_synced_is_a_torn_tail() {
    let lazy = Options {
        strict: false,
        sync_every: Duration::from_secs(3600),
        ..options()
    };
    let (mut bytes, starts) = with_long_middle(lazy);
    punch(&mut bytes, &starts);
    let (_above, folder) = folder_with(&bytes);
    let (_journal, opened) = Journal::open(&folder, options()).unwrap();
    assert_eq!(opened.last, 1);
    assert_eq!(opened.torn, (starts[3] - starts[1]) as u64);
}

#[test]
fn torn_tail_below_a_signed_checkpoint_is_damage() {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    append(&journal, 1..=3);
    journal.close().unwrap();
    let path = first_segment(&folder);
    let bytes = std::fs::read(&path).unwrap();
    // In the middle of the last batch, and at its start, where nothing looks torn.
    for end in [bytes.len() - 20, batch_starts(&folder)[2]] {
        std::fs::write(&path, &bytes[..end]).unwrap();
        let expected = Some(("00000000000000000001.seg".to_owned(), 3));
        assert_eq!(damaged(Journal::open(&folder, options())), expected);
        assert_eq!(damaged(verify(&folder).unwrap().bad.map_or(Ok(()), Err)), expected);
    }
}

#[test]
fn batch_smuggled_into_a_body_does_not_turn_a_torn_tail_into_damage() {
    let mut smuggled = Vec::new();
    let place = Place {
        id: &[7; 16],
        first: 9,
        synced: 8,
        previous: &[0; 32],
    };
    frame::encode(&mut smuggled, place, [draft(1)].iter(), || [1; 16]);
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    append(&journal, 1..=1);
    for shift in 0..8 {
        let mut body = vec![b' '; shift];
        body.extend_from_slice(&smuggled);
        body.extend_from_slice(&[b' '; 200]);
        wait(
            journal
                .append(Class::Binding, vec![Draft { body, ..draft(2) }])
                .unwrap(),
        )
        .unwrap();
    }
    let bytes = std::fs::read(first_segment(&folder)).unwrap();
    let starts = batch_starts(&folder);
    for batch in 1..=8 {
        let (_above, folder) = folder_with(&bytes[..starts[batch + 1] - 100]);
        assert_eq!(Journal::open(&folder, options()).unwrap().1.last, batch as u64);
    }
}

#[test]
fn segment_whose_creation_was_interrupted_is_removed() {
    for length in [0, 1, 127, 128] {
        let (_above, folder) = folder();
        let (journal, _) = Journal::open(&folder, options()).unwrap();
        append(&journal, 1..=2);
        journal.close().unwrap();
        let next = segment::Segment::new(&folder, 3);
        std::fs::write(&next.path, vec![0; length]).unwrap();
        assert_eq!(all(&folder, 0).len(), 2);
        assert!(verify(&folder).unwrap().bad.is_none());
        let (journal, opened) = Journal::open(&folder, options()).unwrap();
        assert_eq!(
            opened,
            Opened {
                last: 2,
                torn: length as u64
            }
        );
        append(&journal, 3..=3);
        assert!(!next.path.exists());
    }
}

#[test]
fn missing_exchanged_and_foreign_segments_are_named() {
    let (_above, folder) = folder();
    let small = Options {
        segment_bytes: 300,
        ..options()
    };
    let (journal, _) = Journal::open(&folder, small.clone()).unwrap();
    append(&journal, 1..=8);
    journal.close().unwrap();
    let segments = segment::Segment::list(&folder).unwrap();
    assert!(segments.len() >= 4);
    let (second, third) = (&segments[1], &segments[2]);
    let outcome = || damaged(verify(&folder).unwrap().bad.map_or(Ok(()), Err));
    assert_eq!(outcome(), None);

    let bytes = std::fs::read(&second.path).unwrap();
    std::fs::remove_file(&second.path).unwrap();
    assert_eq!(outcome(), Some((third.name.clone(), second.first)));
    std::fs::write(&second.path, &bytes[..128]).unwrap();
    assert_eq!(outcome(), Some((third.name.clone(), second.first)));
    std::fs::write(&second.path, std::fs::read(&third.path).unwrap()).unwrap();
    assert_eq!(outcome(), Some((second.name.clone(), second.first)));

    let (_other_above, other) = super::folder();
    let (journal, _) = Journal::open(&other, small).unwrap();
    append(&journal, 1..=8);
    journal.close().unwrap();
    std::fs::copy(other.join(&second.name), &second.path).unwrap();
    assert_eq!(outcome(), Some((second.name.clone(), second.first)));
}
