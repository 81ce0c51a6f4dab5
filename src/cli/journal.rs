//! `clapet journal verify`: the chain of evidence, checked by reading alone.

use std::path::Path;

use super::output::print;
use super::{Failure, print_json};
use crate::evidence;
use crate::journal::PublicKey;

/// Exit 0, or 1 with the first broken record.
pub(super) fn verify(path: &Path, keys: &[String], json: bool) -> Result<u8, Failure> {
    let keys = keys
        .iter()
        .map(|key| evidence::public_key(key).ok_or_else(|| Failure::error("--key: expected 64 hexadecimal digits")))
        .collect::<Result<Vec<_>, _>>()?;
    if evidence::is_bundle(path) {
        return verify_bundle(path, &keys, json);
    }
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
    if bad.is_none() && !keys.is_empty() && report.keys.iter().any(|key| !keys.contains(key)) {
        print("broken: checkpoints are signed by a key other than those given");
        return Ok(1);
    }
    Ok(u8::from(bad.is_some()))
}

fn verify_bundle(path: &Path, keys: &[PublicKey], json: bool) -> Result<u8, Failure> {
    let report = evidence::verify_bundle(path, keys).map_err(Failure::error)?;
    let bundled = &report.bundled;
    let signed: Vec<String> = report.keys.iter().map(|key| evidence::hex(key)).collect();
    if json {
        print_json(&serde_json::json!({
            "first": bundled.first, "last": bundled.last, "records": bundled.records, "erased": bundled.erased,
            "checkpoints": bundled.checkpoints, "keys": signed, "trusted": report.trusted, "bad": report.bad,
        }))?;
    } else {
        print(&format!(
            "bundle: {} records, {} to {}; {} erased; {} checkpoints",
            bundled.records, bundled.first, bundled.last, bundled.erased, bundled.checkpoints
        ));
        for key in &signed {
            let from = if report.trusted {
                "trusted"
            } else {
                "from the bundle: compare with a copy from elsewhere"
            };
            print(&format!("signed by {key} ({from})"));
        }
        match &report.bad {
            None => print("whole"),
            Some(bad) => print(&format!("broken: {bad}")),
        }
    }
    Ok(u8::from(report.bad.is_some()))
}
