//! Where one message ends and the next begins on a stream: Content-Length framing (RFC 3261 §18.3) and the line ends that keep a
//! connection alive (RFC 5626 §4.4.1). Sans-IO: bytes go in as they come, frames come out; used by one connection's task.
//!
//! Finds the end of a message exactly where [`crate::sip::message::Message::parse`] finds it, so that no two readers disagree about
//! what a connection carries. What follows a fault is never looked at: the connection is to be closed.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// Largest start line and headers of one message, in bytes.
pub const MAX_HEAD: usize = 32 * 1024;

/// Largest body of one message, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Longest start line of which the end has not come yet; beyond, it is taken for none.
const MAX_START_LINE: usize = 8 * 1024;

/// What a stream carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One message, from its start line to the last byte of its body.
    Message(Bytes),
    /// Two line ends between messages: the other end asks whether we are there (RFC 5626 §4.4.1).
    Ping,
    /// One line end between messages: the answer to a ping of ours, or the first half of one of theirs.
    LineEnd,
}

/// Why a stream cannot be read any further. `head` is what was read of the message at fault, where its headers were whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was wrong.
    pub cause: FaultCause,
    /// Start line and headers, for the answer.
    pub head: Option<Bytes>,
}

/// What was wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCause {
    /// No SIP: the first line is no start line.
    Garbage,
    /// No Content-Length, which a stream needs (RFC 3261 §20.14).
    NoContentLength,
    /// A Content-Length that is no number, or two that differ.
    BadContentLength,
    /// Start line and headers beyond [`MAX_HEAD`].
    HeadTooLarge,
    /// A body beyond [`MAX_BODY`].
    BodyTooLarge,
}

impl FaultCause {
    /// Label of `clapet_parse_errors_total{cause}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Garbage => "stream-garbage",
            Self::NoContentLength => "stream-no-content-length",
            Self::BadContentLength => "stream-content-length",
            Self::HeadTooLarge => "stream-head-too-large",
            Self::BodyTooLarge => "stream-body-too-large",
        }
    }

    /// Name of the header at fault; empty where none is.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Garbage | Self::HeadTooLarge => "",
            Self::NoContentLength | Self::BadContentLength | Self::BodyTooLarge => "Content-Length",
        }
    }

    /// The status and phrase that a request at fault is answered with before its connection is closed.
    pub fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Garbage => (400, "Bad Request"),
            Self::NoContentLength => (400, "Missing Content-Length"),
            Self::BadContentLength => (400, "Bad Content-Length"),
            Self::HeadTooLarge | Self::BodyTooLarge => (513, "Message Too Large"),
        }
    }
}

/// Splits one direction of one connection into frames.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Bytes of the buffer in which no end of a head was found.
    scanned: usize,
    /// The start line has been looked at.
    started: bool,
    /// Head and body of the message whose head is whole.
    expected: Option<usize>,
    /// The last frame was the first line end of what may be a ping.
    half_ping: bool,
    /// What ended the reading.
    failed: Option<FaultCause>,
}

impl Framer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where bytes are read into.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Part of a message is here and the rest is not.
    pub fn is_within_message(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next frame; `None` until more bytes are there. After a fault there is nothing but the fault.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Fault> {
        if let Some(cause) = self.failed {
            self.buffer.clear();
            return Err(Fault { cause, head: None });
        }
        let frame = self.read_frame();
        if let Err(fault) = &frame {
            self.failed = Some(fault.cause);
        }
        frame
    }

    fn read_frame(&mut self) -> Result<Option<Frame>, Fault> {
        if self.expected.is_none() {
            if !self.started
                && let Some(frame) = self.between_messages()
            {
                return Ok(Some(frame));
            }
            self.read_head()?;
        }
        let Some(length) = self.expected.filter(|length| *length <= self.buffer.len()) else {
            return Ok(None);
        };
        self.expected = None;
        self.started = false;
        self.scanned = 0;
        Ok(Some(Frame::Message(self.buffer.split_to(length).freeze())))
    }

    /// Takes line ends off (RFC 3261 §7.5). A ping shows as a line end and then a ping, however its bytes were split.
    fn between_messages(&mut self) -> Option<Frame> {
        let line_end = match self.buffer[..] {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            [b'\r'] | [] => return None,
            _ => {
                self.half_ping = false;
                return None;
            }
        };
        self.buffer.advance(line_end);
        let second = self.half_ping;
        self.half_ping = !second;
        Some(if second { Frame::Ping } else { Frame::LineEnd })
    }

    /// Looks for the empty line that ends the head, and how long the body is to be.
    fn read_head(&mut self) -> Result<(), Fault> {
        let fault = |cause, head| Err(Fault { cause, head });
        if self.buffer.is_empty() || self.buffer[..] == *b"\r" {
            return Ok(());
        }
        if !self.started {
            match memchr(b'\n', &self.buffer) {
                Some(end) if is_start_line(&self.buffer[..end]) => self.started = true,
                None if may_start(&self.buffer) => return Ok(()),
                _ => return fault(FaultCause::Garbage, None),
            }
        }
        let Some(end) = self.find_head_end() else {
            return if self.buffer.len() > MAX_HEAD {
                fault(FaultCause::HeadTooLarge, None)
            } else {
                Ok(())
            };
        };
        if end > MAX_HEAD {
            return fault(FaultCause::HeadTooLarge, None);
        }
        let cause = match content_length(&self.buffer[..end]) {
            Ok(Some(length)) if length > MAX_BODY as u64 => FaultCause::BodyTooLarge,
            Ok(Some(length)) => {
                // Below `MAX_BODY`.
                self.expected = Some(end + usize::try_from(length).unwrap_or(MAX_BODY));
                return Ok(());
            }
            Ok(None) => FaultCause::NoContentLength,
            Err(()) => FaultCause::BadContentLength,
        };
        let head = self.buffer.split_to(end).freeze();
        fault(cause, Some(head))
    }

    /// One past the empty line.
    fn find_head_end(&mut self) -> Option<usize> {
        while let Some(found) = memchr(b'\n', &self.buffer[self.scanned..]) {
            let after = self.scanned + found + 1;
            match self.buffer[after..] {
                [b'\n', ..] => return Some(after + 1),
                [b'\r', b'\n', ..] => return Some(after + 2),
                // It may go on with an empty line: to be looked at again.
                [] | [b'\r'] => {
                    self.scanned = after - 1;
                    return None;
                }
                _ => self.scanned = after,
            }
        }
        self.scanned = self.buffer.len();
        None
    }
}

/// `SIP/2.0 200 OK` or `INVITE sip:… SIP/2.0`; whether it is well-formed is the parser's to say.
fn is_start_line(line: &[u8]) -> bool {
    let fits = line.len() <= MAX_START_LINE;
    let line = line.trim_ascii_end();
    let is_protocol = |text: &[u8]| text.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"));
    let last = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    // One word is no start line; and with a space, every piece of it may start one too.
    fits && last.len() < line.len() && may_start(line) && (is_protocol(line) || is_protocol(last))
}

/// Could more bytes make a start line of it? A method and a protocol's name are tokens with a space behind them.
fn may_start(begin: &[u8]) -> bool {
    let word = begin.iter().position(|&byte| byte == b' ').unwrap_or(begin.len());
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~/".contains(byte);
    // A CR that stands alone at the end waits for its LF; then the line is judged whole.
    let text = begin[..word].strip_suffix(b"\r").unwrap_or(&begin[..word]);
    begin.len() <= MAX_START_LINE && !text.is_empty() && text.len() <= MAX_METHOD && text.iter().all(is_word)
}

/// Longest method's name that is waited for.
const MAX_METHOD: usize = 64;

/// The body's length as the head tells it; `None` where it does not, an error where what it tells is no length.
fn content_length(head: &[u8]) -> Result<Option<u64>, ()> {
    let mut found = None;
    let mut rest = head;
    while let Some(end) = memchr(b'\n', rest) {
        rest = &rest[end + 1..];
        let Some(value) = length_value(rest) else { continue };
        let length = read_length(value).ok_or(())?;
        if found.is_some_and(|found| found != length) {
            return Err(());
        }
        found = Some(length);
    }
    Ok(found)
}

/// The value of the header line that `rest` begins with, folded lines included, if it is Content-Length or its compact form.
fn length_value(rest: &[u8]) -> Option<&[u8]> {
    let name = match rest.first()? {
        b'c' | b'C' => &b"content-length"[..],
        b'l' | b'L' => b"l",
        _ => return None,
    };
    let (written, after) = rest.split_at_checked(name.len())?;
    if !written.eq_ignore_ascii_case(name) {
        return None;
    }
    let spaces = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let value = after[spaces..].strip_prefix(b":")?;
    let mut end = memchr(b'\n', value)?;
    while matches!(value.get(end + 1), Some(b' ' | b'\t')) {
        end += 1 + memchr(b'\n', &value[end + 1..])?;
    }
    Some(&value[..end])
}

fn read_length(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let good = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    good.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "framer_tests.rs"]
mod tests;
