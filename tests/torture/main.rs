//! Messages that try what a proxy can bear: those that RFC 4475 and RFC 5118 publish, one of our own for each of their faults, and
//! what odd peers and networks send. Each goes through the parser and through a whole proxy, and gets the outcome that the RFC asks of
//! a proxy.
//!
//! The published messages are no part of the project: they are read from `<testdata>/rfc4475` and `<testdata>/rfc5118`, where
//! `<testdata>` is `CLAPET_TESTDATA` or `../shared/testdata` beside the sources; where they are missing, those tests say so and are
//! skipped. Ours lie beside this file: `.sip` is text whose lines are ended by CRLF on the wire; `.dat` has every byte as written,
//! `\r`, `\n`, `\t`, `\\` and `\xNN` being escapes and the file's own line ends nothing.

mod bench;
mod cases;
mod own;
mod peers;
mod published;
