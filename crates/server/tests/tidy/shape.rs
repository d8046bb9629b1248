//! The size and the shape of files: short, opened by a sentence, named by a concept.

use crate::source::{File, none, rust};

/// Longest file, in lines (CONTRIBUTING.md).
const FILE_LINES: usize = 600;
/// Longest function, in lines.
const FUNCTION_LINES: usize = 80;
/// The median file is at most this long.
const MEDIAN_LINES: usize = 150;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "core", "helper", "helpers", "misc", "util", "utils"];
/// Endings that say nothing about what a type is.
const EMPTY_ENDINGS: &[&str] = &["Helper", "Manager", "Service", "Util", "Utils"];

#[test]
fn files_are_short() {
    let files = rust();
    let long = |file: &&File| file.text.lines().count() > FILE_LINES;
    let faults: Vec<String> =
        files.iter().filter(long).map(|file| format!("{} has {} lines", file.path, file.text.lines().count())).collect();
    none("A file longer than 600 lines wants dividing by concept:", &faults);
    let mut lengths: Vec<usize> = files.iter().map(|file| file.text.lines().count()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN_LINES, "the median file has {median} lines, more than {MEDIAN_LINES}");
}

#[test]
fn functions_are_short() {
    let mut faults = Vec::new();
    for file in rust() {
        for (start, length) in functions(&file.text).into_iter().filter(|(_, length)| *length > FUNCTION_LINES) {
            faults.push(format!("{} has {length} lines", file.at(start)));
        }
    }
    none("A function longer than 80 lines:", &faults);
}

/// First line and length of every function with a body, found by the indentation that rustfmt keeps.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let declared_only = |line: &str| line.starts_with(indent) && line.trim_end().ends_with(';') && !line.contains('{');
        if declared_only(line) || line.trim_end().ends_with('}') {
            continue;
        }
        if let Some(length) = lines[index..].iter().position(|line| line.trim_end() == end) {
            found.push((index + 1, length + 1));
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub") || matches!(*word, "async" | "const" | "in"));
    // A name with `$` is a pattern inside a macro, not a function.
    words.next() == Some("fn") && !words.next().is_some_and(|name| name.starts_with('$'))
}

#[test]
fn functions_are_measured_as_a_reader_counts() {
    let text = "fn short() {}\nimpl X {\n    pub(crate) async fn long(\n        a: u8,\n    ) {\n        a\n    }\n}\n";
    assert_eq!(functions(text), [(3, 5)]);
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let faults: Vec<String> = rust().iter().filter(|file| !file.text.starts_with("//! ")).map(|file| format!("{}:1", file.path)).collect();
    none("A module that does not open with //! and a sentence:", &faults);
}

#[test]
fn names_say_what_is_inside() {
    let mut faults = Vec::new();
    for file in rust() {
        let empty = |part: &str| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"));
        if file.path.split('/').any(empty) {
            faults.push(file.path.clone());
        }
        for (number, line) in file.lines() {
            let mut words = line.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            let declares = words.by_ref().take(4).find(|word| matches!(*word, "struct" | "enum" | "trait" | "mod"));
            let name = if declares.is_some() { words.next().unwrap_or_default() } else { continue };
            if EMPTY_NAMES.contains(&name) || (declares != Some("mod") && EMPTY_ENDINGS.iter().any(|end| name.ends_with(end))) {
                faults.push(format!("{}: {name}", file.at(number)));
            }
        }
    }
    none("A name that says nothing (modules are nouns, functions verbs):", &faults);
}

#[test]
fn exceptions_to_lints_give_their_reason() {
    let (allow, expect) = (["#[", "allow("].concat(), ["#![", "allow("].concat());
    let mut faults = Vec::new();
    for file in rust() {
        for (number, line) in file.lines().filter(|(_, line)| line.contains(&allow) || line.contains(&expect)) {
            faults.push(format!("{}: {}", file.at(number), line.trim()));
        }
    }
    none("Use #[expect(.., reason = \"..\")], which speaks up when it is no longer needed:", &faults);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let mut faults = Vec::new();
    for file in rust().iter().filter(|file| !file.path.ends_with("tests/tidy/shape.rs")) {
        for (number, line) in file.lines() {
            let ignored = line.trim_start().starts_with("#[ignore");
            if ignored || words.iter().any(|word| line.split(|c: char| !c.is_alphanumeric()).any(|part| part == word)) {
                faults.push(format!("{}: {}", file.at(number), line.trim()));
            }
        }
    }
    none("Something left for later, or a test switched off:", &faults);
}
