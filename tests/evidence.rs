//! Exports, bundles, backups and old segments through the real binary, with a server and without.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::live::{End, Trunk};
use support::server::{Server, Site, configuration, law_of_every_hour, tool};
use support::ua::{Invite, Script};

/// A second professional, whose records nobody else's export may show.
const OTHER: &str = "\n[[professional]]\nid = \"other\"\nname = \"Other\"\nsiren = \"732829320\"\nnumbers = [\"+33162002000-+33162002999\"]\n";

struct World {
    site: Site,
    server: Server,
    trunk: Trunk,
    pbx: End,
}

fn world() -> World {
    let trunk = Trunk::start(|ua| {
        for _ in 0..2000 {
            ua.scripts.push_back(Script::of(&[(0, 100), (2, 180), (6, 200)]));
        }
    });
    let law = "[law]\nfile = \"{folder}/law.toml\"\n";
    let text = |sip: &str| configuration(sip, &[trunk.address], law) + OTHER;
    let site = Site::new(&text("127.0.0.1:0"));
    site.write("law.toml", &law_of_every_hour());
    let server = site.start();
    let sip = server.sip[0];
    site.configure(&text(&sip.to_string()));
    World {
        pbx: End::bind("pbx", "127.0.0.1", sip),
        site,
        server,
        trunk,
    }
}

impl World {
    fn call(&mut self, callee: &str) -> u16 {
        let now = self.pbx.now();
        let client = self.pbx.ua.invite(
            now,
            Invite {
                callee: callee.to_owned(),
                ..Invite::default()
            },
        );
        self.pbx.pump_until(Duration::from_secs(20), |ua| {
            !ua.clients[client].finals.is_empty() || ua.clients[client].timed_out
        });
        let answer = self.pbx.ua.clients[client].finals.first();
        answer.map_or(0, clapet::sip::message::Message::status)
    }

    fn import(&self, kind: &str, text: &str) {
        let path = self
            .site
            .write(&format!("{kind}.csv"), text)
            .to_string_lossy()
            .into_owned();
        let output = self.site.run(&["import", kind, &path]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn export(&self, arguments: &[&str]) -> String {
        let mut all = vec!["export"];
        all.extend(arguments);
        let output = self.site.run(&all);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// Calls, a refusal, consents of two professionals.
fn told() -> World {
    let mut world = world();
    world.import(
        "refusals",
        "number,professional,at,channel\n0611111111,acme,2023-06-01T11:00:00+02:00,call\n0622222222,other,2023-06-01T11:00:00+02:00,call\n",
    );
    world.import(
        "consents",
        "number,professional,given_at,channel,evidence,scope,expires,object\n\
         0612345678,acme,2026-06-01T11:00:00+02:00,web,form-77,prospecting,,insurance\n",
    );
    assert_eq!(world.call("0612345678"), 200);
    for _ in 0..4 {
        assert_eq!(world.call("0612345679"), 200);
    }
    assert_eq!(world.call("0612345679"), 403);
    world
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

#[test]
fn export_tells_who_called_whom_when_by_which_rule_and_over_which_trunk() {
    let world = told();
    let jsonl = ["attempts", "--professional", "acme", "--format", "jsonl"];
    // The last call is settled a moment after its answer came.
    let mut with_server = lines(&world.export(&jsonl));
    for _ in 0..100 {
        if with_server.iter().all(|line| line["outcome"] == "answered") && with_server.len() == 5 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        with_server = lines(&world.export(&jsonl));
    }
    assert_eq!(with_server.len(), 5, "{with_server:?}");
    for line in &with_server {
        for (column, expected) in [
            ("caller", "+33162001234"),
            ("source", "bpo-lyon"),
            ("trunk", "carrier-1"),
            ("professional", "acme"),
            ("siren", "552100554"),
            ("outcome", "answered"),
            ("zone", "Europe/Paris"),
        ] {
            assert_eq!(line[column], expected, "{column} of {line}");
        }
        assert_eq!((&line["counts"], &line["calls"]), (&Value::Bool(true), &Value::from(1)));
        assert!(line["regime"].as_str().expect("a regime").starts_with("fr-"));
        let at = chrono::DateTime::parse_from_rfc3339(line["at"].as_str().expect("a time")).expect("a time");
        let local = chrono::DateTime::parse_from_rfc3339(line["local_time"].as_str().expect("a time")).expect("a time");
        assert_eq!(at.to_utc(), local.to_utc());
        assert_ne!(local.offset().local_minus_utc(), 0, "Paris is never at UTC");
    }
    assert_eq!(
        with_server
            .iter()
            .filter(|line| line["callee"] == "+33612345679")
            .count(),
        4
    );

    let refusals = world.export(&["refusals", "--professional", "acme"]);
    assert_eq!(
        refusals
            .lines()
            .map(|line| line.split(',').take(4).collect::<Vec<_>>())
            .collect::<Vec<_>>(),
        [
            ["number", "professional", "at", "channel"],
            ["+33611111111", "acme", "2023-06-01T09:00:00Z", "call"]
        ]
    );
    let consents = world.export(&["consents", "--professional", "acme", "--format", "jsonl"]);
    assert_eq!(
        (lines(&consents).len(), &lines(&consents)[0]["evidence"]),
        (1, &Value::from("form-77"))
    );
    assert_eq!(
        world.export(&["consents", "--professional", "other"]).lines().count(),
        1,
        "the header"
    );
    assert_eq!(
        world
            .export(&["attempts", "--professional", "acme", "--until", "2024-01-01"])
            .lines()
            .count(),
        1
    );
    let unknown = world.site.run(&["export", "journal", "--professional", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2));

    // The refused call is recorded within a minute, or when the server ends.
    assert_eq!(world.server.stop(), Some(0));
    let output = world
        .site
        .run(&["export", "attempts", "--professional", "acme", "--format", "jsonl"]);
    let without = lines(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(without.len(), 6);
    let refused = without
        .iter()
        .find(|line| line["outcome"] == "refused")
        .expect("the refused call");
    assert_eq!(
        (&refused["rule"], &refused["counts"]),
        (&Value::from("frequency.exhausted"), &Value::Bool(false))
    );
    let journal = world
        .site
        .run(&["export", "journal", "--professional", "acme", "--format", "jsonl"]);
    let journal = String::from_utf8_lossy(&journal.stdout).into_owned();
    assert!(!journal.contains("+33622222222"), "another professional's refusal");
    let kinds: std::collections::BTreeSet<String> = lines(&journal)
        .iter()
        .map(|line| line["kind"].as_str().expect("a kind").to_owned())
        .collect();
    for kind in [
        "reservation",
        "settlement",
        "decision",
        "refusal",
        "consent",
        "configuration",
    ] {
        assert!(kinds.contains(kind), "{kind} in {kinds:?}");
    }
}

#[test]
fn bundle_verifies_without_the_store_and_shows_what_was_changed() {
    let world = told();
    let bundle = world.site.path("bundle");
    let path = bundle.to_string_lossy().into_owned();
    world.export(&["journal", "--professional", "acme", "--bundle", &path]);
    let again = world
        .site
        .run(&["export", "journal", "--professional", "acme", "--bundle", &path]);
    assert_eq!(again.status.code(), Some(2), "a bundle is not written over another");
    let key = fs::read_to_string(world.site.store().join("signing.pub"))
        .expect("the key")
        .trim()
        .to_owned();
    assert_eq!(world.server.stop(), Some(0));
    fs::rename(world.site.store(), world.site.path("gone")).expect("the store moved away");

    let verify = |extra: &[&str]| {
        let mut arguments = vec!["journal", "verify", &path];
        arguments.extend(extra);
        let output = world.site.run(&arguments);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, said) = verify(&["--key", &key]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("(trusted)") && said.contains("whole"), "{said}");
    assert_eq!(verify(&[]).0, Some(0));
    assert_eq!(verify(&["--key", &"00".repeat(32)]).0, Some(1));
    let shown = fs::read_to_string(bundle.join("records.jsonl")).expect("records");
    assert!(shown.contains("+33612345679") && !shown.contains("+33622222222"));

    let python = tool("python3");
    let by_python = |expected: bool| {
        if let Some(python) = &python {
            let output = Command::new(python)
                .arg(bundle.join("verify.py"))
                .arg(&bundle)
                .output()
                .expect("python");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.success(), expected, "{said}");
        }
    };
    by_python(true);
    let change = |name: &str, from: &str, to: &str| {
        let file = bundle.join(name);
        let text = fs::read_to_string(&file).expect("a file");
        assert!(text.contains(from), "{from} in {name}");
        fs::write(&file, text.replacen(from, to, 1)).expect("a file");
        let (code, said) = verify(&[]);
        assert_eq!(code, Some(1), "{name}: {from} became {to}: {said}");
        assert!(said.contains("broken"), "{said}");
        fs::write(&file, text).expect("a file");
    };
    change("records.jsonl", "+33612345679", "+33612345670");
    change("records.jsonl", "\"body\":\"8", "\"body\":\"9");
    change("checkpoints.jsonl", "\"first\":1", "\"first\":2");
    let records = fs::read_to_string(bundle.join("records.jsonl")).expect("records");
    let less: Vec<&str> = records.lines().skip(1).collect();
    fs::write(bundle.join("records.jsonl"), less.join("\n") + "\n").expect("records");
    assert_eq!(verify(&[]).0, Some(1), "a record is missing");
    by_python(false);
}

#[test]
fn backup_under_load_is_whole_and_restores_every_call_that_was_answered_before_it() {
    let mut world = told();
    let mut before = Vec::new();
    for index in 0..30 {
        let callee = format!("06340000{:02}", index % 15);
        if world.call(&callee) == 200 {
            before.push(callee);
        }
    }
    // Calls go on while the copy is made.
    let backup = world.site.path("backup");
    let output = std::thread::scope(|scope| {
        let path = backup.to_string_lossy().into_owned();
        let site = &world.site;
        let copying = scope.spawn(move || site.run(&["backup", &path]));
        let mut index = 0;
        while !copying.is_finished() {
            for _ in 0..8 {
                let now = world.pbx.now();
                let callee = format!("0635{index:06}");
                world.pbx.ua.invite(
                    now,
                    Invite {
                        callee,
                        ..Invite::default()
                    },
                );
                index += 1;
            }
            world.pbx.pump(Duration::from_millis(4));
        }
        copying.join().expect("a command")
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = backup.to_string_lossy().into_owned();
    let held = world.site.run(&["restore", &path]);
    assert_eq!(held.status.code(), Some(2), "a server holds the store");
    for _ in 0..4 {
        world.call("0636000000");
    }
    assert_eq!(world.server.stop(), Some(0));

    // The store knows more than the backup: restoring would open a fifth call.
    let newer = world.site.run(&["restore", &path]);
    assert_eq!(newer.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&newer.stderr).contains("fifth"), "says why");
    fs::remove_dir_all(world.site.store()).expect("the store lost");
    let restored = world.site.run(&["restore", &path]);
    assert!(
        restored.status.success(),
        "{}",
        String::from_utf8_lossy(&restored.stderr)
    );
    assert!(world.site.run(&["journal", "verify"]).status.success());
    let server = world.site.start();
    let exported = world
        .site
        .run(&["export", "attempts", "--professional", "acme", "--format", "jsonl"]);
    let exported = lines(&String::from_utf8_lossy(&exported.stdout));
    for callee in &before {
        let number = format!("+33{}", &callee[1..]);
        let calls = before.iter().filter(|one| *one == callee).count();
        let known = exported.iter().filter(|line| line["callee"] == number.as_str()).count();
        assert_eq!(known, calls, "{callee}");
    }
    assert_eq!(server.stop(), Some(0));
    let _ = world.trunk.calls();
    assert!(Path::new(&path).join("secret").exists());
}

#[test]
fn a_rebuilt_view_shows_in_log_metric_and_readyz() {
    let mut world = told();
    let ready = |server: &Server| -> Value { serde_json::from_str(&server.get("/readyz").1).expect("a JSON object") };
    assert_eq!(ready(&world.server)["store"]["view_rebuilt"], false);
    assert!(world.server.metric("clapet_view_rebuilt", "").abs() < 0.5);
    assert_eq!(world.server.stop(), Some(0));
    let position = world.site.store().join("ledger/position");
    let mut bytes = fs::read(&position).expect("the view's position");
    bytes[20] ^= 4;
    fs::write(&position, bytes).expect("the view's position");

    world.server = world.site.start();
    let state = ready(&world.server);
    assert_eq!(
        (&state["ready"], &state["store"]["view_rebuilt"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    let degraded = state["degraded"].to_string();
    assert!(
        degraded.contains("ledger.damaged-1") && degraded.contains("rebuilt"),
        "{degraded}"
    );
    assert!((world.server.metric("clapet_view_rebuilt", "") - 1.0).abs() < 0.5);
    let log = world.server.messages();
    assert!(log.contains("WARN") && log.contains("the view was damaged"), "{log}");
    // What was known is known, and the next start finds nothing to tell.
    assert_eq!(world.call("0612345679"), 403);
    assert_eq!(world.server.stop(), Some(0));
    world.server = world.site.start();
    assert_eq!(ready(&world.server)["store"]["view_rebuilt"], false);
}
