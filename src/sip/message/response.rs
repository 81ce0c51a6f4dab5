//! Responses that we make ourselves: Via, From, To, Call-ID, CSeq (and Timestamp for 100) copied as they were (RFC 3261 §8.2.6).

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};

use super::lex::Values;
use super::write::{push_decimal, push_line, push_text, push_topmost};
use super::{Header, HeaderSpan, Message};

/// A header line to add: name and value.
pub type Snippet<'a> = (&'a str, &'a str);

/// A response to a request, to be written.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Response<'a> {
    pub request: &'a Message,
    pub status: u16,
    /// Empty: the standard phrase of the status.
    pub phrase: &'a str,
    /// Added to To where the request's has no tag (never for 100).
    pub to_tag: &'a str,
    /// `;received=` and `;rport=` values for the topmost Via, where known: the request's source address.
    pub received_from: Option<SocketAddr>,
    /// Record-Route copied (2xx and 18x of dialogs we answer ourselves: never needed by a proxy).
    pub headers: &'a [Snippet<'a>],
}

impl Response<'_> {
    /// Writes it with `Content-Length: 0` at the end of `out` and splits it off. Of a malformed request it copies what can be read.
    pub fn write(&self, out: &mut BytesMut) -> Bytes {
        let begin = out.len();
        let added: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        let copied = self.request.body_start as usize;
        out.reserve(copied + added + self.phrase.len() + self.to_tag.len() + ROOM);
        self.write_start_line(out);
        let mut seen = 0;
        for span in &self.request.headers {
            let header = span.header;
            let first = seen & header.bit() == 0;
            match header {
                Header::Via if first => self.push_topmost_via(out, span),
                Header::Via => self.push_copy(out, span),
                Header::To if first => self.push_to(out, span),
                Header::From | Header::CallId | Header::CSeq if first => self.push_copy(out, span),
                Header::Timestamp if first && self.status == 100 => self.push_copy(out, span),
                _ => continue,
            }
            seen |= header.bit();
            out.put_slice(b"\r\n");
        }
        for (name, value) in self.headers {
            push_line(out, name, value);
        }
        out.put_slice(b"Content-Length: 0\r\n\r\n");
        out.split_off(begin).freeze()
    }

    fn write_start_line(&self, out: &mut BytesMut) {
        out.put_slice(b"SIP/2.0 ");
        push_decimal(out, u64::from(self.status));
        out.put_u8(b' ');
        push_text(
            out,
            if self.phrase.is_empty() {
                phrase(self.status)
            } else {
                self.phrase
            },
        );
        out.put_slice(b"\r\n");
    }

    /// Name and value as they were, line end left to the caller.
    fn push_copy(&self, out: &mut BytesMut, span: &HeaderSpan) {
        out.put_slice(&self.request.raw[span.start as usize..span.value_end as usize]);
    }

    fn push_topmost_via(&self, out: &mut BytesMut, span: &HeaderSpan) {
        let value = self.request.value(span);
        let (Some(source), Some((start, end))) = (self.received_from, Values::new(value).next()) else {
            return self.push_copy(out, span);
        };
        out.put_slice(&self.request.raw[span.start as usize..span.value_start as usize]);
        push_topmost(out, self.request, &value[start..end], source);
        out.put_slice(&value.as_bytes()[end..]);
    }

    fn push_to(&self, out: &mut BytesMut, span: &HeaderSpan) {
        self.push_copy(out, span);
        // A To that cannot be read is left alone: a tag might end up inside its open quotes.
        let tagless = match self.request.marks {
            Some(_) => self.request.to_tag().is_empty(),
            None => self.request.to().is_some_and(|to| to.tag().is_none()),
        };
        if self.status != 100 && !self.to_tag.is_empty() && tagless {
            // A `;` with nothing behind it is tolerated; two in a row would not be.
            let separator: &[u8] = if self.request.value_bytes(span).ends_with(b";") {
                b"tag="
            } else {
                b";tag="
            };
            out.put_slice(separator);
            push_text(out, self.to_tag);
        }
    }
}

/// Standard phrase of a status (RFC 3261 §21 and the extensions we send).
pub fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 | 606 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        423 => "Interval Too Brief",
        428 => "Use Identity Header",
        433 => "Anonymity Disallowed",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        440 => "Max-Breadth Exceeded",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        607 => "Unwanted",
        608 => "Rejected",
        // RFC 3261 §8.1.3.2: an unknown status is read as the x00 of its class.
        _ => match status / 100 {
            1 => "Session Progress",
            2 => "OK",
            3 => "Multiple Choices",
            4 => "Bad Request",
            5 => "Server Internal Error",
            _ => "Busy Everywhere",
        },
    }
}

/// Status line, `received`, `rport` and Content-Length.
const ROOM: usize = 192;
