//! Configuration: one TOML file, environment variables, flags; in this order, the later wins.
//!
//! Nothing starts on a doubtful configuration: unknown settings and bad values are all named at once, each with
//! where it came from. `settings` is the table, `read` the questions, `check` the rules between settings,
//! `docs` what is written about them.

pub mod check;
pub mod docs;
pub mod kinds;
pub mod read;
pub mod settings;
#[cfg(test)]
mod tests;

pub use kinds::{Cidr, Hidden, LogFormat, Profile};
pub use read::{Problem, Row};
pub use settings::Config;

use figment::Figment;
use figment::providers::{Format, Toml};
use read::{Reader, TextValue};
use std::path::PathBuf;

/// Where settings are read from.
#[derive(Default)]
pub struct Sources {
    /// The TOML file, if there is one. It must exist.
    pub file: Option<PathBuf>,
    /// Environment variables: name and value. Those that do not begin with `SANASEND_` are not looked at.
    pub environment: Vec<(String, String)>,
    /// Flags of the command line: dotted name of the setting and its value.
    pub flags: Vec<(&'static str, String)>,
}

/// The settings in force, and where each came from.
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// One row per setting, in the order of the table.
    pub rows: Vec<Row>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} {}:\n{}", .0.len(), if .0.len() == 1 { "problem" } else { "problems" },
    .0.iter().map(|problem| format!("  - {problem}")).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Reads the configuration.
///
/// # Errors
/// All problems at once.
pub fn load(sources: Sources) -> Result<Loaded, Problems> {
    if let Some(file) = &sources.file
        && !file.is_file()
    {
        let source = format!("file {}", file.display());
        return Err(Problems(vec![Problem { path: String::new(), message: "there is no such file".into(), source }]));
    }
    let mut figment = Figment::new();
    if let Some(file) = sources.file {
        figment = figment.merge(Toml::file_exact(file));
    }
    for value in read::from_environment(sources.environment, &defaults(Profile::Development).rows) {
        figment = figment.merge(value);
    }
    for (path, raw) in sources.flags {
        let flag = path.rsplit('.').next().unwrap_or(path).replace('_', "-");
        figment = figment.merge(TextValue { path: path.to_owned(), raw, origin: format!("flag --{flag} ({path})") });
    }
    // The profile decides the defaults of the others, so it is looked at first; a bad one is named later.
    let profile = figment.extract_inner::<Profile>("profile").unwrap_or_default();
    let mut reader = Reader::new(figment);
    let mut config = Config::read(&mut reader, profile);
    let (rows, problems) = reader.finish();
    config.rows.clone_from(&rows);
    if problems.is_empty() { Ok(Loaded { config, rows }) } else { Err(Problems(problems)) }
}

/// The rows of a configuration that nothing was set in.
#[must_use]
pub fn defaults(profile: Profile) -> Loaded {
    let mut reader = Reader::new(Figment::new());
    let mut config = Config::read(&mut reader, profile);
    let (rows, _) = reader.finish();
    config.rows.clone_from(&rows);
    Loaded { config, rows }
}
