//! The format itself: round trips, hostile bytes, and the worked example of `docs/journal-format.md`.

use proptest::prelude::*;

use super::super::checkpoint::{Interval, Signatory, line};
use super::super::frame::{self, Frame, Head, Personal, Place};
use super::super::hash::{self, hex};
use super::super::segment::{Header, Segment};
use super::*;

fn any_draft() -> impl Strategy<Value = Draft> {
    (
        0..16_usize,
        -1_000_000_000_000_i64..4_000_000_000_000_000,
        any::<u32>(),
        proptest::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(kind, at, siren, body)| Draft {
            kind: Kind::ALL[kind],
            at: DateTime::from_timestamp_micros(at).unwrap(),
            siren,
            body,
        })
}

proptest! {
    #[test]
    fn batch_reads_back_as_it_was_written(
        drafts in proptest::collection::vec(any_draft(), 1..20),
        first in 1..u64::MAX / 2,
        salt in any::<[u8; 16]>(),
    ) {
        let (id, previous) = ([3; 16], [4; 32]);
        let place = Place { id: &id, first, synced: first - 1, previous: &previous };
        let mut bytes = Vec::new();
        let link = frame::encode(&mut bytes, place, drafts.iter(), || salt);
        let head = Head::parse(&bytes, &id).unwrap();
        let frame = Frame::parse(head, &bytes).unwrap();
        prop_assert_eq!((head.first, head.last()), (first, first + drafts.len() as u64 - 1));
        prop_assert_eq!((frame.link(), frame.computed_link(&previous)), (link, link));
        let bodies = drafts.iter().map(|draft| draft.body.len()).sum();
        prop_assert_eq!(bytes.len(), frame::length(drafts.len(), bodies));
        for (record, draft) in frame.records().zip(&drafts) {
            prop_assert_eq!(record.state(), Personal::Present);
            prop_assert!(record.opens());
            prop_assert_eq!(record.body(), &draft.body);
            prop_assert_eq!(record.salt(), &salt);
            prop_assert_eq!(record.at(), draft.at.timestamp_micros());
            prop_assert_eq!((record.kind(), record.siren()), (draft.kind as u8, draft.siren));
        }
    }

    #[test]
    fn arbitrary_bytes_after_a_header_are_read_without_panic(tail in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let header = Header { id: [1; 16], first: 1, previous: hash::genesis(&[1; 16]) };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&tail);
        let (_above, folder) = folder_with(&bytes);
        prop_assert!(read(&folder, 0).unwrap().all(|record| record.is_err()));
        prop_assert_eq!(verify(&folder).unwrap().records, 0);
    }

    #[test]
    fn arbitrary_files_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (_above, folder) = folder_with(&bytes);
        let _ = read(&folder, 0).unwrap().count();
        prop_assert_eq!(verify(&folder).unwrap().records, 0);
        let _ = Journal::open(&folder, options()).map(|_| ());
    }
}

const EXAMPLE: &str = include_str!("../../../docs/journal-format.md");

/// The worked example: identity 00…0f, seed 07…07, salts of one repeated byte.
#[test]
fn worked_example_of_the_format_page_is_what_the_code_writes() {
    let id: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let draft = |kind, seconds, body: &str| Draft {
        kind,
        at: DateTime::from_timestamp(seconds, 0).unwrap(),
        siren: 552_100_554,
        body: body.into(),
    };
    let genesis = hash::genesis(&id);
    let mut file = Header {
        id,
        first: 1,
        previous: genesis,
    }
    .encode()
    .to_vec();
    let mut salts = (1_u8..).map(|byte| [byte; 16]);
    let mut interval = Interval::new(1, genesis);
    let batches = [
        vec![
            draft(Kind::Reservation, 1_772_452_800, "hello"),
            draft(Kind::Refusal, 1_772_452_801, ""),
        ],
        vec![draft(Kind::Settlement, 1_772_452_860, "bye")],
    ];
    let (mut chain, mut next) = (genesis, 1);
    let mut expected = vec![hex::encode(&genesis)];
    for drafts in &batches {
        let place = Place {
            id: &id,
            first: next,
            synced: next - 1,
            previous: &chain,
        };
        let mut bytes = Vec::new();
        chain = frame::encode(&mut bytes, place, drafts.iter(), || salts.next().unwrap());
        let frame = Frame::parse(Head::parse(&bytes, &id).unwrap(), &bytes).unwrap();
        for record in frame.records() {
            expected.push(hex::encode(&record.commitment()));
            expected.push(hex::encode(&record.leaf()));
        }
        next += drafts.len() as u64;
        expected.push(hex::encode(&chain));
        interval.add(next - 1, drafts.last().unwrap().at.timestamp_micros(), chain);
        file.extend_from_slice(&bytes);
    }
    expected.extend(file.chunks(32).map(hex::encode));
    let signed = Signatory::from_seed([7; 32]).sign(id, &interval);
    expected.push(String::from_utf8(line(&signed).unwrap()).unwrap().trim_end().to_owned());
    for (index, text) in expected.iter().enumerate() {
        assert!(EXAMPLE.contains(text.as_str()), "value {index} of {expected:#?}");
    }
    // What the page shows is a journal, too.
    let (_above, folder) = folder_with(&file);
    std::fs::write(
        Segment::new(&folder, 1).path.with_extension("sig"),
        line(&signed).unwrap(),
    )
    .unwrap();
    let report = verify(&folder).unwrap();
    assert!(report.bad.is_none());
    assert_eq!((report.records, report.signed, report.head), (3, 3, chain));
}
