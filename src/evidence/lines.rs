//! Lines of an export, as CSV with a header or as JSON Lines, written as they come.

use std::io::{self, Write};

use serde::Serialize;

use super::Format;

/// A line's columns, in their order.
pub(super) trait Line: Serialize {
    const COLUMNS: &'static [&'static str];
}

/// Where lines go.
pub(super) enum Lines<'w> {
    Csv(Box<csv::Writer<&'w mut dyn Write>>),
    Json(&'w mut dyn Write),
}

impl<'w> Lines<'w> {
    /// Writes the header, where the format has one: also of an export without a line.
    pub(super) fn begin<L: Line>(format: Format, out: &'w mut dyn Write) -> io::Result<Self> {
        match format {
            Format::Jsonl => Ok(Self::Json(out)),
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
                writer.write_record(L::COLUMNS)?;
                Ok(Self::Csv(Box::new(writer)))
            }
        }
    }

    pub(super) fn write(&mut self, line: &impl Line) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.serialize(line).map_err(io::Error::other),
            Self::Json(out) => {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")
            }
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(mut writer) => writer.flush(),
            Self::Json(out) => out.flush(),
        }
    }
}
