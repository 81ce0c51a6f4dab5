//! Whole calls, or refused INVITEs, at a steady rate: caller and carrier in one program, loopback UDP, bounded in count and time.
//!
//! ```text
//! calls PORT CARRIER RATE SECONDS FIRST SPAN SKIP
//! ```
//! The caller sends an INVITE to PORT every 1/RATE seconds whatever became of the last ones, to the numbers FIRST … FIRST+SPAN in an
//! order far from sequential, SKIP of which were called before. The carrier answers on port CARRIER: 180 at once, 200 after ten
//! milliseconds; the caller acknowledges, and hangs up ten milliseconds later. Both send again as RFC 3261 asks (T1 500 ms). Response
//! times run from the INVITE to the first 180, or to the final answer where it is refused. Prints one JSON object.

#[path = "common/wire.rs"]
mod wire;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wire::SDP;

/// How far apart two numbers called one after the other lie: coprime to the spans in use.
const STRIDE: u64 = 611_953;
/// From 180 to 200, and from ACK to BYE: a carrier or a caller never sends the two at the same moment, and a proxy with several
/// processes may swap two that come together.
const PAUSE: Duration = Duration::from_millis(10);
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// What is under way after the last INVITE has so long.
const TAIL: Duration = Duration::from_secs(3);
/// Offered at most.
const MOST: u64 = 5_000_000;

/// How far a call has come: bits of its state.
const RESPONDED: u8 = 1;
const RANG: u8 = 2;
const ANSWERED: u8 = 4;
const ENDED: u8 = 8;
/// As its carrier sees it.
const CARRIED: u8 = 16;
const ACKNOWLEDGED: u8 = 32;

fn main() -> std::io::Result<()> {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let [port, carrier, rate, seconds, first, span, skip] = args[..] else {
        eprintln!("calls PORT CARRIER RATE SECONDS FIRST SPAN SKIP");
        return Ok(());
    };
    let (port, carrier) = (u16::try_from(port).unwrap_or(0), u16::try_from(carrier).unwrap_or(0));
    let count = rate.max(1).saturating_mul(seconds).min(MOST);
    let caller = socket(0)?;
    let run = Run {
        port,
        local: caller.local_addr()?.port(),
        carrier_port: carrier,
        process: std::process::id(),
        rate: rate.max(1),
        first,
        span: span.max(1),
        skip,
        began: Instant::now(),
        states: (0..count).map(|_| AtomicU8::new(0)).collect(),
        sent_at: (0..count).map(|_| AtomicU64::new(0)).collect(),
        caller,
        carrier: socket(carrier)?,
        waiting: Mutex::default(),
        again: AtomicU64::new(0),
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let (late, seen) = std::thread::scope(|scope| {
        scope.spawn(|| run.carry());
        let listening = scope.spawn(|| run.listen());
        let late = run.pace();
        run.stop.store(true, Ordering::Relaxed);
        (late, listening.join().unwrap_or_default())
    });
    run.report(late, seen);
    Ok(())
}

fn socket(port: u16) -> std::io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_recv_buffer_size(4 << 20)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

/// What is sent at a later moment unless `done` stands in the call's state by then, and again until it does.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Later {
    /// Nanoseconds after the start.
    due: u64,
    serial: u64,
    done: u8,
    by_carrier: bool,
    /// Until it is sent once more, and whether it was sent before.
    wait: Duration,
    again: bool,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Seen {
    served: u64,
    refused: u64,
    /// Of those, refused for the list: the last of the rules, so that all were asked.
    listed: u64,
    other: u64,
    /// Nanoseconds from INVITE to 180 or refusal.
    latencies: Vec<u64>,
}

struct Run {
    port: u16,
    local: u16,
    carrier_port: u16,
    process: u32,
    rate: u64,
    first: u64,
    span: u64,
    skip: u64,
    began: Instant,
    states: Vec<AtomicU8>,
    sent_at: Vec<AtomicU64>,
    caller: UdpSocket,
    carrier: UdpSocket,
    waiting: Mutex<BinaryHeap<Reverse<Later>>>,
    again: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
}

impl Run {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sends every INVITE at its moment, and what waits; the nanoseconds by which an INVITE was ever late.
    fn pace(&self) -> u64 {
        let count = self.states.len() as u64;
        let moment = |serial: u64| serial * 1_000_000_000 / self.rate;
        let (mut serial, mut late) = (0, 0);
        let end = moment(count) + nanos(TAIL);
        loop {
            let now = self.now();
            if serial < count && moment(serial) <= now {
                late = late.max(now - moment(serial));
                self.invite(serial);
                serial += 1;
                continue;
            }
            if self.done.load(Ordering::Relaxed) >= count || now >= end {
                return late;
            }
            let next = self.send_due(now);
            let next = if serial < count { next.min(moment(serial)) } else { next };
            // New entries are due in a pause at the earliest: a millisecond's sleep misses none.
            let rest = next.saturating_sub(self.now()).min(1_000_000);
            if rest > 0 {
                std::thread::sleep(Duration::from_nanos(rest));
            }
        }
    }

    fn invite(&self, serial: u64) {
        let mut bytes = Vec::with_capacity(1024);
        self.start(&mut bytes, "INVITE", serial, &self.uri(serial), "i");
        let _ = write!(
            bytes,
            "To: <sip:+{}@127.0.0.1:{}>\r\nCSeq: 1 INVITE\r\nContact: <sip:dialer@127.0.0.1:{}>\r\nUser-Agent: dialer/1.0\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\nSupported: timer, replaces\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            self.callee(serial),
            self.port,
            self.local,
            SDP.len()
        );
        self.sent_at[index(serial)].store(self.now(), Ordering::Relaxed);
        self.send(false, &bytes);
        self.later(Later {
            due: self.now() + nanos(T1),
            serial,
            done: RESPONDED,
            by_carrier: false,
            wait: T1 * 2,
            again: true,
            bytes,
        });
    }

    fn send_due(&self, now: u64) -> u64 {
        loop {
            let Ok(mut waiting) = self.waiting.lock() else {
                return u64::MAX;
            };
            match waiting.peek() {
                None => return u64::MAX,
                Some(Reverse(first)) if first.due > now => return first.due,
                Some(_) => {}
            }
            let Some(Reverse(mut entry)) = waiting.pop() else {
                return u64::MAX;
            };
            drop(waiting);
            if self.states[index(entry.serial)].load(Ordering::Relaxed) & entry.done != 0 {
                continue;
            }
            self.send(entry.by_carrier, &entry.bytes);
            self.again.fetch_add(u64::from(entry.again), Ordering::Relaxed);
            entry.due = now + nanos(entry.wait);
            entry.wait = (entry.wait * 2).min(T2);
            entry.again = true;
            self.later(entry);
        }
    }

    fn later(&self, entry: Later) {
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.push(Reverse(entry));
        }
    }

    fn send(&self, by_carrier: bool, bytes: &[u8]) {
        let socket = if by_carrier { &self.carrier } else { &self.caller };
        let _ = socket.send_to(bytes, (Ipv4Addr::LOCALHOST, self.port));
    }

    fn callee(&self, serial: u64) -> u64 {
        self.first + (self.skip + serial).wrapping_mul(STRIDE) % self.span
    }

    fn uri(&self, serial: u64) -> String {
        format!("sip:+{}@127.0.0.1:{}", self.callee(serial), self.port)
    }

    /// What all of a call's requests begin with.
    fn start(&self, bytes: &mut Vec<u8>, method: &str, serial: u64, uri: &str, branch: &str) {
        let (local, run) = (self.local, self.process);
        let _ = write!(
            bytes,
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{local};branch=z9hG4bK-{branch}{run}-{serial}\r\n\
             From: <sip:+33162001234@127.0.0.1>;tag={run}b{serial}\r\nCall-ID: {run}-{serial}@dialer.example\r\nMax-Forwards: 70\r\n"
        );
    }

    /// An ACK or a BYE.
    fn follow(&self, method: &str, number: u8, serial: u64, uri: &str, branch: &str, answer: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        self.start(&mut bytes, method, serial, uri, branch);
        if branch != "i"
            && let Some(route) = header(answer, b"Record-Route: ")
        {
            bytes.extend_from_slice(b"Route: ");
            bytes.extend_from_slice(route);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"To: ");
        bytes.extend_from_slice(header(answer, b"To: ").unwrap_or_default());
        let _ = write!(bytes, "\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n");
        bytes
    }

    /// The caller's ear.
    fn listen(&self) -> Seen {
        let mut seen = Seen::default();
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(length) = self.caller.recv(&mut buffer) else {
                continue;
            };
            let now = self.now();
            let answer = &buffer[..length];
            let Some(serial) = self.serial(answer) else {
                seen.other += 1;
                continue;
            };
            let state = &self.states[index(serial)];
            let status = answer.get(8..11).unwrap_or_default();
            let to_bye = header(answer, b"CSeq: ").is_some_and(|value| value.ends_with(b"BYE"));
            let latency = now.saturating_sub(self.sent_at[index(serial)].load(Ordering::Relaxed));
            match (status, to_bye) {
                ([b'1', ..], _) => {
                    let ringing = if status == b"180" { RANG } else { 0 };
                    let before = state.fetch_or(RESPONDED | ringing, Ordering::Relaxed);
                    if ringing & !before != 0 {
                        seen.latencies.push(latency);
                    }
                }
                (b"200", false) => {
                    let uri = String::from_utf8_lossy(header(answer, b"Contact: ").unwrap_or_default());
                    let uri = uri.trim_matches(['<', '>']);
                    self.send(false, &self.follow("ACK", 1, serial, uri, "a", answer));
                    if state.fetch_or(RESPONDED | ANSWERED, Ordering::Relaxed) & ANSWERED == 0 {
                        self.later(Later {
                            due: now + nanos(PAUSE),
                            serial,
                            done: ENDED,
                            by_carrier: false,
                            wait: T1,
                            again: false,
                            bytes: self.follow("BYE", 2, serial, uri, "b", answer),
                        });
                    }
                }
                (b"200", true) => {
                    if state.fetch_or(ENDED, Ordering::Relaxed) & ENDED == 0 {
                        seen.served += 1;
                        self.done.fetch_add(1, Ordering::Relaxed);
                    }
                }
                (_, false) => {
                    self.send(false, &self.follow("ACK", 1, serial, &self.uri(serial), "i", answer));
                    if state.fetch_or(RESPONDED | ENDED, Ordering::Relaxed) & ENDED == 0 {
                        seen.latencies.push(latency);
                        self.done.fetch_add(1, Ordering::Relaxed);
                        if status == b"403" {
                            seen.refused += 1;
                            seen.listed += u64::from(memchr::memmem::find(answer, b"bloctel.opposed").is_some());
                        } else {
                            seen.other += 1;
                        }
                    }
                }
                (_, true) => seen.other += 1,
            }
        }
        seen
    }

    fn carry(&self) {
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(length) = self.carrier.recv(&mut buffer) else {
                continue;
            };
            let request = &buffer[..length];
            let Some(serial) = self.serial(request) else {
                continue;
            };
            let state = &self.states[index(serial)];
            if request.starts_with(b"INVITE") {
                let first = state.fetch_or(CARRIED, Ordering::Relaxed) & CARRIED == 0;
                self.send(true, &self.response("180 Ringing", request, ""));
                if first {
                    self.later(Later {
                        due: self.now() + nanos(PAUSE),
                        serial,
                        done: ACKNOWLEDGED,
                        by_carrier: true,
                        wait: T1,
                        again: false,
                        bytes: self.response("200 OK", request, SDP),
                    });
                }
            } else if request.starts_with(b"ACK") {
                state.fetch_or(ACKNOWLEDGED, Ordering::Relaxed);
            } else if request.starts_with(b"BYE") {
                self.send(true, &self.response("200 OK", request, ""));
            }
        }
    }

    fn response(&self, status: &str, request: &[u8], body: &str) -> Vec<u8> {
        const COPIED: [&[u8]; 5] = [b"Via: ", b"From: ", b"Call-ID: ", b"CSeq: ", b"Record-Route: "];
        let mut bytes = Vec::with_capacity(1024);
        let _ = write!(bytes, "SIP/2.0 {status}\r\n");
        for line in lines(request) {
            if COPIED.iter().any(|name| line.starts_with(name)) {
                bytes.extend_from_slice(line);
                bytes.extend_from_slice(b"\r\n");
            } else if line.starts_with(b"To: ") {
                bytes.extend_from_slice(line);
                let tagged = memchr::memmem::find(line, b";tag=").is_some();
                bytes.extend_from_slice(if tagged { b"\r\n" } else { b";tag=carrier\r\n" });
            }
        }
        let _ = write!(bytes, "Contact: <sip:line@127.0.0.1:{}>\r\n", self.carrier_port);
        if !body.is_empty() {
            bytes.extend_from_slice(b"Content-Type: application/sdp\r\n");
        }
        let _ = write!(bytes, "Content-Length: {}\r\n\r\n{body}", body.len());
        bytes
    }

    /// Which of this run's calls a message is of.
    fn serial(&self, message: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(header(message, b"Call-ID: ")?).ok()?;
        let (run, serial) = text.split_once('@')?.0.split_once('-')?;
        let serial = serial.parse().ok()?;
        (run.parse() == Ok(self.process) && serial < self.states.len() as u64).then_some(serial)
    }

    fn report(&self, late: u64, mut seen: Seen) {
        seen.latencies.sort_unstable();
        let last = seen.latencies.len().saturating_sub(1);
        #[allow(clippy::cast_precision_loss)] // microseconds
        let at = |permille: usize| {
            seen.latencies
                .get(last * permille / 1000)
                .map_or(0.0, |nanos| *nanos as f64 / 1e3)
        };
        println!(
            "{{\"sent\":{},\"served\":{},\"refused\":{},\"listed\":{},\"other\":{},\"failed\":{},\"retransmissions\":{},\"late_us\":{},\
             \"seconds\":{:.3},\"p50_us\":{:.1},\"p90_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1}}}",
            self.states.len(),
            seen.served,
            seen.refused,
            seen.listed,
            seen.other,
            self.states.len() as u64 - seen.served - seen.refused,
            self.again.load(Ordering::Relaxed),
            late / 1000,
            self.began.elapsed().as_secs_f64(),
            at(500),
            at(900),
            at(990),
            at(999)
        );
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn index(serial: u64) -> usize {
    usize::try_from(serial).unwrap_or(usize::MAX)
}

/// The lines of the head.
fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = memchr::memmem::find(message, b"\r\n\r\n").unwrap_or(message.len());
    let head = &message[..end];
    head.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The value of the first header of that name, given with its colon and space.
fn header<'a>(message: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    lines(message).find_map(|line| line.strip_prefix(name))
}
