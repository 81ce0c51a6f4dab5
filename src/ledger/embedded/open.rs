//! Opening the store: lock, secret, journal, view, replay, what was left aside.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use super::deferred;
use super::forget;
use super::keeper::Signal;
use super::lock::Lock;
use super::page::Pages;
use super::replay::Replay;
use super::row::seconds;
use super::secret::{Secret, sync_folder};
use super::view::{self, Loaded};
use super::{Core, EmbeddedLedger, Options, wait_here};
use crate::journal::{self, Class, Journal, JournalError, Kind};
use crate::ledger::Answer;
use crate::ledger::body::{self, Record};

/// How often the journal syncs where reservations do not wait for it (`durability = "interval"`).
const SYNC_EVERY: Duration = Duration::from_millis(50);

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("{path} is held by process {pid}", path = path.display())]
    #[allow(missing_docs)]
    Held { path: PathBuf, pid: u32 },
    /// A file or folder could not be used.
    #[error("{path}: {source}", path = path.display())]
    #[allow(missing_docs)]
    Io { path: PathBuf, source: io::Error },
    /// The journal is damaged in its middle.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}

impl From<JournalError> for OpenError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io { path, source } => Self::Io { path, source },
            damaged @ JournalError::Damaged { .. } => Self::Damaged(damaged.to_string()),
        }
    }
}

/// What opening found; for the log, the metrics and `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Sequence of the journal's last good record; zero: empty.
    pub last: u64,
    /// Bytes of a torn last batch that were cut from the journal.
    pub torn: u64,
    /// Journal records replayed into the hot state.
    pub replayed: u64,
    /// Records whose body this version could not read: they are in the journal, and change nothing here.
    pub unread: u64,
    /// Calls and settlements left aside by a run whose journal failed, now in the journal.
    pub absorbed: u64,
    /// What became of the view.
    pub view: ViewState,
    /// Live (siren, callee) records.
    pub records: u64,
    /// How long opening took.
    pub took: Duration,
}

/// What became of the view at opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// There was none.
    New,
    /// It was good.
    Used,
    /// It was damaged, and all was replayed from the journal.
    #[allow(missing_docs)]
    SetAside { why: String, folder: PathBuf },
}

pub(super) fn open(options: Options) -> Result<(Core, Opened), OpenError> {
    let began = Instant::now();
    let path = options.path.clone();
    let io = |source: io::Error| OpenError::Io {
        path: path.clone(),
        source,
    };
    fs::create_dir_all(&path).map_err(io)?;
    let lock = Lock::take(&path)?;
    let secret = Secret::open(&path)?;
    sync_folder(&path).map_err(io)?;
    let (journal, journal_opened) = Journal::open(
        &EmbeddedLedger::journal_folder(&path),
        journal::Options {
            strict: options.strict,
            sync_every: SYNC_EVERY,
            collect: options.collect,
            segment_bytes: options.segment_bytes,
            queue: options.queue,
            metrics: options.metrics.clone(),
        },
    )?;

    let mut spread = [0; 16];
    spread.copy_from_slice(&secret.derive("ledger pages")[..16]);
    let fingerprint = u64::from_le_bytes(
        secret.derive("ledger pages' fingerprint")[..8]
            .try_into()
            .unwrap_or_default(),
    );
    let (view, loaded, state) = match view::load(&path, fingerprint, journal_opened.last) {
        Ok(Loaded::Nothing(view)) => (view, Vec::new(), ViewState::New),
        Ok(Loaded::Pages(view, pages)) => (view, pages, ViewState::Used),
        Err(why) => {
            let (view, folder) = view::set_aside(&path, fingerprint).map_err(io)?;
            tracing::error!(%why, folder = %folder.display(), "the view is damaged: set aside, built anew from the journal");
            (view, Vec::new(), ViewState::SetAside { why, folder })
        }
    };

    let position = view.position().clone();
    let core = Core {
        tag_key: secret.derive("tags of erased numbers"),
        secret,
        journal,
        pages: Pages::new(spread),
        taken: AtomicU64::new(journal_opened.last),
        latest: AtomicU32::new(position.latest),
        any_erased: AtomicBool::new(!position.erased.kept.is_empty()),
        standing: Mutex::new(position.standing),
        erased: RwLock::new(position.erased),
        commit: RwLock::default(),
        importing: Mutex::default(),
        import_first: AtomicU64::new(u64::MAX),
        deferred: Mutex::default(),
        notes: Mutex::default(),
        waiters: Mutex::default(),
        view: Mutex::new(view),
        closing: AtomicBool::new(false),
        signal: Signal::default(),
        options,
        _lock: lock,
    };
    for (index, page, rows) in loaded {
        *core.pages.lock(index) = page;
        core.pages.count(i64::try_from(rows).unwrap_or_default());
    }
    let mut replay = Replay::new(&core);
    for stored in journal::read_hot(&EmbeddedLedger::journal_folder(&path), position.floor)? {
        replay.take(&stored?);
    }
    let (replayed, unread) = replay.finish();
    let absorbed = core.absorb().map_err(io)?;
    forget::resume(&core).map_err(io)?;
    let opened = Opened {
        last: journal_opened.last,
        torn: journal_opened.torn,
        replayed,
        unread,
        absorbed,
        view: state,
        records: core.pages.rows(),
        took: began.elapsed(),
    };
    Ok((core, opened))
}

impl Core {
    /// Brings what an earlier run could only leave aside into the journal.
    fn absorb(&self) -> io::Result<u64> {
        let drafts = deferred::read_spool(&self.options.path)?;
        let mut count = 0;
        let mut last = None;
        let mut replay = Replay::new(self);
        for draft in drafts {
            let mut stored = journal::Stored {
                sequence: 0,
                kind: draft.kind,
                at: draft.at,
                siren: draft.siren,
                body: Some(draft.body.clone()),
            };
            if draft.kind == Kind::Recovered {
                self.latest.fetch_max(seconds(draft.at), Ordering::Relaxed);
                if self.has_reservation(&stored) {
                    continue;
                }
            }
            count += 1;
            let pending = self.append(Class::Binding, vec![draft]).map_err(io::Error::other)?;
            stored.sequence = pending.first;
            replay.take(&stored);
            last = Some(pending);
        }
        if let Some(pending) = last {
            wait_here(Answer::Later(Box::pin(pending))).map_err(io::Error::other)?;
        }
        deferred::remove_spool(&self.options.path)?;
        Ok(count)
    }

    /// The reservation that this call went without is in the journal after all: it was written, and then not confirmed because the disk
    /// failed. The one attempt counts once.
    fn has_reservation(&self, recovered: &journal::Stored) -> bool {
        match body::read(recovered) {
            Ok(Record::Recovered { key, meta }) => self.with_page(key.callee, |page| {
                page.get(key).has_open(meta.call, seconds(recovered.at))
            }),
            _ => false,
        }
    }
}
