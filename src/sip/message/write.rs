//! What edits and responses share in writing: copying between changes, header lines, `received` and `rport`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, BytesMut};

use super::lex::Params;
use super::parse::Marks;
use super::{Message, Via};

/// Copies a message and lets changes in, in ascending order of position.
pub(super) struct Writer<'a> {
    raw: &'a [u8],
    out: &'a mut BytesMut,
    /// Up to where `raw` has been copied or left out.
    copied: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(raw: &'a [u8], out: &'a mut BytesMut) -> Self {
        Self { raw, out, copied: 0 }
    }

    /// Puts something in at a position.
    pub(super) fn insert(&mut self, at: usize, write: impl FnOnce(&mut BytesMut)) {
        self.replace(at, at, write);
    }

    /// Puts something in place of a range.
    pub(super) fn replace(&mut self, start: usize, end: usize, write: impl FnOnce(&mut BytesMut)) {
        if start > self.copied {
            self.out.put_slice(&self.raw[self.copied..start]);
        }
        write(self.out);
        self.copied = end.max(self.copied);
    }

    /// Copies what is left.
    pub(super) fn finish(&mut self) {
        self.out.put_slice(&self.raw[self.copied..]);
    }
}

/// A whole header line.
pub(super) fn push_line(out: &mut BytesMut, name: &str, value: &str) {
    push_text(out, name);
    out.put_slice(b": ");
    push_text(out, value);
    out.put_slice(b"\r\n");
}

/// A text, its line ends made spaces.
pub(super) fn push_text(out: &mut BytesMut, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        out.put_slice(&rest[..at]);
        out.put_u8(b' ');
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
}

/// A number in decimal digits, without the formatting machinery.
pub(super) fn push_decimal(out: &mut BytesMut, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // Below ten.
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

fn push_ip(out: &mut BytesMut, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            push_decimal(out, u64::from(first));
            for octet in rest {
                out.put_u8(b'.');
                push_decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => {
            // Writing into `BytesMut` cannot fail: it grows.
            let _ = write!(out, "{address}");
        }
    }
}

/// As [`push_received`], for the topmost Via value of a message whose pieces are known: only what is new is written.
pub(super) fn push_topmost(out: &mut BytesMut, message: &Message, value: &str, source: SocketAddr) {
    let (begin, end) = message.span_of(value);
    let usual = |marks: &Marks| !marks.odd && !value.ends_with(';') && (begin..end).contains(&marks.sent_by_host.0);
    let Some(marks) = message.marks.filter(usual) else {
        return push_received(out, value, source);
    };
    let address = source.ip().to_canonical();
    let (from, to) = marks.rport;
    if to != 0 {
        out.put_slice(message.bytes((begin, from)));
        out.put_slice(b"rport=");
        push_decimal(out, u64::from(source.port()));
        out.put_slice(message.bytes((to, end)));
    } else {
        out.put_slice(value.as_bytes());
        if message.sent_by().and_then(|host| host.ip()).map(|ip| ip.to_canonical()) == Some(address) {
            return;
        }
    }
    out.put_slice(b";received=");
    push_ip(out, address);
}

/// The topmost Via value of a request with its source noted: `received` where the sent-by is another address or a name, or `rport`
/// asks (RFC 3261 §18.2.1, RFC 3581 §4). A `received` that the sender wrote itself is left out.
pub(super) fn push_received(out: &mut BytesMut, value: &str, source: SocketAddr) {
    let Some(via) = Via::parse(value) else {
        out.put_slice(value.as_bytes());
        return;
    };
    // An IPv4 peer of a dual-stack socket is an IPv4 peer; RFC 5118 §4.5: no brackets.
    let address = source.ip().to_canonical();
    let rport = via.param("rport").is_some();
    let received = rport || via.sent_by.ip().map(|ip| ip.to_canonical()) != Some(address);
    if !received && via.param("received").is_none() {
        out.put_slice(value.as_bytes());
        return;
    }
    let head = &via.raw[..via.raw.len() - via.params.len()];
    out.put_slice(head.trim_end_matches([';', ' ', '\t', '\r', '\n']).as_bytes());
    for param in Params::new(via.params) {
        // Writing into `BytesMut` cannot fail: it grows.
        let _ = if param.name.eq_ignore_ascii_case("received") {
            Ok(())
        } else if param.name.eq_ignore_ascii_case("rport") {
            write!(out, ";rport={}", source.port())
        } else {
            write!(out, ";{}", param.raw)
        };
    }
    if received {
        let _ = write!(out, ";received={address}");
    }
}
