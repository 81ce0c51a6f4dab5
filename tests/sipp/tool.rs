//! SIPp as a process: started with a scenario, waited for, judged by its exit code and its statistics.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clapet::sip::Transport;

use crate::script::Script;
use crate::support::server::{Site, faketime, finish, tool};

/// Longest life of a SIPp; its own time-out is below it.
const LONGEST: Duration = Duration::from_secs(90);

/// The tools; `None` where one is missing.
pub struct Tools {
    sipp: PathBuf,
    pub faketime: PathBuf,
}

pub fn tools() -> Option<Tools> {
    Some(Tools {
        sipp: tool("sipp")?,
        faketime: faketime()?,
    })
}

/// How a scenario is run.
#[derive(Clone)]
pub struct Run<'a> {
    pub script: Script,
    pub caller: &'a str,
    /// One call to each, as many at once as there are.
    pub callees: Vec<String>,
    /// How many calls, one after the other, where there is one callee.
    pub calls: usize,
    pub transport: Transport,
    /// Where the callee is to be reached, if not at SIPp's own address.
    pub at: Option<SocketAddr>,
}

impl<'a> Run<'a> {
    pub fn new(script: Script, caller: &'a str, callee: &str) -> Self {
        Self {
            script,
            caller,
            callees: vec![callee.to_owned()],
            calls: 1,
            transport: Transport::Udp,
            at: None,
        }
    }

    pub fn total(&self) -> usize {
        self.calls * self.callees.len()
    }
}

/// A running SIPp; killed when dropped.
pub struct Sipp {
    child: Option<Child>,
    name: String,
    folder: PathBuf,
    total: usize,
}

impl Sipp {
    /// As UAC towards `remote`, or as UAS.
    pub fn start(tools: &Tools, site: &Site, run: &Run<'_>, local: SocketAddr, remote: Option<SocketAddr>) -> Self {
        let name = format!("{:?}-{local}", run.transport).to_lowercase();
        let folder = site.path(&name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("scenario.xml"), filled(run, local)).expect("a scenario written");
        let callees = format!("SEQUENTIAL\n{};\n", run.callees.join(";\n"));
        std::fs::write(folder.join("callees.csv"), callees).expect("numbers written");
        let mut command = Command::new(&tools.sipp);
        if let Some(remote) = remote {
            command.arg(remote.to_string());
            command.args(["-inf", "callees.csv"]);
        }
        let child = command
            .current_dir(&folder)
            .env("TERM", "xterm")
            .args(["-sf", "scenario.xml", "-i", &local.ip().to_string(), "-bind_local"])
            .args(["-p", &local.port().to_string(), "-cid_str", "%u-call@%s"])
            .args(["-t", if run.transport == Transport::Udp { "u1" } else { "t1" }])
            .args(["-m", &run.total().to_string(), "-l", &run.callees.len().to_string()])
            .args(["-r", "50", "-nostdin", "-timeout", "60", "-timeout_error"])
            .args(["-max_invite_retrans", "10", "-max_non_invite_retrans", "12"])
            .args(["-key", "caller", run.caller])
            .args(["-trace_err", "-error_file", "errors.log"])
            .args(["-trace_msg", "-message_file", "messages.log"])
            // A machine that stalls is no failure of the call.
            .args(["-watchdog_minor_maxtriggers", "1000000"])
            .args(["-watchdog_major_maxtriggers", "1000000"])
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
            total: run.total(),
        }
    }

    /// As UAS: on a port that is free, known once SIPp has taken it.
    pub fn listen(tools: &Tools, site: &Site, run: &Run<'_>, ip: &str) -> (Self, SocketAddr) {
        for _ in 0..20 {
            let local = free(ip, run.transport);
            let mut sipp = Self::start(tools, site, run, local, None);
            let deadline = Instant::now() + Duration::from_secs(10);
            while Instant::now() < deadline {
                let ended = sipp
                    .child
                    .as_mut()
                    .is_some_and(|child| child.try_wait().expect("a child").is_some());
                if ended {
                    break;
                }
                if is_taken(local, run.transport) {
                    return (sipp, local);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            // Somebody else took the port in between: another one.
        }
        panic!("sipp found no port to listen at");
    }

    /// Waits for its end: exit code 0, and as many successful calls as it was to have, none failed.
    pub fn succeed(mut self) {
        let child = self.child.take().expect("a running sipp");
        let output = finish(child, LONGEST, &self.name);
        let log = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let statistics = log("stats.csv");
        let (done, failed) = (
            column(&statistics, "SuccessfulCall(C)"),
            column(&statistics, "FailedCall(C)"),
        );
        assert!(
            output.status.code() == Some(0) && done == Some(self.total) && failed == Some(0),
            "{}: exit code {:?}, {done:?} of {} calls, {failed:?} failed\n{}\n{}",
            self.name,
            output.status.code(),
            self.total,
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
            if std::thread::panicking() {
                let messages = std::fs::read_to_string(self.folder.join("messages.log"));
                eprintln!("{} saw:\n{}", self.name, messages.unwrap_or_default());
            }
        }
    }
}

/// The scenario with its addresses and transport.
fn filled(run: &Run<'_>, local: SocketAddr) -> String {
    let (name, parameter) = match run.transport {
        Transport::Udp => ("UDP", ""),
        Transport::Tcp => ("TCP", ";transport=tcp"),
        Transport::Tls => ("TLS", ";transport=tls"),
    };
    // RFC 5923: requests to the port in its Via may come by the connection that it made.
    let alias = if run.transport == Transport::Tls { ";alias" } else { "" };
    let at = run.at.unwrap_or(local);
    run.script
        .xml()
        .replace("%VIA%", &format!("SIP/2.0/{name} [local_ip]:[local_port]"))
        .replace("%ALIAS%", alias)
        .replace("%CALLER%", &format!("[local_ip]:[local_port]{parameter}"))
        .replace("%CALLEE%", &format!("{at}{parameter}"))
        .replace("[callee]", "[field0]")
}

/// The last value of a column of SIPp's statistics.
fn column(statistics: &str, name: &str) -> Option<usize> {
    let mut lines = statistics.lines();
    let at = lines.next()?.split(';').position(|column| column == name)?;
    lines.last()?.split(';').nth(at)?.trim().parse().ok()
}

/// A port that was free a moment ago.
pub fn free(ip: &str, transport: Transport) -> SocketAddr {
    match transport {
        Transport::Udp => UdpSocket::bind((ip, 0)).expect("a socket").local_addr(),
        Transport::Tcp | Transport::Tls => TcpListener::bind((ip, 0)).expect("a socket").local_addr(),
    }
    .expect("an address")
}

fn is_taken(address: SocketAddr, transport: Transport) -> bool {
    match transport {
        Transport::Udp => UdpSocket::bind(address).is_err(),
        Transport::Tcp | Transport::Tls => TcpListener::bind(address).is_err(),
    }
}
