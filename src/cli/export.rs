//! `clapet export`, and bundles with `--bundle`. Reads the journal's files, also beside a running server.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, ValueEnum};

use super::output::{print, tell};
use super::sign::sign;
use super::{Failure, print_json};
use crate::config::Config;
use crate::evidence::{self, EvidenceError, Exported};
use crate::ledger::EmbeddedLedger;
use crate::numbering::Territory;

#[derive(Args)]
pub(super) struct Asked {
    /// attempts (calls placed and refused), refusals and consents (of called persons), or journal (every record)
    #[arg(value_enum)]
    what: What,
    /// Whose
    #[arg(long, value_name = "ID")]
    professional: String,
    /// From this day on (YYYY-MM-DD, metropolitan France), or from this moment on (RFC 3339)
    #[arg(long, value_name = "D", value_parser = bound)]
    since: Option<Bound>,
    /// Up to this day, included, or before this moment
    #[arg(long, value_name = "D", value_parser = bound)]
    until: Option<Bound>,
    /// How lines are written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Write every record with its proof into this folder instead: it verifies without the store (`clapet journal verify DIR`)
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Attempts,
    Refusals,
    Consents,
    Journal,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

/// A day, or a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Day(NaiveDate),
    Moment(DateTime<Utc>),
}

fn bound(text: &str) -> Result<Bound, String> {
    if let Ok(day) = text.parse() {
        return Ok(Bound::Day(day));
    }
    crate::api::moment(text)
        .map(Bound::Moment)
        .map_err(|_| "expected a day such as 2026-03-01, or a time such as 2026-03-01T10:00:00+01:00".to_owned())
}

/// Exit 0.
pub(super) fn run(asked: &Asked, config: &Config, json: bool) -> Result<u8, Failure> {
    let Some(professional) = config.professionals.iter().find(|one| *one.id == *asked.professional) else {
        let known: Vec<&str> = config.professionals.iter().map(|one| &*one.id).collect();
        return Err(Failure::error(format_args!(
            "--professional {:?}: expected one of {}",
            asked.professional,
            known.join(", ")
        )));
    };
    let day = |day: NaiveDate| config.law.start_of_day(day, Territory::Metropole);
    let wanted = evidence::Asked {
        what: match asked.what {
            What::Attempts => evidence::What::Attempts,
            What::Refusals => evidence::What::Refusals,
            What::Consents => evidence::What::Consents,
            What::Journal => evidence::What::Journal,
        },
        professional: professional.id.clone(),
        siren: professional.siren,
        since: asked.since.map(|since| match since {
            Bound::Day(since) => day(since),
            Bound::Moment(since) => since,
        }),
        until: asked.until.map(|until| match until {
            Bound::Day(until) => until.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, day),
            Bound::Moment(until) => until,
        }),
        format: match asked.format {
            Format::Csv => evidence::Format::Csv,
            Format::Jsonl => evidence::Format::Jsonl,
        },
    };
    let folder = EmbeddedLedger::journal_folder(&config.store.path);
    if let Some(to) = &asked.bundle {
        // What no checkpoint covers cannot be proved.
        sign(config)?;
        let bundled = evidence::bundle(&folder, &wanted, Utc::now(), to).map_err(Failure::error)?;
        if json {
            print_json(&bundled)?;
        } else {
            print(&format!(
                "{} records, {} to {}, under {} checkpoints",
                bundled.records, bundled.first, bundled.last, bundled.checkpoints
            ));
        }
        return Ok(0);
    }
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let done = evidence::export(&folder, &config.law, &wanted, &mut out)
        .and_then(|done| out.flush().map(|()| done).map_err(EvidenceError::from));
    match done {
        // A reader that has seen enough (`| head`) is no error.
        Err(EvidenceError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::error(error)),
        Ok(Exported { erased, open, .. }) => {
            if erased > 0 {
                tell(&format!("clapet: {erased} records have been erased and are not shown"));
            }
            if open > 0 {
                tell(&format!(
                    "clapet: warning: {open} calls were written before it was known what became of them"
                ));
            }
            Ok(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_day_or_a_moment() {
        assert_eq!(
            bound("2026-03-01"),
            Ok(Bound::Day(NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()))
        );
        let moment = DateTime::from_timestamp(1_772_355_600, 0).unwrap();
        assert_eq!(bound("2026-03-01T10:00:00+01:00"), Ok(Bound::Moment(moment)));
        assert!(bound("1 March").is_err());
    }
}
