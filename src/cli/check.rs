//! `clapet check-config`.

use std::path::Path;

use super::output::{print, tell};
use crate::config::Config;

/// Exit 0, or 2 with every mistake on a line of its own.
pub(super) fn run(file: Option<&Path>) -> u8 {
    match Config::discover(file) {
        Ok(config) => {
            for warning in &config.warnings {
                tell(&format!("warning: {warning}"));
            }
            print(config.effective().trim_end());
            0
        }
        Err(error) => {
            tell(&error.to_string());
            2
        }
    }
}
