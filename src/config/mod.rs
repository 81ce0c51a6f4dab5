//! `clapet.toml`, validated into the types that the other rooms take. Read at start, on reload and by the command line.
//!
//! Every mistake is told with file, line, dotted key and what was expected, all of them at once. Names in the file are the
//! contract's. Nothing here starts anything; the one thing that leaves the machine is the look-up of a trunk's host name.

mod access;
mod effective;
mod parties;
mod ranges;
mod section;
mod server;
mod target;
mod tls;
mod values;
mod watch;

use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;

use crate::api::Token;
use crate::gate::{NumberRange, OnStoreFailure, Policy, Professional, Roster, RosterError, SourcePolicy};
use crate::law::{Law, LawError};
use crate::ledger::{self, Standing, Suspended};
use crate::locate::{key_in, line_of};
use crate::sip::Transport;
use crate::sip::peer::Peers;
use crate::sip::transport::{StreamSettings, Tls};
use section::{Faults, Section};

pub use tls::TlsFiles;

/// The whole configuration.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Config {
    /// The file it was read from; `None`: the one compiled into the program.
    pub file: Option<PathBuf>,
    pub sip: Sip,
    pub store: ledger::Options,
    pub api: Api,
    /// `[law] file`; `None`: the one compiled into the program.
    pub law_file: Option<PathBuf>,
    pub law: Arc<Law>,
    pub on_store_failure: OnStoreFailure,
    pub bloctel_required: bool,
    /// `[store] answer_within`: a store that takes longer counts as unavailable.
    pub answer_within: Duration,
    /// As configured; imported ranges and suspensions come in with [`Config::policy`].
    pub professionals: Vec<Professional>,
    /// Positions are those of `peers.sources`.
    pub sources: Vec<SourcePolicy>,
    pub peers: Arc<Peers>,
    /// What is accepted but looks like a slip, each with its line and key.
    pub warnings: Vec<String>,
}

/// `[sip]`, apart from what [`Peers`] holds.
#[derive(Clone, Debug)]
pub struct Sip {
    /// Sockets to listen on.
    pub listen: Vec<Listen>,
    /// Threads that carry calls, each with sockets of its own.
    pub workers: usize,
    /// How long pending INVITEs may take after SIGTERM.
    pub drain: Duration,
    /// Whom the names of trunks and sources are asked of; empty: the system's.
    pub nameservers: Vec<SocketAddr>,
    /// `[sip.streams]`.
    pub streams: StreamSettings,
    /// `[sip.tls]` and what trunks and sources need of it, ready for use.
    pub tls: Arc<Tls>,
    /// Where that was read from.
    pub tls_files: TlsFiles,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Listen {
    pub transport: Transport,
    pub address: SocketAddr,
    /// `host[:port]` put in Via and Record-Route; `None`: the socket's own address.
    pub advertise: Option<Arc<str>>,
}

/// `[api]`.
#[derive(Clone, Debug)]
pub struct Api {
    /// The TCP socket; the Unix socket in the store's folder is always there.
    pub listen: SocketAddr,
    /// `[[api.token]]`.
    pub tokens: Arc<[Token]>,
}

impl Config {
    /// Reads the file that is named, else the first that is there of `clapet.toml` and `config/clapet.toml`, else the one
    /// compiled into the program.
    pub fn discover(named: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(file) = named {
            return Self::load(file);
        }
        match DEFAULT_FILES.iter().map(Path::new).find(|file| file.exists()) {
            Some(file) => Self::load(file),
            None => Ok(Self::embedded()),
        }
    }

    /// Reads a file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let mut text = String::new();
        std::fs::File::open(file)
            .and_then(|open| open.take(MAX_FILE + 1).read_to_string(&mut text))
            .map_err(|error| ConfigError::of_file(file, format!("cannot be read: {error}")))?;
        if text.len() as u64 > MAX_FILE {
            let message = format!("expected a configuration of at most {MAX_FILE} bytes");
            return Err(ConfigError::of_file(file, message));
        }
        Self::parse(&text, file)
    }

    /// The sample professional on loopback, with its store in `./var`.
    pub fn embedded() -> Self {
        // Part of the program: a test reads it, so no build ships a bad one.
        let config = Self::parse(EMBEDDED_TEXT, Path::new("config/clapet.toml"));
        let config = config.unwrap_or_else(|error| panic!("the embedded configuration: {error}"));
        Self { file: None, ..config }
    }

    /// Reads a text; `file` names it in errors.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let faults = Faults::default();
        for error in &errors {
            faults.push(error.span().unwrap_or(0..0), error.message().replace('\n', ", "));
        }
        let mut laws = Vec::new();
        let config = if errors.is_empty() {
            build(Section::top(root, &faults), &mut laws)
        } else {
            None
        };
        let (list, more, warnings) = faults.into_parts();
        // Taken apart a second time, since the reading consumed the first; only where there is something to tell.
        let root = (!(list.is_empty() && warnings.is_empty()))
            .then(|| DeTable::parse(text).ok())
            .flatten();
        let key = |at: &Range<usize>| {
            root.as_ref()
                .map_or_else(|| "toml".to_owned(), |root| key_in(root.get_ref(), at))
        };
        let mut found: Vec<ConfigFault> = list
            .into_iter()
            .map(|fault| ConfigFault {
                file: file.to_owned(),
                line: line_of(text, fault.at.start),
                key: match fault.missing {
                    None => key(&fault.at),
                    Some(missing) if fault.top => missing.to_owned(),
                    Some(missing) => format!("{}.{missing}", key(&fault.at)),
                },
                message: fault.message,
            })
            .collect();
        found.sort_by_key(|fault| fault.line);
        found.extend(laws.into_iter().map(ConfigFault::from));
        match config {
            Some(config) if found.is_empty() => Ok(Self {
                file: Some(file.to_owned()),
                warnings: warnings
                    .into_iter()
                    .map(|(at, message)| {
                        format!(
                            "{}:{}: {}: {message}",
                            file.display(),
                            line_of(text, at.start),
                            key(&at)
                        )
                    })
                    .collect(),
                ..config
            }),
            _ => Err(ConfigError { faults: found, more }),
        }
    }

    /// The gate's policy, with the ranges and suspensions that were recorded at run time.
    pub fn policy(&self, standing: &Standing) -> Result<Policy, RosterError> {
        Ok(Policy {
            law: Arc::clone(&self.law),
            roster: Arc::new(self.roster(standing)?),
            on_store_failure: self.on_store_failure,
            bloctel_required: self.bloctel_required,
            answer_within: self.answer_within,
        })
    }

    fn roster(&self, standing: &Standing) -> Result<Roster, RosterError> {
        let mut professionals = self.professionals.clone();
        let mut sources = self.sources.clone();
        // A range or suspension of somebody who is no longer configured stays recorded and concerns nobody.
        for range in &standing.ranges {
            if let Some(owner) = professionals.iter_mut().find(|one| one.id == range.professional) {
                owner.numbers.push(NumberRange {
                    first: range.first,
                    last: range.last,
                    from: Some(range.from),
                    until: range.until,
                });
            }
        }
        for suspension in &standing.suspensions {
            match suspension.what {
                Suspended::Professional => {
                    for one in professionals.iter_mut().filter(|one| one.id == suspension.id) {
                        one.suspended = suspension.suspended;
                    }
                }
                Suspended::Source => {
                    for one in sources.iter_mut().filter(|one| one.id == suspension.id) {
                        one.suspended = suspension.suspended;
                    }
                }
            }
        }
        Roster::build(professionals, sources)
    }

    /// The configuration in force as TOML text, defaults filled in, secrets masked.
    pub fn effective(&self) -> String {
        effective::text(self)
    }
}

fn build(mut root: Section<'_, '_>, laws: &mut Vec<LawError>) -> Option<Config> {
    let sip = server::sip(&mut root);
    let store = server::store(&mut root);
    let law = server::law(&mut root, laws);
    // Numbers are still checked where the law file is at fault, by the plan of the one compiled in.
    let rules = law.as_ref().map_or_else(Law::embedded, |law| Arc::clone(&law.law));
    let professionals = parties::professionals(&mut root, &rules);
    let targets = target::Targets::new(sip.as_ref());
    let mut by_tls = tls::TlsTargets::default();
    let mut trunk_ca = Vec::new();
    let trunks = parties::trunks(&mut root, sip.as_ref(), &targets, &mut by_tls, &mut trunk_ca);
    let sources = parties::sources(
        &mut root,
        sip.as_ref(),
        &rules.plan,
        &professionals,
        &trunks,
        &targets,
        &mut by_tls,
    );
    let api = server::api(&mut root, &professionals, &sources);
    let (at, faults) = (root.at(), root.faults);
    root.finish();
    let tls = sip.as_ref().map(|sip| by_tls.build(&sip.tls, at, faults));
    let (sip, law, (mut store, answer_within)) = (sip?, law?, store?);
    store.attempt_days = attempt_days(&rules, &professionals);
    let (policies, peers) = sources.into_iter().map(|(_, policy, peer)| (policy, peer)).unzip();
    Some(Config {
        file: None,
        store,
        api: api?,
        law_file: law.file,
        law: law.law,
        on_store_failure: law.on_store_failure,
        bloctel_required: law.bloctel_required,
        answer_within,
        professionals: professionals.into_iter().map(|(_, one)| one).collect(),
        sources: policies,
        peers: Arc::new(Peers {
            sources: peers,
            trunks: trunks.into_iter().map(|(_, one)| one).collect(),
            emergency_from: sip.emergency_from,
            silence_unknown: sip.silence_unknown,
        }),
        sip: Sip {
            listen: sip.listen,
            workers: sip.workers,
            drain: sip.drain,
            nameservers: sip.nameservers,
            streams: sip.streams,
            tls: Arc::new(tls.unwrap_or_default()),
            tls_files: TlsFiles {
                trunk_ca,
                ..sip.tls.files
            },
        },
        warnings: Vec::new(),
    })
}

/// Days after which an attempt is of no use to any rule: the longest period that counts, and some for time zones and clocks.
fn attempt_days(law: &Law, professionals: &parties::Professionals) -> u16 {
    let lawful = law.regimes().iter().filter_map(|regime| regime.frequency);
    let own = professionals.list().filter_map(|one| one.own.frequency);
    let longest = lawful.chain(own).map(|frequency| frequency.days).max();
    longest.unwrap_or(0).saturating_add(ATTEMPT_DAYS_BEYOND)
}

/// One mistake in a configuration or law file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ConfigFault {
    pub file: PathBuf,
    /// From one; zero where the file cannot be read at all.
    pub line: usize,
    /// Dotted, such as `source[0].refuse_with`; `toml` where the text is no TOML, `file` where no key is at fault.
    pub key: String,
    pub message: String,
}

impl From<LawError> for ConfigFault {
    fn from(error: LawError) -> Self {
        Self {
            file: error.file,
            line: error.line,
            key: error.key,
            message: error.message,
        }
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}: {}:", self.line, self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

/// Why a configuration is unusable: every mistake found, a line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// In the order of the file; those of the law file after.
    pub faults: Vec<ConfigFault>,
    /// How many more there were.
    pub more: usize,
}

impl ConfigError {
    fn of_file(file: &Path, message: String) -> Self {
        Self {
            faults: vec![ConfigFault {
                file: file.to_owned(),
                line: 0,
                key: "file".to_owned(),
                message,
            }],
            more: 0,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.faults.iter().enumerate() {
            let end = if position == 0 { "" } else { "\n" };
            write!(f, "{end}{fault}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

/// The shipped sample, which is also the configuration where there is no file.
const EMBEDDED_TEXT: &str = include_str!("../../config/clapet.toml");

/// Where a configuration is looked for when none is named, in this order.
const DEFAULT_FILES: [&str; 2] = ["clapet.toml", "config/clapet.toml"];

/// Days an attempt is kept beyond the longest period that counts it.
const ATTEMPT_DAYS_BEYOND: u16 = 5;

/// Largest configuration read, in bytes.
const MAX_FILE: u64 = 4 << 20;

#[cfg(test)]
mod tests;
