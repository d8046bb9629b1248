//! The papers of the house: present, short enough, pointing at things that exist, free of machine paths.

use crate::source::{all, none, read, top};
use sanasend_model::ReasonCode;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_papers_are_there() {
    for path in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "justfile",
        "deny.toml",
        "clippy.toml",
        "rustfmt.toml",
        "rust-toolchain.toml",
        "Cargo.lock",
        "test",
        ".ci/run",
        "docs/configuration.md",
        "docs/errors.md",
        "docs/sandbox.md",
        "docs/installation.md",
        "docs/deployment.md",
        "docs/hardening.md",
        "docs/monitoring.md",
        "docs/backup.md",
        "docs/upgrade.md",
        "docs/troubleshooting.md",
        "interop/package-lock.json",
    ] {
        assert!(top().join(path).is_file(), "{path} is missing");
    }
}

#[test]
fn architecture_fits_in_one_sitting() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines <= 250, "ARCHITECTURE.md has {lines} lines");
}

#[test]
fn ci_runs_the_command_of_the_readme() {
    assert!(read("README.md").contains("./test"), "README.md names the test command");
    assert!(read(".ci/run").lines().any(|line| line.contains("./test")), ".ci/run calls it");
}

#[test]
fn links_between_papers_lead_somewhere() {
    let mut faults = Vec::new();
    for file in all().iter().filter(|file| Path::new(&file.path).extension().is_some_and(|end| end == "md")) {
        let folder = top().join(&file.path).parent().map(Path::to_path_buf).unwrap_or_default();
        for (number, line) in file.lines() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = target.split('#').next().unwrap_or_default();
                if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                    faults.push(format!("{} -> {target}", file.at(number)));
                }
            }
        }
    }
    none("A link to nothing:", &faults);
}

/// What a link to a heading is written like: lower case, spaces as hyphens, without signs.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn links_to_headings_lead_to_one() {
    let (mut seen, mut faults) = (0, Vec::new());
    for file in all().iter().filter(|file| Path::new(&file.path).extension().is_some_and(|end| end == "md")) {
        let folder = top().join(&file.path).parent().map(Path::to_path_buf).unwrap_or_default();
        for (number, line) in file.lines() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|target| !target.contains("://")) {
                let Some((path, heading)) = target.split_once('#') else { continue };
                let text = if path.is_empty() { file.text.clone() } else { fs::read_to_string(folder.join(path)).unwrap_or_default() };
                seen += 1;
                if !anchors(&text).contains(heading) {
                    faults.push(format!("{} -> {target}", file.at(number)));
                }
            }
        }
    }
    assert!(seen > 10, "links to headings were found: {seen}");
    none("A link to a heading that is not there:", &faults);
}

#[test]
fn decisions_have_numbers_of_their_own_and_say_what_was_given_up() {
    let mut names: Vec<String> = fs::read_dir(top().join("docs/decisions"))
        .expect("docs/decisions")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let numbers: Vec<&str> = names.iter().map(|name| name.split('-').next().unwrap_or_default()).collect();
    for (name, number) in names.iter().zip(&numbers) {
        assert!(number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()), "{name} has no number");
        assert_eq!(numbers.iter().filter(|other| *other == number).count(), 1, "{name} shares its number");
        let text = read(&format!("docs/decisions/{name}"));
        for heading in ["## Context", "## Choice", "## What we gave up"] {
            assert!(text.contains(heading), "docs/decisions/{name} has no {heading:?}");
        }
    }
}

#[test]
fn every_error_code_is_documented() {
    let documented: BTreeSet<String> =
        read("docs/errors.md").split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).map(str::to_owned).collect();
    let missing: Vec<String> = error_codes().into_iter().filter(|code| !documented.contains(code)).collect();
    none("An error code that docs/errors.md does not tell:", &missing);
}

#[test]
fn every_reason_code_of_a_session_is_documented() {
    let (guide, view) = (read("docs/api.md"), read("crates/server/src/http/v1/sessions/view.rs"));
    let told = |code: &str| guide.contains(&format!("| `{code}` |")) && view.contains(&format!("`{code}`"));
    let missing: Vec<String> = ReasonCode::ALL.iter().map(|code| code.as_str()).filter(|code| !told(code)).map(str::to_owned).collect();
    none("A reason code that docs/api.md or the field in the OpenAPI document does not tell:", &missing);
}

/// The codes of the one catalogue and the reasons for which a message fails.
fn error_codes() -> BTreeSet<String> {
    let sources = [read("crates/server/src/http/error.rs"), read("crates/model/src/message.rs")];
    let quoted = sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    let codes: BTreeSet<String> = quoted.filter(|word| is_code(word)).map(str::to_owned).collect();
    assert!(codes.len() > 10, "the catalogue was read: {codes:?}");
    codes
}

fn is_code(word: &str) -> bool {
    word.len() > 4 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !word.starts_with('_')
}

#[test]
fn nothing_names_a_machine_or_a_workplace() {
    let homes = ["root", "home", "Users", "work"].map(|name| format!("/{name}/"));
    let mut faults = Vec::new();
    for file in all() {
        for (number, line) in file.lines() {
            let inside_path = |at: usize| {
                line[..at]
                    .ends_with(|before: char| before.is_alphanumeric() || before == '.' || before == '-' || before == '_' || before == '}')
            };
            for home in &homes {
                if line.match_indices(home.as_str()).any(|(at, _)| !inside_path(at)) {
                    faults.push(format!("{}: {}", file.at(number), line.trim().chars().take(120).collect::<String>()));
                }
            }
        }
    }
    none("A path of somebody's machine:", &faults);
}

#[test]
fn packages_from_npm_are_pinned_and_run_no_scripts() {
    let package: serde_json::Value = serde_json::from_str(&read("interop/package.json")).expect("package.json");
    for (name, version) in package["dependencies"].as_object().expect("dependencies") {
        let version = version.as_str().unwrap_or_default();
        assert!(version.starts_with(|c: char| c.is_ascii_digit()), "interop: {name} {version} is not pinned");
    }
    assert!(read("interop/.npmrc").contains("ignore-scripts=true"));
    assert!(!read("interop/package-lock.json").contains("\"resolved\""), "the lock file names the registry it was made with");
}

/// The document has one list of schemas by their names: of two structs with one name only one would be described.
#[test]
fn every_schema_has_a_name_of_its_own() {
    let mut seen = std::collections::BTreeMap::<String, String>::new();
    let mut twice = Vec::new();
    for file in all().iter().filter(|file| file.path.starts_with("crates/server/src/")) {
        for piece in file.product().split("ToSchema").skip(1) {
            let declared = piece.lines().find(|line| line.contains("struct ") || line.contains("enum ")).unwrap_or_default();
            let words = declared.split([' ', '<', '(', ';', '{']).skip_while(|word| !matches!(*word, "struct" | "enum"));
            let Some(name) = words.skip(1).find(|word| !word.is_empty()).filter(|_| piece.starts_with(')') || piece.starts_with(','))
            else {
                continue;
            };
            if let Some(other) = seen.insert(name.to_owned(), file.path.clone()) {
                twice.push(format!("{name} in {other} and {}", file.path));
            }
        }
    }
    assert!(seen.len() > 50, "schemas are found: {}", seen.len());
    none("A schema whose name another has too:", &twice);
}
