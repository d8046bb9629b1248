//! `sanasend secrets`: the seal keys of a data folder, and changing them.

use super::data::Data;
use super::{Places, out};
use crate::clock::SystemClock;
use crate::node::Ground;
use crate::rotation;
use crate::secrets::Secrets;
use anyhow::{bail, ensure};
use clap::Subcommand;
use sanasend_store::{AuditEntry, KeyRetired, ResealPlace};
use serde_json::json;
use std::sync::Arc;

/// The commands below `secrets`.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Show the seal keys, and how many values of the database need each.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a new seal key. Stop the server first; from its next start on everything is sealed with the new key, and what is
    /// there is sealed anew in the background.
    Rotate {
        /// Only make it, for copying to the other nodes of the database; `activate` takes it up.
        #[arg(long)]
        prepare: bool,
    },
    /// Take up a key that `rotate --prepare` made, when every node has it. Stop the server of this folder first.
    Activate,
    /// Seal everything anew now, instead of in the background.
    Reseal,
    /// Remove an old seal key that nothing needs any more.
    Retire {
        /// Its number.
        key: u32,
    },
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(command: SecretsCommand, places: &Places) -> anyhow::Result<()> {
    match command {
        SecretsCommand::Status { json } => status(places, json).await,
        SecretsCommand::Rotate { prepare } => rotate(places, prepare).await,
        SecretsCommand::Activate => activate(places).await,
        SecretsCommand::Reseal => reseal(places).await,
        SecretsCommand::Retire { key } => retire(places, key).await,
    }
}

fn read(data: &Data) -> anyhow::Result<Secrets> {
    Secrets::open(&data.config.general.data_dir, &*data.clock, false)
}

async fn status(places: &Places, as_json: bool) -> anyhow::Result<()> {
    let data = Data::open(places).await?;
    let secrets = read(&data)?;
    let mut keys = vec![(secrets.seal_key.id, "in use")];
    keys.extend(secrets.older_seal_keys.iter().map(|key| (key.id, "old")));
    keys.extend(secrets.waiting_seal_key.iter().map(|key| (key.id, "waiting")));
    keys.sort_unstable();
    let mut shown = Vec::new();
    for (id, state) in keys {
        let values = data.store.sealed_with(id).await?;
        shown.push((id, state, values.iter().map(|(_, count)| count).sum::<u64>(), values));
    }
    data.store.close().await;
    let retired: Vec<u32> = secrets.mac_keys.iter().map(|key| key.id).collect();
    if as_json {
        let keys: Vec<_> = shown
            .into_iter()
            .map(|(id, state, count, values)| {
                let columns: serde_json::Map<String, serde_json::Value> =
                    values.into_iter().map(|(name, count)| (name, count.into())).collect();
                json!({"key": id, "state": state, "values": count, "columns": columns})
            })
            .collect();
        out::line(&serde_json::to_string_pretty(&json!({"keys": keys, "retired": retired}))?);
        return Ok(());
    }
    let mut table = out::table(["key", "state", "values"]);
    for (id, state, count, _) in shown {
        table.add_row([id.to_string(), state.to_owned(), count.to_string()]);
    }
    for id in retired {
        table.add_row([id.to_string(), "retired; the audit log is checked with what is left of it".to_owned(), "0".to_owned()]);
    }
    out::line(&table.to_string());
    Ok(())
}

/// Opens the folder for this process alone: a server that runs would not know the new key.
async fn ground(places: &Places) -> anyhow::Result<Ground> {
    let config = places.load(Vec::new())?.config;
    let ground = Ground::open(&config, Arc::new(SystemClock)).await?;
    let pending = ground.store.pending_migrations().await?;
    ensure!(pending.is_empty(), "the database is older than this program; run `sanasend migrate` first");
    crate::node::ground::prove(&ground.store, &ground.secrets).await?;
    Ok(ground)
}

async fn note(ground: &Ground, action: &'static str, key: u32) -> anyhow::Result<()> {
    let (target, detail) = ("secrets".to_owned(), json!({"seal_key": key, "by": "sanasend secrets"}));
    Ok(ground.store.audit(AuditEntry { actor: None, action, target, ip: None, detail }).await?)
}

async fn rotate(places: &Places, only_prepare: bool) -> anyhow::Result<()> {
    let ground = ground(places).await?;
    // Nobody else works on a file of SQLite; what it says of nodes is of a process that was killed.
    let others = if ground.store.is_shared() { ground.store.nodes_sealing_below(u32::MAX).await? } else { 0 };
    if others > 0 && !only_prepare {
        ground.store.close().await;
        bail!(
            "{others} other nodes of this database run, and could not read what is sealed with a key that they do not have. Run `sanasend \
             secrets rotate --prepare`, copy the folder `secrets` to every node, restart each, and then run `sanasend secrets activate` \
             on each (see docs/security.md)"
        );
    }
    let key = rotation::prepare(ground.data_dir.path(), &ground.secrets, &SystemClock)?;
    if only_prepare {
        note(&ground, "secrets.prepared", key).await?;
        ground.store.close().await;
        out::line(&format!(
            "The seal key {key} waits. Copy the folder `secrets` to every node and restart each; then `sanasend secrets activate` on each."
        ));
        return Ok(());
    }
    take_up(ground).await
}

async fn activate(places: &Places) -> anyhow::Result<()> {
    take_up(ground(places).await?).await
}

async fn take_up(ground: Ground) -> anyhow::Result<()> {
    let secrets = Secrets::open(ground.data_dir.path(), &SystemClock, false)?;
    let Some(key) = secrets.waiting_seal_key.as_ref().map(|key| key.id) else {
        ground.store.close().await;
        bail!("no key waits here; `sanasend secrets rotate` makes one");
    };
    // Before the key is taken up: then the entry is written under the old one, which every node knows.
    note(&ground, "secrets.rotated", key).await?;
    ground.store.close().await;
    rotation::activate(ground.data_dir.path(), &secrets)?;
    out::line(&format!(
        "The seal key {key} is in use from the next start on. Back up the folder `secrets` now. `sanasend secrets status` tells how much \
         still needs the old key, and `sanasend secrets retire {}` removes it.",
        secrets.seal_key.id
    ));
    Ok(())
}

async fn reseal(places: &Places) -> anyhow::Result<()> {
    let data = Data::open(places).await?;
    let bar = out::spinner("sealing anew");
    let mut place = ResealPlace::default();
    while data.store.reseal_some(&mut place).await? {
        bar.set_message(format!("sealing anew: {} values", place.so_far.done));
    }
    bar.finish_and_clear();
    data.store.close().await;
    out::line(&format!("{} values were sealed anew", place.so_far.done));
    ensure!(place.so_far.stuck == 0, "{} values can't be opened: they are damaged; their rows are of no use any more", place.so_far.stuck);
    Ok(())
}

async fn retire(places: &Places, key: u32) -> anyhow::Result<()> {
    let data = Data::open(places).await?;
    let secrets = read(&data)?;
    ensure!(secrets.seal_key.id != key, "the seal key {key} is in use; `sanasend secrets rotate` makes another one first");
    ensure!(secrets.older_seal_keys.iter().any(|old| old.id == key), "there is no old seal key {key} here; see `sanasend secrets status`");
    let retired = data.store.retire_key(key).await;
    data.store.close().await;
    match retired? {
        KeyRetired::Done => {}
        KeyRetired::InUse(nodes) => {
            bail!("{nodes} nodes of this database still seal with the key {key}; run `sanasend secrets activate` on each")
        }
        KeyRetired::Needed(values) => {
            let values: Vec<String> = values.into_iter().map(|(column, count)| format!("{count} of {column}")).collect();
            bail!("the key {key} is still needed by {}; run `sanasend secrets reseal`, or wait for the server to do it", values.join(", "));
        }
    }
    rotation::retire(&data.config.general.data_dir, &secrets, key)?;
    out::line(&format!("The seal key {key} is gone. Backups that were made before still need it, and hold it."));
    Ok(())
}
