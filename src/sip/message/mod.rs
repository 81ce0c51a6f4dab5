//! Zero-copy SIP messages: framing over `Bytes`, header spans, edits that leave every untouched byte as it was.
//!
//! Compact forms and folding are understood. One allocation for the spans of a message, none per header.

mod edit;
mod parse;
mod response;
mod typed;

pub use edit::Edit;
pub use parse::{Limits, ParseCause, ParseError};
pub use response::{Response, Snippet};
pub use typed::{CSeq, HostPort, NameAddr, Uri, Via, split_values};

use bytes::Bytes;

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
#[derive(Clone, Debug)]
pub struct Message {
    pub(super) raw: Bytes,
    pub(super) start: parse::StartSpans,
    pub(super) headers: Vec<HeaderSpan>,
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
        parse::parse(raw, &Limits::default())
    }

    /// The bytes as received.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// First line.
    pub fn start_line(&self) -> StartLine<'_> {
        todo!()
    }

    /// The method of a request; that of the CSeq for a response.
    pub fn method(&self) -> Method {
        todo!()
    }

    /// Is it a request?
    pub fn is_request(&self) -> bool {
        matches!(self.start_line(), StartLine::Request { .. })
    }

    /// Request-URI of a request; empty for a response.
    pub fn request_uri(&self) -> &str {
        match self.start_line() {
            StartLine::Request { uri, .. } => uri,
            StartLine::Response { .. } => "",
        }
    }

    /// Status of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        match self.start_line() {
            StartLine::Response { status, .. } => status,
            StartLine::Request { .. } => 0,
        }
    }

    /// All header spans in order.
    pub fn spans(&self) -> &[HeaderSpan] {
        &self.headers
    }

    /// The raw text of a span's value (folding not undone; white space around it left out).
    pub fn value(&self, _span: &HeaderSpan) -> &str {
        todo!()
    }

    /// Raw value of the first header of that kind.
    pub fn first(&self, header: Header) -> Option<&str> {
        self.headers
            .iter()
            .find(|span| span.header == header)
            .map(|span| self.value(span))
    }

    /// Raw value of the first header with that name (case-insensitive), for configured trusted headers.
    pub fn named(&self, _name: &str) -> Option<&str> {
        todo!()
    }

    /// Comma-separated values of all headers of that kind, in order; commas in quotes and angle brackets do not split.
    pub fn values(&self, header: Header) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |span| span.header == header)
            .flat_map(|span| split_values(self.value(span)))
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

    /// Call-ID.
    pub fn call_id(&self) -> &str {
        self.first(Header::CallId).unwrap_or_default()
    }

    /// CSeq.
    pub fn cseq(&self) -> Option<CSeq<'_>> {
        self.first(Header::CSeq).and_then(CSeq::parse)
    }

    /// Max-Forwards; `None` where absent.
    pub fn max_forwards(&self) -> Option<u8> {
        self.first(Header::MaxForwards).and_then(|value| value.parse().ok())
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.raw[self.body_start as usize..self.body_end as usize]
    }
}
