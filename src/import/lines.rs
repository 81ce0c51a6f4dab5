//! From bytes to lines and fields: bounded lines, UTF-8 with an optional mark, `;` `,` or tab, quotes. Knows no kind of file.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use smallvec::SmallVec;

/// Most bytes of a line; what is longer is rejected and skipped.
pub const MAX_LINE: usize = 64 << 10;
/// Most fields of a line.
const MAX_FIELDS: usize = 64;
/// Bytes read between two calls of the progress callback.
const PROGRESS_EVERY: u64 = 1 << 18;
const BUFFER: usize = 64 << 10;
/// Byte order mark of UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Lines of a file, one at a time.
pub(super) struct Lines<'a> {
    reader: BufReader<&'a mut dyn Read>,
    progress: Option<&'a dyn Fn(u64)>,
    number: u64,
    bytes: u64,
    reported: u64,
    /// The line read last.
    line: Vec<u8>,
}

/// One line that is not blank, without its end.
pub(super) struct Line<'a> {
    /// From one, as an editor counts.
    pub number: u64,
    /// The text, or what it should have been and a legible form of its beginning.
    pub text: Result<&'a str, (&'static str, String)>,
}

/// The file is UTF-16 or the like: no line of it could be read.
#[derive(Debug)]
pub(super) struct NotUtf8;

impl<'a> Lines<'a> {
    pub(super) fn new(reader: &'a mut dyn Read, progress: Option<&'a dyn Fn(u64)>) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            progress,
            number: 0,
            bytes: 0,
            reported: 0,
            line: Vec::new(),
        }
    }

    /// Refuses a file that begins with the mark of UTF-16 or UTF-32. A UTF-8 mark is taken off the first line by [`Lines::next`].
    pub(super) fn begin(&mut self) -> io::Result<Result<(), NotUtf8>> {
        let foreign = matches!(fill(&mut self.reader)?, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
        Ok(if foreign { Err(NotUtf8) } else { Ok(()) })
    }

    /// The next line that is not blank; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let whole = loop {
            self.line.clear();
            let Some(whole) = self.read_line()? else {
                self.report(true);
                return Ok(None);
            };
            self.number += 1;
            if self.number == 1 && self.line.starts_with(MARK) {
                self.line.drain(..MARK.len());
            }
            self.report(false);
            if !whole || !self.line.trim_ascii().is_empty() {
                break whole;
            }
        };
        let legible = || String::from_utf8_lossy(&self.line).into_owned();
        let text = if whole {
            std::str::from_utf8(&self.line).map_err(|_| ("expected UTF-8 text", legible()))
        } else {
            Err(("expected a line of at most 65536 bytes", legible()))
        };
        Ok(Some(Line {
            number: self.number,
            text,
        }))
    }

    /// Appends bytes up to the next line's end; false where the line was too long and is cut. `None` at the end of the file.
    fn read_line(&mut self) -> io::Result<Option<bool>> {
        let mut whole = true;
        loop {
            let buffer = fill(&mut self.reader)?;
            if buffer.is_empty() {
                return Ok((!self.line.is_empty() || !whole).then_some(whole));
            }
            let end = memchr::memchr(b'\n', buffer);
            let taken = &buffer[..end.unwrap_or(buffer.len())];
            let room = MAX_LINE - self.line.len().min(MAX_LINE);
            whole &= taken.len() <= room;
            self.line.extend_from_slice(&taken[..taken.len().min(room)]);
            let used = taken.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.bytes += used as u64;
            if end.is_some() {
                return Ok(Some(whole));
            }
        }
    }

    fn report(&mut self, end: bool) {
        if end || self.bytes - self.reported >= PROGRESS_EVERY {
            self.reported = self.bytes;
            self.progress.into_iter().for_each(|progress| progress(self.bytes));
        }
    }
}

/// What is buffered, or the next bytes; an interrupted read is tried again.
fn fill<'b>(reader: &'b mut BufReader<&mut dyn Read>) -> io::Result<&'b [u8]> {
    while reader.buffer().is_empty() {
        match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    Ok(reader.buffer())
}

/// The fields of a line.
pub(super) type Fields<'a> = SmallVec<[Cow<'a, str>; 8]>;

/// Cuts a line into trimmed fields; a field in quotes may hold the separator, and `""` for a quote.
pub(super) fn split(line: &str, separator: char) -> Result<Fields<'_>, &'static str> {
    let mut fields = Fields::new();
    let mut rest = line;
    loop {
        if fields.len() == MAX_FIELDS {
            return Err("expected at most 64 columns");
        }
        let begun = rest.trim_start_matches(|c: char| c.is_whitespace() && c != separator);
        let (field, after) = if let Some(quoted) = begun.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let end = begun.find(separator).unwrap_or(begun.len());
            (Cow::Borrowed(begun[..end].trim_end()), &begun[end..])
        };
        fields.push(field);
        let after = after.trim_start_matches(|c: char| c.is_whitespace() && c != separator);
        match after.strip_prefix(separator) {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("expected a separator after the closing quote"),
        }
    }
}

/// The field behind an opening quote, and what follows its closing one.
fn unquote(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let mut at = 0;
    loop {
        let end = text[at..].find('"').ok_or("expected the quote to end on its line")? + at;
        if text[end + 1..].starts_with('"') {
            at = end + 2;
            continue;
        }
        let raw = &text[..end];
        let field = if raw.contains('"') {
            Cow::Owned(raw.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(raw)
        };
        return Ok((field, &text[end + 1..]));
    }
}

/// The separator of a file, by its first line: the most frequent outside quotes, `;` where there is none.
pub(super) fn separator(line: &str) -> char {
    let mut counts = [(';', 0), (',', 0), ('\t', 0)];
    let mut quoted = false;
    for c in line.chars() {
        quoted ^= c == '"';
        for (separator, count) in &mut counts {
            *count += usize::from(!quoted && c == *separator);
        }
    }
    // Of equals the first.
    let best = counts.iter().rev().max_by_key(|(_, count)| *count);
    best.map_or(';', |(separator, _)| *separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<(u64, Result<String, &'static str>)> {
        let mut reader = bytes;
        let mut lines = Lines::new(&mut reader, None);
        lines.begin().unwrap().unwrap();
        let mut read = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            read.push((line.number, line.text.map(str::to_owned).map_err(|(why, _)| why)));
        }
        read
    }

    #[test]
    fn lines_are_numbered_as_an_editor_does_and_blank_ones_are_skipped() {
        let lines = all("\u{feff}a\r\n\n  \nb\n\nc".as_bytes());
        let text: Vec<_> = lines
            .iter()
            .map(|(n, line)| (*n, line.as_deref().unwrap().trim()))
            .collect();
        assert_eq!(text, [(1, "a"), (4, "b"), (6, "c")]);
        assert!(all(b"").is_empty() && all(b"\n\n").is_empty());
    }

    #[test]
    fn a_line_too_long_or_not_utf_8_is_rejected_and_the_next_is_read() {
        let mut bytes = vec![b'x'; MAX_LINE];
        bytes.extend(b"\n");
        bytes.extend(vec![b'y'; 3 * MAX_LINE]);
        bytes.extend(b"\n\xe9t\xe9\nend");
        let lines = all(&bytes);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].1.as_ref().unwrap().len(), MAX_LINE);
        assert!(lines[1].1.as_ref().unwrap_err().contains("at most"));
        assert_eq!(lines[2].1, Err("expected UTF-8 text"));
        assert_eq!(lines[3], (4, Ok("end".into())));
    }

    #[test]
    fn utf_16_is_refused_as_a_whole() {
        for bytes in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a"] {
            let mut reader = bytes;
            assert!(Lines::new(&mut reader, None).begin().unwrap().is_err());
        }
    }

    #[test]
    fn the_bytes_read_are_reported() {
        let seen = std::cell::Cell::new((0u64, 0));
        let bytes = "0612345678\n".repeat(100_000);
        let mut reader = bytes.as_bytes();
        let count = |bytes| seen.set((bytes, seen.get().1 + 1));
        let mut lines = Lines::new(&mut reader, Some(&count));
        while lines.next().unwrap().is_some() {}
        assert_eq!(seen.get().0, 1_100_000);
        assert!((2..10).contains(&seen.get().1), "{} calls", seen.get().1);
    }

    #[test]
    fn fields_are_trimmed_and_may_be_quoted() {
        for (line, fields) in [
            ("a;b;c", &["a", "b", "c"][..]),
            (" a ;; c;", &["a", "", "c", ""]),
            ("\"a;b\" ; \"say \"\"hi\"\"\"", &["a;b", "say \"hi\""]),
            ("", &[""]),
            ("\"\"", &[""]),
        ] {
            assert_eq!(split(line, ';').unwrap().as_slice(), fields, "{line}");
        }
        assert_eq!(split("a\t\tb", '\t').unwrap().as_slice(), ["a", "", "b"]);
        for bad in ["\"a", "\"a\"b;c", "a;\"", "\"a\"\""] {
            assert!(split(bad, ';').is_err(), "{bad}");
        }
        assert!(split(&";".repeat(64), ';').is_err());
    }

    #[test]
    fn the_separator_is_the_most_frequent_outside_quotes() {
        for (line, expected) in [
            ("a;b,c;d", ';'),
            ("a,b", ','),
            ("a\tb", '\t'),
            ("0612345678", ';'),
            ("\"a;b;c\",d", ','),
        ] {
            assert_eq!(separator(line), expected, "{line}");
        }
    }
}
