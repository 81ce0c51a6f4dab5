//! The parser.

use bytes::Bytes;

use super::{Header, Message};

/// Bounds on a message; one beyond them is refused before anything is stored of it.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Limits {
    pub message_bytes: usize,
    pub headers: usize,
    pub header_bytes: usize,
    pub vias: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 65_535,
            headers: 200,
            header_bytes: 8_192,
            vias: 70,
        }
    }
}

/// What was wrong; `as_str` is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ParseCause {
    Empty,
    TooLarge,
    StartLine,
    Version,
    HeaderLine,
    TooManyHeaders,
    Missing(Header),
    Duplicate(Header),
    Malformed(Header),
    CSeqMethod,
    ContentLength,
    Encoding,
}

impl ParseCause {
    /// Label of `clapet_parse_errors_total{cause}`.
    pub fn as_str(self) -> &'static str {
        todo!()
    }
}

/// A message that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause:?}")]
pub struct ParseError {
    /// What was wrong.
    pub cause: ParseCause,
    /// What could be read, where a request can be answered with 400 (its Via, From, To, Call-ID, CSeq are there to be echoed);
    /// `None`: nothing to answer to.
    pub answerable: Option<Box<Message>>,
    /// Status the RFC names: 400, 505 for the version, 513 for the size.
    pub status: u16,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::sip) enum StartSpans {}

pub(super) fn parse(_raw: Bytes, _limits: &Limits) -> Result<Message, ParseError> {
    todo!()
}
