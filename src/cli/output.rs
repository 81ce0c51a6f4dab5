//! Writing to stdout and stderr. A reader that has gone away (`clapet … | head`) ends the output, never the process in a panic.

use std::io::Write as _;

/// A result: to stdout, with the line's end.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A message: to stderr, with the line's end.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
