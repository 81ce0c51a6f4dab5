//! Edits: a new message from an old one, every untouched byte copied as it was.

use bytes::{Bytes, BytesMut};

use super::{Header, Message};

/// A list of changes to one message, applied in one pass by [`Edit::write`].
pub struct Edit<'a> {
    message: &'a Message,
}

impl<'a> Edit<'a> {
    /// No change yet.
    pub fn new(message: &'a Message) -> Self {
        Self { message }
    }

    /// Replaces the Request-URI.
    pub fn request_uri(&mut self, _uri: &'a str) -> &mut Self {
        let _ = self.message;
        todo!()
    }

    /// Adds a header line as the first of the message (Via) or, where headers of that kind stand, before the first of them.
    pub fn prepend(&mut self, _header: Header, _value: &'a str) -> &mut Self {
        todo!()
    }

    /// Adds a header line at the end of the headers.
    pub fn append(&mut self, _name: &'a str, _value: &'a str) -> &mut Self {
        todo!()
    }

    /// Replaces the value of the first header of that kind, or adds the header.
    pub fn set(&mut self, _header: Header, _value: &'a str) -> &mut Self {
        todo!()
    }

    /// Removes the first comma-separated value of that kind (topmost Via or Route), the line with its last value.
    pub fn pop_value(&mut self, _header: Header) -> &mut Self {
        todo!()
    }

    /// Replaces the first comma-separated value of that kind (Via with received and rport).
    pub fn replace_value(&mut self, _header: Header, _value: &'a str) -> &mut Self {
        todo!()
    }

    /// Removes every header of that kind.
    pub fn remove(&mut self, _header: Header) -> &mut Self {
        todo!()
    }

    /// Removes every header with that name (case-insensitive).
    pub fn remove_named(&mut self, _name: &'a str) -> &mut Self {
        todo!()
    }

    /// Writes the changed message into `out` (cleared first by nobody: it is appended and split off).
    pub fn write(&self, _out: &mut BytesMut) -> Bytes {
        todo!()
    }
}
