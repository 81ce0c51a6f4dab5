//! `kill -9` of the real binary under real SIP load, between calls and in the middle of them, over one store: no callee is ever
//! called a fifth time, and the ledger never knows less than the trunk.

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use support::live::{End, Trunk};
use support::seed::{Printed, Rng, seeds};
use support::server::{Server, Site, configuration, law_of_every_hour};
use support::ua::{Invite, Script};

/// Four calls in thirty days (D.223-9).
const MOST: usize = 4;
/// Few enough that most of them reach their limit, many enough that calls still go after the last kill.
const CALLEES: usize = 40;

/// What a run did.
struct Run {
    site: Site,
    server: Server,
    trunk: Trunk,
    pbx: End,
    rng: Rng,
    /// Kills that found a call without its final answer.
    in_flight: usize,
}

fn callee(index: usize) -> String {
    format!("06123400{index:02}")
}

/// A trunk whose every answer counts: answered, busy, ringing until the caller gives up.
fn counting_trunk(seed: u64) -> Trunk {
    let mut rng = Rng::new(seed ^ 0x7261);
    Trunk::start(|ua| {
        for _ in 0..5000 {
            let answer = 10 + rng.below(60);
            ua.scripts.push_back(match rng.below(4) {
                0 => Script::of(&[(0, 100), (answer, 486)]),
                1 => Script::of(&[(1, 180), (answer, 603)]),
                _ => Script::of(&[(0, 100), (5, 180), (answer, 200)]),
            });
        }
    })
}

impl Run {
    fn begin(seed: u64, durability: &str) -> Self {
        let trunk = counting_trunk(seed);
        let law = "[law]\nfile = \"{folder}/law.toml\"\n";
        let text = |sip: &str| {
            configuration(sip, &[trunk.address], law)
                .replace("[store]\n", &format!("[store]\ndurability = \"{durability}\"\n"))
        };
        let site = Site::new(&text("127.0.0.1:0"));
        site.write("law.toml", &law_of_every_hour());
        let server = site.start();
        let sip = server.sip[0];
        // From now on the same port: what the PBX sends again must find the server that came back.
        site.configure(&text(&sip.to_string()));
        let pbx = End::bind("pbx", "127.0.0.1", sip);
        Self {
            site,
            server,
            trunk,
            pbx,
            rng: Rng::new(seed),
            in_flight: 0,
        }
    }

    /// Some calls at random moments, some to the same callee at once, some cancelled.
    fn calls(&mut self) {
        for _ in 0..2 + self.rng.below(12) {
            let index = usize::try_from(self.rng.below(CALLEES as u64)).expect("an index");
            for _ in 0..=self.rng.below(2) {
                let now = self.pbx.now();
                let client = self.pbx.ua.invite(
                    now,
                    Invite {
                        callee: callee(index),
                        ..Invite::default()
                    },
                );
                if self.rng.chance(100) {
                    self.pbx.ua.cancel(now, client);
                }
            }
            let pause = self.rng.below(15);
            self.pbx.pump(Duration::from_millis(pause));
        }
    }

    fn kill_and_restart(&mut self) {
        let moment = self.rng.below(40);
        self.pbx.pump(Duration::from_millis(moment));
        self.in_flight += usize::from(self.pending());
        self.server.kill();
        if self.rng.chance(300) {
            // Calls placed while nobody listens find the one that comes back.
            self.calls();
        }
        self.server = self.site.start();
    }

    fn pending(&self) -> bool {
        self.pbx
            .ua
            .clients
            .iter()
            .any(|client| client.method == "INVITE" && client.finals.is_empty() && !client.timed_out)
    }
}

fn no_fifth_call(seed: u64, durability: &str, kills: usize) {
    let _printed = Printed(seed);
    let mut run = Run::begin(seed, durability);
    for _ in 0..kills {
        run.calls();
        run.kill_and_restart();
    }
    run.calls();
    run.pbx.pump_until(Duration::from_secs(10), |ua| {
        ua.clients
            .iter()
            .all(|client| !client.finals.is_empty() || client.timed_out)
    });

    let mut forwarded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (callee, call_id) in run.trunk.calls() {
        forwarded.entry(callee).or_default().insert(call_id);
    }
    for (callee, calls) in &forwarded {
        assert!(
            calls.len() <= MOST,
            "{callee}: {} calls forwarded after {kills} kills",
            calls.len()
        );
    }
    let total: usize = forwarded.values().map(BTreeSet::len).sum();
    let refused = refusals(&run.pbx);
    eprintln!(
        "{kills} kills, {} of them within a call; {total} calls forwarded, {refused} refused",
        run.in_flight
    );
    assert!(run.in_flight > 0, "no kill found a call under way");
    assert!(
        total >= CALLEES,
        "only {total} calls were forwarded: too few to say anything"
    );
    assert!(refused > 0, "no callee reached the limit: the test says nothing");

    for index in 0..CALLEES {
        let callee = callee(index);
        let known = forwarded.get(&callee).map_or(0, BTreeSet::len);
        let left = attempts_left(&run.site, &callee);
        assert!(left <= MOST - known, "{callee}: {known} forwarded, yet {left} left");
    }
    assert_eq!(run.server.stop(), Some(0));
    let verified = run.site.run(&["journal", "verify"]);
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
    // The same from the files alone, with no server to ask.
    for (callee, calls) in &forwarded {
        assert!(attempts_left(&run.site, callee) <= MOST - calls.len(), "{callee}");
    }
}

fn refusals(pbx: &End) -> usize {
    let refused = |client: &&support::ua::Client| {
        client.finals.iter().any(|answer| {
            answer
                .named("Reason")
                .is_some_and(|reason| reason.contains("frequency.exhausted"))
        })
    };
    pbx.ua.clients.iter().filter(refused).count()
}

fn attempts_left(site: &Site, callee: &str) -> usize {
    let output = site.run(&["decide", "--from", "+33162001234", "--to", callee, "--json"]);
    let code = output.status.code();
    assert!(
        code == Some(0) || code == Some(1),
        "decide: {code:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let left = value["attempts_left"].as_u64().expect("attempts_left");
    assert_eq!(left == 0, value["reason"] == "frequency.exhausted", "{value}");
    usize::try_from(left).expect("a small number")
}

#[test]
fn kill_9_at_random_moments_never_yields_a_fifth_call() {
    for seed in seeds(1) {
        no_fifth_call(seed, "strict", 24);
    }
}

#[test]
fn kill_9_never_yields_a_fifth_call_where_the_disk_is_synced_at_intervals() {
    for seed in seeds(1) {
        no_fifth_call(seed ^ 0x1234, "interval", 10);
    }
}
