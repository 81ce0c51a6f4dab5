//! Output that nobody takes (`/dev/full` stands for a full disk): it is lost, and nothing else is.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::site;
use crate::support::server::finish;

/// Nothing here takes this long; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(120);

fn full() -> Stdio {
    let full = File::options().write(true).open("/dev/full");
    full.expect("/dev/full").into()
}

fn clapet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clapet"));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn a_server_starts_and_stops_in_order_while_stderr_takes_nothing() {
    let site = site();
    let path = site.configuration().to_string_lossy().into_owned();
    let mut server = clapet(&["serve", "--config", &path])
        .stdout(Stdio::null())
        .stderr(full())
        .spawn()
        .expect("the binary runs");
    let addresses = site.store().join("addresses.json");
    let deadline = Instant::now() + LONG;
    while !addresses.exists() && server.try_wait().expect("a child").is_none() {
        assert!(Instant::now() < deadline, "it does not listen");
    }
    if server.try_wait().expect("a child").is_none() {
        let id = i32::try_from(server.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.expect("an id"), rustix::process::Signal::TERM).expect("a signal sent");
    }
    assert_eq!(finish(server, LONG, "serve").status.code(), Some(0));
}

#[test]
fn the_demo_is_judged_by_its_calls_while_stdout_takes_nothing() {
    let demo = clapet(&["demo"]).stdout(full()).stderr(Stdio::null()).spawn();
    let output = finish(demo.expect("the binary runs"), LONG, "demo");
    assert_eq!(output.status.code(), Some(0));
}
