//! `docs/standards.md` says which test shows what clapet does of a standard: each test that it names is there, and each row names one,
//! or says that the thing is not done.

use std::collections::HashSet;
use std::path::Path;

fn main_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Names of all tests of the Rust files below a folder.
fn tests(folder: &Path, found: &mut HashSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let mut marked = false;
            for line in text.lines().map(str::trim_start) {
                marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
                let name = function.and_then(|function| function.split('(').next());
                if let Some(name) = name
                    && std::mem::take(&mut marked)
                {
                    found.insert(name.to_owned());
                }
            }
        }
    }
}

/// The last cell of each row of each table, with its line.
fn rows(text: &str) -> Vec<(usize, String)> {
    let is_row = |line: &str| line.starts_with('|') && !line.starts_with("|---");
    let lines = text.lines().zip(1..).filter(|(line, _)| is_row(line));
    lines
        .filter_map(|(line, number)| {
            let cell = line.trim_end_matches('|').rsplit('|').next()?.trim();
            (cell != "test").then(|| (number, cell.to_owned()))
        })
        .collect()
}

#[test]
fn each_test_that_the_standards_name_is_there() {
    let text = std::fs::read_to_string(main_folder().join("docs/standards.md")).expect("the document");
    let mut known = HashSet::new();
    for folder in ["src", "tests"] {
        tests(&main_folder().join(folder), &mut known);
    }
    let rows = rows(&text);
    assert!(rows.len() > 40, "{} rows", rows.len());
    let mut faults = Vec::new();
    for (line, cell) in rows {
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && cell != "–" {
            faults.push(format!("line {line} names no test: {cell}"));
        }
        let missing = names.into_iter().filter(|name| !known.contains(*name));
        faults.extend(missing.map(|name| format!("line {line}: there is no test {name}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
