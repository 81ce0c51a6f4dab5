//! `forget`, `journal verify`, `serve` and `demo`: what touches the store, with and without a running server.

use crate::support::server::faketime;
use crate::{CALLEE, NPV, TUESDAY, decide, expect, import, reasons, site, stderr, stdout};

#[test]
fn forget_erases_and_keeps_what_binds() {
    let site = site();
    let refusal = "number,professional,at,channel\n0612345678,acme,2023-06-01T11:00:00+02:00,call\n";
    expect(&import(&site, "refusals", refusal, &[]), 0);
    expect(&site.run(&["forget", "06 12 34 56 78"]), 0);
    expect(&site.run(&["journal", "verify"]), 0);
    let (_, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!(
        value["reason"].as_str(),
        Some("refusal.active"),
        "erasure lifts no refusal: {value}"
    );
    let number: u64 = 33_612_345_678;
    let needles = [
        b"612345678".to_vec(),
        number.to_be_bytes()[3..].to_vec(),
        number.to_le_bytes()[..5].to_vec(),
    ];
    for file in files(&site.store()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        for needle in &needles {
            let held = bytes.windows(needle.len()).any(|window| window == needle.as_slice());
            assert!(!held, "the number still stands in {}", file.display());
        }
    }
}

#[test]
fn forgetting_a_number_opens_no_fifth_call() {
    let Some(library) = faketime() else { return };
    let site = site().at("2023-06-06 08:30:00", &library);
    let attempts: String = (1..=4)
        .map(|day| format!("0612345678,acme,2023-06-0{day}T11:00:00+02:00,answered,old\n"))
        .collect();
    let attempts = format!("number,professional,at,outcome,source\n{attempts}");
    expect(&import(&site, "attempts", &attempts, &[]), 0);
    expect(&site.run(&["forget", CALLEE]), 0);
    let (code, value) = decide(&site, NPV, CALLEE, None);
    assert_eq!(
        (code, value["reason"].as_str()),
        (1, Some("frequency.exhausted")),
        "{value}"
    );
    assert_eq!(value["attempts_left"], 0);
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_journal_is_verified_and_damage_is_named() {
    let site = site();
    let lines: String = (10..60)
        .map(|number| format!("06123456{number},acme,2023-06-01T11:00:00+02:00,call\n"))
        .collect();
    expect(
        &import(
            &site,
            "refusals",
            &format!("number,professional,at,channel\n{lines}"),
            &[],
        ),
        0,
    );
    expect(&site.run(&["journal", "verify"]), 0);
    let folder = site.store().join("journal");
    let path = folder.to_string_lossy().into_owned();
    expect(&site.run(&["journal", "verify", &path]), 0);
    let segment = files(&folder)
        .into_iter()
        .max_by_key(|file| std::fs::metadata(file).map_or(0, |data| data.len()))
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&segment, bytes).expect("a damaged segment");
    let output = site.run(&["journal", "verify"]);
    expect(&output, 1);
    let said = format!("{}{}", stdout(&output), stderr(&output));
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(
        said.contains(&name) && said.chars().any(|sign| sign.is_ascii_digit()),
        "{said}"
    );
}

#[test]
fn commands_go_through_the_running_server() {
    let site = site();
    let server = site.start();
    let refusal = "number,professional,at,channel\n0612345678,acme,2023-06-01T11:00:00+02:00,call\nx,acme,,\n";
    expect(&import(&site, "refusals", refusal, &[]), 1);
    let (code, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!((code, value["reason"].as_str()), (1, Some("refusal.active")));
    expect(&import(&site, "opposition", "0612345679\n", &[]), 0);
    let (_, value) = decide(&site, NPV, "0612345679", None);
    assert!(reasons(&value).contains(&"opposition.listed"), "{value}");
    expect(&site.run(&["forget", CALLEE]), 0);
    let (_, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!(value["reason"].as_str(), Some("refusal.active"));
    assert_eq!(server.stop(), Some(0));
    // And again from the files.
    let (_, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!(value["reason"].as_str(), Some("refusal.active"));
}

#[test]
fn the_demo_shows_every_rule_and_ends_by_itself() {
    let site = site();
    let output = site.run_bare(&["demo"]);
    expect(&output, 0);
    let table = stdout(&output);
    for code in [
        "caller-id.not-npv",
        "caller-id.masked",
        "sector.banned",
        "refusal.active",
        "opposition.listed",
        "consent.missing",
        "bloctel.opposed",
        "hours.day",
        "hours.holiday",
        "hours.window",
        "frequency.exhausted",
        "exempt.emergency",
    ] {
        assert!(table.contains(code), "no row for {code} in\n{table}");
    }
    assert!(table.contains("403"), "{table}");
    assert!(
        files(&site.path("")).iter().all(|file| file.ends_with("clapet.toml")),
        "the demo leaves nothing behind"
    );
}

#[test]
fn an_export_may_ask_for_all_days_that_can_be_written() {
    let site = site();
    let attempts =
        "number,professional,at,outcome,source\n0612345678,acme,2023-06-06T10:30:00+02:00,no-answer,bpo-lyon\n";
    expect(&import(&site, "attempts", attempts, &[]), 0);
    let output = site.run(&[
        "export",
        "attempts",
        "--professional",
        "acme",
        "--since=-262143-01-01",
        "--until=+262142-12-31",
    ]);
    expect(&output, 0);
    assert_eq!(stdout(&output).lines().count(), 2, "{}", stdout(&output));
}
