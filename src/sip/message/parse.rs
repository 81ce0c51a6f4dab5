//! The parser: finds where things lie in a message and checks what every element must check. Called by [`Message::parse`] only;
//! it copies no byte and keeps nothing but the spans.

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use super::lex::{TOKEN, digits, is_lws, run, split_values, trim, trimmed};
use super::names::is_token;
use super::typed::ViaParams;
use super::{CSeq, Header, HeaderSpan, Message, Method, NameAddr, Uri, Via};

/// Bounds on a message; one beyond them is refused before anything is stored of it.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Limits {
    pub message_bytes: usize,
    pub headers: usize,
    /// Of one header with its folded lines, and of the start line. At most 65535.
    pub header_bytes: usize,
    pub vias: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Beyond any datagram: a stream carries bodies of 64 KB, and their headers.
            message_bytes: 98_304,
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
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too-large",
            Self::StartLine => "start-line",
            Self::Version => "version",
            Self::HeaderLine => "header-line",
            Self::TooManyHeaders => "too-many-headers",
            Self::Missing(_) => "missing",
            Self::Duplicate(_) => "duplicate",
            Self::Malformed(_) => "malformed",
            Self::CSeqMethod => "cseq-method",
            Self::ContentLength => "content-length",
            Self::Encoding => "encoding",
        }
    }

    /// Name of the header at fault; empty where none is known.
    pub fn header(self) -> &'static str {
        match self {
            Self::Missing(header) | Self::Duplicate(header) | Self::Malformed(header) => header.as_str(),
            Self::CSeqMethod => Header::CSeq.as_str(),
            Self::ContentLength => Header::ContentLength.as_str(),
            _ => "",
        }
    }

    /// Status the RFC names for it.
    fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::TooLarge => 513,
            _ => 400,
        }
    }
}

impl std::fmt::Display for ParseCause {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => out.write_str("empty message"),
            Self::TooLarge => out.write_str("message or header too large"),
            Self::StartLine => out.write_str("malformed start line"),
            Self::Version => out.write_str("SIP version not supported"),
            Self::HeaderLine => out.write_str("malformed header line"),
            Self::TooManyHeaders => out.write_str("too many headers"),
            Self::Missing(header) => write!(out, "missing {}", header.as_str()),
            Self::Duplicate(header) => write!(out, "duplicate {}", header.as_str()),
            Self::Malformed(header) => write!(out, "malformed {}", header.as_str()),
            Self::CSeqMethod => out.write_str("CSeq method does not match"),
            Self::ContentLength => out.write_str("wrong Content-Length"),
            Self::Encoding => out.write_str("not UTF-8"),
        }
    }
}

/// A message that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}")]
pub struct ParseError {
    /// What was wrong.
    pub cause: ParseCause,
    /// What could be read, where a request can be answered with [`ParseError::status`]: its topmost Via is readable, and it is no
    /// ACK. What is missing of From, To, Call-ID and CSeq is missing in the answer too (RFC 4475 §3.3.1).
    /// `None`: nothing to answer to.
    pub answerable: Option<Box<Message>>,
    /// Status the RFC names: 400, 505 for the version, 513 for the size.
    pub status: u16,
}

/// Where a text lies in the message.
pub(super) type Span = (u32, u32);

#[derive(Clone, Copy, Debug)]
pub(in crate::sip) enum StartSpans {
    Request {
        method: Method,
        name: Span,
        uri: Span,
    },
    /// The method is that of the CSeq.
    Response {
        status: u16,
        phrase: Span,
        method: Method,
    },
}

pub(super) fn parse(mut raw: Bytes, limits: &Limits) -> Result<Message, ParseError> {
    // RFC 3261 §7.5: line ends before the start line are skipped.
    let blank = raw.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    raw.advance(blank);
    let refused = |cause: ParseCause| ParseError {
        cause,
        answerable: None,
        status: cause.status(),
    };
    if raw.is_empty() {
        return Err(refused(ParseCause::Empty));
    }
    if raw.len() > limits.message_bytes.min(MESSAGE_BYTES) {
        return Err(refused(ParseCause::TooLarge));
    }
    let Some(line) = line_at(&raw, 0) else {
        return Err(refused(ParseCause::StartLine));
    };
    let (start, start_fault) = match read_start_line(&raw, line, limits) {
        Ok(start) => (start, None),
        Err((cause, Some(start))) => (start, Some(cause)),
        Err((cause, None)) => return Err(refused(cause)),
    };
    let read = read_headers(&raw, line.next, limits);
    let mut message = Message {
        start,
        headers: read.headers,
        present: read.present,
        // Whether it is text is asked once here, and not of each piece again.
        head: ByteString::try_from(raw.slice(..read.body_start as usize)).ok(),
        body_start: read.body_start,
        body_end: offset(raw.len()),
        marks: None,
        raw,
    };
    let checked = check(&message, limits);
    match (start_fault.or(read.fault), checked) {
        (None, Ok(checked)) => {
            message.body_end = message.body_start + checked.body_length;
            message.raw.truncate(message.body_end as usize);
            message.marks = Some(checked.marks);
            if let StartSpans::Response { method, .. } = &mut message.start {
                *method = checked.method;
            }
            Ok(message)
        }
        (Some(cause), _) | (None, Err(cause)) => {
            let answerable = is_answerable(&message).then(|| Box::new(message));
            Err(ParseError {
                answerable,
                ..refused(cause)
            })
        }
    }
}

/// A request other than ACK whose topmost Via tells where the answer goes.
fn is_answerable(message: &Message) -> bool {
    matches!(message.start, StartSpans::Request { method, .. } if method != Method::Ack) && message.via().is_some()
}

/// One line: where its text ends, and where the next begins.
#[derive(Clone, Copy)]
struct Line {
    end: usize,
    next: usize,
    /// A CR without LF stands in it: some reader might take it for a line end.
    bare_cr: bool,
}

/// As [`line_at`] where no CR stands within a line, which is not looked at; adds the CR that ends it to those seen.
fn usual_line_at(raw: &[u8], from: usize, crs: &mut usize) -> Option<Line> {
    let feed = from + memchr::memchr(b'\n', raw.get(from..)?)?;
    let cr = usize::from(feed > from && raw[feed - 1] == b'\r');
    *crs += cr;
    Some(Line {
        end: feed - cr,
        next: feed + 1,
        bare_cr: false,
    })
}

/// The line that begins at `from`, ended by CRLF or LF; `None` where the message ends before the line does.
fn line_at(raw: &[u8], from: usize) -> Option<Line> {
    let mut at = from;
    let mut bare_cr = false;
    loop {
        let end = at + memchr::memchr2(b'\r', b'\n', raw.get(at..)?)?;
        let next = match (raw[end], raw.get(end + 1)) {
            (b'\n', _) => end + 1,
            (_, Some(b'\n')) => end + 2,
            _ => {
                bare_cr = true;
                at = end + 1;
                continue;
            }
        };
        return Some(Line { end, next, bare_cr });
    }
}

/// The error holds what could be read of a bad request line, so that the request can be answered.
fn read_start_line(raw: &[u8], line: Line, limits: &Limits) -> Result<StartSpans, (ParseCause, Option<StartSpans>)> {
    let text = &raw[..line.end];
    if text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/")) {
        return read_status_line(text, limits).map_err(|cause| (cause, None));
    }
    let name_end = memchr::memchr(b' ', text).unwrap_or(text.len());
    let version_start = memchr::memrchr(b' ', text).map_or(text.len(), |at| at + 1);
    let uri_end = version_start.saturating_sub(1).max(name_end);
    let uri_start = (name_end + 1).min(uri_end);
    let name = std::str::from_utf8(&text[..name_end])
        .ok()
        .filter(|name| is_token(name.as_bytes()))
        .ok_or((ParseCause::StartLine, None))?;
    let start = StartSpans::Request {
        method: Method::from_name(name),
        name: (0, offset(name_end)),
        uri: (offset(uri_start), offset(uri_end)),
    };
    let fault = |cause| Err((cause, Some(start)));
    if line.end > limits.header_bytes {
        return fault(ParseCause::TooLarge);
    }
    let Ok(uri) = std::str::from_utf8(&text[uri_start..uri_end]) else {
        return fault(ParseCause::Encoding);
    };
    let version = &text[version_start..];
    let usual = version == b"SIP/2.0";
    if !(usual || is_version(version)) || line.bare_cr {
        return fault(ParseCause::StartLine);
    }
    if !(usual || version.eq_ignore_ascii_case(b"SIP/2.0")) {
        return fault(ParseCause::Version);
    }
    // Headers in a Request-URI must not be forwarded, and no element needs them (RFC 4475 §3.1.2.11).
    match Uri::parse(uri) {
        Some(uri) if uri.headers.is_empty() => Ok(start),
        _ => fault(ParseCause::StartLine),
    }
}

fn read_status_line(text: &[u8], limits: &Limits) -> Result<StartSpans, ParseCause> {
    if text.len() > limits.header_bytes {
        return Err(ParseCause::TooLarge);
    }
    let mut parts = text.splitn(3, |&byte| byte == b' ');
    let (version, status) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if !is_version(version) {
        return Err(ParseCause::StartLine);
    }
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Err(ParseCause::Version);
    }
    let code = std::str::from_utf8(status)
        .ok()
        .filter(|status| status.len() == 3)
        .and_then(digits)
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (100..=699).contains(code))
        .ok_or(ParseCause::StartLine)?;
    let phrase = (version.len() + status.len() + 2).min(text.len());
    Ok(StartSpans::Response {
        status: code,
        phrase: (offset(phrase), offset(text.len())),
        method: Method::Other,
    })
}

/// `SIP/` digits `.` digits.
fn is_version(version: &[u8]) -> bool {
    let number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    match version.split_at_checked(4) {
        Some((protocol, version)) if protocol.eq_ignore_ascii_case(b"SIP/") => {
            let mut parts = version.splitn(2, |&byte| byte == b'.');
            parts.next().is_some_and(number) && parts.next().is_some_and(number)
        }
        _ => false,
    }
}

/// What [`read_headers`] found: all of them where there is no fault.
struct ReadHeaders {
    headers: Vec<HeaderSpan>,
    present: u32,
    body_start: u32,
    fault: Option<ParseCause>,
}

fn read_headers(raw: &[u8], from: usize, limits: &Limits) -> ReadHeaders {
    // Lines of the body are counted too, which costs a few spans' memory and spares growing.
    let lines = memchr::memchr_iter(b'\n', &raw[from..]).count();
    let mut crs = 0;
    let read = read_lines(raw, from, lines, limits, |at| usual_line_at(raw, at, &mut crs));
    // In all headers at once it is asked whether a CR stands anywhere but at the end of a line; then each line must say where.
    let head = raw.get(from..read.body_start as usize).unwrap_or_default();
    if memchr::memchr_iter(b'\r', head).count() == crs {
        return read;
    }
    read_lines(raw, from, lines, limits, |at| line_at(raw, at))
}

fn read_lines(
    raw: &[u8],
    from: usize,
    lines: usize,
    limits: &Limits,
    mut line_at: impl FnMut(usize) -> Option<Line>,
) -> ReadHeaders {
    let mut read = ReadHeaders {
        headers: Vec::with_capacity(lines.min(limits.headers)),
        present: 0,
        body_start: offset(raw.len()),
        fault: None,
    };
    let mut at = from;
    loop {
        let Some(mut line) = line_at(at) else {
            // The message ends before its headers do.
            read.fault = read.fault.or(Some(ParseCause::HeaderLine));
            return read;
        };
        if line.end == at {
            read.body_start = offset(line.next);
            return read;
        }
        let mut bare_cr = line.bare_cr;
        while matches!(raw.get(line.next), Some(b' ' | b'\t')) {
            let Some(folded) = line_at(line.next) else { break };
            bare_cr |= folded.bare_cr;
            line = folded;
        }
        let fault = if line.next - at > limits.header_bytes.min(HEADER_BYTES) {
            Some(ParseCause::TooLarge)
        } else if read.headers.len() >= limits.headers {
            Some(ParseCause::TooManyHeaders)
        } else if bare_cr {
            Some(ParseCause::HeaderLine)
        } else if let Some(span) = read_header(raw, at, line) {
            read.present |= span.header.bit();
            read.headers.push(span);
            None
        } else {
            Some(ParseCause::HeaderLine)
        };
        read.fault = read.fault.or(fault);
        if read.fault == Some(ParseCause::TooManyHeaders) {
            return read;
        }
        at = line.next;
    }
}

/// One header that begins at `at` and ends with `line`, its last.
fn read_header(raw: &[u8], at: usize, line: Line) -> Option<HeaderSpan> {
    let text = &raw[at..line.end];
    let (header, name_len, colon) = match Header::usual(text) {
        Some((header, length)) => (header, length, length),
        None => read_name(text)?,
    };
    let (start, end) = trimmed(&text[colon + 1..]);
    Some(HeaderSpan {
        header,
        start: offset(at),
        name_len: u16::try_from(name_len).ok()?,
        value_start: offset(at + colon + 1 + start),
        value_end: offset(at + colon + 1 + end),
        end: offset(line.next),
    })
}

/// The header of a line, the length of its name, a token, and where its colon stands; white space may come before that.
fn read_name(text: &[u8]) -> Option<(Header, usize, usize)> {
    let length = run(text, TOKEN);
    let rest = text[length..].trim_ascii_start();
    (length > 0 && rest.first() == Some(&b':')).then(|| {
        let header = Header::from_name(&text[..length]);
        (header, length, text.len() - rest.len())
    })
}

/// What the checks learnt on the way.
struct Checked {
    body_length: u32,
    /// Of the CSeq.
    method: Method,
    marks: Marks,
}

/// Where the pieces lie that are asked for again and again while a message is handled.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sip) struct Marks {
    /// Of the topmost Via; empty where it has none.
    pub(super) branch: Span,
    pub(super) sent_by_host: Span,
    pub(super) sent_by_port: Option<u16>,
    /// `rport` of the topmost Via, from name to value; empty where it has none.
    pub(super) rport: Span,
    /// [`ViaParams::odd`] and [`ViaParams::oc`].
    pub(super) odd: bool,
    pub(super) oc: bool,
    /// Empty where there is none.
    pub(super) from_tag: Span,
    pub(super) to_tag: Span,
    pub(super) call_id: Span,
    pub(super) cseq: u32,
    pub(super) cseq_name: Span,
    pub(super) max_forwards: Option<u8>,
}

/// RFC 3261 §16.3 step 1 and §18.3, with what RFC 4475 adds.
fn check(message: &Message, limits: &Limits) -> Result<Checked, ParseCause> {
    let mut seen = 0_u32;
    let mut vias = 0_usize;
    let mut body_length = message.body_end - message.body_start;
    let mut method = None;
    let mut marks = Marks::default();
    let span_of = |piece: &str| message.span_of(piece);
    for span in message.headers.iter().filter(|span| span.header.is_needed()) {
        let header = span.header;
        if header.is_single() && seen & header.bit() != 0 {
            return Err(ParseCause::Duplicate(header));
        }
        seen |= header.bit();
        let value = message
            .utf8((span.value_start, span.value_end))
            .ok_or(ParseCause::Encoding)?;
        let good = match header {
            Header::Via => check_vias(value, &mut vias, limits, |via, params| {
                marks.branch = span_of(params.branch);
                marks.sent_by_host = span_of(via.sent_by.host);
                marks.sent_by_port = via.sent_by.port;
                marks.rport = params.rport.map(span_of).unwrap_or_default();
                marks.odd = params.odd;
                marks.oc = params.oc;
            }),
            Header::From | Header::To => {
                let tag = NameAddr::parse(value).and_then(|address| address.checked_tag().ok());
                if let Some(Some(tag)) = tag {
                    let mark = if header == Header::From {
                        &mut marks.from_tag
                    } else {
                        &mut marks.to_tag
                    };
                    *mark = span_of(tag);
                }
                tag.is_some()
            }
            Header::CallId => {
                marks.call_id = (span.value_start, span.value_end);
                // All white space lies below what nearly all Call-IDs are made of.
                let spaceless = value.bytes().fold(u8::MAX, u8::min) > b' ' || !value.bytes().any(is_lws);
                !value.is_empty() && spaceless
            }
            Header::CSeq => {
                let cseq = CSeq::parse(value);
                if let Some(cseq) = cseq {
                    marks.cseq = cseq.number;
                    marks.cseq_name = span_of(cseq.name);
                    method = Some(cseq.method);
                }
                cseq.is_some()
            }
            Header::MaxForwards => {
                marks.max_forwards = digits(value).and_then(|hops| u8::try_from(hops).ok());
                marks.max_forwards.is_some()
            }
            Header::ContentLength => {
                let length = digits(trim(value)).filter(|&length| length <= u64::from(body_length));
                body_length = length
                    .and_then(|length| u32::try_from(length).ok())
                    .ok_or(ParseCause::ContentLength)?;
                true
            }
            _ => true,
        };
        if vias > limits.vias {
            return Err(ParseCause::TooManyHeaders);
        }
        if !good {
            return Err(ParseCause::Malformed(header));
        }
    }
    let required = [Header::Via, Header::From, Header::To, Header::CallId, Header::CSeq];
    if let Some(missing) = required.into_iter().find(|header| seen & header.bit() == 0) {
        return Err(ParseCause::Missing(missing));
    }
    match method {
        None => Err(ParseCause::Missing(Header::CSeq)),
        Some(_) if vias == 0 => Err(ParseCause::Missing(Header::Via)),
        Some(_) if message.is_request() && message.text(marks.cseq_name) != message.method_name() => {
            Err(ParseCause::CSeqMethod)
        }
        Some(method) => Ok(Checked {
            body_length,
            method,
            marks,
        }),
    }
}

/// The Vias of one header; the topmost of the message is shown to `topmost`.
fn check_vias<'a>(
    value: &'a str,
    vias: &mut usize,
    limits: &Limits,
    mut topmost: impl FnMut(&Via<'a>, &ViaParams<'a>),
) -> bool {
    let mut values = split_values(value).take(limits.vias + 1);
    values.all(|value| {
        *vias += 1;
        let Some((via, params)) = Via::parse(value).and_then(|via| Some((via, via.checked()?))) else {
            return false;
        };
        if *vias == 1 {
            topmost(&via, &params);
        }
        true
    })
}

/// Messages are bounded by [`MESSAGE_BYTES`], so that every offset fits.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Hard bounds under any [`Limits`]: offsets are `u32`, name lengths `u16`.
const MESSAGE_BYTES: usize = 1 << 24;
const HEADER_BYTES: usize = u16::MAX as usize;
