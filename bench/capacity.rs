//! What calls at once cost in memory, through the sans-IO proxy with the real gate and ledger, in virtual time; bounded in count.
//!
//! ```text
//! cargo bench --bench capacity [-- CALLS]       default 50,000 calls at once: 100,000 transactions
//! ```
//! Heap bytes are counted by a counting allocator on the one thread that does all the work; the ledger's record of each call is among
//! them, what the callers and the trunk keep is not. Datagrams come packed into shared chunks, as the sockets hand them over.

mod common;

use std::time::{Duration, Instant};

use allocation_counter::opt_out;
use bytes::{Bytes, BytesMut};
use clapet::ledger::Answer;
use clapet::sip::message::{Header, Message, Method, Response};
use clapet::sip::proxy::{Output, Proxy};
use clapet::sip::{Flow, ListenerId, Now, Transport};

use common::{NPV, World};

/// Dialogs that talk at once in the last part, and from one request of each to its next.
const DIALOGS: usize = 20_000;
const EVERY: Duration = Duration::from_secs(30);
const FOR: Duration = Duration::from_secs(180);

/// A chunk of the transport's (`sip::transport::receive`), which twenty usual messages share.
const CHUNK: usize = 16 * 1024;

/// From one look at the timers to the next.
const STEP: Duration = Duration::from_millis(10);

/// Longer than any transaction outlives its answer: 64*T1 (RFC 3261 §17).
const UNTIL_FORGOTTEN: Duration = Duration::from_secs(40);

fn main() {
    let calls = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(50_000_usize);
    let mut bench = Bench::new();
    let calls = calls.clamp(DIALOGS, 400_000);
    println!("| state | transactions | heap bytes | a transaction | a call |\n|---|---|---|---|---|");
    let mut heap = 0;
    let mut step = |bench: &mut Bench, name: &str, work: &mut dyn FnMut(&mut Bench)| {
        let counted = allocation_counter::measure(|| work(bench));
        heap += counted.bytes_current;
        let transactions = bench.world.metrics.transactions.get();
        let each = |of: i64| {
            if of > 0 {
                format!("{}", heap / of)
            } else {
                "–".to_owned()
            }
        };
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        println!(
            "| {name} | {transactions} | {heap} | {} | {} |",
            each(transactions),
            each(calls)
        );
    };
    step(&mut bench, "calls that ring", &mut |bench| {
        for serial in 0..calls {
            bench.invite(serial);
        }
        assert_eq!(bench.ringing.len(), calls, "every call rings");
    });
    step(&mut bench, "answered just now", &mut |bench| {
        bench.answer_all();
        assert_eq!(bench.dialogs.len(), calls, "every call is answered");
    });
    step(&mut bench, "conversations, 40 s later", &mut |bench| {
        bench.pass(UNTIL_FORGOTTEN);
    });
    let mut most = 0;
    let counted = allocation_counter::measure(|| most = bench.talk());
    let seconds = EVERY.as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let rate = DIALOGS as f64 / seconds;
    println!(
        "\n{DIALOGS} dialogs, each with a request every {seconds:.0} s ({rate:.0} a second) for {} s: at most {most} transactions at once and \
         {} heap bytes above the conversations, {} a dialog; {} answered of {}; resident {} MiB.",
        FOR.as_secs(),
        counted.bytes_max,
        counted.bytes_max / DIALOGS as u64,
        bench.answered,
        bench.asked,
        resident_mib()
    );
    assert_eq!(bench.answered, bench.asked, "every request within a dialog is answered");
}

struct Bench {
    world: World,
    proxy: Proxy,
    now: Now,
    pbx: Flow,
    trunk: Flow,
    packing: BytesMut,
    scratch: BytesMut,
    runtime: tokio::runtime::Runtime,
    /// INVITEs at the trunk that only ring.
    ringing: Vec<Vec<u8>>,
    /// Where requests within each dialog go: Request-URI, Route, To.
    dialogs: Vec<(String, String, String)>,
    asked: u64,
    answered: u64,
}

impl Bench {
    fn new() -> Self {
        let world = World::new();
        let flow = |port: u16| Flow::new(ListenerId(0), Transport::Udp, ([127, 0, 0, 1], port).into());
        Self {
            proxy: world.proxy(),
            now: Now {
                mono: Instant::now(),
                wall: world.wall,
            },
            world,
            pbx: flow(5070),
            trunk: flow(5090),
            packing: BytesMut::new(),
            scratch: BytesMut::new(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
            ringing: Vec::new(),
            dialogs: Vec::new(),
            asked: 0,
            answered: 0,
        }
    }

    fn receive(&mut self, flow: Flow, datagram: &[u8]) {
        if self.packing.capacity() < datagram.len() {
            self.packing = BytesMut::with_capacity(CHUNK);
        }
        self.packing.extend_from_slice(datagram);
        let packed = self.packing.split().freeze();
        self.proxy.receive(self.now, flow, packed);
        self.work();
    }

    fn invite(&mut self, serial: usize) {
        let serial = serial as u64;
        let invite = common::invite(NPV, 612_000_000 + serial, serial);
        self.receive(self.pbx, &invite);
    }

    /// Does what the proxy wants done; the trunk rings at once, and answers anything but an INVITE.
    fn work(&mut self) {
        while let Some(output) = self.proxy.poll() {
            match output {
                Output::Ask { id, question } => {
                    let decision = match self.world.gate.admit(&question, self.now.wall) {
                        Answer::Ready(decision) => decision,
                        Answer::Later(later) => self.runtime.block_on(later),
                    };
                    self.proxy.decide(self.now, id, decision);
                }
                Output::Send { flow, bytes } if flow.remote == self.trunk.remote => {
                    let message = Message::parse(bytes).expect("our own message");
                    match message.method() {
                        Method::Invite if message.is_request() => {
                            self.respond(&message, 180);
                            let text = &message;
                            opt_out(|| self.ringing.push(text.raw().to_vec()));
                        }
                        Method::Info => self.respond(&message, 200),
                        _ => {}
                    }
                }
                Output::Send { bytes, .. } => {
                    if bytes.starts_with(b"SIP/2.0 200") {
                        let message = Message::parse(bytes).expect("our own message");
                        match message.method() {
                            Method::Invite => self.talks(&message),
                            _ => self.answered += 1,
                        }
                    }
                }
                Output::Settle { reservation, outcome } => reservation.settle(outcome, self.now.wall),
            }
        }
    }

    fn respond(&mut self, request: &Message, status: u16) {
        let mut headers = vec![("Contact", "<sip:line@127.0.0.1:5090>")];
        headers.extend(request.values(Header::RecordRoute).map(|route| ("Record-Route", route)));
        let response = Response {
            request,
            status,
            phrase: "",
            to_tag: "t",
            received_from: None,
            headers: &headers,
        }
        .write(&mut self.scratch);
        // A copy of its own: the trunk's memory is not the proxy's.
        let response = Bytes::copy_from_slice(&response);
        self.receive(self.trunk, &response);
    }

    fn answer_all(&mut self) {
        for at in 0..self.ringing.len() {
            let invite = Message::parse(Bytes::copy_from_slice(&self.ringing[at])).expect("our own message");
            self.respond(&invite, 200);
        }
        opt_out(|| self.ringing = Vec::new());
    }

    /// The PBX has the answer: it acknowledges, and could talk.
    fn talks(&mut self, answer: &Message) {
        let text = |header| answer.first(header).unwrap_or_default().to_owned();
        opt_out(|| {
            let contact = text(Header::Contact).trim_matches(['<', '>']).to_owned();
            self.dialogs
                .push((contact, text(Header::RecordRoute), text(Header::To)));
        });
        let dialog = self.dialogs.last().expect("just put there");
        let ack = within("ACK", 1, dialog, &text(Header::From), answer.call_id());
        self.receive(self.pbx, ack.as_bytes());
    }

    /// Lets time go by.
    fn pass(&mut self, period: Duration) {
        let until = self.now.mono + period;
        while self.now.mono < until {
            self.now.mono += STEP;
            if self.proxy.poll_timeout().is_some_and(|due| due <= self.now.mono) {
                self.proxy.timeout(self.now);
                self.work();
            }
        }
    }

    /// Requests within dialogs, evenly spaced; the most transactions at once.
    fn talk(&mut self) -> i64 {
        let steps = FOR.as_millis() / STEP.as_millis();
        let a_step = DIALOGS as u128 * STEP.as_millis();
        let mut most = 0;
        for step in 0..steps {
            let (begin, end) = (
                step * a_step / EVERY.as_millis(),
                (step + 1) * a_step / EVERY.as_millis(),
            );
            for number in begin..end {
                let number = usize::try_from(number).unwrap_or(0);
                let at = number % DIALOGS;
                let from = format!("\"ACME\" <sip:+{NPV}@127.0.0.1>;tag=t{at}");
                let info = within(
                    "INFO",
                    2 + number / DIALOGS,
                    &self.dialogs[at],
                    &from,
                    &format!("{at}@dialer.example"),
                );
                self.asked += 1;
                self.receive(self.pbx, info.as_bytes());
            }
            most = most.max(self.world.metrics.transactions.get());
            self.pass(STEP);
        }
        most
    }
}

/// A request of the caller within a dialog.
fn within(method: &str, cseq: usize, (uri, route, to): &(String, String, String), from: &str, call: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-{method}{cseq}-{call};rport\r\nRoute: {route}\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}
