//! Probes of trunks by OPTIONS (RFC 3261 §11), sans-IO: one proxy of a process sends them, whichever proxy gets the answer takes note
//! of it, and all read the result when they choose a trunk. A trunk counts as up that gives any final answer but 408, 503 and 504:
//! whatever it says, something speaks SIP there.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Proxy;
use super::context::is_reliable;
use super::core::Core;
use super::counters::{Direction, Kind};
use super::keys::{Stamp, Use};
use crate::sip::message::{Header, Message, Method};
use crate::sip::peer::{Peers, Trunk};
use crate::sip::{Flow, Now, Transport};

/// The probes of one proxy.
pub(super) struct Prober {
    began: Instant,
    probes: Vec<Probe>,
}

/// The probe of one trunk.
struct Probe {
    trunk: Arc<str>,
    position: usize,
    /// When the next OPTIONS leaves.
    next: Instant,
    under_way: Option<UnderWay>,
}

/// One OPTIONS.
struct UnderWay {
    unique: u64,
    flow: Flow,
    request: Bytes,
    /// Next retransmission, unreliable transports only.
    resend: Option<(Instant, Duration)>,
    until: Instant,
}

impl Prober {
    fn new(began: Instant) -> Self {
        Self {
            began,
            probes: Vec::new(),
        }
    }

    /// Takes over other trunks; those that stay keep their time.
    fn set(&mut self, peers: &Peers) {
        let old = std::mem::take(&mut self.probes);
        let watched = peers.trunks.iter().enumerate();
        self.probes = watched
            .filter(|(_, trunk)| trunk.watch.options.is_some())
            .map(|(position, trunk)| {
                let known = old.iter().find(|probe| probe.trunk == trunk.id);
                Probe {
                    trunk: Arc::clone(&trunk.id),
                    position,
                    next: known.map_or(self.began, |probe| probe.next),
                    under_way: None,
                }
            })
            .collect();
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.probes.iter().map(Probe::wake).min()
    }
}

impl Probe {
    fn wake(&self) -> Instant {
        let under_way = self.under_way.iter().flat_map(|one| {
            let resend = one.resend.map(|(at, _)| at);
            resend.into_iter().chain([one.until])
        });
        under_way.chain([self.next]).min().unwrap_or(self.next)
    }
}

impl Proxy {
    /// From now on this proxy probes the trunks that are to be probed; one of a process's proxies does.
    pub fn probe(&mut self, now: Now) {
        self.prober = Some(Prober::new(now.mono));
        self.set_probes();
        self.fire_probes(now);
    }

    /// Trunks may have changed.
    pub(super) fn set_probes(&mut self) {
        let Some(prober) = &mut self.prober else { return };
        let peers = &self.routed.routing.peers;
        prober.set(peers);
        let up = &self.core.counters.metrics.trunk_up;
        up.reset();
        for trunk in &peers.trunks {
            up.with_label_values(&[&trunk.id])
                .set(i64::from(!trunk.watch.health.is_down()));
        }
    }

    /// Sends what is due, and gives up what nobody has answered.
    pub(super) fn fire_probes(&mut self, now: Now) {
        let Some(prober) = &mut self.prober else { return };
        let peers = self.routed.routing.peers.clone();
        for probe in &mut prober.probes {
            let Some(trunk) = peers.trunks.get(probe.position) else {
                continue;
            };
            if let Some(one) = &mut probe.under_way {
                if !trunk.watch.health.awaits(one.unique) {
                    probe.under_way = None;
                } else if one.until <= now.mono {
                    self.core.probe_ended(trunk, one.unique, true);
                    probe.under_way = None;
                } else if let Some((_, interval)) = one.resend.filter(|(at, _)| *at <= now.mono) {
                    one.resend = Some((now.mono + interval * 2, interval * 2));
                    self.core
                        .resend(one.flow, one.request.clone(), Kind::Request(Method::Options));
                }
            }
            if probe.next <= now.mono {
                let every = trunk.watch.options.map_or(LONGEST, |options| options.every);
                probe.next = now.mono + every;
                probe.under_way = self.core.send_probe(trunk, now.mono);
            }
        }
    }

    /// A response that no call waits for: to a probe of ours, of this proxy or of another of the process?
    pub(super) fn probe_answered(&mut self, stamp: &Stamp, response: &Message) -> bool {
        if response.method() != Method::Options || stamp.loop_hash != PROBE || !self.core.keys.is_ours(stamp, response)
        {
            return false;
        }
        let status = response.status();
        let peers = self.routed.routing.peers.clone();
        let awaiting = peers
            .trunks
            .iter()
            .find(|trunk| trunk.watch.health.awaits(stamp.unique));
        match awaiting {
            Some(trunk) if status >= 200 => {
                self.core.counters.trunk_response(&trunk.id, status);
                self.core
                    .probe_ended(trunk, stamp.unique, matches!(status, 408 | 503 | 504));
            }
            Some(_) => {}
            None => self.core.counters.retransmission(Direction::In),
        }
        true
    }

    /// Nothing can be sent there: probes towards it have failed.
    pub(super) fn probes_failed(&mut self, flow: Flow) {
        let Some(prober) = &mut self.prober else { return };
        let peers = &self.routed.routing.peers;
        for probe in &mut prober.probes {
            let undelivered = probe
                .under_way
                .take_if(|one| one.flow.remote == flow.remote && one.flow.transport == flow.transport);
            if let (Some(one), Some(trunk)) = (undelivered, peers.trunks.get(probe.position)) {
                self.core.probe_ended(trunk, one.unique, true);
            }
        }
    }
}

impl Core {
    fn probe_ended(&mut self, trunk: &Trunk, unique: u64, failed: bool) {
        let Some(probing) = trunk.watch.options else { return };
        if trunk.watch.health.probe_ended(unique, failed, probing) {
            self.counters
                .metrics
                .trunk_up
                .with_label_values(&[&trunk.id])
                .set(i64::from(!failed));
        }
    }

    /// Sends an OPTIONS; `None` where no listener reaches the trunk, which then has failed.
    fn send_probe(&mut self, trunk: &Trunk, now: Instant) -> Option<UnderWay> {
        let unique = self.unique();
        trunk.watch.health.probe_sent(unique);
        let target = &trunk.target;
        let listener = self.settings.listeners.first().map(|listener| listener.id);
        let flow = listener.and_then(|listener| self.flow(listener, target.address, target.transport));
        let out = flow.and_then(|flow| self.listener(flow.listener));
        let (Some(flow), Some(out)) = (flow, out) else {
            self.probe_ended(trunk, unique, true);
            return None;
        };
        let name = match flow.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        };
        let tag = self.keys.fields(Use::Probe).add(&unique.to_le_bytes()).short();
        let us = &out.advertise;
        let uri = &target.uri;
        let call_id = format!("{tag:016x}-probe");
        let mut text = format!("OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/{name} {us};branch=");
        self.keys.push_branch_of(&mut text, unique, PROBE, &call_id, 1);
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:clapet@{us}>;tag={tag:016x}\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\n\
             CSeq: 1 OPTIONS\r\nContact: <sip:clapet@{us}>\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n"
        );
        let request = Bytes::from(text);
        self.send(flow, request.clone(), Kind::Request(Method::Options));
        let t1 = self.durations.t1;
        Some(UnderWay {
            unique,
            flow,
            request,
            resend: (!is_reliable(flow.transport)).then_some((now + t1, t1)),
            until: now + t1 * PATIENCE,
        })
    }
}

/// A trunk's 503 says how long it wants to be left alone (RFC 3261 §21.5.4).
pub(super) fn leave_alone(trunk: &Trunk, now: Instant, response: &Message) {
    let value = response.first(Header::RetryAfter).unwrap_or_default();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    if let Ok(seconds) = value[..digits].parse::<u32>() {
        trunk
            .watch
            .health
            .leave_alone(now, Duration::from_secs(u64::from(seconds)));
    }
}

/// Stands in the branch of a probe where that of a call has the hash of its routing.
const PROBE: u64 = 0;

/// In T1: four seconds, three retransmissions.
const PATIENCE: u32 = 8;

/// To the next probe of a trunk that is no longer probed.
const LONGEST: Duration = Duration::from_secs(3600);
