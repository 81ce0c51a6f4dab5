//! Erasing one number on request (RGPD art. 17): its records lose their personal part, what still binds stays under a keyed hash, and
//! the proofs that the law obliges to keep stay as they are and are listed.
//!
//! The number is written to `<path>/erasing` first and that file removed last, so that an erasure stopped half-way is finished at the
//! next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Days, Utc};

use super::super::body::{self, Carried, Record};
use super::super::record::{Entry, Forgotten};
use super::super::{Answer, Key, StoreError};
use super::page::key_of_entry;
use super::row::{Row, seconds};
use super::secret::{sync_folder, write_synced};
use super::{Core, EmbeddedLedger, erased, wait_here};
use crate::journal::{self, Class, Draft, Kind};
use crate::numbering::E164;
use crate::rules::ConsentScope;

/// Proofs of consent and of requests are kept for three years from their collection (R.223-2, R.223-4 code de la consommation).
const PROOF_DAYS: Days = Days::new(3 * 366);

const CONSENTS: &str =
    "proofs of consent, withdrawn now: kept for three years from collection (Code de la consommation R.223-2)";
const REQUESTS: &str =
    "proofs of a request to be called, ended now: kept for three years (Code de la consommation R.223-4)";
const REFUSALS: &str = "refusals, under a keyed hash without the number: they bind until a newer consent (Code de la consommation L.223-1, RGPD art. 17(3)(b))";
const ATTEMPTS: &str = "calls of the last days, under a keyed hash without the number: they count towards the limit (Code de la consommation D.223-9)";

/// Finishes an erasure that was stopped half-way.
pub(super) fn resume(core: &Core) -> io::Result<()> {
    let text = match fs::read_to_string(intent(&core.options.path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let asked = text.trim().split_once(' ').and_then(|(number, at)| {
        let number = E164::new(number.parse().ok()?)?;
        Some((number, DateTime::from_timestamp(at.parse().ok()?, 0)?))
    });
    if let Some((number, at)) = asked {
        core.erase(number, at, true).map_err(io::Error::other)?;
    }
    Ok(())
}

fn intent(store: &Path) -> PathBuf {
    store.join("erasing")
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Write(format!("{error}"))
}

/// What an erasure does with one record.
enum Fate {
    Untouched,
    Erase,
    KeepConsent,
    KeepRequest,
}

fn fate(stored: &journal::Stored, number: E164, at: DateTime<Utc>) -> Fate {
    let Ok(record) = body::read(stored) else {
        return Fate::Untouched;
    };
    let concerns = |callee: E164| if callee == number { Fate::Erase } else { Fate::Untouched };
    match record {
        Record::Reservation { key, .. } | Record::Settlement { key, .. } | Record::Recovered { key, .. } => {
            concerns(key.callee)
        }
        Record::Decision { note, .. } => note.callee.map_or(Fate::Untouched, concerns),
        Record::Entry { entry, .. } => match (&entry, key_of_entry(&entry)) {
            (_, Some(key)) if key.callee != number => Fate::Untouched,
            (_, None) => Fate::Untouched,
            (Entry::Consent { consent, .. }, _) => proof(consent.scope, consent.given_at, at),
            (Entry::ConsentUsed { scope, given_at, .. }, _) => proof(*scope, *given_at, at),
            _ => Fate::Erase,
        },
        // The proofs in it are copies; the originals are kept as long as the law obliges to.
        Record::Carried(Carried::Row { key, .. }) => concerns(key.callee),
        Record::Carried(Carried::Record(_)) | Record::Erasure { .. } | Record::Other => Fate::Untouched,
    }
}

fn proof(scope: ConsentScope, given_at: DateTime<Utc>, at: DateTime<Utc>) -> Fate {
    let over = given_at.checked_add_days(PROOF_DAYS).is_some_and(|end| end < at);
    match scope {
        _ if over => Fate::Erase,
        ConsentScope::Requested => Fate::KeepRequest,
        ConsentScope::Prospecting | ConsentScope::Hours => Fate::KeepConsent,
    }
}

impl Core {
    /// Blocks; on a thread of its own.
    pub fn forget(&self, number: E164, at: DateTime<Utc>) -> Result<Forgotten, StoreError> {
        self.erase(number, at, false)
    }

    fn erase(&self, number: E164, at: DateTime<Utc>, again: bool) -> Result<Forgotten, StoreError> {
        self.ready()?;
        // Neither an import nor another erasure meanwhile.
        let _one = self.importing.lock().unwrap_or_else(PoisonError::into_inner);
        let store = &self.options.path;
        let asked = format!("{} {}\n", number.get(), at.timestamp());
        write_synced(store, &intent(store), asked.as_bytes()).map_err(failed)?;
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).forget(number);
        let mut forgotten = Forgotten::default();
        let sequence = self.erase_from_memory(number, at, again, &mut forgotten)?;
        let folder = EmbeddedLedger::journal_folder(store);
        let records = journal::read(&folder, 0).map_err(failed)?;
        let mut erase = Vec::new();
        let (mut consents, mut requests) = (0, 0);
        for stored in records {
            let stored = stored.map_err(failed)?;
            // What came after is of new calls.
            if stored.sequence > sequence {
                break;
            }
            match fate(&stored, number, at) {
                Fate::Untouched => {}
                Fate::Erase => erase.push(stored.sequence),
                Fate::KeepConsent => consents += 1,
                Fate::KeepRequest => requests += 1,
            }
        }
        forgotten.erased = self.journal.erase(&erase).map_err(failed)?;
        let kept = [(consents, CONSENTS), (requests, REQUESTS)];
        forgotten.kept.extend(
            kept.into_iter()
                .filter(|kept| kept.0 > 0)
                .map(|(count, why)| (count, why.to_owned())),
        );
        self.rewrite_view().map_err(failed)?;
        fs::remove_file(intent(store))
            .and_then(|()| sync_folder(store))
            .map_err(failed)?;
        Ok(forgotten)
    }

    /// Moves what binds under the keyed hash, ends the consents, drops the rest, all in one journal batch. Returns its last record.
    fn erase_from_memory(
        &self,
        number: E164,
        at: DateTime<Utc>,
        again: bool,
        forgotten: &mut Forgotten,
    ) -> Result<u64, StoreError> {
        let tag = erased::tag(&self.tag_key, number);
        let since = self.since(seconds(at).max(self.latest.load(Ordering::Relaxed)));
        let pending = self.with_page(number, |page| {
            let rows: Vec<(Key, Row)> = page.rows().filter(|(key, _)| key.callee == number).collect();
            let mut erased = self.erased.write().unwrap_or_else(PoisonError::into_inner);
            let kept = erased.joined(&tag, &rows, since, again);
            let mut drafts = vec![Draft {
                kind: Kind::Forgotten,
                at,
                siren: 0,
                body: body::erasure(&tag, &kept),
            }];
            let mut left = Vec::new();
            for (key, row) in &rows {
                let mut bare = Row::default();
                for consent in &row.consents {
                    let mut ended = consent.clone();
                    ended.withdrawn_at.get_or_insert(at);
                    let entry = Entry::Consent {
                        key: *key,
                        consent: ended,
                        channel: "erasure".into(),
                        object: "".into(),
                    };
                    if matches!(proof(consent.scope, consent.given_at, at), Fate::Erase) {
                        continue;
                    }
                    bare.apply(&entry);
                    // Also of one that was withdrawn before: its own record may be cold, and what carried it on is erased.
                    let (kind, siren, body) = body::entry(&entry, None);
                    drafts.push(Draft { kind, at, siren, body });
                }
                left.push((*key, bare));
            }
            let count = drafts.len() as u64;
            let pending = self.append(Class::Binding, drafts)?;
            let last = pending.first + count - 1;
            for (key, bare) in &left {
                self.pages.count(page.put(*key, bare));
            }
            page.sequence = last;
            let refusals = kept.iter().filter(|kept| kept.refused.is_some()).count() as u64;
            let attempts = kept.iter().map(|kept| kept.attempts.len() as u64).sum();
            let listed = [(refusals, REFUSALS), (attempts, ATTEMPTS)];
            forgotten.kept.extend(
                listed
                    .into_iter()
                    .filter(|kept| kept.0 > 0)
                    .map(|(count, why)| (count, why.to_owned())),
            );
            if !kept.is_empty() {
                erased.kept.insert(tag, kept);
                self.any_erased.store(true, Ordering::Release);
            }
            erased.sequence = last;
            Ok::<_, StoreError>((pending, last))
        });
        let (pending, last) = pending?;
        wait_here(Answer::Later(Box::pin(pending)))?;
        Ok(last)
    }
}
