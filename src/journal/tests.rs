//! The journal as its callers see it.

mod damage;
mod evidence;
mod faults;
mod format;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tempfile::TempDir;

use super::*;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn options() -> Options {
    Options {
        strict: true,
        sync_every: Duration::from_millis(50),
        collect: Duration::from_millis(2),
        segment_bytes: 1 << 20,
        queue: 1024,
        metrics: None,
    }
}

/// A folder for a journal with a folder of its own above it.
fn folder() -> (TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("journal");
    (above, folder)
}

fn draft(number: u64) -> Draft {
    Draft {
        kind: Kind::ALL[usize::try_from(number % 16).unwrap()],
        at: DateTime::from_timestamp(1_700_000_000 + i64::try_from(number).unwrap(), 123_000).unwrap(),
        siren: u32::try_from(number % 3).unwrap(),
        body: format!("the body of {number}").into_bytes(),
    }
}

/// Appends records one batch each.
fn append(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let pending = journal.append(Class::Binding, vec![draft(number)]).unwrap();
        assert_eq!(pending.first, number);
        wait(pending).unwrap();
    }
}

fn all(folder: &Path, after: u64) -> Vec<Stored> {
    read(folder, after).unwrap().collect::<Result<_, _>>().unwrap()
}

fn stored(number: u64) -> Stored {
    let Draft { kind, at, siren, body } = draft(number);
    Stored {
        sequence: number,
        kind,
        at,
        siren,
        body: Some(body),
    }
}

/// Where a journal is said to be damaged.
fn damaged<T>(result: Result<T, JournalError>) -> Option<(String, u64)> {
    match result {
        Err(JournalError::Damaged { segment, sequence, .. }) => Some((segment, sequence)),
        _ => None,
    }
}

fn first_segment(folder: &Path) -> PathBuf {
    segment::Segment::new(folder, 1).path
}

/// Where each batch of the first segment starts, and where the last one ends.
fn batch_starts(folder: &Path) -> Vec<usize> {
    let segment = segment::Segment::new(folder, 1);
    let mut file = segment::Source::Hot(std::fs::File::open(&segment.path).unwrap());
    let segment::Start::Header(header) = segment::read_header(&segment, &mut file).unwrap() else {
        panic!("the header is torn");
    };
    let mut walker = segment::Walker::new(segment, file, header);
    let mut starts = vec![usize::try_from(walker.offset()).unwrap()];
    while walker.step().unwrap() == segment::Step::Batch {
        starts.push(usize::try_from(walker.offset()).unwrap());
    }
    starts
}

/// The bytes of a first segment of single-record batches as a stopped process leaves them: nothing signed.
fn unsigned_segment(count: u64) -> (Vec<u8>, Vec<usize>) {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    append(&journal, 1..=count);
    (std::fs::read(first_segment(&folder)).unwrap(), batch_starts(&folder))
}

/// A folder that holds this one segment.
fn folder_with(bytes: &[u8]) -> (TempDir, PathBuf) {
    let (above, folder) = folder();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(first_segment(&folder), bytes).unwrap();
    (above, folder)
}

#[test]
fn what_is_appended_is_read_back_in_order_after_any_sequence() {
    let (_above, folder) = folder();
    let (journal, opened) = Journal::open(&folder, options()).unwrap();
    assert_eq!(opened, Opened::default());
    append(&journal, 1..=5);
    let several = journal.append(Class::Binding, (6..=9).map(draft).collect()).unwrap();
    assert_eq!(several.first, 6);
    wait(several).unwrap();
    for after in 0..=10 {
        assert_eq!(all(&folder, after), (after + 1..=9).map(stored).collect::<Vec<_>>());
    }
    journal.close().unwrap();
    let (journal, opened) = Journal::open(&folder, options()).unwrap();
    assert_eq!(opened, Opened { last: 9, torn: 0 });
    append(&journal, 10..=11);
    assert_eq!(all(&folder, 0), (1..=11).map(stored).collect::<Vec<_>>());
}

#[test]
fn appends_after_closing_are_refused() {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    append(&journal, 1..=1);
    let other = journal.clone();
    journal.close().unwrap();
    assert_eq!(
        other.append(Class::Binding, vec![draft(2)]).map(|_| ()),
        Err(AppendError::Closed)
    );
}

#[test]
fn rotation_spreads_the_records_over_segments_that_read_as_one() {
    let (_above, folder) = folder();
    let options = Options {
        segment_bytes: 600,
        ..options()
    };
    let (journal, _) = Journal::open(&folder, options.clone()).unwrap();
    append(&journal, 1..=20);
    journal.close().unwrap();
    let segments = segment::Segment::list(&folder).unwrap();
    assert!(segments.len() > 4, "{}", segments.len());
    for after in 0..=20 {
        assert_eq!(all(&folder, after), (after + 1..=20).map(stored).collect::<Vec<_>>());
    }
    let (journal, opened) = Journal::open(&folder, options).unwrap();
    assert_eq!(opened.last, 20);
    append(&journal, 21..=25);
    assert_eq!(all(&folder, 0), (1..=25).map(stored).collect::<Vec<_>>());
}
