//! Responses that we make ourselves: Via, From, To, Call-ID, CSeq (and Timestamp for 100) copied as they were (RFC 3261 §8.2.6).

use bytes::{Bytes, BytesMut};

use super::Message;

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
    pub received_from: Option<std::net::SocketAddr>,
    /// Record-Route copied (2xx and 18x of dialogs we answer ourselves: never needed by a proxy).
    pub headers: &'a [Snippet<'a>],
}

impl Response<'_> {
    /// Writes it with `Content-Length: 0`.
    pub fn write(&self, _out: &mut BytesMut) -> Bytes {
        todo!()
    }
}

/// Standard phrase of a status (RFC 3261 §21 and the extensions we send).
pub fn phrase(_status: u16) -> &'static str {
    todo!()
}
