//! What the call path asks: history, reserve, settle. Memory and the journal's queue only, under one page's lock.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::super::body::{self, Kept};
use super::super::record::{AttemptMeta, DecisionNote, Outcome};
use super::super::{Answer, AttemptId, History, Key, ReserveIf, Reserved, StoreError};
use super::Core;
use super::deferred::{Deferred, What};
use super::row::{Mark, Row, seconds};
use crate::failpoint;
use crate::journal::{Class, Draft, Kind, Pending};

/// How a reservation was decided under the page's lock.
enum Decided {
    /// The same call holds this attempt already.
    Held(u64),
    Refused(Reserved),
    New(Pending),
}

impl Core {
    fn kept(&self, key: Key) -> Option<Kept> {
        let tag = self.tag(key.callee)?;
        let erased = self.erased.read().unwrap_or_else(PoisonError::into_inner);
        erased.find(&tag, key.siren).cloned()
    }

    pub fn history(&self, key: Key) -> History {
        let (row, kept) = self.with_page(key.callee, |page| (page.get(key), self.kept(key)));
        let mut attempts: smallvec::SmallVec<[u32; 8]> = counted(&row, kept.as_ref()).collect();
        attempts.sort_unstable();
        History {
            attempts: attempts
                .iter()
                .filter_map(|at| DateTime::from_timestamp(i64::from(*at), 0))
                .collect(),
            refused_at: refused(&row, kept.as_ref()).and_then(DateTime::from_timestamp_micros),
            consents: row.consents,
            contracts: row.contracts,
        }
    }

    pub fn reserve(&self, ask: &ReserveIf) -> Answer<Result<Reserved, StoreError>> {
        if let Err(error) = self.ready() {
            return Answer::Ready(Err(error));
        }
        let key = ask.key;
        let now = seconds(ask.at);
        let draft = Draft {
            kind: Kind::Reservation,
            at: ask.at,
            siren: key.siren.0,
            body: body::attempt(key.callee, &ask.meta),
        };
        let decided = self.with_page(key.callee, |page| -> Result<Decided, StoreError> {
            let mut row = page.get(key);
            let kept = self.kept(key);
            if refused(&row, kept.as_ref()) > ask.refusal_known.map(|at| at.timestamp_micros()) {
                return Ok(Decided::Refused(Reserved::Changed));
            }
            if let Some(id) = row.of_call(ask.meta.call, now) {
                return Ok(Decided::Held(id));
            }
            if let Some((max, since)) = ask.limit {
                let since = seconds(since);
                let count = counted(&row, kept.as_ref()).filter(|at| *at >= since).count();
                if count >= usize::from(max) {
                    return Ok(Decided::Refused(Reserved::Exhausted));
                }
            }
            failpoint::reach("reserve.before");
            let pending = self.append(Class::Binding, vec![draft])?;
            row.marks.push(Mark {
                id: pending.first,
                call: ask.meta.call,
                at: now,
                settled: None,
            });
            self.pages.count(page.put(key, &row));
            page.sequence = pending.first;
            Ok(Decided::New(pending))
        });
        match decided {
            Err(error) => Answer::Ready(Err(error)),
            Ok(Decided::Refused(reserved)) => Answer::Ready(Ok(reserved)),
            Ok(Decided::Held(id)) => self.once_durable(id, Reserved::Held(AttemptId(id))),
            Ok(Decided::New(pending)) => {
                failpoint::reach("reserve.after");
                self.latest.fetch_max(now, Ordering::Relaxed);
                Answer::Later(Box::pin(async move {
                    let granted = Reserved::Granted(AttemptId(pending.first));
                    pending.await.map(|()| granted).map_err(StoreError::from)
                }))
            }
        }
    }

    pub fn settle(&self, key: Key, id: AttemptId, outcome: Outcome, at: DateTime<Utc>, trunk: Option<&str>) {
        let draft = Draft {
            kind: Kind::Settlement,
            at,
            siren: key.siren.0,
            body: body::settlement(key.callee, id, outcome, trunk),
        };
        self.with_page(key.callee, |page| {
            let mut row = page.get(key);
            if row.settle(id.0, outcome, seconds(at)) {
                self.pages.count(page.put(key, &row));
            } else if self.kept(key).is_some() {
                // Its reservation was erased: it counts under the keyed hash, and the number is not written again.
                return;
            }
            self.append_or_defer(
                page,
                Deferred {
                    key,
                    what: What::Settlement,
                    draft,
                },
            );
        });
    }

    pub fn note(&self, decision: DecisionNote) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((draft, count)) = notes.take(decision, Instant::now())
            && self.append(Class::Note, vec![draft]).is_err()
        {
            notes.shed += count;
        }
    }

    pub fn recover(&self, key: Key, at: DateTime<Utc>, meta: &AttemptMeta) {
        let draft = Draft {
            kind: Kind::Recovered,
            at,
            siren: key.siren.0,
            body: body::attempt(key.callee, meta),
        };
        self.latest.fetch_max(seconds(at), Ordering::Relaxed);
        self.with_page(key.callee, |page| {
            let mut row = page.get(key);
            let mark = Mark {
                id: 0,
                call: meta.call,
                at: seconds(at),
                settled: None,
            };
            // The reservation that it goes without would count too, since nobody knows whether it was written.
            row.supersede(meta.call, seconds(at));
            row.marks.push(mark);
            self.pages.count(page.put(key, &row));
            self.append_or_defer(
                page,
                Deferred {
                    key,
                    what: What::Recovered(mark),
                    draft,
                },
            );
        });
    }
}

/// Unix seconds of all counted attempts.
fn counted(row: &Row, kept: Option<&Kept>) -> impl Iterator<Item = u32> {
    let kept = kept.map_or(&[][..], |kept| kept.attempts.as_slice()).to_vec();
    row.counted().chain(kept)
}

/// The newest refusal in microseconds.
fn refused(row: &Row, kept: Option<&Kept>) -> Option<i64> {
    let kept = kept.and_then(|kept| kept.refused).map(|at| at.timestamp_micros());
    row.refused().max(kept)
}
