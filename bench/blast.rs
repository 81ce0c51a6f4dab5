//! A generator of refused INVITEs beyond SIPp's reach: loopback UDP, bounded in count and time. (`bench/calls.rs` has the steady rates.)
//!
//! ```text
//! blast PORT serial COUNT           one at a time: INVITE, 403, ACK
//! blast PORT most SECONDS WINDOW    as many as come back, WINDOW under way
//! ```
//! Every INVITE is a call of its own (Call-ID, branch and From tag); the callees are the first million of `bench/run`'s list in an order
//! far from sequential; an answer counts once, for the INVITE whose Call-ID it bears. Prints one JSON object.

#[path = "common/wire.rs"]
mod wire;

use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use wire::{SDP, line};

/// Callees cycle through so many numbers, from +33610000000 on: all of them stand on the list.
const LISTED: u64 = 1_000_000;
/// How far apart two numbers called one after the other lie: coprime to [`LISTED`], so that each is called before one comes again.
const STRIDE: u64 = 611_953;
/// INVITEs under way at once whose moment of sending is remembered.
const UNDER_WAY: usize = 1 << 16;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<u64>().ok());
    let (Some(port), Some(mode), Some(first)) = (number(0), args.get(1), number(2)) else {
        eprintln!("blast PORT serial COUNT | most SECONDS WINDOW");
        return Ok(());
    };
    let mut blast = Blast::new(u16::try_from(port).unwrap_or(0))?;
    match mode.as_str() {
        "serial" => blast.serial(first.min(10_000_000))?,
        _ => blast.most(Duration::from_secs(first.min(3600)), number(3).unwrap_or(1))?,
    }
    blast.report();
    Ok(())
}

struct Blast {
    socket: UdpSocket,
    local: u16,
    port: u16,
    run: u32,
    sent: u64,
    answered: u64,
    /// Of those, refused for the list: the last of the rules, so that all were asked.
    listed: u64,
    /// By serial number modulo [`UNDER_WAY`].
    sent_at: Vec<Option<(u64, Instant)>>,
    /// Nanoseconds from INVITE to final answer.
    latencies: Vec<u64>,
    other: u64,
    began: Instant,
    took: Duration,
    buffer: Vec<u8>,
}

impl Blast {
    fn new(port: u16) -> std::io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.connect(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        let socket: UdpSocket = socket.into();
        Ok(Self {
            local: socket.local_addr()?.port(),
            socket,
            port,
            run: std::process::id(),
            sent: 0,
            answered: 0,
            listed: 0,
            sent_at: vec![None; UNDER_WAY],
            latencies: Vec::new(),
            other: 0,
            began: Instant::now(),
            took: Duration::ZERO,
            buffer: Vec::with_capacity(2048),
        })
    }

    fn serial(&mut self, count: u64) -> std::io::Result<()> {
        self.socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        self.began = Instant::now();
        for _ in 0..count {
            self.invite();
            let answered = self.answered;
            let asked = Instant::now();
            while self.answered == answered && asked.elapsed() < Duration::from_millis(500) {
                self.take()?;
            }
        }
        self.took = self.began.elapsed();
        Ok(())
    }

    fn most(&mut self, lasts: Duration, window: u64) -> std::io::Result<()> {
        self.socket.set_nonblocking(true)?;
        self.began = Instant::now();
        let mut moved = Instant::now();
        let mut lost = 0;
        while self.began.elapsed() < lasts {
            while self.sent - lost < self.answered + window {
                self.invite();
            }
            if self.take()? {
                moved = Instant::now();
            } else if moved.elapsed() > Duration::from_millis(50) {
                // Datagrams were dropped on the way: open the window again.
                lost = self.sent - self.answered;
                moved = Instant::now();
            }
        }
        self.took = self.began.elapsed();
        self.settle()
    }

    /// Takes what still comes, for a quarter of a second.
    fn settle(&mut self) -> std::io::Result<()> {
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(250) {
            if !self.take()? {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    fn invite(&mut self) {
        let serial = self.sent;
        self.sent += 1;
        self.write(serial, None);
        #[allow(clippy::cast_possible_truncation)] // below UNDER_WAY
        let slot = (serial % UNDER_WAY as u64) as usize;
        self.sent_at[slot] = Some((serial, Instant::now()));
        let _ = self.socket.send(&self.buffer);
    }

    /// An INVITE, or the ACK of a final answer with this To.
    fn write(&mut self, serial: u64, ack_to: Option<&[u8]>) {
        let callee = 33_610_000_000 + serial.wrapping_mul(STRIDE) % LISTED;
        let (run, local, port) = (self.run, self.local, self.port);
        let method = if ack_to.is_some() { "ACK" } else { "INVITE" };
        self.buffer.clear();
        let _ = write!(
            self.buffer,
            "{method} sip:+{callee}@127.0.0.1:{port} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:{local};branch=z9hG4bK-{run}-{serial}\r\n\
             From: <sip:+33162001234@127.0.0.1>;tag={run}b{serial}\r\n"
        );
        match ack_to {
            Some(to) => {
                self.buffer.extend_from_slice(to);
                self.buffer.extend_from_slice(b"\r\n");
            }
            None => {
                let _ = write!(self.buffer, "To: <sip:+{callee}@127.0.0.1:{port}>\r\n");
            }
        }
        let _ = write!(
            self.buffer,
            "Call-ID: {run}-{serial}@dialer.example\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
        );
        if ack_to.is_some() {
            self.buffer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
            return;
        }
        let _ = write!(
            self.buffer,
            "Contact: <sip:dialer@127.0.0.1:{local}>\r\n\
             User-Agent: dialer/1.0\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n\
             Supported: timer, replaces\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        );
    }

    /// Reads one datagram; false where none is there.
    fn take(&mut self) -> std::io::Result<bool> {
        let mut datagram = [0; 4096];
        let length = match self.socket.recv(&mut datagram) {
            Ok(length) => length,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                return Ok(false);
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(false),
            Err(error) => return Err(error),
        };
        let answer = &datagram[..length];
        if answer.starts_with(b"SIP/2.0 1") {
            return Ok(true);
        }
        let Some(serial) = serial_of(answer) else {
            self.other += 1;
            return Ok(true);
        };
        #[allow(clippy::cast_possible_truncation)] // below UNDER_WAY
        let slot = (serial % UNDER_WAY as u64) as usize;
        if let Some((known, at)) = self.sent_at[slot]
            && known == serial
        {
            self.sent_at[slot] = None;
            self.latencies
                .push(u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX));
            if answer.starts_with(b"SIP/2.0 403") {
                self.answered += 1;
                self.listed += u64::from(memchr::memmem::find(answer, b"bloctel.opposed").is_some());
            } else {
                self.other += 1;
            }
        }
        let to = line(answer, b"To:");
        if !to.is_empty() {
            self.write(serial, Some(to));
            let _ = self.socket.send(&self.buffer);
        }
        Ok(true)
    }

    fn report(&mut self) {
        self.latencies.sort_unstable();
        let at = |share: f64| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss
            )] // an index
            let index = ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len().saturating_sub(1));
            #[allow(clippy::cast_precision_loss)] // microseconds
            let micros = self.latencies.get(index).map_or(0.0, |nanos| *nanos as f64 / 1e3);
            micros
        };
        println!(
            "{{\"sent\":{},\"refused\":{},\"listed\":{},\"other\":{},\"seconds\":{:.3},\"p50_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1}}}",
            self.sent,
            self.answered,
            self.listed,
            self.other,
            self.took.as_secs_f64(),
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
}

/// The serial number in the answer's Call-ID.
fn serial_of(answer: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line(answer, b"Call-ID:")).ok()?;
    text.split_once('-')
        .and_then(|_| text.rsplit_once('@'))
        .and_then(|(head, _)| head.rsplit_once('-'))?
        .1
        .parse()
        .ok()
}
