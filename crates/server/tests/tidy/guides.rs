//! What the guides and the files of `deploy/` name is there: settings, commands with their flags, paths, alerts.

use crate::source::{File, all, none, read, top};
use clap::Parser;
use clap::error::ErrorKind;
use sanasend::cli::Cli;
use std::collections::BTreeSet;
use std::path::Path;

/// Variables that are read by commands, the tests or compose, and are no settings.
const NO_SETTINGS: &[&str] = &[
    "SANASEND_URL",
    "SANASEND_API_KEY",
    "SANASEND_CONFIG",
    "SANASEND_PASSWORD",
    "SANASEND_BACKUP_PASSPHRASE",
    // What Kubernetes would make of the service's name: told as a trap.
    "SANASEND_SERVICE_HOST",
];

/// Sections of the configuration are also words of schedules and files; these are no settings.
const NO_SETTING_ENDS: &[&str] = &["sweep", "md", "rs", "mjs", "json", "html", "toml", "yaml", "yml", "service", "timer"];

fn guides() -> Vec<File> {
    let is_text = |path: &str| Path::new(path).extension().is_some_and(|end| end == "md");
    let is_guide = |path: &str| path == "README.md" || (path.starts_with("docs/") && is_text(path) && !path.contains("decisions"));
    all().into_iter().filter(|file| is_guide(&file.path)).collect()
}

/// Every setting as `section.name`, and the variables that stand for it.
fn settings() -> (BTreeSet<String>, BTreeSet<String>) {
    let text = read("docs/configuration.md");
    let of = |mark: &str| text.lines().filter_map(|line| line.strip_prefix(mark)?.strip_suffix('`')).map(str::to_owned).collect();
    let (names, mut variables): (BTreeSet<String>, BTreeSet<String>) = (of("### `"), of("- Variable: `"));
    assert!(names.len() > 50 && variables.len() == names.len(), "the settings were read");
    variables.extend(variables.clone().into_iter().map(|name| name.replace("__", "_")));
    (names, variables)
}

#[test]
fn variables_in_guides_and_deployments_are_settings() {
    let (_, known) = settings();
    let mut faults = Vec::new();
    let shipped = all().into_iter().filter(|file| file.path.starts_with("deploy/") || file.path.starts_with(".github/"));
    for file in guides().into_iter().chain(shipped) {
        for (number, line) in file.lines() {
            for word in line.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')) {
                // A name with a hole (`SANASEND_...`, `SANASEND_TEST_...`) speaks of many.
                let whole = word.starts_with("SANASEND_") && !word.ends_with('_') && !word.starts_with("SANASEND_TEST");
                if whole && !known.contains(word) && !NO_SETTINGS.contains(&word) {
                    faults.push(format!("{}: {word}", file.at(number)));
                }
            }
        }
    }
    none("A variable that is no setting:", &faults);
}

#[test]
fn settings_in_guides_exist() {
    let (known, _) = settings();
    let sections: BTreeSet<&str> = known.iter().filter_map(|name| name.split_once('.')).map(|(section, _)| section).collect();
    let mut faults = Vec::new();
    for file in guides() {
        for (number, line) in file.lines() {
            for word in line.split('`').skip(1).step_by(2) {
                let word = word.split([' ', '=']).next().unwrap_or_default();
                let Some((section, name)) = word.split_once('.') else { continue };
                let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                if plain && sections.contains(section) && !NO_SETTING_ENDS.contains(&name) && !known.contains(word) {
                    faults.push(format!("{}: {word}", file.at(number)));
                }
            }
        }
    }
    none("A setting that does not exist:", &faults);
}

#[test]
fn commands_in_guides_are_understood() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for file in guides() {
        for (number, words, whole) in commands(&file.text) {
            seen += 1;
            let Err(error) = Cli::try_parse_from(&words) else { continue };
            let fine = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
                // In a sentence a command is named, not run.
                ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
                    !whole
                }
                _ => false,
            };
            if !fine {
                faults.push(format!("{}: {}: {}", file.at(number), words.join(" "), error.kind()));
            }
        }
    }
    assert!(seen > 40, "commands were found: {seen}");
    none("A command that is not understood:", &faults);
}

/// Commands of ours in a text: line, words from `sanasend` on, and whether it stands in a block, to be run as it is.
fn commands(text: &str) -> Vec<(usize, Vec<String>, bool)> {
    let (mut found, mut block) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            block = !block && (line == "```sh" || line == "```bash");
        } else if block || line.starts_with("    sanasend ") {
            found.extend(command(line).map(|words| (index + 1, words, true)));
        } else {
            let spans = line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("sanasend "));
            found.extend(spans.filter_map(command).map(|words| (index + 1, words, false)));
        }
    }
    found
}

/// The words from `sanasend` on to the end of the command, as a shell cuts them.
fn command(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let from = words.iter().position(|word| word == "sanasend" || word.ends_with("bin/sanasend"))?;
    // Settings for this command, or the change to another user; anything else only names us (`docker build --tag sanasend .`).
    let runs_us = words[..from].iter().all(|word| word.contains('=') || word.starts_with("--") || word == "setpriv");
    let words: Vec<String> =
        words[from..].iter().take_while(|word| !["|", ">", "&&", ";", "&", "#", "\\"].contains(&word.as_str())).cloned().collect();
    (runs_us && words.len() > 1 && !line.trim_start().starts_with('#')).then_some(words)
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (_, c) => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[test]
fn paths_in_guides_exist() {
    let mut faults = Vec::new();
    for file in guides() {
        for (number, line) in file.lines() {
            for word in line.split(|c: char| c.is_whitespace() || "`'\"(),;|".contains(c)) {
                let word = word.trim_end_matches(['.', ':']);
                let ours = ["deploy/", "ci/", "crates/", "interop/", "bench/", ".github/"].iter().any(|folder| word.starts_with(folder));
                // What somebody makes of an example is not there yet.
                let made = word.ends_with("/.env");
                if ours && !made && !word.contains('*') && !top().join(word).exists() {
                    faults.push(format!("{}: {word}", file.at(number)));
                }
            }
        }
    }
    none("A path that does not exist:", &faults);
}

#[test]
fn every_alert_is_told() {
    let guide = read("docs/monitoring.md");
    let rules = read("deploy/monitoring/sanasend.rules.yml");
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let told: BTreeSet<&str> =
        guide.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).filter(|word| word.starts_with("Sana")).collect();
    assert!(alerts.len() > 10);
    assert_eq!(alerts, told, "docs/monitoring.md and the rules name the same alerts");
    let tests = read("deploy/monitoring/sanasend.rules.test.yml");
    let untested: Vec<String> = alerts.into_iter().filter(|alert| !tests.contains(alert)).map(str::to_owned).collect();
    none("An alert without a test:", &untested);
}

#[test]
fn every_schedule_is_told() {
    let source = all().into_iter().find(|file| file.path == "crates/server/src/jobs/schedules.rs").expect("the schedules");
    let is_name = |word: &&str| {
        let parts: Vec<&str> = word.split('.').collect();
        parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let known: BTreeSet<&str> = source.product().split('"').skip(1).step_by(2).filter(is_name).collect();
    let guide = read("docs/background-work.md");
    let told: BTreeSet<&str> = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).filter(is_name).collect();
    assert!(known.len() > 15, "the schedules were read: {known:?}");
    assert_eq!(known, told, "jobs/schedules.rs and docs/background-work.md name the same schedules");
}

#[test]
fn every_figure_is_told() {
    let guide = read("docs/operations.md");
    let told: BTreeSet<&str> = guide.split('`').skip(1).step_by(2).collect();
    let mut seen = 0;
    let mut faults = Vec::new();
    for file in all().into_iter().filter(|file| file.path.starts_with("crates/server/src/metrics/")) {
        for word in file.product().split('"').skip(1).step_by(2).filter(|word| word.starts_with("sanasend_") && !word.contains(' ')) {
            seen += 1;
            if !told.contains(word) {
                faults.push(format!("{}: {word}", file.path));
            }
        }
    }
    assert!(seen > 15, "the figures were read: {seen}");
    none("A figure that docs/operations.md does not tell:", &faults);
}

/// An alert on a figure that nobody counts never comes.
#[test]
fn every_figure_is_counted_somewhere() {
    let names = read("crates/server/src/metrics/mod.rs");
    let names = names.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split_once(": &str = \"sanasend_"));
    let names: Vec<&str> = names.map(|(name, _)| name).collect();
    assert!(names.len() > 10, "the names were read: {names:?}");
    let sources: Vec<File> = all().into_iter().filter(|file| file.path.starts_with("crates/server/src/")).collect();
    // Once where it is described, and once where the thing happens.
    let uses = |name: &str| {
        let whole = |after: &&str| !after.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
        sources.iter().map(|file| file.product().split(&format!("name::{name}")).skip(1).filter(whole).count()).sum::<usize>()
    };
    let faults: Vec<String> = names.iter().filter(|name| uses(name) < 2).map(|name| format!("name::{name}")).collect();
    none("A figure that is described and never counted:", &faults);
}
