//! `clapet import`: a file into the store, through the server or directly; good lines in one step, bad ones beside the file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::Utc;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc;

use super::client::Client;
use super::output::{print, tell};
use super::store::{Own, Store, reach};
use super::{Failure, print_json};
use crate::api::{Chunks, Imported, RejectedLine};
use crate::config::Config;
use crate::import::{self, Kind, Rejected, RejectedFile, Rejects as _};
use crate::ledger::Ledger as _;
use crate::numbering::Territory;

#[derive(Args)]
pub(super) struct Asked {
    /// bloctel, opposition, consents, refusals, contracts, attempts or numbers
    kind: Kind,
    /// UTF-8 text with a header, columns separated by comma, semicolon or tab
    file: PathBuf,
    /// Whom a list binds, and whose a line is that names nobody
    #[arg(long, value_name = "ID")]
    professional: Option<String>,
    /// The file that was sent to Bloctel, where FILE is the callable part that came back
    #[arg(long, value_name = "FILE")]
    submitted: Option<PathBuf>,
    /// Load a screening that would oppose none or all of what was sent
    #[arg(long)]
    force: bool,
}

/// Exit 0, 1 where lines were rejected, 2 where nothing was loaded.
pub(super) fn run(asked: &Asked, config: &Config, json: bool) -> Result<u8, Failure> {
    let file = open(&asked.file)?;
    let submitted = asked.submitted.as_deref().map(open).transpose()?;
    let mut rejects = RejectedFile::beside(&asked.file);
    let imported = match reach(config)? {
        Store::Server(client) => through(client, asked, file, submitted, &mut rejects)?,
        Store::Own(own) => directly(own, config, asked, file, submitted, &mut rejects)?,
    };
    let rejected_to = rejects.path().to_owned();
    rejects
        .finish()
        .map_err(|error| Failure::error(format_args!("{}: {error}", rejected_to.display())))?;
    if json {
        print_json(&imported)?;
    } else {
        print(&readable(&imported));
    }
    if imported.rejected > 0 {
        let lines = if imported.rejected == 1 { "line" } else { "lines" };
        tell(&format!(
            "{} {lines} rejected: see {}",
            imported.rejected,
            rejected_to.display()
        ));
    }
    Ok(match imported {
        Imported { empty: true, .. } => {
            tell("nothing loaded");
            2
        }
        Imported { rejected: 1.., .. } => 1,
        _ => 0,
    })
}

fn open(path: &Path) -> Result<(File, u64), Failure> {
    let opened = File::open(path).and_then(|file| {
        let data = file.metadata()?;
        if data.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok((file, data.len()))
    });
    opened.map_err(|error| Failure::error(format_args!("{}: {error}", path.display())))
}

fn readable(imported: &Imported) -> String {
    let counts = imported.counts.iter().map(|(what, count)| (what.as_str(), *count));
    let rest = [
        ("new", imported.new),
        ("known", imported.known),
        ("rejected", imported.rejected),
    ];
    let lines = counts
        .chain(rest)
        .map(|(what, count)| format!("  {what:<12} {count:>12}"));
    let lines: Vec<_> = std::iter::once(imported.kind.clone()).chain(lines).collect();
    lines.join("\n")
}

/// A bar on a terminal, nothing elsewhere.
fn progress(bytes: u64) -> ProgressBar {
    // Draws nothing where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn directly(
    own: Own,
    config: &Config,
    asked: &Asked,
    (mut file, bytes): (File, u64),
    submitted: Option<(File, u64)>,
    rejects: &mut RejectedFile,
) -> Result<Imported, Failure> {
    let law = &own.policy.law;
    let bar = progress(bytes);
    let mut submitted = submitted.map(|(file, _)| file);
    let options = import::Options {
        professional: asked.professional.as_deref(),
        submitted: submitted.as_mut().map(|file| file as &mut dyn Read),
        today: law.local_day(Utc::now(), Territory::Metropole),
        force: asked.force,
        progress: Some(&|read| bar.set_position(read)),
    };
    let batch = import::run(asked.kind, &mut file, options, law, &*own.policy.roster, rejects);
    let batch = batch.map_err(Failure::error)?;
    let mut imported = Imported::of(&batch);
    bar.set_message("recording");
    let applied = own.runtime.block_on(import::apply(batch, &*own.ledger, &own.screening));
    imported.applied(&applied.map_err(Failure::error)?);
    bar.finish_and_clear();
    if asked.kind == Kind::Numbers
        && let Err(why) = config.policy(&own.ledger.standing())
    {
        // It would stop the next start.
        tell(&format!(
            "clapet: warning: recorded, but the configuration does not fit: {why}"
        ));
    }
    own.close()?;
    Ok(imported)
}

fn through(
    mut client: Client,
    asked: &Asked,
    (file, bytes): (File, u64),
    submitted: Option<(File, u64)>,
    rejects: &mut RejectedFile,
) -> Result<Imported, Failure> {
    let professional = match &asked.professional {
        Some(id) => format!("&professional={}", escaped(id)),
        None => String::new(),
    };
    let sent = match &submitted {
        Some((_, bytes)) => format!("&submitted={bytes}"),
        None => String::new(),
    };
    let path = format!("/v1/imports/{}?force={}{professional}{sent}", asked.kind, asked.force);
    let mut length = bytes;
    let mut parts = Vec::with_capacity(2);
    if let Some((sent, bytes)) = submitted {
        length += bytes;
        // As many bytes as were announced, whatever is appended meanwhile.
        parts.push(sent.take(bytes));
    }
    parts.push(file.take(bytes));
    let bar = progress(length);
    let (chunks, body) = mpsc::channel(CHUNKS_AHEAD);
    let reading = bar.clone();
    let reader = std::thread::spawn(move || read(parts, &chunks, &reading));
    let mut imported = None;
    let answered = client.send_lines(&path, Chunks::new(body, Some(length)), |line| {
        if imported.is_none() {
            imported = Some(serde_json::from_slice::<Imported>(line).map_err(Failure::error)?);
            return Ok(());
        }
        let RejectedLine { line, reason, text } = serde_json::from_slice(line).map_err(Failure::error)?;
        rejects.reject(&Rejected { line, reason, text }).map_err(Failure::error)
    });
    bar.finish_and_clear();
    // It ends with the file, or with the connection that took its chunks.
    let _ = reader.join();
    answered?;
    imported.ok_or_else(|| Failure::error("the server's answer is empty"))
}

/// The files' bytes in chunks. A file that grew shorter meanwhile breaks the request off.
fn read(parts: Vec<io::Take<File>>, chunks: &mpsc::Sender<io::Result<Bytes>>, bar: &ProgressBar) {
    for mut part in parts {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match part.read(&mut chunk) {
                Ok(0) if part.limit() > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) => break,
                Ok(read) => {
                    chunk.truncate(read);
                    bar.inc(read as u64);
                    Ok(Bytes::from(chunk))
                }
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if chunks.blocking_send(read).is_err() || failed {
                return;
            }
        }
    }
    bar.set_message("the server reads it");
}

/// Percent-encoded for a query (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped + char::from(byte).encode_utf8(&mut [0])
        } else {
            escaped + &format!("%{byte:02X}")
        }
    })
}

const CHUNK: usize = 64 << 10;
const CHUNKS_AHEAD: usize = 4;
