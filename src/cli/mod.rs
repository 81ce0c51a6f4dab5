//! The commands: arguments in, results to stdout, messages to stderr, the contract's exit codes. Reads the clock; holds no rule.
//!
//! What touches the store goes through the running server's Unix socket where one holds the store, and opens it itself otherwise
//! (`store::reach`).

mod backup;
mod check;
mod client;
mod decide;
mod export;
mod forget;
mod import;
mod journal;
mod output;
mod sign;
mod store;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::telemetry::{LogFormat, start_logging};
use output::{print, tell};

/// A real-time SIP proxy that stops unlawful telephone canvassing before it reaches the network.
#[derive(Parser)]
#[command(
    name = "clapet",
    version,
    about,
    max_term_width = 120,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Common {
    /// Configuration; default: clapet.toml, then config/clapet.toml, then the one compiled in
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines are written; CLAPET_LOG filters them
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
    /// One JSON object a line on stdout
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM or SIGINT
    Serve,
    /// Place real SIP calls on loopback, one for each rule, and show what became of them
    Demo,
    /// Validate a configuration and print what is in force, secrets masked
    CheckConfig {
        /// The file; default: as for --config
        file: Option<PathBuf>,
    },
    /// Ask whether a call may be placed; reserves nothing. Exit: 0 allowed, 1 refused, 2 error
    Decide(decide::Asked),
    /// Load a file. Exit: 0 all, 1 some lines rejected (into FILE.rejected), 2 nothing loaded
    Import(import::Asked),
    /// Write one professional's records to stdout, or with their proofs into a bundle
    Export(export::Asked),
    /// Copy the store, also while a server runs, and verify the copy
    Backup {
        /// Empty, or not there yet
        dir: PathBuf,
    },
    /// Put a backup in the place of the store, which no process may hold; a store that is there is kept beside it
    Restore {
        /// What `clapet backup` wrote
        dir: PathBuf,
        /// Also where the store that is there holds newer calls, which are then forgotten
        #[arg(long)]
        force: bool,
    },
    /// The journal of evidence
    Journal {
        #[command(subcommand)]
        command: Journal,
    },
    /// Erase one number's personal data on request; what still binds stays under a keyed hash
    Forget {
        /// In any dialled form
        #[arg(allow_hyphen_values = true)]
        number: String,
    },
}

#[derive(Subcommand)]
enum Journal {
    /// Check the hash chain and name the first broken record. Exit: 0 whole, 1 broken
    Verify {
        /// The folder of a journal or of an exported bundle; default: the journal of the configured store
        path: Option<PathBuf>,
        /// Public key that you trust, in hexadecimal, from another place than a bundle
        #[arg(long, value_name = "HEX")]
        key: Vec<String>,
    },
}

/// What went wrong, with the exit code.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Nothing was done: exit 2.
    fn error(message: impl std::fmt::Display) -> Self {
        Self {
            code: 2,
            message: message.to_string(),
        }
    }
}

/// Runs one command line, its first word the program's name.
pub fn run<I: Iterator<Item = OsString>>(args: I) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, mistakes to stderr; a closed one is no reason to panic.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            tell(&format!("clapet: {}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

fn command(cli: Cli) -> Result<u8, Failure> {
    let Common {
        config,
        log_format,
        json,
    } = cli.common;
    // A server tells what it does; a command only what is wrong.
    let level = match cli.command {
        Command::Serve => "info",
        _ => "warn",
    };
    start_logging(log_format, level).map_err(Failure::error)?;
    let read = || -> Result<Config, Failure> {
        let config = Config::discover(config.as_deref()).map_err(Failure::error)?;
        for warning in &config.warnings {
            tell(&format!("clapet: warning: {warning}"));
        }
        Ok(config)
    };
    match cli.command {
        Command::Serve => {
            let config_in_force = read()?;
            let from = config_in_force.file.clone();
            let served = crate::serve::run(config_in_force, from);
            served.map(|()| 0).map_err(|error| Failure {
                code: 1,
                message: error.to_string(),
            })
        }
        Command::Demo => crate::demo::run().map(|()| 0).map_err(|error| Failure {
            code: 1,
            message: error.to_string(),
        }),
        Command::CheckConfig { file } => Ok(check::run(file.or(config).as_deref())),
        Command::Decide(asked) => decide::run(asked, &read()?, json),
        Command::Import(asked) => import::run(&asked, &read()?, json),
        Command::Journal {
            command: Journal::Verify { path, key },
        } => {
            let path = match path {
                Some(path) => path,
                None => read()?.store.path.join("journal"),
            };
            journal::verify(&path, &key, json)
        }
        Command::Export(asked) => export::run(&asked, &read()?, json),
        Command::Backup { dir } => backup::backup(&dir, &read()?, json),
        Command::Restore { dir, force } => backup::restore(&dir, force, &read()?, json),
        Command::Forget { number } => forget::run(&number, &read()?, json),
    }
}

/// One JSON object on a line of its own.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value).map_err(Failure::error)?);
    Ok(())
}

#[cfg(test)]
mod tests;
