//! What a `[[source]]` must show beside its address, and how much it may call: `digest`, `rate`, `concurrent_calls`.

use std::sync::Arc;

use toml::Spanned;

use super::section::Section;
use super::values::hex;
use crate::sip::peer::{Access, DigestAccount, Rate};

/// Reads the three keys.
pub(super) fn access(table: &mut Section<'_, '_>) -> Access {
    let faults = table.faults;
    let digest = digest(table);
    let rate = rate(table);
    let concurrent: Option<Spanned<u32>> = table.get("concurrent_calls");
    if let Some(calls) = concurrent
        .as_ref()
        .filter(|calls| !(1..=MAX_CALLS).contains(calls.get_ref()))
    {
        faults.push(calls.span(), format!("expected 1 to {MAX_CALLS} calls"));
    }
    Access {
        digest,
        rate,
        concurrent_calls: concurrent.map(Spanned::into_inner),
        ..Access::default()
    }
}

fn digest(table: &mut Section<'_, '_>) -> Option<DigestAccount> {
    let faults = table.faults;
    let mut digest = table.section("digest")?;
    digest.no_plaintext(
        &["password", "secret"],
        "`ha1`, the hash of \"username:realm:password\",",
    );
    let realm = digest.required::<String>("realm", "\"clapet\"");
    let username = digest.required::<String>("username", "\"bpo-lyon\"");
    for text in [&realm, &username].into_iter().flatten() {
        let good = |c: char| !c.is_control() && c != '"' && c != '\\';
        let written = text.get_ref();
        if written.is_empty() || written.len() > MAX_NAME || !written.chars().all(good) {
            let message = format!("expected 1 to {MAX_NAME} bytes without quotes, backslashes and control characters");
            faults.push(text.span(), message);
        }
    }
    let ha1 = digest.required::<String>("ha1", "\"…\"");
    let ha1_md5: Option<Spanned<String>> = digest.get("ha1_md5");
    digest.finish();
    let (mut sha256, mut md5) = (None, None);
    if let Some(ha1) = &ha1 {
        let lower = Arc::from(ha1.get_ref().to_ascii_lowercase());
        if hex::<32>(&lower).is_some() {
            sha256 = Some(lower);
        } else if hex::<16>(&lower).is_some() {
            md5 = Some(lower);
        } else {
            faults.push(ha1.span(), "expected 64 (SHA-256) or 32 (MD5) hexadecimal digits");
        }
    }
    if let Some(ha1) = &ha1_md5 {
        let lower: Arc<str> = Arc::from(ha1.get_ref().to_ascii_lowercase());
        if hex::<16>(&lower).is_none() {
            faults.push(ha1.span(), "expected 32 hexadecimal digits (MD5)");
        } else if md5.replace(lower).is_some() {
            faults.push(ha1.span(), "`ha1` is an MD5 already: expected its SHA-256 there");
        }
    }
    ha1?;
    Some(DigestAccount {
        realm: Arc::from(realm?.into_inner()),
        username: Arc::from(username?.into_inner()),
        sha256,
        md5,
    })
}

fn rate(table: &mut Section<'_, '_>) -> Option<Rate> {
    let faults = table.faults;
    let mut rate = table.section("rate")?;
    let per_second = rate.required::<u32>("calls_per_second", "20");
    let burst: Option<Spanned<u32>> = rate.get("burst");
    rate.finish();
    for count in [&per_second, &burst].into_iter().flatten() {
        if !(1..=MAX_RATE).contains(count.get_ref()) {
            faults.push(count.span(), format!("expected 1 to {MAX_RATE} calls"));
        }
    }
    let per_second = per_second?.into_inner();
    Some(Rate {
        per_second,
        burst: burst.map_or(per_second, Spanned::into_inner),
    })
}

/// Calls in progress of one source.
const MAX_CALLS: u32 = 1_000_000;

/// Calls a second, and in a burst, of one source.
const MAX_RATE: u32 = 100_000;

/// Longest realm and username, in bytes.
const MAX_NAME: usize = 128;
