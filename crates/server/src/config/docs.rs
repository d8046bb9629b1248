//! What is written about the settings: `docs/configuration.md` and `sanasend.example.toml`.
//!
//! Both are made from the rows that the reader left, and a test holds the files in the repository equal to them.

use super::kinds::Profile;
use super::read::{Row, env_name};
use super::{Loaded, defaults};
use std::fmt::Write as _;

const HEAD: &str = "# Configuration

SanaSend reads one TOML file (`--config FILE`, or `SANASEND_CONFIG=FILE`), then environment variables, then flags of the
command line; the later wins. Without any of them it starts with the defaults below.

- The environment variable of a setting is `SANASEND_` and its name in capitals; where the name has a dot, the variable has one
  underscore or two: `http.body_limit_kib` is `SANASEND_HTTP__BODY_LIMIT_KIB` or `SANASEND_HTTP_BODY_LIMIT_KIB`, `data_dir` is
  `SANASEND_DATA_DIR`. Lists are separated by commas.
- Unknown settings and bad values stop the start; all of them are named at once, each with the place it came from.
- `sanasend config` shows the settings in force and where each came from, with secrets hidden; `sanasend config --check` only
  says whether they are sound.
- `SANASEND_URL` and `SANASEND_API_KEY` are no settings: they tell the commands that ask a running server (`session`, `send`,
  `webhook`, `contacts`, `template`, `schedule`, `campaign`) which one, and with which key.

This page is written by `sanasend config --docs`; do not edit it.
";

/// The page about all settings.
#[must_use]
pub fn page() -> String {
    let (development, production) = (defaults(Profile::Development), defaults(Profile::Production));
    let mut page = HEAD.to_owned();
    let mut section = None;
    for (row, other) in development.rows.iter().zip(&production.rows) {
        let (this, _) = split(&row.path);
        if section != Some(this) {
            let title = if this.is_empty() { "General".to_owned() } else { format!("`[{this}]`") };
            let _ = write!(page, "\n## {title}\n");
            section = Some(this);
        }
        let _ = write!(
            page,
            "\n### `{}`\n\n{}\n\n- Default: {}\n- Variable: `{}`\n",
            row.path,
            row.doc.trim(),
            default_of(row, other),
            env_name(&row.path)
        );
    }
    page
}

fn default_of(development: &Row, production: &Row) -> String {
    let show = |value: &str| if value.is_empty() { "not set".to_owned() } else { format!("`{value}`") };
    if development.default == production.default || development.path == "profile" {
        return show(&development.default);
    }
    format!("{} (development), {} (production)", show(&development.default), show(&production.default))
}

/// A file with every setting at its default, commented out.
#[must_use]
pub fn example() -> String {
    let Loaded { rows, .. } = defaults(Profile::Development);
    let mut text =
        "# Every setting of SanaSend at its default. Take the # away from what you change.\n# See docs/configuration.md.\n".to_owned();
    let mut section = "";
    for row in &rows {
        let (this, name) = split(&row.path);
        if section != this {
            let _ = write!(text, "\n[{this}]\n");
            section = this;
        }
        text.push('\n');
        for line in row.doc.trim().lines() {
            let _ = writeln!(text, "# {line}");
        }
        let value = if row.default.is_empty() { "\"\"" } else { row.default.as_str() };
        let _ = writeln!(text, "#{name} = {value}");
    }
    text
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}
