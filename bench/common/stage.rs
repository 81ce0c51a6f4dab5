//! A proxy between a dialer and a trunk, a call at a time: the SIP side of a benchmark, with what is the proxy's own work told apart
//! from what plays its peers. `bench/operations.rs` counts instructions of it, `tests/allocations.rs` allocations.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clapet::sip::proxy::{Output, Proxy};
use clapet::sip::{Flow, ListenerId, Now, Transport};
use tokio::runtime::Runtime;

use super::{GEOGRAPHIC, NPV, World};

/// Between two calls: what a finished transaction keeps is gone after 160 of them, and as much goes as comes from then on.
const STEP: Duration = Duration::from_millis(200);

/// Runs a piece of the proxy's own work.
pub type Meter<'a> = &'a mut dyn FnMut(&mut dyn FnMut());

pub struct Stage {
    world: World,
    proxy: Proxy,
    runtime: Runtime,
    dialer: SocketAddr,
    trunk: SocketAddr,
    now: Now,
    serial: u64,
}

impl Stage {
    pub fn new() -> Self {
        let world = World::new();
        Self {
            proxy: world.proxy(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
            dialer: "127.0.0.1:5070".parse().expect("an address"),
            trunk: "127.0.0.1:5090".parse().expect("an address"),
            now: Now {
                mono: Instant::now(),
                wall: world.wall,
            },
            serial: 0,
            world,
        }
    }

    /// INVITE, 100, 180, 200, ACK, BYE, 200: what a call that is let through takes, its attempt reserved and settled.
    pub fn forwarded_call(&mut self, meter: Meter) {
        let serial = self.next();
        let invite = super::invite(NPV, 612_000_000 + serial, serial);
        let forwarded = self.forwards(meter, self.dialer, invite, self.trunk);
        assert!(
            self.deliver(meter, self.trunk, response(&forwarded, "100 Trying"))
                .is_empty()
        );
        self.forwards(meter, self.trunk, response(&forwarded, "180 Ringing"), self.dialer);
        let answer = self.forwards(meter, self.trunk, response(&forwarded, "200 OK"), self.dialer);
        self.forwards(meter, self.dialer, request(&answer, "ACK", 1), self.trunk);
        let bye = self.forwards(meter, self.dialer, request(&answer, "BYE", 2), self.trunk);
        self.forwards(meter, self.trunk, response(&bye, "200 OK"), self.dialer);
    }

    /// INVITE, 403, ACK: the caller shows a number that an automated call may not show.
    pub fn refused_invite(&mut self, meter: Meter) {
        let serial = self.next();
        let invite = super::invite(GEOGRAPHIC, 612_000_000 + serial, serial);
        let refusal = self.forwards(meter, self.dialer, invite.clone(), self.dialer);
        assert!(refusal.starts_with(b"SIP/2.0 403"), "{refusal:?}");
        let ack = acknowledge(&invite, &refusal);
        assert!(self.deliver(meter, self.dialer, ack).is_empty());
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.now.mono += STEP;
        self.serial
    }

    /// The one message that goes to `to` for this one, a 100 apart.
    fn forwards(&mut self, meter: Meter, from: SocketAddr, bytes: Bytes, to: SocketAddr) -> Bytes {
        let mut sent = self.deliver(meter, from, bytes);
        sent.retain(|(_, bytes)| !bytes.starts_with(b"SIP/2.0 100"));
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0].0, to, "{sent:?}");
        sent.remove(0).1
    }

    fn deliver(&mut self, meter: Meter, from: SocketAddr, bytes: Bytes) -> Vec<(SocketAddr, Bytes)> {
        let Self {
            world,
            proxy,
            runtime,
            now,
            ..
        } = self;
        let flow = Flow::new(ListenerId(0), Transport::Udp, from);
        let mut arrived = Some(bytes);
        let mut sent = Vec::new();
        meter(&mut || {
            proxy.timeout(*now);
            if let Some(bytes) = arrived.take() {
                proxy.receive(*now, flow, bytes);
            }
        });
        loop {
            let mut output = None;
            meter(&mut || output = proxy.poll());
            match output {
                None => return sent,
                Some(Output::Send { flow, bytes }) => sent.push((flow.remote, bytes)),
                Some(Output::Ask { id, question }) => {
                    let mut answer = None;
                    meter(&mut || answer = Some(world.gate.admit(&question, now.wall)));
                    // The journal's write is another thread's work.
                    let mut decision = Some(runtime.block_on(answer.take().expect("asked").wait()));
                    meter(&mut || {
                        if let Some(decision) = decision.take() {
                            proxy.decide(*now, id, decision);
                        }
                    });
                }
                Some(Output::Settle { reservation, outcome }) => {
                    let mut reservation = Some(reservation);
                    meter(&mut || {
                        if let Some(reservation) = reservation.take() {
                            reservation.settle(outcome, now.wall);
                        }
                    });
                }
            }
        }
    }
}

/// What the far end answers.
fn response(request: &[u8], status: &str) -> Bytes {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in lines(request) {
        if ["Via:", "Record-Route:", "From:", "Call-ID:", "CSeq:"]
            .iter()
            .any(|name| line.starts_with(name))
        {
            text.push_str(&line);
            text.push_str("\r\n");
        } else if line.starts_with("To:") {
            text.push_str(&line);
            text.push_str(if line.contains(";tag=") {
                "\r\n"
            } else {
                ";tag=line\r\n"
            });
        }
    }
    text.push_str("Contact: <sip:line@127.0.0.1:5090>\r\nContent-Length: 0\r\n\r\n");
    Bytes::from(text)
}

/// A request of the caller within the dialog that this answer opened.
fn request(answer: &[u8], method: &str, number: u32) -> Bytes {
    let [from, to, call, route] = ["From:", "To:", "Call-ID:", "Record-Route:"].map(|name| value(answer, name));
    Bytes::from(format!(
        "{method} sip:line@127.0.0.1:5090 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-{method}{call};rport\r\n\
         Route: {route}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n"
    ))
}

/// The ACK of a final answer that refuses (RFC 3261 §17.1.1.3).
fn acknowledge(invite: &[u8], answer: &[u8]) -> Bytes {
    let start = lines(invite).next().unwrap_or_default().replace("INVITE", "ACK");
    let [via, from, call] = ["Via:", "From:", "Call-ID:"].map(|name| value(invite, name));
    let to = value(answer, "To:");
    Bytes::from(format!(
        "{start}\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n"
    ))
}

fn value(message: &[u8], name: &str) -> String {
    lines(message)
        .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        .unwrap_or_default()
}

fn lines(message: &[u8]) -> impl Iterator<Item = String> {
    let head = String::from_utf8_lossy(message).into_owned();
    let head = head.split("\r\n\r\n").next().unwrap_or_default().to_owned();
    head.split("\r\n").map(str::to_owned).collect::<Vec<_>>().into_iter()
}
