//! A batch becomes effective: all of its good lines in one step, or nothing.

use super::Batch;
use crate::ledger::{Entry, Ledger, Recorded, StoreError};
use crate::screening::{Screening, ScreeningError};

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Applied {
    /// New and known entries, the record of a list's loading included.
    pub recorded: Recorded,
    /// SHA-256 of the list's snapshot file, which the journal holds too.
    pub sha256: Option<[u8; 32]>,
}

/// Why a batch was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The list could not be written; nothing was loaded.
    #[error(transparent)]
    Screening(#[from] ScreeningError),
    /// The entries could not be recorded. A list is in force already: loading it again changes nothing but its record.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Loads a batch. A list is written and in force before its record is in the journal: of a crash in between, what is left binds
/// more, not less. Blocks while a list is written, so not for a thread that carries calls.
pub async fn apply(batch: Batch, ledger: &dyn Ledger, screening: &Screening) -> Result<Applied, ApplyError> {
    let mut entries = batch.entries;
    let mut sha256 = None;
    if let Some(snapshot) = batch.snapshot {
        let (numbers, opposed) = (snapshot.numbers.numbers(), snapshot.numbers.opposed());
        let sum = screening.load_built(snapshot.list, batch.siren, snapshot.day, snapshot.numbers)?;
        sha256 = Some(sum);
        entries.push(Entry::Screening {
            list: snapshot.list.name().into(),
            siren: batch.siren,
            day: snapshot.day,
            numbers,
            opposed,
            sha256: sum,
        });
    }
    let recorded = if entries.is_empty() {
        Recorded::default()
    } else {
        ledger.record(entries).wait().await?
    };
    Ok(Applied { recorded, sha256 })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono::{DateTime, NaiveDate, Utc};

    use super::super::{FirstRejected, Kind, Options, Professionals, run};
    use super::*;
    use crate::law::Law;
    use crate::ledger::{
        Answer, AttemptId, AttemptMeta, DecisionNote, Forgotten, History, Key, Outcome, ReserveIf, Reserved, Siren,
        Standing,
    };
    use crate::numbering::E164;
    use crate::rules::Bloctel;

    const ACME: Siren = Siren(552_100_554);

    /// Takes entries only, or refuses them.
    #[derive(Default)]
    struct Recorder {
        steps: Mutex<Vec<Vec<Entry>>>,
        full: bool,
    }

    impl Ledger for Recorder {
        fn record(&self, entries: Vec<Entry>) -> Answer<Result<Recorded, StoreError>> {
            if self.full {
                return Answer::Ready(Err(StoreError::Overloaded));
            }
            let new = entries.len() as u64;
            self.steps.lock().unwrap().push(entries);
            Answer::Later(Box::pin(async move { Ok(Recorded { new, known: 0 }) }))
        }

        fn history(&self, _: Key) -> Answer<Result<History, StoreError>> {
            Answer::Ready(Err(StoreError::Closed))
        }
        fn reserve(&self, _: ReserveIf) -> Answer<Result<Reserved, StoreError>> {
            Answer::Ready(Err(StoreError::Closed))
        }
        fn settle(&self, _: Key, _: AttemptId, _: Outcome, _: DateTime<Utc>) {}
        fn note_decision(&self, _: DecisionNote) {}
        fn recover(&self, _: Key, _: DateTime<Utc>, _: AttemptMeta) {}
        fn forget(&self, _: E164, _: DateTime<Utc>) -> Answer<Result<Forgotten, StoreError>> {
            Answer::Ready(Err(StoreError::Closed))
        }
        fn standing(&self) -> Standing {
            Standing::default()
        }
        fn health(&self) -> Result<(), String> {
            Ok(())
        }
        fn records(&self) -> u64 {
            0
        }
        fn lag(&self) -> u64 {
            0
        }
        fn close(&self) -> Answer<Result<(), StoreError>> {
            Answer::Ready(Ok(()))
        }
    }

    struct Acme;

    impl Professionals for Acme {
        fn siren(&self, id: &str) -> Option<Siren> {
            (id == "acme").then_some(ACME)
        }
    }

    fn day() -> NaiveDate {
        "2023-06-06".parse().unwrap()
    }

    fn batch(kind: Kind, text: &str) -> Batch {
        let options = Options {
            professional: Some("acme"),
            submitted: None,
            today: day(),
            force: false,
            progress: None,
        };
        let mut rejects = FirstRejected::new(10);
        run(
            kind,
            &mut text.as_bytes(),
            options,
            &Law::embedded(),
            &Acme,
            &mut rejects,
        )
        .unwrap()
    }

    fn load(batch: Batch, ledger: &Recorder, screening: &Screening) -> Result<Applied, ApplyError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(apply(batch, ledger, screening))
    }

    #[test]
    fn a_list_binds_and_its_record_holds_the_sum_of_its_file() {
        let (ledger, screening) = (Recorder::default(), Screening::in_memory());
        let batch = batch(Kind::Bloctel, "0612345601;;OK\n0612345602;;KO\n0612345603;;OK\n");
        let applied = load(batch, &ledger, &screening).unwrap();
        let expected = Entry::Screening {
            list: "bloctel".into(),
            siren: Some(ACME),
            day: day(),
            numbers: 3,
            opposed: 1,
            sha256: applied.sha256.unwrap(),
        };
        assert_eq!(*ledger.steps.lock().unwrap(), [vec![expected]]);
        let opposed = E164::new(33_612_345_602).unwrap();
        assert_eq!(screening.bloctel(ACME, opposed, day()), Bloctel::Opposed(day()));
    }

    #[test]
    fn all_good_lines_are_recorded_in_one_step() {
        let (ledger, screening) = (Recorder::default(), Screening::in_memory());
        let text = "number,professional,at,channel\n\
            0612345601,acme,2023-03-02T10:00:00Z,call\nx,acme,2023-03-02T10:00:00Z,call\n\
            0612345602,acme,2023-03-02T10:00:00Z,call\n";
        let batch = batch(Kind::Refusals, text);
        assert_eq!(batch.rejected, 1);
        let applied = load(batch, &ledger, &screening).unwrap();
        assert_eq!((applied.recorded.new, applied.sha256), (2, None));
        let steps = ledger.steps.lock().unwrap();
        assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn an_empty_batch_asks_nothing_of_the_store() {
        let (ledger, screening) = (Recorder::default(), Screening::in_memory());
        let applied = load(batch(Kind::Opposition, "numero\n"), &ledger, &screening).unwrap();
        assert_eq!(applied, Applied::default());
        assert!(ledger.steps.lock().unwrap().is_empty() && screening.states().is_empty());
    }

    #[test]
    fn a_store_that_refuses_says_so() {
        let full = Recorder {
            full: true,
            ..Recorder::default()
        };
        let refused = load(batch(Kind::Opposition, "0612345601\n"), &full, &Screening::in_memory());
        assert!(matches!(refused, Err(ApplyError::Store(StoreError::Overloaded))));
    }
}
