//! The commands as a user runs them: exit codes, what goes to stdout and what to stderr, and that they mean what they say. Moments
//! are given with `--at` or in the files, so that every test passes on any day and hour.

#![allow(clippy::format_collect, clippy::format_push_string)] // texts of files, on no hot path

#[path = "../support/mod.rs"]
mod support;

mod configuration;
mod decide;
mod import;
mod output;
mod serve;
mod store;

use std::process::Output;

use serde_json::Value;
use support::server::{Site, configuration};

/// A Tuesday morning in Paris, within the hours.
const TUESDAY: &str = "2023-06-06T10:30:00+02:00";
/// A Tuesday morning under the opt-in.
const OPT_IN: &str = "2026-11-24T10:30:00+01:00";
const NPV: &str = "+33162001234";
const CALLEE: &str = "0612345678";

fn site() -> Site {
    Site::new(&configuration(
        "127.0.0.1:0",
        &["127.0.0.2:5090".parse().expect("an address")],
        "",
    ))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn expect(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{}\nstderr:\n{}",
        stdout(output),
        stderr(output)
    );
}

/// Asks; the exit code and the answer.
#[track_caller]
fn decide(site: &Site, from: &str, to: &str, at: Option<&str>) -> (i32, Value) {
    let mut arguments = vec!["decide", "--from", from, "--to", to, "--json"];
    if let Some(at) = at {
        arguments.extend(["--at", at]);
    }
    let output = site.run(&arguments);
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", stdout(&output), stderr(&output)));
    (output.status.code().expect("an exit code"), value)
}

/// Imports a file of that text; the output and the path.
fn import(site: &Site, kind: &str, text: &str, more: &[&str]) -> Output {
    let path = site.write(&format!("{kind}.csv"), text);
    let path = path.to_string_lossy().into_owned();
    let mut arguments = vec!["import", kind, &path];
    arguments.extend(more);
    site.run(&arguments)
}

fn rejected(site: &Site, kind: &str) -> Option<String> {
    std::fs::read_to_string(site.path(&format!("{kind}.csv.rejected"))).ok()
}

fn reasons(value: &Value) -> Vec<&str> {
    let list = value["reasons"].as_array().expect("reasons");
    list.iter().filter_map(Value::as_str).collect()
}
