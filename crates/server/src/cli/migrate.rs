//! `sanasend migrate`: brings the database up to date without starting the server.

use super::{Places, out};
use crate::clock::SystemClock;
use crate::node::Ground;
use anyhow::Context;
use clap::Args;
use std::sync::Arc;

/// Flags of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Only name what would be done; exit code 1 when there is something.
    #[arg(long)]
    pub check: bool,
}

/// Applies what is missing.
///
/// # Errors
/// When a server has the folder open, or a migration fails (then nothing of it is applied).
pub async fn run(args: &MigrateArgs, places: &Places) -> anyhow::Result<()> {
    let config = places.load(Vec::new())?.config;
    let ground = Ground::open(&config, Arc::new(SystemClock)).await?;
    if args.check {
        let pending = ground.store.pending_migrations().await?;
        ground.store.close().await;
        anyhow::ensure!(pending.is_empty(), "{} to apply: {}", pending.len(), pending.join(", "));
        out::line("The database is up to date.");
        return Ok(());
    }
    let spinner = out::spinner("bringing the database up to date");
    let applied = ground.store.migrate().await.context("the database can't be brought up to date");
    spinner.finish_and_clear();
    ground.store.close().await;
    let applied = applied?;
    for name in &applied {
        out::line(&format!("applied {name}"));
    }
    if applied.is_empty() {
        out::line("The database is up to date.");
    }
    Ok(())
}
