//! `serve`: start, stop and drain of the real binary.

use std::time::Duration;

use crate::support::live::{End, Trunk};
use crate::support::server::{Site, configuration, law_of_every_hour};
use crate::support::ua::{Invite, Script};
use crate::{site, stderr};

#[test]
fn a_second_server_on_one_store_does_not_start() {
    let site = site();
    let _server = site.start();
    let output = site.run(&["serve"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("store"), "{}", stderr(&output));
}

#[test]
fn the_server_answers_over_http() {
    let site = site();
    let server = site.start();
    assert_eq!(server.get("/healthz").0, 200);
    assert_eq!(server.get("/readyz").0, 200);
    assert!(server.metric("clapet_build_info", env!("CARGO_PKG_VERSION")) > 0.5);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_drain_ends_the_calls_it_has_and_takes_no_new_ones() {
    let trunk = Trunk::start(|ua| ua.script = Script::of(&[(0, 100), (10, 180), (1200, 200)]));
    let law = "[law]\nfile = \"{folder}/law.toml\"\n";
    let site =
        Site::new(&configuration("127.0.0.1:0", &[trunk.address], law).replace("drain = \"2s\"", "drain = \"20s\""));
    site.write("law.toml", &law_of_every_hour());
    let server = site.start();
    let mut pbx = End::bind("pbx", "127.0.0.1", server.sip[0]);
    let now = pbx.now();
    let first = pbx.ua.invite(now, Invite::default());
    let rings = |ua: &crate::support::ua::Ua| ua.clients[0].provisional.contains(&180);
    assert!(pbx.pump_until(Duration::from_secs(10), rings), "the call rings");
    server.terminate();
    // The signal needs a moment: the first INVITE that is refused shows that the drain has begun.
    let mut refused = false;
    for _ in 0..20 {
        let now = pbx.now();
        let next = pbx.ua.invite(now, Invite::default());
        pbx.pump_until(Duration::from_millis(500), |ua| !ua.clients[next].finals.is_empty());
        refused |= pbx.ua.clients[next].statuses() == [503];
        if refused || !pbx.ua.clients[first].finals.is_empty() {
            break;
        }
    }
    assert!(refused, "a new call is taken during the drain");
    assert!(pbx.pump_until(Duration::from_secs(10), |ua| !ua.clients[first].finals.is_empty()));
    assert_eq!(
        pbx.ua.clients[first].statuses(),
        [200],
        "the call that rang is answered"
    );
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_call_that_could_not_be_presented_gives_its_attempt_back_at_once() {
    let trunk = Trunk::start(|ua| {
        ua.scripts.push_back(Script::of(&[(0, 100), (10, 404)]));
        ua.scripts.push_back(Script::of(&[(0, 100), (10, 180), (30, 200)]));
        ua.scripts.push_back(Script::of(&[(0, 100), (10, 486)]));
        ua.scripts.push_back(Script::of(&[(0, 100), (10, 180), (30, 480)]));
        ua.script = Script::of(&[(0, 100), (10, 180), (30, 200)]);
    });
    let law = "[law]\nfile = \"{folder}/law.toml\"\n";
    let site = Site::new(&configuration("127.0.0.1:0", &[trunk.address], law));
    site.write("law.toml", &law_of_every_hour());
    let server = site.start();
    let mut pbx = End::bind("pbx", "127.0.0.1", server.sip[0]);
    for status in [404, 200, 486, 480, 200, 403] {
        let now = pbx.now();
        let client = pbx.ua.invite(now, Invite::default());
        let ended = pbx.pump_until(Duration::from_secs(10), |ua| !ua.clients[client].finals.is_empty());
        assert!(ended, "no answer where {status} is due");
        assert_eq!(pbx.ua.clients[client].statuses(), [status]);
    }
    assert_eq!(trunk.calls().len(), 5);
    assert_eq!(server.stop(), Some(0));
}
