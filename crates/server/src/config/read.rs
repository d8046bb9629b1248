//! Reads settings one by one, so that every bad one is named at once, each with where it came from.
//!
//! The table in `settings` asks a [`Reader`] for each of its fields. The reader keeps a row for every field
//! asked for: the rows are what `sanasend config` shows and what the documentation is made of, so neither can
//! name a setting that the program does not read.

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile as Layer, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// What every environment variable of the configuration begins with.
pub const ENV_PREFIX: &str = "SANASEND_";

/// Variables with our prefix that are no settings: they steer the command line.
pub const ENV_OF_THE_COMMAND_LINE: &[&str] =
    &["SANASEND_CONFIG", "SANASEND_URL", "SANASEND_API_KEY", "SANASEND_PASSWORD", "SANASEND_BACKUP_PASSPHRASE"];

/// Variables that begin so are no settings either: they tell tests where their servers are.
const ENV_OF_TESTS: &str = "SANASEND_TEST_";

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Dotted name in the TOML file.
    pub path: String,
    /// What it is for, as documented on the field.
    pub doc: String,
    /// The default, as TOML.
    pub default: String,
    /// The value in force, as TOML; secrets are hidden.
    pub value: String,
    /// Where the value came from: `default`, a file, an environment variable, a flag.
    pub source: String,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted name of the setting; empty when a whole source can't be read.
    pub path: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Where the value came from.
    pub source: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}: {}", self.source, self.message)
        } else {
            write!(f, "{} (from {}): {}", self.path, self.source, self.message)
        }
    }
}

/// Hands out settings and remembers what was asked for and what was wrong.
pub struct Reader {
    sources: Figment,
    rows: Vec<Row>,
    problems: Vec<Problem>,
}

impl Reader {
    /// A reader over `sources`, merged in rising order of precedence.
    #[must_use]
    pub fn new(sources: Figment) -> Self {
        Self { sources, rows: Vec::new(), problems: Vec::new() }
    }

    /// The value of the setting `path`, or `default` where no source has it or the value there is bad.
    pub fn take<T>(&mut self, path: &str, doc: &str, default: T, check: impl Fn(&T) -> Result<(), String>) -> T
    where
        T: Serialize + DeserializeOwned + Clone,
    {
        let mut row =
            Row { path: path.to_owned(), doc: tidy(doc), default: shown(&default), value: String::new(), source: "default".into() };
        let value = match self.sources.find_value(path) {
            Err(_) => default,
            Ok(found) => {
                row.source = self.source_of(path);
                let read = self.convert::<T>(path, &found).and_then(|value| check(&value).map(|()| value));
                read.unwrap_or_else(|message| {
                    self.problems.push(Problem { path: path.to_owned(), message, source: row.source.clone() });
                    default
                })
            }
        };
        row.value = shown(&value);
        self.rows.push(row);
        value
    }

    /// Adds a problem that concerns several settings at once, under the name of the one to change.
    pub fn refuse(&mut self, path: &str, message: &str) {
        let source = self.source_of(path);
        self.problems.push(Problem { path: path.to_owned(), message: message.to_owned(), source });
    }

    /// Ends the reading: the rows, and every problem, unknown settings included.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Row>, Vec<Problem>) {
        match self.sources.extract::<Dict>() {
            Ok(dict) => {
                let mut leaves = Vec::new();
                collect_leaves(&dict, "", &mut leaves);
                for path in leaves {
                    // A list or a word where a section belongs shows up here too, under the section's name.
                    if !self.rows.iter().any(|row| row.path == path) {
                        self.problems.push(Problem { message: self.unknown(&path), source: self.source_of(&path), path });
                    }
                }
            }
            Err(errors) => {
                let unreadable = errors.into_iter().map(|error| Problem {
                    path: String::new(),
                    source: error.metadata.as_ref().map_or_else(|| "configuration".to_owned(), describe),
                    message: error.kind.to_string(),
                });
                self.problems.extend(unreadable);
            }
        }
        (self.rows, self.problems)
    }

    fn unknown(&self, path: &str) -> String {
        let near = self.rows.iter().map(|row| (distance(&row.path, path), &row.path)).min();
        match near {
            Some((steps, name)) if steps <= 3 => format!("there is no such setting; did you mean `{name}`?"),
            _ => "there is no such setting".to_owned(),
        }
    }

    fn source_of(&self, path: &str) -> String {
        self.sources.find_metadata(path).map_or_else(|| "default".to_owned(), describe)
    }

    /// Environment variables and flags hold text: `1234` there may mean a number or a text, `a,b` a list.
    fn convert<T: DeserializeOwned>(&self, path: &str, found: &Value) -> Result<T, String> {
        let plain = found.deserialize::<T>();
        let raw = self.sources.find_metadata(path).and_then(raw_text);
        let (Err(error), Some(raw)) = (&plain, raw) else {
            return plain.map_err(|error| error.kind.to_string());
        };
        let parts = raw.split(',').map(|part| Value::from(part.trim())).collect::<Vec<_>>();
        let as_text = Value::from(raw.as_str()).deserialize::<T>().ok();
        as_text.or_else(|| Value::from(parts).deserialize::<T>().ok()).ok_or_else(|| error.kind.to_string())
    }
}

fn collect_leaves(dict: &Dict, prefix: &str, leaves: &mut Vec<String>) {
    for (name, value) in dict {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => collect_leaves(inner, &path, leaves),
            Value::Dict(..) => {}
            _ => leaves.push(path),
        }
    }
}

/// One text value from outside a file: an environment variable or a flag. Its metadata keeps the raw text,
/// so that a value that was taken for a number can still be read as a text.
pub struct TextValue {
    /// Dotted name of the setting.
    pub path: String,
    /// The text as it was given.
    pub raw: String,
    /// `environment variable X` or `flag --x`.
    pub origin: String,
}

impl Provider for TextValue {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.origin.clone(), figment::Source::Custom(self.raw.clone()))
    }

    fn data(&self) -> Result<Map<Layer, Dict>, figment::Error> {
        // Parsing text never fails: what is no number, list or word is a string.
        let value: Value = self.raw.parse().unwrap_or_else(|never| match never {});
        let dict = figment::util::nest(&self.path, value).into_dict().unwrap_or_default();
        Ok(Map::from([(Layer::Default, dict)]))
    }
}

/// Turns the environment into values; variables of the command line itself are left out. The dots of the `known` names
/// may be written as one underscore or as two; what is not known keeps its name, so that it can be refused.
pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>, known: &[Row]) -> Vec<TextValue> {
    let ours =
        variables.into_iter().filter(|(name, _)| !ENV_OF_THE_COMMAND_LINE.contains(&name.as_str()) && !name.starts_with(ENV_OF_TESTS));
    let mut values: Vec<TextValue> = ours
        .filter_map(|(name, raw)| {
            let bare = name.strip_prefix(ENV_PREFIX)?.to_lowercase();
            let flat = known.iter().map(|row| &row.path).find(|path| path.replace('.', "_") == bare);
            let path = flat.cloned().unwrap_or_else(|| bare.replace("__", "."));
            Some(TextValue { path, raw, origin: format!("environment variable {name}") })
        })
        .collect();
    values.sort_by(|a, b| a.origin.cmp(&b.origin));
    values
}

/// The name of a setting's environment variable.
#[must_use]
pub fn env_name(path: &str) -> String {
    format!("{ENV_PREFIX}{}", path.to_uppercase().replace('.', "__"))
}

fn raw_text(metadata: &Metadata) -> Option<String> {
    metadata.source.as_ref()?.custom().map(str::to_owned)
}

fn describe(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(figment::Source::File(path)) => format!("file {}", shortened(path)),
        _ => metadata.name.to_string(),
    }
}

fn shortened(path: &Path) -> String {
    path.display().to_string()
}

fn tidy(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

/// A value as TOML would write it; nothing (an unset option) is shown empty.
fn shown<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Null) | Err(_) => String::new(),
        // JSON's strings, numbers, booleans and flat lists are TOML's as well.
        Ok(json) => json.to_string(),
    }
}

/// Levenshtein distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
