//! A disk that fails, fills up or stalls; many who append at once.

use std::io;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::storage::Medium;
use super::*;

/// What the disk does, told from outside while the journal runs.
#[derive(Default)]
struct Plan {
    /// Bytes that still fit, where that is bounded.
    room: Mutex<Option<usize>>,
    syncs_fail: AtomicBool,
    syncs_panic: AtomicBool,
    /// Syncs stall while this is set.
    stalled: Mutex<bool>,
    /// Syncs that have begun.
    begun: AtomicUsize,
    changed: Condvar,
}

impl Plan {
    fn stall(&self, stalled: bool) {
        *self.stalled.lock().unwrap() = stalled;
        self.changed.notify_all();
    }

    /// Waits until so many syncs have begun.
    fn wait_for_sync(&self, count: usize) {
        let mut guard = self.stalled.lock().unwrap();
        while self.begun.load(Ordering::SeqCst) < count {
            guard = self.changed.wait(guard).unwrap();
        }
    }

    fn syncs(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

struct Faulty(Arc<Plan>);

struct FaultyFile {
    plan: Arc<Plan>,
    file: Box<dyn Medium>,
}

impl Storage for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(FaultyFile {
            plan: self.0.clone(),
            file: Disk.create(path)?,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(FaultyFile {
            plan: self.0.clone(),
            file: Disk.open(path)?,
        }))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.sync_folder(folder)
    }
}

impl Medium for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut room = self.plan.room.lock().unwrap();
        match room.as_mut() {
            Some(left) if *left < bytes.len() => {
                self.file.append(&bytes[..*left])?;
                *left = 0;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            Some(left) => {
                *left -= bytes.len();
                self.file.append(bytes)
            }
            None => self.file.append(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut stalled = self.plan.stalled.lock().unwrap();
        self.plan.begun.fetch_add(1, Ordering::SeqCst);
        self.plan.changed.notify_all();
        while *stalled {
            stalled = self.plan.changed.wait(stalled).unwrap();
        }
        drop(stalled);
        assert!(!self.plan.syncs_panic.load(Ordering::SeqCst), "a sync that panics");
        if self.plan.syncs_fail.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.sync()
    }
}

fn open_faulty(folder: &Path, options: Options) -> (Journal, Arc<Plan>) {
    let plan = Arc::<Plan>::default();
    let (journal, _) = Journal::open_on(folder, options, Box::new(Faulty(plan.clone()))).unwrap();
    (journal, plan)
}

fn is_ready(pending: &mut Pending) -> bool {
    std::pin::Pin::new(pending)
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

#[test]
fn strict_append_is_acknowledged_only_after_its_sync() {
    let (_above, folder) = folder();
    let (journal, plan) = open_faulty(&folder, options());
    append(&journal, 1..=1);
    plan.stall(true);
    let before = plan.syncs();
    let mut pending = journal.append(Class::Binding, vec![draft(2)]).unwrap();
    plan.wait_for_sync(before + 1);
    assert!(!is_ready(&mut pending), "written, but its sync is under way");
    assert_eq!(journal.lag(), 1);
    plan.stall(false);
    wait(pending).unwrap();
    assert_eq!(journal.lag(), 0);
}

#[test]
fn interval_append_is_acknowledged_before_its_sync_and_stopped_when_the_sync_fails() {
    let (_above, folder) = folder();
    let interval = Options {
        strict: false,
        sync_every: Duration::from_millis(1),
        ..options()
    };
    let (journal, plan) = open_faulty(&folder, interval);
    plan.stall(true);
    append(&journal, 1..=1);
    plan.syncs_fail.store(true, Ordering::SeqCst);
    plan.stall(false);
    assert!(matches!(journal.close(), Err(AppendError::Write(_))));
    assert_eq!(all(&folder, 0), [stored(1)]);
}

#[test]
fn interval_append_is_synced_though_nothing_follows() {
    let (_above, folder) = folder();
    let interval = Options {
        strict: false,
        sync_every: Duration::from_millis(1),
        ..options()
    };
    let (journal, plan) = open_faulty(&folder, interval);
    let before = plan.syncs();
    append(&journal, 1..=1);
    plan.wait_for_sync(before + 1);
}

#[test]
fn committer_that_panics_leaves_nobody_waiting() {
    let (_above, folder) = folder();
    let (journal, plan) = open_faulty(&folder, options());
    plan.stall(true);
    let before = plan.syncs();
    let pending = journal.append(Class::Binding, vec![draft(1)]).unwrap();
    plan.wait_for_sync(before + 1);
    let waiting = journal.append(Class::Binding, vec![draft(2)]).unwrap();
    plan.syncs_panic.store(true, Ordering::SeqCst);
    plan.stall(false);
    assert!(matches!(wait(waiting), Err(AppendError::Write(_))));
    assert!(matches!(wait(pending), Err(AppendError::Write(_))));
    assert!(matches!(journal.close(), Err(AppendError::Write(_))));
}

#[test]
fn failed_sync_stops_all_acknowledgements_for_good() {
    let (_above, folder) = folder();
    let (journal, plan) = open_faulty(&folder, options());
    append(&journal, 1..=3);
    plan.stall(true);
    let before = plan.syncs();
    let failing = journal.append(Class::Binding, vec![draft(4)]).unwrap();
    plan.wait_for_sync(before + 1);
    let waiting = journal.append(Class::Binding, vec![draft(5)]).unwrap();
    plan.syncs_fail.store(true, Ordering::SeqCst);
    plan.stall(false);
    let failure = wait(failing).unwrap_err();
    assert!(matches!(failure, AppendError::Write(_)));
    assert_eq!(wait(waiting), Err(failure.clone()));
    // The disk is well again; the journal does not pretend that nothing happened.
    plan.syncs_fail.store(false, Ordering::SeqCst);
    assert_eq!(
        journal.append(Class::Binding, vec![draft(6)]).map(|_| ()),
        Err(failure.clone())
    );
    assert_eq!(journal.failure(), Some(failure.clone()));
    assert_eq!(journal.close(), Err(failure));
    // Opened anew, it goes on after what reached the disk.
    let (_journal, opened) = Journal::open(&folder, options()).unwrap();
    assert_eq!(opened, Opened { last: 4, torn: 0 });
}

#[test]
fn disk_full_in_the_middle_of_a_batch_loses_nothing_acknowledged() {
    let (_above, folder) = folder();
    let (journal, plan) = open_faulty(&folder, options());
    append(&journal, 1..=3);
    *plan.room.lock().unwrap() = Some(50);
    let failed = wait(journal.append(Class::Binding, vec![draft(4)]).unwrap());
    assert!(matches!(failed, Err(AppendError::Write(_))));
    drop(journal);
    assert_eq!(all(&folder, 0).len(), 3);
    let (journal, opened) = Journal::open(&folder, options()).unwrap();
    assert_eq!(opened, Opened { last: 3, torn: 50 });
    append(&journal, 4..=4);
}

#[test]
fn disk_full_while_a_segment_is_created_loses_nothing_acknowledged() {
    let (_above, folder) = folder();
    let small = Options {
        segment_bytes: 1,
        ..options()
    };
    let (journal, plan) = open_faulty(&folder, small.clone());
    // Room for the first batch and its checkpoint, and for half of the next segment's header.
    let (_other_above, other) = super::folder();
    let (model, _) = Journal::open(&other, options()).unwrap();
    append(&model, 1..=1);
    model.close().unwrap();
    let sizes = ["seg", "sig"].map(|kind| {
        std::fs::metadata(first_segment(&other).with_extension(kind))
            .unwrap()
            .len()
    });
    let room = usize::try_from(sizes[0] + sizes[1]).unwrap() - segment::HEADER + segment::HEADER / 2;
    *plan.room.lock().unwrap() = Some(room);
    append(&journal, 1..=1);
    assert!(journal.close().is_err());
    let (journal, opened) = Journal::open(&folder, small).unwrap();
    assert_eq!((opened.last, opened.torn), (1, segment::HEADER as u64 / 2));
    append(&journal, 2..=3);
    journal.close().unwrap();
    assert_eq!(all(&folder, 0).len(), 3);
    assert!(verify(&folder).unwrap().bad.is_none());
}

#[test]
fn queue_is_bounded_and_notes_are_shed_first() {
    let (_above, folder) = folder();
    let bounded = Options { queue: 40, ..options() };
    let (journal, plan) = open_faulty(&folder, bounded);
    plan.stall(true);
    let before = plan.syncs();
    let held = journal.append(Class::Binding, vec![draft(1)]).unwrap();
    plan.wait_for_sync(before + 1);
    let take = |class| journal.append(class, vec![draft(0)]).map(|_| ());
    assert_eq!((0..100).filter(|_| take(Class::Note).is_ok()).count(), 10);
    assert_eq!(take(Class::Note), Err(AppendError::Full));
    assert_eq!((0..100).filter(|_| take(Class::Binding).is_ok()).count(), 30);
    assert_eq!(take(Class::Binding), Err(AppendError::Full));
    assert_eq!(journal.lag(), 41);
    plan.stall(false);
    wait(held).unwrap();
    journal.close().unwrap();
    assert_eq!(all(&folder, 0).len(), 41);
}

#[test]
fn append_larger_than_the_queue_is_taken_while_nothing_waits() {
    let (_above, folder) = folder();
    let bounded = Options { queue: 4, ..options() };
    let (journal, _) = Journal::open(&folder, bounded).unwrap();
    wait(journal.append(Class::Binding, (1..=50).map(draft).collect()).unwrap()).unwrap();
    assert_eq!(
        journal.append(Class::Note, (1..=50).map(draft).collect()).map(|_| ()),
        Err(AppendError::Full)
    );
    assert_eq!(all(&folder, 0), (1..=50).map(stored).collect::<Vec<_>>());
}

#[test]
fn what_arrives_during_a_sync_is_one_batch() {
    let (_above, folder) = folder();
    let (journal, plan) = open_faulty(&folder, options());
    plan.stall(true);
    let before = plan.syncs();
    let first = journal.append(Class::Binding, vec![draft(1)]).unwrap();
    plan.wait_for_sync(before + 1);
    let others: Vec<_> = (2..=20)
        .map(|number| journal.append(Class::Binding, vec![draft(number)]).unwrap())
        .collect();
    plan.stall(false);
    wait(first).unwrap();
    for pending in others {
        wait(pending).unwrap();
    }
    assert_eq!(batch_starts(&folder).len() - 1, 2);
}

#[test]
fn concurrent_appends_keep_the_order_of_their_sequence_numbers() {
    let (_above, folder) = folder();
    let small = Options {
        segment_bytes: 20_000,
        ..options()
    };
    let (journal, _) = Journal::open(&folder, small).unwrap();
    let given = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..6_u64 {
            let (journal, given) = (&journal, &given);
            scope.spawn(move || {
                for round in 0..60 {
                    let number = thread * 1000 + round;
                    let pending = journal.append(Class::Binding, vec![draft(number); 2]).unwrap();
                    given.lock().unwrap().push((pending.first, number));
                    wait(pending).unwrap();
                }
            });
        }
    });
    let records = all(&folder, 0);
    assert_eq!(records.len(), 720);
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.sequence, index as u64 + 1);
    }
    for (first, number) in given.into_inner().unwrap() {
        let at = usize::try_from(first).unwrap() - 1;
        assert_eq!(records[at].body, Some(draft(number).body));
        assert_eq!(records[at + 1].body, Some(draft(number).body));
    }
    journal.close().unwrap();
    assert!(verify(&folder).unwrap().bad.is_none());
}

#[test]
fn journal_copied_while_it_is_written_reads_as_a_prefix() {
    let (_above, folder) = folder();
    let (journal, _) = Journal::open(&folder, options()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            append(&journal, 1..=400);
            stop.store(true, Ordering::SeqCst);
        });
        while !stop.load(Ordering::SeqCst) {
            let records = all(&folder, 0);
            assert_eq!(records, (1..=records.len() as u64).map(stored).collect::<Vec<_>>());
            let (_above, copy) = folder_with(&std::fs::read(first_segment(&folder)).unwrap());
            assert!(Journal::open(&copy, options()).unwrap().1.last >= records.len() as u64);
        }
    });
}
