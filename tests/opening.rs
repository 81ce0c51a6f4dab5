//! The store's view stopped while it is being opened: sled 0.34.7 alone never opens again, clapet starts all the same.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::server::{Site, configuration, law_of_every_hour};

/// Refusals, on nearly as many pages of the view.
const REFUSALS: usize = 30_000;
/// Starts to be stopped until one leaves its snapshot unfinished.
const STARTS: usize = 60;

/// A closed store whose view holds all refusals.
fn filled() -> Site {
    let trunk = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let site = Site::new(&configuration(
        "127.0.0.1:0",
        &[trunk],
        "[law]\nfile = \"{folder}/law.toml\"\n",
    ));
    site.write("law.toml", &law_of_every_hour());
    let lines: Vec<String> = (0..REFUSALS)
        .map(|number| format!("0{},acme,2026-10-01T11:00:00+02:00,call\n", 650_000_000 + number))
        .collect();
    let file = site.write(
        "refusals.csv",
        &format!("number,professional,at,channel\n{}", lines.concat()),
    );
    let imported = site.run(&["import", "refusals", &file.to_string_lossy()]);
    assert!(
        imported.status.success(),
        "{}",
        String::from_utf8_lossy(&imported.stderr)
    );
    site
}

/// The snapshot that sled is writing.
fn generating(pages: &Path) -> Option<PathBuf> {
    fs::read_dir(pages)
        .expect("the view's pages")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".generating"))
}

/// Starts the server and kills it as soon as sled begins to write its snapshot. What is left of that, if it was not ready yet.
fn stopped_while_opening(site: &Site) -> Option<PathBuf> {
    let pages = site.store().join("ledger/pages");
    let mut child = Command::new(env!("CARGO_BIN_EXE_clapet"))
        .arg("serve")
        .arg("--config")
        .arg(site.configuration())
        .current_dir(site.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let addresses = site.store().join("addresses.json");
    let _ = fs::remove_file(&addresses);
    // Until it has begun, has come through, or has ended.
    while generating(&pages).is_none() && !addresses.exists() && child.try_wait().expect("a child").is_none() {}
    child.kill().expect("a child");
    child.wait().expect("a child");
    generating(&pages)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else if path.is_file() {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

#[test]
fn what_keeps_sled_from_opening_does_not_keep_clapet() {
    let site = filled();
    let pages = site.store().join("ledger/pages");
    let left = (0..STARTS).find_map(|_| stopped_while_opening(&site));
    let left = left.expect("a start stopped while sled was opening");
    // Where the kill came after the last byte and before its name, it is made one of a moment earlier.
    let file = fs::OpenOptions::new().write(true).open(&left).expect("a snapshot");
    let length = file.metadata().expect("a snapshot").len();
    file.set_len(length / 2).expect("half a snapshot");

    let copied = tempfile::tempdir().expect("a folder");
    copy(&pages, copied.path());
    let alone = std::panic::catch_unwind(|| sled::open(copied.path()).map(drop));
    eprintln!("sled alone: {alone:?}");
    assert!(
        !matches!(alone, Ok(Ok(()))),
        "sled has learnt to open over its leftovers: the work-around can go"
    );

    let server = site.start();
    let state: Value = serde_json::from_str(&server.get("/readyz").1).expect("a JSON object");
    assert_eq!(
        (
            &state["ready"],
            &state["store"]["view_rebuilt"],
            &state["store"]["records"]
        ),
        (&Value::Bool(true), &Value::Bool(false), &Value::from(REFUSALS))
    );
    let asked = site.run(&["decide", "--from", "+33162001234", "--to", "0650012345", "--json"]);
    let said: Value = serde_json::from_slice(&asked.stdout).expect("a JSON object");
    assert_eq!(said["reason"], "refusal.active");
    assert_eq!(server.stop(), Some(0));
}
