//! Edits: a new message from an old one, every untouched byte copied as it was. Used by the proxy to forward; never parses the
//! message again and never lets a value bring a line of its own.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::lex::Values;
use super::names::same_name;
use super::write::{Writer, push_line, push_text, push_topmost};
use super::{Header, HeaderSpan, Message};

/// A list of changes to one message, applied in one pass by [`Edit::write`].
///
/// Headers are given by kind; [`Header::Other`] has no name and changes nothing. Line ends within a value that is put in become
/// spaces, so that no value can smuggle in a header.
pub struct Edit<'a> {
    message: &'a Message,
    uri: Option<&'a str>,
    changes: SmallVec<[Change<'a>; 12]>,
    /// Kinds of header that some change is about.
    touched: u32,
    /// Some change goes by name or by line.
    named: bool,
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Prepend(Header, &'a str),
    Append(&'a str, &'a str),
    Set(Header, &'a str),
    Pop(Header),
    Replace(Header, Value<'a>),
    Remove(Header),
    RemoveNamed(&'a str),
    /// The line that begins there.
    RemoveLine(u32),
}

/// What a value is replaced by.
#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    /// Itself with `received` and `rport`.
    Received(SocketAddr),
}

impl<'a> Edit<'a> {
    /// No change yet.
    pub fn new(message: &'a Message) -> Self {
        Self {
            message,
            uri: None,
            changes: SmallVec::new(),
            touched: 0,
            named: false,
        }
    }

    /// Replaces the Request-URI.
    pub fn request_uri(&mut self, uri: &'a str) -> &mut Self {
        self.uri = Some(uri);
        self
    }

    /// Adds a header line before the first of its kind; where there is none, Via as the first line and others after the leading
    /// Vias. Of several calls for one kind the last one's line comes first.
    pub fn prepend(&mut self, header: Header, value: &'a str) -> &mut Self {
        self.about(header, Change::Prepend(header, value))
    }

    /// Adds a header line at the end of the headers.
    pub fn append(&mut self, name: &'a str, value: &'a str) -> &mut Self {
        self.changes.push(Change::Append(name, value));
        self
    }

    /// Replaces the value of the first header of that kind, or adds the header.
    pub fn set(&mut self, header: Header, value: &'a str) -> &mut Self {
        self.about(header, Change::Set(header, value))
    }

    /// Removes the first comma-separated value of that kind (topmost Via or Route), the line with its last value. Each further
    /// call removes one more.
    pub fn pop_value(&mut self, header: Header) -> &mut Self {
        self.about(header, Change::Pop(header))
    }

    /// Replaces the first comma-separated value of that kind that [`Edit::pop_value`] leaves; nothing where there is none.
    pub fn replace_value(&mut self, header: Header, value: &'a str) -> &mut Self {
        self.about(header, Change::Replace(header, Value::Text(value)))
    }

    /// Notes the source address of a request in its topmost Via, as [`Edit::replace_value`] would but without a string:
    /// `received` where the sent-by differs or `rport` asks for it (RFC 3261 §18.2.1), the value of `rport` (RFC 3581 §4).
    pub fn received_from(&mut self, source: SocketAddr) -> &mut Self {
        self.about(Header::Via, Change::Replace(Header::Via, Value::Received(source)))
    }

    /// Removes every header of that kind; what is set or prepended of that kind stays.
    pub fn remove(&mut self, header: Header) -> &mut Self {
        self.about(header, Change::Remove(header))
    }

    /// Removes every header with that name (case-insensitive, compact form or long).
    pub fn remove_named(&mut self, name: &'a str) -> &mut Self {
        self.named = true;
        self.changes.push(Change::RemoveNamed(name));
        self
    }

    /// Removes one header line of the message.
    pub fn remove_line(&mut self, span: &HeaderSpan) -> &mut Self {
        self.named = true;
        self.changes.push(Change::RemoveLine(span.start));
        self
    }

    /// Writes the changed message at the end of `out` and splits it off; what `out` held before stays in it.
    pub fn write(&self, out: &mut BytesMut) -> Bytes {
        let begin = out.len();
        out.reserve(self.message.raw.len() + self.added());
        self.write_into(&mut Writer::new(&self.message.raw, out));
        out.split_off(begin).freeze()
    }

    fn about(&mut self, header: Header, change: Change<'a>) -> &mut Self {
        if header != Header::Other {
            self.touched |= header.bit();
            self.changes.push(change);
        }
        self
    }

    /// At most how many bytes the changes add.
    fn added(&self) -> usize {
        let longest = |header: Header| header.as_str().len();
        let sum: usize = self
            .changes
            .iter()
            .map(|change| match *change {
                Change::Prepend(header, value) | Change::Set(header, value) => longest(header) + value.len() + 4,
                Change::Append(name, value) => name.len() + value.len() + 4,
                Change::Replace(_, Value::Text(value)) => value.len(),
                // `;received=` with an IPv6 address and `;rport=` with a port.
                Change::Replace(_, Value::Received(_)) => 80,
                Change::Pop(_) | Change::Remove(_) | Change::RemoveNamed(_) | Change::RemoveLine(_) => 0,
            })
            .sum();
        sum + self.uri.map_or(0, str::len)
    }

    fn write_into(&self, writer: &mut Writer<'_>) {
        if let (Some(uri), Some((start, end))) = (self.uri, self.message.uri_span()) {
            writer.replace(start, end, |out| push_text(out, uri));
        }
        let spans = &self.message.headers;
        let present = self.message.present;
        let after_vias = spans
            .iter()
            .position(|span| span.header != Header::Via)
            .unwrap_or(spans.len());
        let mut done: SmallVec<[bool; 12]> = SmallVec::from_elem(false, self.changes.len());
        let mut seen = 0;
        for (index, span) in spans.iter().enumerate() {
            let start = span.start as usize;
            if index == 0 && present & Header::Via.bit() == 0 {
                writer.insert(start, |out| self.push_prepended(out, |header| header == Header::Via));
            }
            if index == after_vias {
                let absent = |header: Header| header != Header::Via && present & header.bit() == 0;
                writer.insert(start, |out| self.push_prepended(out, absent));
            }
            let first = seen & span.header.bit() == 0;
            seen |= span.header.bit();
            if first && self.touched & span.header.bit() != 0 {
                writer.insert(start, |out| self.push_prepended(out, |header| header == span.header));
            }
            if self.removes(span) {
                writer.replace(start, span.end as usize, |_| ());
            } else if self.touched & span.header.bit() != 0 {
                self.write_changed(writer, span, first, &mut done);
            }
        }
        let end = spans.last().map_or(self.message.body_start, |span| span.end) as usize;
        writer.insert(end, |out| {
            if after_vias == spans.len() {
                self.push_prepended(out, |header| present & header.bit() == 0);
            }
            for (change, done) in self.changes.iter().zip(&done) {
                match *change {
                    Change::Append(name, value) => push_line(out, name, value),
                    Change::Set(header, value) if !done => push_line(out, header.as_str(), value),
                    _ => {}
                }
            }
        });
        writer.finish();
    }

    fn push_prepended(&self, out: &mut BytesMut, wanted: impl Fn(Header) -> bool) {
        for change in self.changes.iter().rev() {
            if let Change::Prepend(header, value) = *change
                && wanted(header)
            {
                push_line(out, header.as_str(), value);
            }
        }
    }

    fn removes(&self, span: &HeaderSpan) -> bool {
        (self.named || self.touched & span.header.bit() != 0)
            && self.changes.iter().any(|change| match *change {
                Change::Remove(header) => header == span.header,
                Change::RemoveNamed(name) => same_name(name.as_bytes(), self.message.name_bytes(span)),
                Change::RemoveLine(start) => start == span.start,
                _ => false,
            })
    }

    /// One header that stays, its value or its first values changed. `done` marks the changes that are spent.
    fn write_changed(&self, writer: &mut Writer<'_>, span: &HeaderSpan, first: bool, done: &mut [bool]) {
        let (start, end) = (span.value_start as usize, span.value_end as usize);
        let mut values = Values::new(self.message.value(span));
        let mut value = values.next();
        let mut popped = false;
        for (change, done) in self.changes.iter().zip(done.iter_mut()).filter(|(_, done)| !**done) {
            match *change {
                Change::Set(header, text) if first && header == span.header => {
                    *done = true;
                    writer.replace(start, end, |out| push_text(out, text));
                    return;
                }
                Change::Pop(header) if header == span.header && value.is_some() => {
                    *done = true;
                    popped = true;
                    value = values.next();
                }
                _ => {}
            }
        }
        let Some((from, to)) = value else {
            if popped {
                writer.replace(span.start as usize, span.end as usize, |_| ());
            }
            return;
        };
        if popped {
            writer.replace(start, start + from, |_| ());
        }
        let replacement = self
            .changes
            .iter()
            .zip(done.iter_mut())
            .find_map(|(change, done)| match *change {
                Change::Replace(header, value) if header == span.header && !*done => {
                    *done = true;
                    Some(value)
                }
                _ => None,
            });
        if let Some(replacement) = replacement {
            let old = &self.message.value(span)[from..to];
            writer.replace(start + from, start + to, |out| match replacement {
                Value::Text(text) => push_text(out, text),
                Value::Received(source) => push_topmost(out, self.message, old, source),
            });
        }
    }
}
