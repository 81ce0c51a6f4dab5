//! Calls offered at a rate that need not be carried: callers and carrier in one program, over loopback UDP, bounded in count and time.
//! `bench/overload` runs it at rising rates.
//!
//! ```text
//! overload PORT CARRIER calls RATE SECONDS FIRST    whole calls, offered at RATE whatever becomes of them
//! overload PORT CARRIER refused WINDOW SECONDS      INVITEs that are refused for their caller number, WINDOW under way
//! ```
//! Callers send from several ports to PORT, to numbers from +33730000000 + FIRST on. Every tenth call is given up as soon as it rings
//! (CANCEL, 487); of the others an answered one is acknowledged and hung up at once. INVITE, BYE and CANCEL are sent again after 0.5,
//! 1 and 2 seconds without an answer, as RFC 3261 has it, and given up after that. The carrier rings and answers on port CARRIER. Prints
//! one JSON object; what is counted a second is counted from [`SETTLE`] on to the last INVITE.

#[path = "common/net.rs"]
mod net;
#[path = "common/wire.rs"]
mod wire;

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use memchr::memmem;

use net::{Buffers, Net, SENT_AT_ONCE};
use wire::{SDP, decimal, line};

/// Ports that call: `SO_REUSEPORT` spreads ports over the workers' sockets.
const PORTS: usize = 8;

/// At the start of a run, left out of what is counted a second: the proxy finds out how much it can carry.
const SETTLE: Duration = Duration::from_secs(2);

/// After the last INVITE, what is under way has so long.
const TAIL: Duration = Duration::from_secs(6);

/// Batches read of a socket before anything else is done.
const READ_AT_ONCE: usize = 16;

/// Offered at most in one run.
const MOST: usize = 8_000_000;

/// When a request is sent again, after it was last sent (RFC 3261 §17.1.1.2, cut short).
const AGAIN: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<u64>().ok());
    let (Some(port), Some(carrier), Some(mode), Some(rate), Some(seconds)) =
        (number(0), number(1), args.get(2), number(3), number(4))
    else {
        eprintln!("overload PORT CARRIER calls RATE SECONDS FIRST | refused WINDOW SECONDS");
        return Ok(());
    };
    let (port, carrier) = (u16::try_from(port).unwrap_or(0), u16::try_from(carrier).unwrap_or(0));
    let offer = match mode.as_str() {
        "calls" => Offer::Rate(rate.max(1)),
        _ => Offer::Window(rate.clamp(1, 100_000)),
    };
    let mut bench = Bench::new(port, carrier, offer, number(5).unwrap_or(0))?;
    bench.run(Duration::from_secs(seconds.clamp(3, 600)))?;
    bench.report();
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Offer {
    /// Calls a second, forwarded.
    Rate(u64),
    /// Calls under way, refused.
    Window(u64),
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Invited,
    /// Provisionally answered: not sent again.
    Proceeding,
    Cancelling,
    HangingUp,
    Over,
}

struct Call {
    stage: Stage,
    /// When ACK, BYE or CANCEL was sent, in microseconds from the start.
    sent: u32,
    /// Where the ACK and BYE go.
    dialog: Option<Box<Dialog>>,
}

struct Dialog {
    uri: Vec<u8>,
    route: Vec<u8>,
    to: Vec<u8>,
}

struct Bench {
    callers: Vec<Net>,
    carrier: Net,
    buffers: Buffers,
    proxy: SocketAddr,
    offer: Offer,
    first: u64,
    began: Instant,
    calls: Vec<Call>,
    /// What is to be sent again unless it is answered, by how often it was.
    again: [VecDeque<(Instant, usize, Stage)>; AGAIN.len()],
    counts: Counts,
    /// Of [`SETTLE`] on.
    counted: Counts,
    latencies: [Vec<u32>; KINDS.len()],
    period: Duration,
}

const KINDS: [&str; 4] = ["bye", "cancel", "ack", "refused"];
const BYE: usize = 0;
const CANCEL: usize = 1;
const ACK: usize = 2;
const REFUSED: usize = 3;

#[derive(Clone, Copy, Default)]
struct Counts {
    offered: u64,
    /// Hung up and answered, or given up and ended with 487, or (of refused ones) 403.
    served: u64,
    shed: u64,
    other: u64,
    unanswered: u64,
    byes_lost: u64,
    cancels_lost: u64,
    resent: u64,
}

impl Bench {
    fn new(port: u16, carrier: u16, offer: Offer, first: u64) -> std::io::Result<Self> {
        Ok(Self {
            callers: (0..PORTS).map(|_| Net::new(0)).collect::<Result<_, _>>()?,
            carrier: Net::new(carrier)?,
            buffers: Buffers::new(),
            proxy: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            offer,
            first,
            began: Instant::now(),
            calls: Vec::new(),
            again: std::array::from_fn(|_| VecDeque::new()),
            counts: Counts::default(),
            counted: Counts::default(),
            latencies: std::array::from_fn(|_| Vec::new()),
            period: Duration::ZERO,
        })
    }

    fn run(&mut self, period: Duration) -> std::io::Result<()> {
        self.period = period;
        self.began = Instant::now();
        let mut received = Vec::new();
        let (mut settled, mut ended) = (None, None);
        loop {
            let passed = self.began.elapsed();
            if settled.is_none() && passed >= SETTLE {
                settled = Some(self.counts);
            }
            if ended.is_none() && passed >= period {
                ended = Some(self.counts);
            }
            let over = self.counts.offered
                == self.counts.served + self.counts.shed + self.counts.other + self.counts.unanswered;
            if passed >= period + TAIL || (passed >= period + AGAIN[0] && over) {
                break;
            }
            let mut idle = true;
            for _ in 0..self.due(passed) {
                self.invite();
                idle = false;
            }
            // Nearly all that has come: a carrier that falls behind would answer in bursts, which are no overload of the proxy's.
            for at in 0..self.callers.len() {
                for _ in 0..READ_AT_ONCE {
                    if !self.callers[at].receive(&mut self.buffers, &mut received)? {
                        break;
                    }
                    idle = false;
                    for (_, datagram) in received.drain(..) {
                        self.answered(&datagram);
                    }
                }
            }
            for _ in 0..READ_AT_ONCE {
                if !self.carrier.receive(&mut self.buffers, &mut received)? {
                    break;
                }
                idle = false;
                for (from, datagram) in received.drain(..) {
                    self.carry(from, &datagram);
                }
            }
            self.resend();
            self.callers.iter_mut().for_each(Net::flush);
            self.carrier.flush();
            if idle {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
        let (settled, ended) = (settled.unwrap_or_default(), ended.unwrap_or(self.counts));
        self.counted = Counts {
            offered: ended.offered - settled.offered,
            served: ended.served - settled.served,
            shed: ended.shed - settled.shed,
            ..Counts::default()
        };
        Ok(())
    }

    /// How many INVITEs are due; in turns, so that neither sending nor reading starves.
    fn due(&self, passed: Duration) -> u64 {
        if passed >= self.period || self.calls.len() >= MOST {
            return 0;
        }
        let wanted = match self.offer {
            Offer::Rate(rate) => {
                u64::try_from(passed.as_micros())
                    .unwrap_or(u64::MAX)
                    .saturating_mul(rate)
                    / 1_000_000
            }
            Offer::Window(window) => {
                self.counts.served + self.counts.shed + self.counts.other + self.counts.unanswered + window
            }
        };
        wanted.saturating_sub(self.counts.offered).min(SENT_AT_ONCE as u64)
    }

    fn micros(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX)
    }

    fn invite(&mut self) {
        let serial = self.calls.len();
        self.counts.offered += 1;
        self.calls.push(Call {
            stage: Stage::Invited,
            sent: self.micros(),
            dialog: None,
        });
        self.write_invite(serial);
        self.again[0].push_back((Instant::now() + AGAIN[0], serial, Stage::Invited));
    }

    fn write_invite(&mut self, serial: usize) {
        let head = self.head("INVITE", serial, 1, "i");
        self.callers[serial % PORTS].send(self.proxy, |out, local| {
            head(out, local, None);
            let _ = write!(
                out,
                "Contact: <sip:dialer@127.0.0.1:{local}>\r\nUser-Agent: dialer/1.0\r\n\
                 Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\nSupported: timer, replaces\r\n\
                 Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
                SDP.len()
            );
        });
    }

    /// Writes all that requests of a call have in common: without a dialog to the callee's number, else within it.
    fn head(
        &self,
        method: &'static str,
        serial: usize,
        cseq: u8,
        branch: &'static str,
    ) -> impl Fn(&mut Vec<u8>, u16, Option<&Dialog>) + use<> {
        let callee = 33_730_000_000 + self.first + serial as u64;
        let proxy = self.proxy.port();
        let caller: u64 = match self.offer {
            Offer::Rate(_) => 33_162_001_234,
            Offer::Window(_) => 33_123_456_789,
        };
        move |out, local, dialog| {
            let _ = match dialog {
                Some(dialog) => {
                    let _ = write!(out, "{method} ");
                    out.extend_from_slice(&dialog.uri);
                    Ok(())
                }
                None => write!(out, "{method} sip:+{callee}@127.0.0.1:{proxy}"),
            };
            let _ = write!(
                out,
                " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{local};branch=z9hG4bK{branch}{callee};rport\r\n\
                 From: <sip:+{caller}@127.0.0.1>;tag=f{serial}\r\n"
            );
            match dialog {
                Some(dialog) => {
                    for line in [&dialog.to, &dialog.route].into_iter().filter(|line| !line.is_empty()) {
                        out.extend_from_slice(line);
                        out.extend_from_slice(b"\r\n");
                    }
                }
                None => {
                    let _ = write!(out, "To: <sip:+{callee}@127.0.0.1:{proxy}>\r\n");
                }
            }
            let _ = write!(
                out,
                "Call-ID: {callee}.{local}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
            );
        }
    }

    /// ACK or BYE within the dialog, CANCEL without.
    fn request(&mut self, method: &'static str, serial: usize) {
        let (cseq, branch) = match method {
            "BYE" => (2, "b"),
            "ACK" => (1, "a"),
            _ => (1, "i"),
        };
        let head = self.head(method, serial, cseq, branch);
        let dialog = self.calls[serial].dialog.as_deref();
        self.callers[serial % PORTS].send(self.proxy, |out, local| {
            head(out, local, dialog);
            out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        });
    }

    /// The ACK of a final answer above 299: of the INVITE's own transaction, with the answer's To.
    fn acknowledge(&mut self, serial: usize, answer: &[u8]) {
        let head = self.head("ACK", serial, 1, "i");
        let dialog = Dialog {
            uri: format!(
                "sip:+{}@127.0.0.1:{}",
                33_730_000_000 + self.first + serial as u64,
                self.proxy.port()
            )
            .into_bytes(),
            route: Vec::new(),
            to: line(answer, b"To:").to_vec(),
        };
        self.callers[serial % PORTS].send(self.proxy, |out, local| {
            head(out, local, Some(&dialog));
            out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        });
    }

    /// A response to a caller.
    fn answered(&mut self, answer: &[u8]) {
        let status = answer.get(8..11).unwrap_or_default();
        let cseq = line(answer, b"CSeq:");
        let from = line(answer, b"From:");
        let Some(serial) = memmem::find(from, b";tag=f").and_then(|at| decimal(&from[at + 6..])) else {
            return;
        };
        if serial >= self.calls.len() {
            return;
        }
        let now = self.micros();
        let gives_up = serial.is_multiple_of(10);
        let stage = self.calls[serial].stage;
        if cseq.ends_with(b"INVITE") {
            match (status, stage) {
                (b"100", Stage::Invited) => self.calls[serial].stage = Stage::Proceeding,
                (b"180", Stage::Invited | Stage::Proceeding) => {
                    self.calls[serial].stage = Stage::Proceeding;
                    if gives_up {
                        self.enter(serial, Stage::Cancelling, now);
                        self.request("CANCEL", serial);
                    }
                }
                (b"200", Stage::Invited | Stage::Proceeding) => {
                    let contact = line(answer, b"Contact: <");
                    let dialog = Dialog {
                        uri: contact[10.min(contact.len())..contact.len().saturating_sub(1)].to_vec(),
                        route: [b"Route:", line(answer, b"Record-Route:").get(13..).unwrap_or_default()].concat(),
                        to: line(answer, b"To:").to_vec(),
                    };
                    self.calls[serial].dialog = Some(Box::new(dialog));
                    self.request("ACK", serial);
                    self.enter(serial, Stage::HangingUp, now);
                    self.request("BYE", serial);
                }
                (b"200", Stage::HangingUp) => self.request("ACK", serial),
                _ if status >= b"300".as_slice() => {
                    self.acknowledge(serial, answer);
                    if stage == Stage::Over {
                        return;
                    }
                    self.calls[serial].stage = Stage::Over;
                    match status {
                        b"487" if stage == Stage::Cancelling => self.counts.served += 1,
                        b"403" if matches!(self.offer, Offer::Window(_)) => {
                            self.counts.served += 1;
                            self.latencies[REFUSED].push(now - self.calls[serial].sent);
                        }
                        b"503" => self.counts.shed += 1,
                        _ => self.counts.other += 1,
                    }
                }
                _ => {}
            }
        } else if cseq.ends_with(b"BYE") && status == b"200" && stage == Stage::HangingUp {
            self.counts.served += 1;
            self.latencies[BYE].push(now - self.calls[serial].sent);
            self.calls[serial].stage = Stage::Over;
            self.calls[serial].dialog = None;
        } else if cseq.ends_with(b"CANCEL") && status == b"200" && stage == Stage::Cancelling {
            self.latencies[CANCEL].push(now - self.calls[serial].sent);
            // What is left is the 487; it is not asked for again.
        }
    }

    fn enter(&mut self, serial: usize, stage: Stage, now: u32) {
        self.calls[serial].stage = stage;
        self.calls[serial].sent = now;
        self.again[0].push_back((Instant::now() + AGAIN[0], serial, stage));
    }

    /// What is due to be sent again; in turns too.
    fn resend(&mut self) {
        let now = Instant::now();
        let mut sent = 0;
        for round in 0..AGAIN.len() {
            while sent < SENT_AT_ONCE
                && let Some(&(_, serial, stage)) = self.again[round].front().filter(|(due, ..)| *due <= now)
            {
                self.again[round].pop_front();
                if self.calls[serial].stage != stage {
                    continue;
                }
                if round + 1 == AGAIN.len() {
                    self.calls[serial].stage = Stage::Over;
                    self.counts.unanswered += 1;
                    match stage {
                        Stage::HangingUp => self.counts.byes_lost += 1,
                        Stage::Cancelling => self.counts.cancels_lost += 1,
                        _ => {}
                    }
                    continue;
                }
                self.counts.resent += 1;
                sent += 1;
                match stage {
                    Stage::HangingUp => self.request("BYE", serial),
                    Stage::Cancelling => self.request("CANCEL", serial),
                    _ => self.write_invite(serial),
                }
                self.again[round + 1].push_back((now + AGAIN[round + 1], serial, stage));
            }
        }
    }

    /// The carrier: rings, answers all but every tenth call, ends those that are given up.
    fn carry(&mut self, from: SocketAddr, request: &[u8]) {
        let callers = line(request, b"From:");
        let serial = memmem::find(callers, b";tag=f").and_then(|at| decimal(&callers[at + 6..]));
        let Some(serial) = serial.filter(|serial| *serial < self.calls.len()) else {
            return;
        };
        if request.starts_with(b"ACK") {
            if let Stage::HangingUp = self.calls[serial].stage {
                self.latencies[ACK].push(self.micros() - self.calls[serial].sent);
            }
            return;
        }
        let carrier = &mut self.carrier;
        if request.starts_with(b"INVITE") {
            carrier.send(from, |out, local| respond(out, request, b"180 Ringing", local, None));
            if !serial.is_multiple_of(10) {
                carrier.send(from, |out, local| respond(out, request, b"200 OK", local, None));
            }
        } else if request.starts_with(b"BYE") {
            carrier.send(from, |out, local| respond(out, request, b"200 OK", local, None));
        } else if request.starts_with(b"CANCEL") {
            carrier.send(from, |out, local| respond(out, request, b"200 OK", local, None));
            // The INVITE had the CANCEL's topmost Via and the caller's below it.
            let local = self.callers[serial % PORTS].local;
            let via = format!(
                "Via: SIP/2.0/UDP 127.0.0.1:{local};branch=z9hG4bKi{};rport={local};received=127.0.0.1\r\n",
                33_730_000_000 + self.first + serial as u64
            );
            self.carrier.send(from, |out, local| {
                respond(out, request, b"487 Request Terminated", local, Some(via.as_bytes()));
            });
        }
    }

    fn report(&mut self) {
        let counted = (self.period.saturating_sub(SETTLE)).as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        let a_second = |count: u64| count as f64 / counted;
        let mut times = Vec::new();
        for (kind, latencies) in KINDS.iter().zip(&mut self.latencies) {
            latencies.sort_unstable();
            let at = |thousandth: usize| {
                latencies.get((latencies.len() * thousandth / 1000).min(latencies.len().saturating_sub(1)))
            };
            let (middle, high) = (at(500).copied().unwrap_or(0), at(990).copied().unwrap_or(0));
            let _ = write!(
                times,
                ", \"{kind}_count\": {}, \"{kind}_p50_us\": {middle}, \"{kind}_p99_us\": {high}",
                latencies.len()
            );
        }
        let (counts, times) = (self.counts, String::from_utf8_lossy(&times));
        println!(
            "{{\"offered\": {}, \"offered_per_second\": {:.1}, \"served\": {}, \"served_per_second\": {:.1}, \"shed\": {}, \
             \"shed_per_second\": {:.1}, \"other\": {}, \"unanswered\": {}, \"byes_lost\": {}, \"cancels_lost\": {}, \"resent\": {}{times}}}",
            counts.offered,
            a_second(self.counted.offered),
            counts.served,
            a_second(self.counted.served),
            counts.shed,
            a_second(self.counted.shed),
            counts.other,
            counts.unanswered,
            counts.byes_lost,
            counts.cancels_lost,
            counts.resent,
        );
    }
}

/// A response of the carrier; of an INVITE where `below` holds the Via to stand below the request's.
fn respond(out: &mut Vec<u8>, request: &[u8], status: &[u8], local: u16, below: Option<&[u8]>) {
    out.extend_from_slice(b"SIP/2.0 ");
    out.extend_from_slice(status);
    out.extend_from_slice(b"\r\n");
    let mut rest = request;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let whole = &rest[..=end];
        rest = &rest[end + 1..];
        if whole == b"\r\n" {
            break;
        }
        let copied: [&[u8]; 4] = [b"Via:", b"From:", b"Call-ID:", b"Record-Route:"];
        if copied.iter().any(|name| whole.starts_with(name)) {
            out.extend_from_slice(whole);
        } else if whole.starts_with(b"CSeq:") {
            match below {
                Some(via) => {
                    out.extend_from_slice(via);
                    out.extend_from_slice(b"CSeq: 1 INVITE\r\n");
                }
                None => out.extend_from_slice(whole),
            }
        } else if whole.starts_with(b"To:") {
            out.extend_from_slice(whole.trim_ascii_end());
            let tagged = memmem::find(whole, b";tag=").is_some();
            out.extend_from_slice(if tagged { b"\r\n" } else { b";tag=t\r\n" });
        }
    }
    let _ = write!(
        out,
        "Contact: <sip:line@127.0.0.1:{local}>\r\nContent-Length: 0\r\n\r\n"
    );
}
