//! Import files of every kind.

use std::io::{self, Read};

use chrono::NaiveDate;
use clapet::import::{FirstRejected, Kind, MAX_LINE, Options, Professionals, run};
use clapet::law::Law;
use clapet::ledger::Siren;

/// First byte: the kind. Second: whether a professional is named, whether it is forced, how many bytes are read at once. Then the
/// file; what follows a NUL is the file that was sent to Bloctel.
pub fn import(input: &[u8]) {
    let [kind, flags, file @ ..] = input else { return };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    let (file, sent) = match file
        .iter()
        .position(|byte| *byte == 0)
        .filter(|_| kind == Kind::Bloctel)
    {
        Some(at) => (&file[..at], Some(&file[at + 1..])),
        None => (file, None),
    };
    let step = 1 + usize::from(flags >> 2);
    let mut sent = sent.map(|bytes| Stream { bytes, step });
    let options = Options {
        professional: (flags & 1 != 0).then_some("acme"),
        submitted: sent.as_mut().map(|sent| sent as &mut dyn Read),
        today: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
        force: flags & 2 != 0,
        progress: None,
    };
    let lines = 2 + file.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let lines = lines + sent_lines(input);
    let mut rejects = FirstRejected::new(usize::MAX);
    let mut stream = Stream { bytes: file, step };
    match run(kind, &mut stream, options, &Law::embedded(), &Known, &mut rejects) {
        Ok(batch) => {
            assert_eq!(
                batch.rejected,
                rejects.lines.len() as u64,
                "every rejected line is counted once"
            );
            assert!(
                batch.entries.len() + rejects.lines.len() <= lines,
                "no line is read twice"
            );
            assert!(batch.counts.iter().all(|(_, count)| *count <= lines as u64));
            for rejected in &rejects.lines {
                assert!(rejected.line >= 1 && !rejected.reason.is_empty());
                assert!(rejected.text.len() <= 3 * MAX_LINE);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn sent_lines(input: &[u8]) -> usize {
    1 + input.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count()
}

/// A file that comes a few bytes at a time.
struct Stream<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.step.min(into.len()).min(self.bytes.len());
        into[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}

struct Known;

impl Professionals for Known {
    fn siren(&self, id: &str) -> Option<Siren> {
        (id == "acme").then_some(Siren(552_100_554))
    }
}
