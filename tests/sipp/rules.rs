//! The rules as a PBX meets them: what goes, what is refused and why, what counts, and which trunk gets the call. Over UDP.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clapet::sip::Transport;

use crate::script::Script;
use crate::support::live::Trunk;
use crate::support::server::{Server, Site, configuration};
use crate::tool::{Run, Sipp, Tools, free, tools};
use crate::{CALLEE, NPV, TUESDAY, answers, calls, fails, fails_at_once, is_refused};

const GEOGRAPHIC: &str = "0123456701";

/// Runs one scenario as the PBX until it has succeeded.
fn place(tools: &Tools, site: &Site, server: &Server, run: &Run<'_>) {
    let local = free("127.0.0.1", run.transport);
    Sipp::start(tools, site, run, local, Some(server.sip[0])).succeed();
}

fn place_one(tools: &Tools, site: &Site, server: &Server, script: Script) {
    place(tools, site, server, &Run::new(script, NPV, CALLEE));
}

/// A trunk that plays this for so many calls.
fn trunk(tools: &Tools, holder: &Site, ip: &str, script: Script, calls: usize) -> (Sipp, SocketAddr) {
    let run = Run {
        calls,
        ..Run::new(script, NPV, CALLEE)
    };
    Sipp::listen(tools, holder, &run, ip)
}

fn site(tools: &Tools, moment: &str, trunks: &[SocketAddr]) -> Site {
    Site::new(&configuration("127.0.0.1:0", trunks, "")).at(moment, &tools.faketime)
}

/// A call at that moment is refused with that code and never reaches the trunk.
fn refused_at(tools: &Tools, moment: &str, caller: &str, code: &str, prepare: impl FnOnce(&Site)) {
    let trunk = Trunk::start(|_| ());
    let site = site(tools, moment, &[trunk.address]);
    prepare(&site);
    let server = site.start();
    place(tools, &site, &server, &Run::new(is_refused(code, ".*"), caller, CALLEE));
    assert!(trunk.calls().is_empty(), "{code}: the trunk was called");
    let label = format!("reason=\"{code}\"");
    assert!(
        (server.metric("clapet_invites_total", &label) - 1.0).abs() < 0.5,
        "{code} is not counted once"
    );
    assert_eq!(server.stop(), Some(0));
}

fn import(site: &Site, kind: &str, text: &str) {
    let path = site.write(&format!("{kind}.csv"), text).to_string_lossy().into_owned();
    let professional: &[&str] = if kind == "bloctel" {
        &["--professional", "acme"]
    } else {
        &[]
    };
    let arguments = [&["import", kind, path.as_str()], professional].concat();
    let output = site.run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn four_calls_go_and_the_fifth_is_refused() {
    let Some(tools) = tools() else { return };
    let holder = Site::new("");
    let (trunk, address) = trunk(&tools, &holder, "127.0.0.2", answers(), 4);
    let site = site(&tools, TUESDAY, &[address]);
    let server = site.start();
    let four = Run {
        calls: 4,
        ..Run::new(calls(100), NPV, CALLEE)
    };
    place(&tools, &site, &server, &four);
    trunk.succeed();
    let text = "4 of 4 calls since [0-9-]+; next 2023-07-06T10:00:00\\+02:00";
    place_one(&tools, &site, &server, is_refused("frequency.exhausted", text));
    assert!((server.metric("clapet_attempts_total", "outcome=\"answered\"") - 4.0).abs() < 0.5);
    assert_eq!(server.stop(), Some(0));
    // What was counted outlives the process.
    let server = site.start();
    place_one(&tools, &site, &server, is_refused("frequency.exhausted", ".*"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn calls_outside_the_hours_are_refused_by_their_reason() {
    let Some(tools) = tools() else { return };
    for (moment, code) in [
        ("2023-06-10 08:30:00", "hours.day"),
        ("2023-05-01 08:30:00", "hours.holiday"),
        ("2023-06-06 11:00:00", "hours.window"),
        ("2023-06-06 18:00:00", "hours.window"),
        ("2023-06-06 07:59:00", "hours.window"),
    ] {
        refused_at(&tools, moment, NPV, code, |_| ());
    }
}

#[test]
fn an_automated_call_showing_a_geographic_number_is_refused() {
    let Some(tools) = tools() else { return };
    refused_at(&tools, TUESDAY, GEOGRAPHIC, "caller-id.not-npv", |_| ());
}

#[test]
fn a_callee_who_refused_is_not_called() {
    let Some(tools) = tools() else { return };
    refused_at(&tools, TUESDAY, NPV, "refusal.active", |site| {
        import(
            site,
            "refusals",
            "number,professional,at,channel\n0612345678,acme,2023-06-01T11:00:00+02:00,call\n",
        );
    });
}

#[test]
fn a_callee_on_the_bloctel_list_is_not_called() {
    let Some(tools) = tools() else { return };
    refused_at(&tools, TUESDAY, NPV, "bloctel.opposed", |site| {
        import(site, "bloctel", "0612345678\n0612345600\n");
    });
}

#[test]
fn since_the_opt_in_only_who_consented_is_called() {
    let Some(tools) = tools() else { return };
    let moment = "2026-11-24 09:30:00";
    refused_at(&tools, moment, NPV, "consent.missing", |_| ());

    let holder = Site::new("");
    let (trunk, address) = trunk(&tools, &holder, "127.0.0.2", answers(), 1);
    let site = site(&tools, moment, &[address]);
    import(
        &site,
        "consents",
        "number,professional,given_at,channel,evidence,scope,expires,object\n\
         0612345678,acme,2026-10-01T09:00:00+02:00,web,proof-1,prospecting,2027-09-30T00:00:00+02:00,insurance\n",
    );
    let server = site.start();
    place_one(&tools, &site, &server, calls(100));
    trunk.succeed();
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_busy_callee_and_a_failed_trunk_are_told_to_the_caller() {
    let Some(tools) = tools() else { return };
    for (status, outcome) in [(486, "busy"), (404, "failed")] {
        let holder = Site::new("");
        let (trunk, address) = trunk(&tools, &holder, "127.0.0.2", fails_at_once(status), 1);
        let site = site(&tools, TUESDAY, &[address]);
        let server = site.start();
        place_one(&tools, &site, &server, fails(status));
        trunk.succeed();
        let label = format!("outcome=\"{outcome}\"");
        assert!(
            (server.metric("clapet_attempts_total", &label) - 1.0).abs() < 0.5,
            "{outcome}"
        );
        assert_eq!(server.stop(), Some(0));
        let output = site.run(&["decide", "--from", NPV, "--to", CALLEE, "--json"]);
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(value["attempts_left"], if status == 486 { 3 } else { 4 }, "{status}");
    }
}

#[test]
fn a_trunk_where_nobody_listens_is_left_for_the_next() {
    let Some(tools) = tools() else { return };
    let holder = Site::new("");
    let nobody = free("127.0.0.2", Transport::Udp);
    let (second, address) = trunk(&tools, &holder, "127.0.0.3", answers(), 1);
    let site = site(&tools, TUESDAY, &[nobody, address]);
    let server = site.start();
    let begin = Instant::now();
    place_one(&tools, &site, &server, calls(100));
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "the ICMP error was not heeded: timer B moved the call"
    );
    second.succeed();
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_call_from_the_trunk_reaches_the_pbx() {
    let Some(tools) = tools() else { return };
    let holder = Site::new("");
    let (pbx, target) = trunk(&tools, &holder, "127.0.0.1", answers(), 1);
    let carrier = free("127.0.0.2", Transport::Udp);
    let inbound =
        format!("purpose = \"canvassing\"\ntarget = \"sip:{target}\"\ninbound = [\"+33162001000-+33162001999\"]\n");
    let text = configuration("127.0.0.1:0", &[carrier], "").replace("purpose = \"canvassing\"\n", &inbound);
    // A Sunday: calls from trunks are never judged.
    let site = Site::new(&text).at("2023-06-11 08:30:00", &tools.faketime);
    let server = site.start();
    let call = Run::new(calls(100), CALLEE, "0162001234");
    Sipp::start(&tools, &site, &call, carrier, Some(server.sip[0])).succeed();
    pbx.succeed();
    assert!(server.metric("clapet_invites_total", "").abs() < 0.5);
    assert_eq!(server.stop(), Some(0));
}
