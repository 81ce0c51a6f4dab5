//! The demonstration.

/// Why the demonstration did not run to its end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DemoError(String);

/// Runs it.
pub fn run() -> Result<(), DemoError> {
    todo!()
}
