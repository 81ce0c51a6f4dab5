//! The operator's blacklist on the real binary: a call right after `PUT /v1/suspensions/…`, over a restart, and in the evidence.

#[path = "support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};
use support::live::{End, Trunk};
use support::server::{Server, Site, configuration, law_of_every_hour};
use support::ua::{Invite, Script};

/// Nothing here takes this long; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

struct World {
    site: Site,
    trunk: Trunk,
    calls: u32,
}

impl World {
    fn new() -> Self {
        let trunk = Trunk::start(|ua| ua.script = Script::of(&[(0, 100), (10, 180), (20, 200)]));
        let other = "[law]\nfile = \"{folder}/law.toml\"\n[[professional]]\nid = \"other\"\nsiren = \"732829320\"\n";
        let site = Site::new(&configuration("127.0.0.1:0", &[trunk.address], other));
        site.write("law.toml", &law_of_every_hour());
        Self { site, trunk, calls: 0 }
    }

    /// On the server's Unix socket; status and body.
    fn ask(&self, method: &str, whom: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.site.store().join("clapet.sock")).expect("the API listens");
        stream.set_read_timeout(Some(LONG)).expect("a time-out");
        let request = format!(
            "{method} /v1/suspensions/{whom} HTTP/1.1\r\nHost: clapet\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.expect("a status"), serde_json::from_str(body).expect("JSON"))
    }

    /// Calls somebody whom nobody called before, or that short number: the final status, and its `Reason`.
    fn call(&mut self, server: &Server, short: Option<&str>) -> (u16, String) {
        self.calls += 1;
        let mut pbx = End::bind("pbx", "127.0.0.1", server.sip[0]);
        let now = pbx.now();
        let callee = short.map_or_else(|| format!("06123456{:02}", self.calls), str::to_owned);
        let client = pbx.ua.invite(
            now,
            Invite {
                callee,
                ..Invite::default()
            },
        );
        let ended = pbx.pump_until(LONG, |ua| !ua.clients[client].finals.is_empty());
        assert!(ended, "no answer");
        let answer = pbx.ua.clients[client].answer();
        let reason = answer.first(clapet::sip::message::Header::Reason).unwrap_or_default();
        (answer.status(), reason.to_owned())
    }
}

fn refused(code: &str) -> (u16, String) {
    (403, format!("SIP;cause=403;text=\"{code}\""))
}

const GOES: (u16, String) = (200, String::new());

#[test]
fn a_suspended_source_gets_no_call_through_from_the_next_on_nor_after_a_restart() {
    let mut world = World::new();
    let server = world.site.start();
    assert_eq!(world.call(&server, None), GOES);
    let (status, description) = server.get("/openapi.json");
    assert!(
        status == 200 && description.contains("/v1/suspensions/{what}/{id}"),
        "{status}"
    );
    let suspended = json!({ "what": "source", "id": "bpo-lyon", "suspended": true, "under": ["bpo-lyon"] });
    assert_eq!(world.ask("PUT", "source/bpo-lyon"), (200, suspended.clone()));
    assert_eq!(world.call(&server, None), refused("source.suspended"));
    assert_eq!(
        world.call(&server, Some("112")),
        GOES,
        "emergency numbers are reached all the same"
    );
    assert!(server.metric("clapet_invites_total", "reason=\"source.suspended\"") > 0.5);
    assert_eq!(server.stop(), Some(0));

    let server = world.site.start();
    assert_eq!(world.ask("GET", "source/bpo-lyon"), (200, suspended));
    assert_eq!(world.call(&server, None), refused("source.suspended"));
    let free = json!({ "what": "source", "id": "bpo-lyon", "suspended": false, "under": [] });
    assert_eq!(world.ask("DELETE", "source/bpo-lyon"), (200, free));
    assert_eq!(world.call(&server, None), GOES);
    assert_eq!(world.trunk.calls().len(), 3);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_suspended_professional_is_refused_and_its_evidence_says_when_but_not_others() {
    let mut world = World::new();
    let mut server = world.site.start();
    assert_eq!(world.ask("PUT", "professional/other").0, 200);
    assert_eq!(
        world.call(&server, None),
        GOES,
        "another's suspension is none of its own"
    );
    assert_eq!(world.ask("PUT", "professional/acme").0, 200);
    assert_eq!(world.call(&server, None), refused("professional.suspended"));
    assert_eq!(world.ask("PUT", "professional/nobody").0, 404);
    // Acknowledged, so that no death of the process takes it back.
    server.kill();
    let server = world.site.start();
    assert_eq!(world.call(&server, None), refused("professional.suspended"));
    assert_eq!(world.ask("DELETE", "professional/acme").0, 200);
    assert_eq!(world.call(&server, None), GOES);

    let export = ["export", "journal", "--professional", "acme", "--format", "jsonl"];
    let output = world.site.run(&export);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let records = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let suspensions: Vec<Value> = records.filter(|record| record["kind"] == "suspension").collect();
    let said = |record: &Value| {
        (
            record.to_string().contains("\"acme\""),
            record.to_string().contains("\"suspended\":true"),
        )
    };
    let said: Vec<_> = suspensions.iter().map(said).collect();
    assert_eq!(said, [(true, true), (true, false)], "{suspensions:?}");
    assert_eq!(server.stop(), Some(0));
}
