//! SIPp against the running binary, under faked dates: a tool that others trust judges what goes over the wire. SIPp's exit code and
//! its statistics decide. Needs `sipp` and `faketime` (`tests/run` installs both).

#[path = "support/mod.rs"]
mod support;

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::live::Trunk;
use support::server::{Server, Site, configuration, faketime, finish, tool};

/// Longest life of a SIPp; its own time-out is below it.
const LONGEST: Duration = Duration::from_secs(90);

/// Tuesday, 10:30 in Paris.
const TUESDAY: &str = "2023-06-06 08:30:00";
const NPV: &str = "+33162001234";
const GEOGRAPHIC: &str = "0123456701";
const CALLEE: &str = "0612345678";

/// The tools; `None` where one is missing.
struct Tools {
    sipp: PathBuf,
    faketime: PathBuf,
}

fn tools() -> Option<Tools> {
    Some(Tools {
        sipp: tool("sipp")?,
        faketime: faketime()?,
    })
}

/// A scenario of `tests/sipp` with `@NAME@` filled in.
struct Scenario<'a> {
    file: &'a str,
    values: &'a [(&'a str, &'a str)],
    caller: &'a str,
    callee: &'a str,
    calls: usize,
    /// In a hundred datagrams, at SIPp's end.
    lost: usize,
}

impl<'a> Scenario<'a> {
    fn new(file: &'a str) -> Self {
        Self {
            file,
            values: &[],
            caller: NPV,
            callee: CALLEE,
            calls: 1,
            lost: 0,
        }
    }

    fn refused(code: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            values: code,
            ..Self::new("refused.xml")
        }
    }
}

/// A running SIPp; killed when dropped.
struct Sipp {
    child: Option<Child>,
    name: String,
    folder: PathBuf,
}

impl Sipp {
    fn start(
        tools: &Tools,
        site: &Site,
        scenario: &Scenario<'_>,
        local: SocketAddr,
        remote: Option<SocketAddr>,
    ) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/sipp")
            .join(scenario.file);
        let mut text = std::fs::read_to_string(&source).expect("a scenario");
        for (name, value) in scenario.values {
            text = text.replace(&format!("@{name}@"), value);
        }
        for (name, value) in [
            ("TALK", "100"),
            ("WAIT", "0"),
            ("ACK_MAY_BE_LOST", "false"),
            ("STATUS", "403"),
            ("TEXT", ".*"),
        ] {
            text = text.replace(&format!("@{name}@"), value);
        }
        assert!(!text.contains("@CODE@"), "{} is not filled in", scenario.file);
        let name = format!("{}-{}", scenario.file, local.port());
        let folder = site.path(&name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("scenario.xml"), text).expect("a scenario written");
        let mut command = Command::new(&tools.sipp);
        if let Some(remote) = remote {
            command.arg(remote.to_string());
        }
        let child = command
            .current_dir(&folder)
            .env("TERM", "xterm")
            .args(["-sf", "scenario.xml", "-i", &local.ip().to_string(), "-bind_local"])
            .args(["-p", &local.port().to_string()])
            .args(["-m", &scenario.calls.to_string(), "-l", "1", "-r", "50", "-nostdin"])
            .args(["-timeout", "60", "-timeout_error", "-lost", &scenario.lost.to_string()])
            .args(["-max_invite_retrans", "10", "-max_non_invite_retrans", "12"])
            .args(["-key", "caller", scenario.caller, "-key", "callee", scenario.callee])
            .args([
                "-trace_err",
                "-error_file",
                "errors.log",
                "-trace_msg",
                "-message_file",
                "messages.log",
            ])
            // A machine that stalls is no failure of the call.
            .args([
                "-watchdog_minor_maxtriggers",
                "1000000",
                "-watchdog_major_maxtriggers",
                "1000000",
            ])
            .args(["-trace_stat", "-stf", "stats.csv", "-fd", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp runs");
        Self {
            child: Some(child),
            name,
            folder,
        }
    }

    /// As UAS: on a port that is free, known once SIPp has taken it.
    fn listen(tools: &Tools, site: &Site, scenario: &Scenario<'_>, ip: &str) -> (Self, SocketAddr) {
        for _ in 0..20 {
            let local = free(ip);
            let mut sipp = Self::start(tools, site, scenario, local, None);
            let deadline = Instant::now() + Duration::from_secs(10);
            while Instant::now() < deadline {
                let ended = sipp
                    .child
                    .as_mut()
                    .is_some_and(|child| child.try_wait().expect("a child").is_some());
                if ended {
                    break;
                }
                if UdpSocket::bind(local).is_err() {
                    return (sipp, local);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            // Somebody else took the port in between: another one.
        }
        panic!("sipp found no port to listen at");
    }

    /// Waits for its end: exit code 0, and as many successful calls as it was to have, none failed.
    fn succeed(mut self, calls: usize) {
        let child = self.child.take().expect("a running sipp");
        let output = finish(child, LONGEST, &self.name);
        let log = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let statistics = log("stats.csv");
        let (done, failed) = (
            column(&statistics, "SuccessfulCall(C)"),
            column(&statistics, "FailedCall(C)"),
        );
        assert!(
            output.status.code() == Some(0) && done == Some(calls) && failed == Some(0),
            "{}: exit code {:?}, {done:?} of {calls} calls, {failed:?} failed\n{}\n{}",
            self.name,
            output.status.code(),
            log("errors.log"),
            log("messages.log"),
        );
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The last value of a column of SIPp's statistics.
fn column(statistics: &str, name: &str) -> Option<usize> {
    let mut lines = statistics.lines();
    let at = lines.next()?.split(';').position(|column| column == name)?;
    lines.last()?.split(';').nth(at)?.trim().parse().ok()
}

/// A port that was free a moment ago.
fn free(ip: &str) -> SocketAddr {
    let socket = UdpSocket::bind((ip, 0)).expect("a socket");
    socket.local_addr().expect("an address")
}

/// Runs one scenario as the PBX until it has succeeded.
fn place(tools: &Tools, site: &Site, server: &Server, scenario: &Scenario<'_>) {
    let sipp = Sipp::start(tools, site, scenario, free("127.0.0.1"), Some(server.sip[0]));
    sipp.succeed(scenario.calls);
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
    let values = [("CODE", code)];
    let scenario = Scenario {
        caller,
        ..Scenario::refused(&values)
    };
    place(tools, &site, &server, &scenario);
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
    let answers = Scenario {
        calls: 4,
        ..Scenario::new("answer.xml")
    };
    let holder = Site::new("");
    let (trunk, address) = Sipp::listen(&tools, &holder, &answers, "127.0.0.2");
    let site = site(&tools, TUESDAY, &[address]);
    let server = site.start();
    let calls = Scenario {
        calls: 4,
        ..Scenario::new("call.xml")
    };
    place(&tools, &site, &server, &calls);
    trunk.succeed(4);
    let text = "4 of 4 calls since [0-9-]+; next 2023-07-06T10:00:00\\+02:00";
    place(
        &tools,
        &site,
        &server,
        &Scenario::refused(&[("CODE", "frequency.exhausted"), ("TEXT", text)]),
    );
    assert!((server.metric("clapet_attempts_total", "outcome=\"answered\"") - 4.0).abs() < 0.5);
    assert_eq!(server.stop(), Some(0));
    // What was counted outlives the process.
    let server = site.start();
    place(
        &tools,
        &site,
        &server,
        &Scenario::refused(&[("CODE", "frequency.exhausted")]),
    );
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
    let (trunk, address) = Sipp::listen(&tools, &holder, &Scenario::new("answer.xml"), "127.0.0.2");
    let site = site(&tools, moment, &[address]);
    import(
        &site,
        "consents",
        "number,professional,given_at,channel,evidence,scope,expires,object\n\
         0612345678,acme,2026-10-01T09:00:00+02:00,web,proof-1,prospecting,2027-09-30T00:00:00+02:00,insurance\n",
    );
    let server = site.start();
    place(&tools, &site, &server, &Scenario::new("call.xml"));
    trunk.succeed(1);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_busy_callee_and_a_failed_trunk_are_told_to_the_caller() {
    let Some(tools) = tools() else { return };
    for (status, outcome) in [("486", "busy"), ("404", "failed")] {
        let values = [("STATUS", status)];
        let fails = Scenario {
            values: &values,
            ..Scenario::new("fail.xml")
        };
        let holder = Site::new("");
        let (trunk, address) = Sipp::listen(&tools, &holder, &fails, "127.0.0.2");
        let site = site(&tools, TUESDAY, &[address]);
        let server = site.start();
        let failed = Scenario {
            values: &values,
            ..Scenario::new("failed.xml")
        };
        place(&tools, &site, &server, &failed);
        trunk.succeed(1);
        let label = format!("outcome=\"{outcome}\"");
        assert!(
            (server.metric("clapet_attempts_total", &label) - 1.0).abs() < 0.5,
            "{outcome}"
        );
        assert_eq!(server.stop(), Some(0));
        let output = site.run(&["decide", "--from", NPV, "--to", CALLEE, "--json"]);
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(value["attempts_left"], if status == "486" { 3 } else { 4 }, "{status}");
    }
}

#[test]
fn a_503_moves_the_call_to_the_next_trunk() {
    let Some(tools) = tools() else { return };
    let holder = Site::new("");
    let values = [("STATUS", "503")];
    let fails = Scenario {
        values: &values,
        ..Scenario::new("fail.xml")
    };
    let (first, first_address) = Sipp::listen(&tools, &holder, &fails, "127.0.0.2");
    let (second, second_address) = Sipp::listen(&tools, &holder, &Scenario::new("answer.xml"), "127.0.0.3");
    let site = site(&tools, TUESDAY, &[first_address, second_address]);
    let server = site.start();
    place(&tools, &site, &server, &Scenario::new("call.xml"));
    first.succeed(1);
    second.succeed(1);
    assert!(
        (server.metric("clapet_attempts_total", "outcome=\"answered\"") - 1.0).abs() < 0.5,
        "one attempt"
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_trunk_where_nobody_listens_is_left_for_the_next() {
    let Some(tools) = tools() else { return };
    let holder = Site::new("");
    let nobody = free("127.0.0.2");
    let (second, address) = Sipp::listen(&tools, &holder, &Scenario::new("answer.xml"), "127.0.0.3");
    let site = site(&tools, TUESDAY, &[nobody, address]);
    let server = site.start();
    let begin = Instant::now();
    place(&tools, &site, &server, &Scenario::new("call.xml"));
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "the ICMP error was not heeded: timer B moved the call"
    );
    second.succeed(1);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_call_is_cancelled_while_it_rings() {
    let Some(tools) = tools() else { return };
    let holder = Site::new("");
    let (trunk, address) = Sipp::listen(&tools, &holder, &Scenario::new("ring.xml"), "127.0.0.2");
    let site = site(&tools, TUESDAY, &[address]);
    let server = site.start();
    place(&tools, &site, &server, &Scenario::new("cancelled.xml"));
    trunk.succeed(1);
    assert!((server.metric("clapet_attempts_total", "outcome=\"cancelled\"") - 1.0).abs() < 0.5);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn requests_within_a_call_pass_from_either_side() {
    let Some(tools) = tools() else { return };
    let holder = Site::new("");
    let (trunk, address) = Sipp::listen(&tools, &holder, &Scenario::new("talk.xml"), "127.0.0.2");
    let site = site(&tools, TUESDAY, &[address]);
    let server = site.start();
    place(&tools, &site, &server, &Scenario::new("within.xml"));
    trunk.succeed(1);
    assert!(
        (server.metric("clapet_invites_total", "") - 1.0).abs() < 0.5,
        "the re-INVITE is not judged"
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_call_from_the_trunk_reaches_the_pbx() {
    let Some(tools) = tools() else { return };
    let holder = Site::new("");
    let (pbx, target) = Sipp::listen(&tools, &holder, &Scenario::new("answer.xml"), "127.0.0.1");
    let trunk = free("127.0.0.2");
    let inbound =
        format!("purpose = \"canvassing\"\ntarget = \"sip:{target}\"\ninbound = [\"+33162001000-+33162001999\"]\n");
    let text = configuration("127.0.0.1:0", &[trunk], "").replace("purpose = \"canvassing\"\n", &inbound);
    // A Sunday: calls from trunks are never judged.
    let site = Site::new(&text).at("2023-06-11 08:30:00", &tools.faketime);
    let server = site.start();
    let call = Scenario {
        caller: CALLEE,
        callee: "0162001234",
        ..Scenario::new("call.xml")
    };
    let caller = Sipp::start(&tools, &site, &call, trunk, Some(server.sip[0]));
    caller.succeed(1);
    pbx.succeed(1);
    assert!(server.metric("clapet_invites_total", "").abs() < 0.5);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn lost_datagrams_are_sent_again_and_nothing_counts_twice() {
    let Some(tools) = tools() else { return };
    let calls = 4;
    let holder = Site::new("");
    let answers = Scenario {
        values: &[("WAIT", "8000"), ("ACK_MAY_BE_LOST", "true")],
        calls,
        lost: 10,
        ..Scenario::new("answer.xml")
    };
    let (trunk, address) = Sipp::listen(&tools, &holder, &answers, "127.0.0.2");
    let site = site(&tools, TUESDAY, &[address]);
    let server = site.start();
    let placed = Scenario {
        values: &[("TALK", "2500")],
        calls,
        lost: 10,
        ..Scenario::new("call.xml")
    };
    place(&tools, &site, &server, &placed);
    trunk.succeed(calls);
    assert!(
        (server.metric("clapet_invites_total", "verdict=\"allow\"") - 4.0).abs() < 0.5,
        "each call judged once"
    );
    place(
        &tools,
        &site,
        &server,
        &Scenario::refused(&[("CODE", "frequency.exhausted")]),
    );
    assert_eq!(server.stop(), Some(0));
}
