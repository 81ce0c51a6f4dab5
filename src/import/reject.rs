//! Lines set aside: what they are, and where they go.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::ImportError;

/// A line that was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// From one.
    pub line: u64,
    /// The column at fault, what was expected and what was found.
    pub reason: String,
    /// The line as it stood; bytes that are not UTF-8 are replaced, and a line too long is cut.
    pub text: String,
}

/// Takes rejected lines as they come.
pub trait Rejects {
    /// Takes one.
    fn reject(&mut self, rejected: &Rejected) -> io::Result<()>;
}

/// Keeps the first few rejected lines and drops the rest, which the batch still counts.
#[derive(Debug)]
pub struct FirstRejected {
    most: usize,
    /// The lines kept.
    pub lines: Vec<Rejected>,
}

impl FirstRejected {
    /// Keeps at most so many.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            lines: Vec::new(),
        }
    }
}

impl Rejects for FirstRejected {
    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        if self.lines.len() < self.most {
            self.lines.push(rejected.clone());
        }
        Ok(())
    }
}

/// `FILE.rejected`: CSV with the columns `line,reason,text`, created with the first rejected line only.
#[derive(Debug)]
pub struct RejectedFile {
    path: PathBuf,
    out: Option<BufWriter<File>>,
}

impl RejectedFile {
    /// Beside the imported file.
    pub fn beside(imported: &Path) -> Self {
        let mut path = imported.as_os_str().to_owned();
        path.push(".rejected");
        Self {
            path: path.into(),
            out: None,
        }
    }

    /// Where the lines go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is buffered; an old file of the name is removed where no line was rejected, so that it tells of no other import.
    pub fn finish(mut self) -> io::Result<()> {
        match &mut self.out {
            Some(out) => out.flush(),
            None => match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

impl Rejects for RejectedFile {
    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        if self.out.is_none() {
            let mut out = BufWriter::new(File::create(&self.path)?);
            out.write_all(b"line,reason,text\n")?;
            self.out = Some(out);
        }
        if let Some(out) = &mut self.out {
            let quoted = |text: &str| text.replace('"', "\"\"");
            let text = rejected.text.trim_end_matches('\r');
            writeln!(
                out,
                "{},\"{}\",\"{}\"",
                rejected.line,
                quoted(&rejected.reason),
                quoted(text)
            )?;
        }
        Ok(())
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// `None`: the line as a whole.
    pub column: Option<&'static str>,
    pub expected: String,
    /// Empty where nothing stood.
    pub found: String,
}

/// Most characters of a field repeated in a reason.
const MAX_FOUND: usize = 60;

impl Fault {
    pub(super) fn new(column: &'static str, expected: impl Into<String>, found: &str) -> Self {
        Self {
            column: Some(column),
            expected: expected.into(),
            found: found.chars().take(MAX_FOUND).collect(),
        }
    }

    pub(super) fn line(expected: &str) -> Self {
        Self {
            column: None,
            expected: expected.to_owned(),
            found: String::new(),
        }
    }

    fn reason(&self, within: &str) -> String {
        let column = self.column.map(|column| format!("{column}: ")).unwrap_or_default();
        let found = match (self.column, &*self.found) {
            (None, _) => String::new(),
            (Some(_), "") => ", found nothing".to_owned(),
            (Some(_), found) => format!(", found {found:?}"),
        };
        format!("{within}{column}{}{found}", self.expected)
    }
}

/// Passes rejected lines on and counts them.
pub(super) struct Counted<'a> {
    into: &'a mut dyn Rejects,
    count: u64,
    /// Put before every reason: which of two files it is.
    pub within: &'static str,
}

impl<'a> Counted<'a> {
    pub(super) fn new(into: &'a mut dyn Rejects) -> Self {
        Self {
            into,
            count: 0,
            within: "",
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn reject(&mut self, line: u64, fault: &Fault, text: &str) -> Result<(), ImportError> {
        self.count += 1;
        let rejected = Rejected {
            line,
            reason: fault.reason(self.within),
            text: text.to_owned(),
        };
        self.into.reject(&rejected).map_err(ImportError::Rejects)
    }
}
