//! The real binary under real SIP load, stopped at named points and over failing disks, flipped bits and torn records: no callee is
//! called a fifth time, the ledger never knows less than the trunk, and the process starts all the same.
//!
//! `CLAPET_CRASHES=1000` sets how often the first test stops it. Points exist in builds with debug assertions only.
#![cfg(debug_assertions)]

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::live::{End, Trunk};
use support::seed::{Printed, Rng, seeds};
use support::server::{Server, Site, configuration, faketime, law_of_every_hour};
use support::ua::{Invite, Script};

/// Four calls in thirty days (D.223-9).
const MOST: usize = 4;
/// Lines of an import: more than a segment of the smallest size holds.
const LINES: usize = 9000;
const VARIABLE: &str = "CLAPET_FAILPOINTS";

/// Where the process is stopped, and how many times the point may be passed before.
const CALLS: [(&str, u64); 6] = [
    ("reserve.before", 24),
    ("reserve.after", 24),
    ("journal.before-write", 30),
    ("journal.after-write", 30),
    ("journal.before-acknowledge", 30),
    ("", 1),
];
const IMPORT: [(&str, u64); 6] = [
    ("import.chunk", 4),
    ("import.last", 1),
    ("rotate.signed", 1),
    ("rotate.creating", 1),
    ("rotate.created", 1),
    ("", 1),
];
const COLD: [(&str, u64); 4] = [
    ("cold.carried", 1),
    ("cold.written", 1),
    ("cold.packed", 1),
    ("cold.removed", 1),
];
const ENDING: &str = "view.before-position";
/// By how many days the clock is put forward at most in lives in which segments go cold: within one window of thirty days, so that no
/// attempt of the run ever stops to count.
const DAYS: usize = 26;

struct Run {
    site: Site,
    trunk: Trunk,
    pbx: End,
    rng: Rng,
    callees: u64,
    imports: usize,
    /// The library that puts the clock forward; without it no segment grows old.
    faketime: Option<PathBuf>,
    stopped: BTreeMap<String, usize>,
}

/// What a life is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Calls,
    Import,
    Cold,
    Ending,
}

fn text(sip: &str, trunk: &Trunk, store: &str, law: &str) -> String {
    let law = format!("[law]\nfile = \"{{folder}}/law.toml\"\n{law}");
    configuration(sip, &[trunk.address], &law).replace("[store]\n", &format!("[store]\n{store}"))
}

fn site_with(trunk: &Trunk, store: &str, law: &str) -> (Site, Server, End) {
    let site = Site::new(&text("127.0.0.1:0", trunk, store, law));
    site.write("law.toml", &law_of_every_hour());
    let server = site.start();
    let sip = server.sip[0];
    // From now on the same port: what the PBX sends again must find the server that came back.
    site.configure(&text(&sip.to_string(), trunk, store, law));
    let pbx = End::bind("pbx", "127.0.0.1", sip);
    (site, server, pbx)
}

/// Every answer of it counts.
fn counting_trunk(seed: u64, calls: u64) -> Trunk {
    let mut rng = Rng::new(seed ^ 0x7261);
    Trunk::start(|ua| {
        for _ in 0..calls {
            let answer = 5 + rng.below(40);
            ua.scripts.push_back(match rng.below(4) {
                0 => Script::of(&[(0, 100), (answer, 486)]),
                1 => Script::of(&[(1, 180), (answer, 603)]),
                _ => Script::of(&[(0, 100), (3, 180), (answer, 200)]),
            });
        }
    })
}

impl Run {
    /// One life of the server, the `kind`th of so many, ended at a point.
    fn life(&mut self, kind: usize, crashes: usize) {
        let about = match kind % 16 {
            3 => About::Ending,
            7 | 15 if self.faketime.is_some() => About::Cold,
            _ if kind % 4 == 1 => About::Import,
            _ => About::Calls,
        };
        let (point, most) = match about {
            About::Ending => (ENDING, 1),
            About::Cold => COLD[kind / 8 % COLD.len()],
            About::Import => IMPORT[kind / 4 % IMPORT.len()],
            About::Calls => CALLS[kind % CALLS.len()],
        };
        if about == About::Cold {
            // What a segment holds goes cold only once the view on the disk reflects it.
            assert_eq!(self.site.start().stop(), Some(0));
            self.clock_forward(kind, crashes);
        }
        let from = 1 + self.rng.below(most);
        let told = format!("{point}=kill@{from}");
        self.site
            .environment(VARIABLE, (!point.is_empty()).then_some(told.as_str()));
        let mut server = self.site.start();
        self.site.environment(VARIABLE, None);
        self.site.environment("LD_PRELOAD", None);
        let longest = if about == About::Cold { 12 } else { 4 };
        let deadline = Instant::now() + Duration::from_secs(longest);
        if about == About::Import {
            self.import(&mut server, point.is_empty());
        }
        while server.is_running() && Instant::now() < deadline {
            for _ in 0..=self.rng.below(3) {
                self.call();
            }
            self.pbx.pump(Duration::from_millis(self.rng.below(12)));
            if (point.is_empty() || about == About::Ending) && self.rng.chance(150) {
                break;
            }
        }
        if about == About::Ending {
            server.terminate();
            let until = Instant::now() + Duration::from_secs(10);
            while server.is_running() && Instant::now() < until {
                self.pbx.pump(Duration::from_millis(5));
            }
        }
        let at_point = !server.is_running();
        server.kill();
        let name = match (at_point && !point.is_empty(), about) {
            (true, _) => point,
            (false, About::Import) => "anywhere, import",
            (false, _) => "anywhere",
        };
        *self.stopped.entry(name.to_owned()).or_default() += 1;
    }

    /// Imports a file, which fails with the server: all or nothing of it holds.
    fn import(&mut self, server: &mut Server, anywhere: bool) {
        let file = self.import_file();
        let until = anywhere.then(|| Instant::now() + Duration::from_millis(self.rng.below(600)));
        std::thread::scope(|scope| {
            let site = &self.site;
            let importing = scope.spawn(move || site.run(&["import", "refusals", &file]));
            while !importing.is_finished() {
                self.pbx.pump(Duration::from_millis(10));
                if until.is_some_and(|until| Instant::now() >= until) {
                    server.kill();
                    break;
                }
            }
            importing.join().expect("a command");
        });
    }

    /// Further forward the longer the run lasts, so that a segment that ended in such a life grows old, too.
    fn clock_forward(&mut self, kind: usize, crashes: usize) {
        let Some(library) = &self.faketime else { return };
        let days = 2 + (DAYS - 2) * kind / crashes;
        let library = library.to_string_lossy().into_owned();
        self.site.environment("LD_PRELOAD", Some(&library));
        self.site.environment("FAKETIME", Some(&format!("+{days}d")));
        self.site.environment("FAKETIME_DONT_FAKE_MONOTONIC", Some("1"));
    }

    fn call(&mut self) {
        let index = self.callees + self.rng.below(24);
        if self.rng.chance(30) {
            self.callees += 1;
        }
        let now = self.pbx.now();
        let client = self.pbx.ua.invite(
            now,
            Invite {
                callee: callee(index),
                ..Invite::default()
            },
        );
        if self.rng.chance(60) {
            self.pbx.ua.cancel(now, client);
        }
    }

    fn import_file(&mut self) -> String {
        let first = 650_000_000 + self.imports * LINES;
        self.imports += 1;
        let lines: Vec<String> = (first..first + LINES)
            .map(|number| format!("0{number},acme,2023-06-01T11:00:00+02:00,call\n"))
            .collect();
        let lines = lines.concat();
        let name = format!("refusals-{}.csv", self.imports);
        let path = self
            .site
            .write(&name, &format!("number,professional,at,channel\n{lines}"));
        path.to_string_lossy().into_owned()
    }
}

fn callee(index: u64) -> String {
    format!("061{index:07}")
}

fn crashes() -> usize {
    std::env::var("CLAPET_CRASHES").map_or(20, |text| text.parse().expect("CLAPET_CRASHES is a number"))
}

#[test]
fn death_at_any_point_loses_nothing_and_opens_no_fifth_call() {
    let crashes = crashes();
    for seed in seeds(1) {
        let _printed = Printed(seed);
        eprintln!("seed {seed}, {crashes} crashes");
        let trunk = counting_trunk(seed, 400 * crashes as u64);
        let (site, server, pbx) = site_with(&trunk, "segment_mib = 1\ncold_after_days = 1\n", "");
        drop(server);
        let mut run = Run {
            site,
            trunk,
            pbx,
            rng: Rng::new(seed),
            callees: 0,
            imports: 0,
            faketime: faketime(),
            stopped: BTreeMap::new(),
        };
        for kind in 0..crashes {
            run.life(kind, crashes);
        }
        run.site.environment("LD_PRELOAD", None);
        let server = run.site.start();
        run.pbx.pump(Duration::from_millis(300));
        let forwarded = forwarded(&run.trunk);
        let total: usize = forwarded.values().map(BTreeSet::len).sum();
        eprintln!(
            "{total} calls forwarded to {} callees; stopped at {:?}",
            forwarded.len(),
            run.stopped
        );
        assert!(total > crashes, "too few calls to say anything");
        let named = run.stopped.iter().filter(|(name, _)| !name.starts_with("anywhere"));
        assert!(
            named.map(|(_, count)| count).sum::<usize>() * 2 > crashes,
            "{:?}",
            run.stopped
        );
        nothing_lost(&run.site, &forwarded);
        // Imports hold whole or not at all.
        let refusals = run.site.run(&["export", "refusals", "--professional", "acme"]);
        let lines = String::from_utf8_lossy(&refusals.stdout).lines().count() - 1;
        eprintln!("{} of {} imports held", lines / LINES, run.imports);
        assert!(lines > 0, "no import was loaded");
        assert_eq!(lines % LINES, 0, "{lines} refusals in {} imports", run.imports);
        assert_eq!(server.stop(), Some(0));
        nothing_lost(&run.site, &forwarded);
        let verified = run.site.run(&["journal", "verify"]);
        assert!(
            verified.status.success(),
            "{}",
            String::from_utf8_lossy(&verified.stdout)
        );
    }
}

/// Call-IDs by callee, as the trunk saw them.
fn forwarded(trunk: &Trunk) -> BTreeMap<String, BTreeSet<String>> {
    let mut forwarded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (callee, call_id) in trunk.calls() {
        forwarded.entry(callee).or_default().insert(call_id);
    }
    forwarded
}

/// The ledger, as its evidence tells it, against the trunk's record.
fn nothing_lost(site: &Site, forwarded: &BTreeMap<String, BTreeSet<String>>) {
    let told = told(site);
    for (callee, calls) in forwarded {
        let number = format!("+33{}", &callee[1..]);
        let lines = told.get(&number).map_or(&[][..], Vec::as_slice);
        let known = lines.iter().filter(|line| line["counts"] == true).count();
        let text = || serde_json::to_string_pretty(lines).unwrap_or_default();
        assert!(
            calls.len() <= MOST,
            "{callee}: {} calls forwarded: {calls:?}\n{}",
            calls.len(),
            text()
        );
        assert!(
            calls.len() <= known,
            "{callee}: {} forwarded, {known} in the journal: {calls:?}\n{}",
            calls.len(),
            text()
        );
        assert!(known <= MOST, "{callee}: {known} counted\n{}", text());
    }
}

/// Calls by callee, from the export.
fn told(site: &Site) -> BTreeMap<String, Vec<Value>> {
    let output = site.run(&["export", "attempts", "--professional", "acme", "--format", "jsonl"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let value: Value = serde_json::from_slice(line).expect("a JSON object a line");
        let callee = value["callee"].as_str().expect("a callee").to_owned();
        told.entry(callee).or_default().push(value);
    }
    told
}

fn place(pbx: &mut End, callee: &str) -> (u16, String) {
    let now = pbx.now();
    let client = pbx.ua.invite(
        now,
        Invite {
            callee: callee.to_owned(),
            ..Invite::default()
        },
    );
    pbx.pump_until(Duration::from_secs(20), |ua| {
        !ua.clients[client].finals.is_empty() || ua.clients[client].timed_out
    });
    let answer = pbx.ua.clients[client].finals.first();
    let status = answer.map_or(0, clapet::sip::message::Message::status);
    let reason = answer.and_then(|answer| answer.named("Reason")).unwrap_or_default();
    (status, reason.to_owned())
}

fn ready(server: &Server) -> Value {
    serde_json::from_str(&server.get("/readyz").1).expect("a JSON object")
}

#[test]
fn full_disk_refuses_calls_says_so_and_loses_none() {
    let trunk = counting_trunk(1, 100);
    let (mut site, server, mut pbx) = site_with(&trunk, "", "on_store_failure = \"refuse\"\n");
    drop(server);
    site.environment(VARIABLE, Some("journal.write=28@6"));
    let mut server = site.start();
    let mut refused = 0;
    for index in 0..12 {
        let (status, reason) = place(&mut pbx, &callee(index));
        if status == 403 {
            assert!(reason.contains("store.unavailable"), "{reason}");
            refused += 1;
        }
    }
    assert!((1..12).contains(&refused), "{refused} of 12 refused");
    let state = ready(&server);
    assert_eq!(
        (&state["ready"], &state["store"]["healthy"]),
        (&Value::Bool(false), &Value::Bool(false))
    );
    assert!(
        state["store"]["why"].as_str().expect("why").contains("No space left"),
        "{state}"
    );
    // Emergency calls do not ask the store.
    assert_ne!(place(&mut pbx, "112").0, 403);
    assert!(server.is_running());
    server.kill();
    site.environment(VARIABLE, None);
    let server = site.start();
    assert_eq!(ready(&server)["ready"], true);
    let mut calls = forwarded(&trunk);
    calls.remove("112");
    assert_eq!(calls.len(), 12 - refused);
    nothing_lost(&site, &calls);
}

#[test]
fn read_only_disk_forwards_where_that_is_wanted_and_counts_later() {
    let trunk = counting_trunk(2, 100);
    let (mut site, server, mut pbx) = site_with(&trunk, "", "on_store_failure = \"forward\"\n");
    drop(server);
    site.environment(VARIABLE, Some("journal.write=30@4,journal.sync=30@4"));
    let server = site.start();
    for _ in 0..MOST {
        assert_ne!(
            place(&mut pbx, "0612345678").0,
            403,
            "forwarded while the store is down"
        );
    }
    assert_eq!(ready(&server)["store"]["healthy"], false);
    server.terminate();
    server.wait();
    site.environment(VARIABLE, None);
    let server = site.start();
    nothing_lost(&site, &forwarded(&trunk));
    let (status, reason) = place(&mut pbx, "0612345678");
    assert_eq!(status, 403);
    assert!(reason.contains("frequency.exhausted"), "{reason}");
    drop(server);
}

#[test]
fn slow_sync_counts_as_unavailable_and_gives_the_attempt_back() {
    let trunk = counting_trunk(3, 100);
    let store = "answer_within = \"200ms\"\n";
    let (mut site, server, mut pbx) = site_with(&trunk, "", "");
    drop(server);
    let slow = |text: String| text.replace("answer_within = \"10s\"\n", store);
    let written = fs::read_to_string(site.configuration()).expect("a configuration");
    fs::write(site.configuration(), slow(written)).expect("a configuration");
    site.environment(VARIABLE, Some("journal.sync=sleep:1500@4"));
    let server = site.start();
    let begun = Instant::now();
    let (mut status, mut reason) = (0, String::new());
    for index in 0..4 {
        (status, reason) = place(&mut pbx, &callee(index));
        if status == 403 {
            break;
        }
    }
    assert_eq!(status, 403, "{reason}");
    assert!(reason.contains("store.unavailable"), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(server);
    site.environment(VARIABLE, None);
    let server = site.start();
    nothing_lost(&site, &forwarded(&trunk));
    drop(server);
}

/// A closed store with calls, refusals and a list in it.
fn filled() -> (Site, Trunk) {
    let trunk = counting_trunk(4, 200);
    let (site, server, mut pbx) = site_with(&trunk, "", "");
    for index in 0..20 {
        place(&mut pbx, &callee(index % 8));
    }
    let list = site.write("list.csv", "number\n0611111111\n0622222222\n");
    let path = list.to_string_lossy().into_owned();
    assert_eq!(site.run(&["import", "opposition", &path]).status.code(), Some(0));
    assert_eq!(server.stop(), Some(0));
    (site, trunk)
}

#[test]
fn torn_last_record_is_cut_and_told() {
    let (site, trunk) = filled();
    let segment = segments(&site).pop().expect("a segment");
    let whole = fs::read(&segment).expect("a segment");
    // A batch of which the first sector only reached the disk.
    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[128..168]);
    fs::write(&segment, torn).expect("a segment");
    let server = site.start();
    let degraded = ready(&server)["degraded"].to_string();
    assert!(degraded.contains("torn"), "{degraded}");
    nothing_lost(&site, &forwarded(&trunk));
    assert_eq!(server.stop(), Some(0));
    assert!(site.run(&["journal", "verify"]).status.success());
}

fn segments(site: &Site) -> Vec<PathBuf> {
    let mut found = files(&site.store());
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    found.sort();
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The answer is the same, or the command says which file is damaged and does nothing; it never panics.
#[test]
fn flipped_bit_in_any_file_of_the_store_is_survived_or_told() {
    let (site, _trunk) = filled();
    let ask = |site: &Site| {
        let output = site.run(&["decide", "--from", "+33162001234", "--to", &callee(3), "--json"]);
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), value["attempts_left"].as_u64(), told)
    };
    let (_, expected, _) = ask(&site);
    assert!(expected.is_some());
    let mut rng = Rng::new(9);
    let kept = tempfile::tempdir().expect("a folder");
    let (mut same, mut told) = (BTreeSet::new(), BTreeSet::new());
    for file in files(&site.store()) {
        let name = file
            .strip_prefix(site.store())
            .expect("within")
            .to_string_lossy()
            .into_owned();
        let bytes = fs::read(&file).unwrap_or_default();
        if bytes.is_empty() || name == "lock" {
            continue;
        }
        for _ in 0..3 {
            copy(&site.store(), kept.path());
            let at = usize::try_from(rng.below(bytes.len() as u64)).expect("an index");
            let mut bad = bytes.clone();
            bad[at] ^= 1 << rng.below(8);
            fs::write(&file, bad).expect("a file");
            let (code, left, message) = ask(&site);
            match code {
                Some(0 | 1) => {
                    assert_eq!(left, expected, "{name}, byte {at}: {message}");
                    same.insert(name.clone());
                }
                Some(2) => {
                    assert!(!message.contains("panicked"), "{name}, byte {at}: {message}");
                    assert!(
                        name.starts_with("journal/") || name.starts_with("signing") || name == "secret",
                        "{name}, byte {at}: {message}"
                    );
                    told.insert(name.clone());
                }
                other => panic!("{name}, byte {at}: {other:?} {message}"),
            }
            fs::remove_dir_all(site.store()).expect("the store removed");
            copy(kept.path(), &site.store());
            fs::remove_dir_all(kept.path()).expect("the copy removed");
        }
    }
    eprintln!("survived: {same:?}; told: {told:?}");
    assert!(same.iter().any(|name| name.starts_with("ledger/")));
    assert!(told.iter().any(|name| name.starts_with("journal/")));
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
