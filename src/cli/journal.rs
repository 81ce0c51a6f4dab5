//! `clapet journal verify`: the chain of evidence, checked by reading alone.

use std::path::Path;

use super::output::print;
use super::{Failure, print_json};

/// Exit 0, or 1 with the first broken record.
pub(super) fn verify(path: &Path, json: bool) -> Result<u8, Failure> {
    let report = crate::journal::verify(path).map_err(Failure::error)?;
    let bad = report.bad.as_ref().map(ToString::to_string);
    if json {
        print_json(&serde_json::json!({
            "first": report.first,
            "last": report.last,
            "segments": report.segments,
            "batches": report.batches,
            "records": report.records,
            "erased": report.erased,
            "torn": report.torn,
            "checkpoints": report.checkpoints,
            "signed": report.signed,
            "bad": bad,
        }))?;
    } else {
        print(&format!(
            "{} records in {} segments, {} to {}; {} erased; signed up to {} by {} checkpoints",
            report.records,
            report.segments,
            report.first,
            report.last,
            report.erased,
            report.signed,
            report.checkpoints
        ));
        if report.torn > 0 {
            print(&format!("{} bytes of an interrupted write at the end", report.torn));
        }
        if report.unfinished > 0 {
            print(&format!(
                "{} erasures are unfinished: ask for them again",
                report.unfinished
            ));
        }
        match &bad {
            None => print("whole"),
            Some(bad) => print(&format!("broken: {bad}")),
        }
    }
    Ok(u8::from(bad.is_some()))
}
