//! How a `[[trunk]]` is probed: `options = { every, fail_after, up_after }`.

use std::time::Duration;

use toml::Spanned;

use super::section::Section;
use super::values::Span;
use crate::sip::peer::{Probing, Watch};

/// Reads the key; without it nobody is probed.
pub(super) fn watch(table: &mut Section<'_, '_>) -> Watch {
    let faults = table.faults;
    let Some(mut options) = table.section("options") else {
        return Watch::default();
    };
    let every = options.get::<Span>("every");
    let fail_after: Option<Spanned<u8>> = options.get("fail_after");
    let up_after: Option<Spanned<u8>> = options.get("up_after");
    options.finish();
    if let Some(every) = every
        .as_ref()
        .filter(|every| !(SHORTEST..=LONGEST).contains(&every.get_ref().0))
    {
        faults.push(every.span(), "expected \"5s\" to \"1h\"");
    }
    for count in [&fail_after, &up_after].into_iter().flatten() {
        if *count.get_ref() == 0 {
            faults.push(count.span(), "expected at least one probe");
        }
    }
    Watch {
        options: Some(Probing {
            every: every.map_or(EVERY, |every| every.into_inner().0),
            fail_after: fail_after.map_or(FAIL_AFTER, Spanned::into_inner),
            up_after: up_after.map_or(UP_AFTER, Spanned::into_inner),
        }),
        ..Watch::default()
    }
}

const EVERY: Duration = Duration::from_secs(30);
const FAIL_AFTER: u8 = 3;
const UP_AFTER: u8 = 2;

/// A probe is waited for for four seconds; it must be over before the next.
const SHORTEST: Duration = Duration::from_secs(5);

const LONGEST: Duration = Duration::from_secs(3600);
