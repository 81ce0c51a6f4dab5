//! The running binary between SIPp as the PBX and SIPp as the trunks, by one transport or another. Where that is TLS, a
//! [`Bridge`] speaks it for SIPp.

use std::net::SocketAddr;

use clapet::sip::Transport;

use crate::bridge::Bridge;
use crate::script::Script;
use crate::support::authority::Authority;
use crate::support::server::{Server, Site, configuration};
use crate::tool::{Run, Sipp, Tools, free};
use crate::{CALLEE, NPV, TUESDAY};

/// A server with its trunks, and how the PBX reaches it.
pub struct Line<'t> {
    tools: &'t Tools,
    site: Site,
    server: Server,
    from: Transport,
    trunks: Vec<Sipp>,
    to_server: Option<Bridge>,
    _to_trunks: Vec<Bridge>,
}

impl<'t> Line<'t> {
    /// Trunks in order of priority, each with the scenario that it plays once; `None`: one where nobody listens.
    pub fn new(tools: &'t Tools, from: Transport, to: Transport, trunks: &[Option<Script>]) -> Self {
        let site = Site::new("");
        let authority = Authority::new(&site.path(""), "authority");
        let (mut playing, mut bridges, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (script, last) in trunks.iter().zip(2..) {
            let ip = format!("127.0.0.{last}");
            let Some(script) = script else {
                targets.push(free(&ip, to));
                continue;
            };
            let mut run = Run::new(script.clone(), NPV, CALLEE);
            run.transport = to;
            let bridge = (to == Transport::Tls).then(|| Bridge::server(&ip, &authority.sign(&ip)));
            run.at = bridge.as_ref().map(|bridge| bridge.address);
            let (sipp, address) = Sipp::listen(tools, &site, &run, &ip);
            playing.push(sipp);
            if let Some(bridge) = bridge {
                bridge.lead(address);
                targets.push(bridge.address);
                bridges.push(bridge);
            } else {
                targets.push(address);
            }
        }
        site.configure(&listening_to_all(&authority, to, &targets));
        let site = site.at(TUESDAY, &tools.faketime);
        let server = site.start();
        let to_server = (from == Transport::Tls)
            .then(|| Bridge::client(&authority, &authority.sign("127.0.0.1"), server.listener("tls")));
        Self {
            tools,
            site,
            server,
            from,
            trunks: playing,
            to_server,
            _to_trunks: bridges,
        }
    }

    /// Plays the PBX's part until it has succeeded.
    pub fn place(&self, script: Script) {
        let mut run = Run::new(script, NPV, CALLEE);
        run.transport = self.from;
        let remote = match &self.to_server {
            Some(bridge) => bridge.address,
            None => self.server.listener(self.from.as_str()),
        };
        let local = free("127.0.0.1", self.from);
        Sipp::start(self.tools, &self.site, &run, local, Some(remote)).succeed();
    }

    /// What became of the call, and how many more the callee may get.
    pub fn expect(&mut self, outcome: &str, left: u64) {
        for trunk in self.trunks.drain(..) {
            trunk.succeed();
        }
        let label = format!("outcome=\"{outcome}\"");
        let counted = self.server.metric("clapet_attempts_total", &label);
        assert!(
            (counted - 1.0).abs() < 0.5,
            "{:?}: {outcome} counted {counted} times",
            self.from
        );
        let output = self.site.run(&["decide", "--from", NPV, "--to", CALLEE, "--json"]);
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(value["attempts_left"], left, "{:?}: {outcome}", self.from);
    }

    /// The server ends in order.
    pub fn end(self) {
        assert_eq!(self.server.stop(), Some(0));
    }
}

/// A configuration with a listener of each transport, and trunks by one.
fn listening_to_all(authority: &Authority, to: Transport, targets: &[SocketAddr]) -> String {
    let ca = match to {
        Transport::Tls => format!("ca = {:?}\n", authority.file().display().to_string()),
        Transport::Udp | Transport::Tcp => String::new(),
    };
    let listen = "listen = [\"udp://127.0.0.1:0\"";
    let text = configuration("127.0.0.1:0", targets, "");
    assert!(text.contains(listen), "{text}");
    let text = text.replace(
        listen,
        &format!("{listen}, \"tcp://127.0.0.1:0\", \"tls://127.0.0.1:0\""),
    );
    let text = text.replace("[store]\n", &format!("{}\n[store]\n", authority.proxy()));
    targets.iter().fold(text, |text, target| {
        let written = format!("target = \"sip:{target}\"\n");
        text.replace(
            &written,
            &format!("target = \"sip:{target};transport={}\"\n{ca}", to.as_str()),
        )
    })
}
