//! `sanasend config`: the settings in force, where each came from, and the texts made from the table of settings.

use super::{Places, out};
use crate::config::docs;
use clap::Args;

/// Flags of `config`.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line, of which at most one is set")]
pub struct ConfigArgs {
    /// Only say whether the configuration is sound.
    #[arg(long)]
    pub check: bool,
    /// Print the settings as JSON.
    #[arg(long)]
    pub json: bool,
    /// Print the page about all settings (Markdown).
    #[arg(long)]
    pub docs: bool,
    /// Print a file with every setting at its default (TOML).
    #[arg(long)]
    pub example: bool,
}

/// Prints what was asked for.
///
/// # Errors
/// All problems of the configuration at once.
pub fn run(args: &ConfigArgs, places: &Places) -> anyhow::Result<()> {
    if args.docs {
        out::text(&docs::page());
        return Ok(());
    }
    if args.example {
        out::text(&docs::example());
        return Ok(());
    }
    let loaded = places.load(Vec::new())?;
    if args.check {
        out::line("The configuration is sound.");
    } else if args.json {
        out::line(&serde_json::to_string_pretty(&loaded.rows)?);
    } else {
        let mut table = out::table(["setting", "value", "from"]);
        for row in &loaded.rows {
            table.add_row([row.path.as_str(), row.value.as_str(), row.source.as_str()]);
        }
        out::line(&table.to_string());
    }
    Ok(())
}
