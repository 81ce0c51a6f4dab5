//! Zero-copy SIP messages: framing over `Bytes`, header spans, edits that leave every untouched byte as it was.
//!
//! Compact forms and folding are understood. One allocation for the spans of a message, none per header.

mod ack;
mod credentials;
mod edit;
mod lex;
mod names;
mod parse;
mod response;
#[cfg(test)]
mod tests;
mod typed;
mod uri;
mod write;

pub use ack::AckSketch;
pub use credentials::Credentials;
pub use edit::Edit;
pub use lex::split_values;
pub use parse::{Limits, ParseCause, ParseError};
pub use response::{Response, Snippet, phrase};
pub use typed::{CSeq, NameAddr, Via};
pub use uri::{HostPort, Uri};

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use names::same_name;
use parse::{Marks, StartSpans};

/// Request methods by name (case-sensitive, RFC 3261 §7.1); others are `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Publish,
    Message,
    Other,
}

/// Headers that the proxy looks at, long and compact forms alike; others are `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Header {
    Via,
    From,
    To,
    CallId,
    CSeq,
    MaxForwards,
    Route,
    RecordRoute,
    Contact,
    ContentLength,
    ContentType,
    Require,
    ProxyRequire,
    Supported,
    Unsupported,
    PAssertedIdentity,
    PPreferredIdentity,
    Privacy,
    Reason,
    RetryAfter,
    MaxBreadth,
    Warning,
    Authorization,
    ProxyAuthorization,
    WwwAuthenticate,
    ProxyAuthenticate,
    Identity,
    Timestamp,
    Other,
}

/// Where one header lies in the message's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderSpan {
    /// Which header.
    pub header: Header,
    /// First byte of the name.
    pub start: u32,
    /// Length of the name in bytes.
    pub name_len: u16,
    /// First byte of the value, white space skipped.
    pub value_start: u32,
    /// End of the value, trailing white space left out; a folded value holds its line ends.
    pub value_end: u32,
    /// One past the header's final line end.
    pub end: u32,
}

/// First line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StartLine<'a> {
    Request {
        method: Method,
        name: &'a str,
        uri: &'a str,
    },
    Response {
        status: u16,
        phrase: &'a str,
    },
}

/// One parsed message: the bytes as received, and where things lie in them.
#[derive(Clone)]
pub struct Message {
    pub(super) raw: Bytes,
    pub(super) start: StartSpans,
    pub(super) headers: Vec<HeaderSpan>,
    /// Kinds of header that there are, by [`Header::bit`]: most questions are about one that there is none of.
    present: u32,
    /// Start line and headers, where they are UTF-8 as a whole.
    head: Option<ByteString>,
    /// `None`: not well-formed, so that every piece is looked for anew.
    marks: Option<Marks>,
    /// First byte of the body.
    pub(super) body_start: u32,
    /// One past the last byte of the body.
    pub(super) body_end: u32,
}

impl Message {
    /// Parses one datagram (or one frame of a stream). Checks what every element must check (RFC 3261 §16.3 1, §18.3): start line,
    /// Via, From, To, Call-ID, CSeq present once and well-formed, CSeq method matching, Content-Length no larger than what is there.
    /// The error still holds the message where it could be answered with 400.
    pub fn parse(raw: Bytes) -> Result<Self, ParseError> {
        Self::parse_within(raw, &Limits::default())
    }

    /// [`Message::parse`] with bounds of one's own.
    pub fn parse_within(raw: Bytes, limits: &Limits) -> Result<Self, ParseError> {
        parse::parse(raw, limits)
    }

    /// The bytes as received, without line ends before the start line and bytes after the body (RFC 3261 §7.5, §18.3).
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// First line. A phrase that is not UTF-8 is given as empty; it is forwarded as it is.
    pub fn start_line(&self) -> StartLine<'_> {
        match self.start {
            StartSpans::Request { method, uri, .. } => StartLine::Request {
                method,
                name: self.method_name(),
                uri: self.text(uri),
            },
            StartSpans::Response { status, phrase, .. } => StartLine::Response {
                status,
                phrase: self.text(phrase),
            },
        }
    }

    /// The method of a request; that of the CSeq for a response.
    pub fn method(&self) -> Method {
        match self.start {
            StartSpans::Request { method, .. } | StartSpans::Response { method, .. } => method,
        }
    }

    /// Name of a request's method; empty for a response.
    pub fn method_name(&self) -> &str {
        match self.start {
            StartSpans::Request { name, .. } => self.text(name),
            StartSpans::Response { .. } => "",
        }
    }

    /// Is it a request?
    pub fn is_request(&self) -> bool {
        matches!(self.start, StartSpans::Request { .. })
    }

    /// Request-URI of a request; empty for a response.
    pub fn request_uri(&self) -> &str {
        match self.start {
            StartSpans::Request { uri, .. } => self.text(uri),
            StartSpans::Response { .. } => "",
        }
    }

    /// Scheme of the Request-URI as written; compare case-insensitively.
    pub fn request_scheme(&self) -> &str {
        lex::cut(self.request_uri(), b':').0
    }

    /// Status of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        match self.start {
            StartSpans::Response { status, .. } => status,
            StartSpans::Request { .. } => 0,
        }
    }

    /// All header spans in order.
    pub fn spans(&self) -> &[HeaderSpan] {
        &self.headers
    }

    /// The raw text of a span's value (folding not undone; white space around it left out). Empty where it is not UTF-8, which
    /// the parser allows only in headers that the proxy does not need.
    pub fn value(&self, span: &HeaderSpan) -> &str {
        self.text((span.value_start, span.value_end))
    }

    /// The bytes of a span's value.
    pub fn value_bytes(&self, span: &HeaderSpan) -> &[u8] {
        self.bytes((span.value_start, span.value_end))
    }

    /// The bytes of a span's name, as written.
    pub fn name_bytes(&self, span: &HeaderSpan) -> &[u8] {
        self.bytes((span.start, span.start + u32::from(span.name_len)))
    }

    /// Raw value of the first header of that kind.
    pub fn first(&self, header: Header) -> Option<&str> {
        self.of(header).next().map(|span| self.value(span))
    }

    /// The spans of that kind, in order.
    pub fn of(&self, header: Header) -> impl Iterator<Item = &HeaderSpan> {
        let all = if self.present & header.bit() == 0 {
            &[]
        } else {
            self.headers.as_slice()
        };
        all.iter().filter(move |span| span.header == header)
    }

    /// Raw value of the first header with that name (case-insensitive, compact form or long), for configured trusted headers.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|span| same_name(self.name_bytes(span), name.as_bytes()))
            .map(|span| self.value(span))
    }

    /// Comma-separated values of all headers of that kind, in order; commas in quotes and angle brackets do not split.
    pub fn values(&self, header: Header) -> impl Iterator<Item = &str> {
        self.of(header).flat_map(|span| split_values(self.value(span)))
    }

    /// Topmost Via.
    pub fn via(&self) -> Option<Via<'_>> {
        self.values(Header::Via).next().and_then(Via::parse)
    }

    /// From.
    pub fn from(&self) -> Option<NameAddr<'_>> {
        self.first(Header::From).and_then(NameAddr::parse)
    }

    /// To.
    pub fn to(&self) -> Option<NameAddr<'_>> {
        self.first(Header::To).and_then(NameAddr::parse)
    }

    /// The branch of the topmost Via; empty where it has none.
    pub fn branch(&self) -> &str {
        match &self.marks {
            Some(marks) => self.text(marks.branch),
            None => self.via().and_then(|via| via.branch()).unwrap_or_default(),
        }
    }

    /// Who the topmost Via says it is from.
    pub fn sent_by(&self) -> Option<HostPort<'_>> {
        match &self.marks {
            Some(marks) => Some(HostPort {
                host: self.text(marks.sent_by_host),
                port: marks.sent_by_port,
            }),
            None => self.via().map(|via| via.sent_by),
        }
    }

    /// The topmost Via asks for its source port (RFC 3581).
    pub fn asks_rport(&self) -> bool {
        match &self.marks {
            Some(marks) => marks.rport.1 != 0,
            None => self.via().is_some_and(|via| via.param("rport").is_some()),
        }
    }

    /// The topmost Via has a parameter `oc` (RFC 7339).
    pub fn speaks_of_overload(&self) -> bool {
        match &self.marks {
            Some(marks) => marks.oc,
            None => self.via().is_some_and(|via| via.param("oc").is_some()),
        }
    }

    /// The tag in From; empty where there is none.
    pub fn from_tag(&self) -> &str {
        match &self.marks {
            Some(marks) => self.text(marks.from_tag),
            None => self.from().and_then(|from| from.tag()).unwrap_or_default(),
        }
    }

    /// The tag in To; empty where there is none.
    pub fn to_tag(&self) -> &str {
        match &self.marks {
            Some(marks) => self.text(marks.to_tag),
            None => self.to().and_then(|to| to.tag()).unwrap_or_default(),
        }
    }

    /// Call-ID.
    pub fn call_id(&self) -> &str {
        match &self.marks {
            Some(marks) => self.text(marks.call_id),
            None => self.first(Header::CallId).unwrap_or_default(),
        }
    }

    /// CSeq.
    pub fn cseq(&self) -> Option<CSeq<'_>> {
        self.first(Header::CSeq).and_then(CSeq::parse)
    }

    /// The number in CSeq; 0 where there is none.
    pub fn cseq_number(&self) -> u32 {
        match &self.marks {
            Some(marks) => marks.cseq,
            None => self.cseq().map_or(0, |cseq| cseq.number),
        }
    }

    /// The method's name in CSeq; empty where there is none.
    pub fn cseq_name(&self) -> &str {
        match &self.marks {
            Some(marks) => self.text(marks.cseq_name),
            None => self.cseq().map_or("", |cseq| cseq.name),
        }
    }

    /// Max-Forwards; `None` where absent.
    pub fn max_forwards(&self) -> Option<u8> {
        if let Some(marks) = &self.marks {
            return marks.max_forwards;
        }
        let value = self.first(Header::MaxForwards).and_then(lex::digits)?;
        u8::try_from(value).ok()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.bytes((self.body_start, self.body_end))
    }

    /// Where the Request-URI of a request lies.
    fn uri_span(&self) -> Option<(usize, usize)> {
        match self.start {
            StartSpans::Request { uri: (start, end), .. } => Some((start as usize, end as usize)),
            StartSpans::Response { .. } => None,
        }
    }

    fn bytes(&self, (start, end): (u32, u32)) -> &[u8] {
        self.raw.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Empty where it is not UTF-8.
    fn text(&self, span: (u32, u32)) -> &str {
        self.utf8(span).unwrap_or_default()
    }

    /// `None` where it is not UTF-8.
    fn utf8(&self, span: (u32, u32)) -> Option<&str> {
        match &self.head {
            Some(head) => head.get(span.0 as usize..span.1 as usize),
            None => std::str::from_utf8(self.bytes(span)).ok(),
        }
    }

    /// Where a piece of the message's own text lies; nowhere, for a text that is empty or none of its own.
    fn span_of(&self, piece: &str) -> (u32, u32) {
        let offset = (piece.as_ptr() as usize).wrapping_sub(self.raw.as_ptr() as usize);
        let end = offset.saturating_add(piece.len());
        match (u32::try_from(offset), u32::try_from(end)) {
            (Ok(start), Ok(end)) if !piece.is_empty() && end as usize <= self.raw.len() => (start, end),
            _ => (0, 0),
        }
    }
}

/// Start line and headers hold phone numbers, which never reach a log: only the shape is shown.
impl fmt::Debug for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Message")
            .field("method", &self.method())
            .field("status", &self.status())
            .field("headers", &self.headers.len())
            .field("bytes", &self.raw.len())
            .finish_non_exhaustive()
    }
}
