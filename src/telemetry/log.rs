//! Where log lines go: stderr, as text or JSON, filtered by `CLAPET_LOG`. Called once by the command line.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `CLAPET_LOG` is no filter.
    #[error("CLAPET_LOG: {0}: expected a filter such as \"info\" or \"info,clapet::sip=debug\"")]
    Filter(String),
    /// Something else logs already.
    #[error("logging has been started before")]
    Started,
}

/// Starts logging to stderr at `CLAPET_LOG`'s filter, or at `default`.
pub fn start_logging(format: LogFormat, default: &str) -> Result<(), LogError> {
    let filter = match std::env::var(FILTER) {
        Ok(filter) if !filter.is_empty() => filter,
        _ => default.to_owned(),
    };
    let filter = EnvFilter::try_new(&filter).map_err(|error| LogError::Filter(error.to_string()))?;
    // A closed stderr is no reason to panic, which is what reporting it there would do.
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(layer.with_ansi(colours)).try_init()
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
    .map_err(|_| LogError::Started)
}

/// The environment variable that filters log lines.
const FILTER: &str = "CLAPET_LOG";
