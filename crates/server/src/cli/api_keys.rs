//! `sanasend api-key`: API keys, on the data folder itself.

use super::data::Data;
use super::users::{find, yes_no};
use super::{Places, out};
use crate::auth::keys::NewKey;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sanasend_model::api_key::parse_network;
use sanasend_model::{ApiKeyId, Scope, Timestamp};
use sanasend_store::{ApiKey, ApiKeyFilter, AuditEntry, NewApiKey, Page};
use serde_json::json;
use std::time::Duration;

/// The commands below `api-key`.
#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// List API keys.
    List {
        /// Only this user's.
        #[arg(long)]
        user: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make an API key; it is shown this once.
    Create(CreateArgs),
    /// Revoke an API key at once.
    Revoke {
        /// Its id or its prefix.
        key: String,
    },
}

/// Flags of `api-key create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Whose key.
    pub username: String,
    /// What to call it.
    #[arg(long, default_value = "command line")]
    pub name: String,
    /// What it may do, like `messages:send`; give it several times. [default: everything]
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// Networks or addresses that it may be used from; give it several times. [default: all]
    #[arg(long = "allow-ip", value_name = "NETWORK")]
    pub allowed_ips: Vec<String>,
    /// Days that it is valid. [default: until it is revoked]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=36500))]
    pub expires_in_days: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(command: ApiKeyCommand, places: &Places) -> anyhow::Result<()> {
    let data = Data::open(places).await?;
    let done = match command {
        ApiKeyCommand::List { user, json } => list(&data, user, json).await,
        ApiKeyCommand::Create(args) => create(&data, args).await,
        ApiKeyCommand::Revoke { key } => revoke(&data, &key).await,
    };
    data.store.close().await;
    done
}

async fn list(data: &Data, user: Option<String>, json: bool) -> anyhow::Result<()> {
    let user_id = match user {
        Some(user) => Some(find(data, &user).await?.id),
        None => None,
    };
    let filter = ApiKeyFilter { user_id, ..ApiKeyFilter::default() };
    let keys = all(data, &filter).await?;
    if json {
        out::line(&serde_json::to_string_pretty(&keys.iter().map(as_json).collect::<Vec<_>>())?);
        return Ok(());
    }
    let mut table = out::table(["prefix", "user", "name", "active", "scopes", "networks", "expires", "last used"]);
    for key in &keys {
        let owner = data.store.user(key.user_id).await?.map_or_else(String::new, |user| user.username);
        let time = |at: Option<Timestamp>| at.map_or_else(|| "never".into(), |at| at.to_string());
        let scopes = if key.scopes.len() == Scope::ALL.len() { "all".to_owned() } else { joined(&key.scopes) };
        let networks = if key.allowed_ips.is_empty() { "all".to_owned() } else { joined(&key.allowed_ips) };
        let active = yes_no(key.is_active).to_owned();
        table.add_row([
            key.prefix.clone(),
            owner,
            key.name.clone(),
            active,
            scopes,
            networks,
            time(key.expires_at),
            time(key.last_used_at),
        ]);
    }
    out::line(&table.to_string());
    Ok(())
}

async fn all(data: &Data, filter: &ApiKeyFilter) -> anyhow::Result<Vec<ApiKey>> {
    let mut keys = Vec::new();
    for page in 1.. {
        let listed = data.store.list_api_keys(filter, Page { page, page_size: 100 }).await?;
        if listed.results.is_empty() {
            break;
        }
        keys.extend(listed.results);
    }
    Ok(keys)
}

async fn create(data: &Data, args: CreateArgs) -> anyhow::Result<()> {
    let user = find(data, &args.username).await?;
    let scopes = match args.scopes.as_slice() {
        [] => Scope::ALL.to_vec(),
        names => names.iter().map(|name| scope(name)).collect::<anyhow::Result<_>>()?,
    };
    let network = |text: &String| parse_network(text).with_context(|| format!("{text} is no network like 10.0.0.0/8 and no address"));
    let allowed_ips = args.allowed_ips.iter().map(network).collect::<anyhow::Result<_>>()?;
    let expires_at = args.expires_in_days.map(|days| data.clock.now().plus(Duration::from_secs(days * 86_400)));
    let NewKey { plain, prefix, digest } = data.auth.keys.issue();
    let new = NewApiKey { user_id: user.id, name: args.name, prefix, digest, scopes, allowed_ips, expires_at };
    let key = data.store.create_api_key(new).await?;
    note(data, "api_key.created", &key).await?;
    if args.json {
        let mut shown = as_json(&key);
        shown["key"] = json!(plain);
        out::line(&serde_json::to_string_pretty(&shown)?);
    } else {
        out::line(&plain);
        out::note("This key is shown this once; only its digest is kept.");
    }
    Ok(())
}

async fn revoke(data: &Data, name: &str) -> anyhow::Result<()> {
    let key = match name.parse::<ApiKeyId>() {
        Ok(id) => data.store.api_key(id).await?,
        Err(_) => data.store.api_key_by_prefix(name).await?.map(|(key, _, _)| key),
    };
    let Some(key) = key else { bail!("there is no API key with the id or prefix {name}") };
    data.store.revoke_api_key(key.id).await?;
    note(data, "api_key.revoked", &key).await?;
    out::line(&format!("{} ({}) is revoked", key.prefix, key.name));
    Ok(())
}

async fn note(data: &Data, action: &'static str, key: &ApiKey) -> anyhow::Result<()> {
    let detail = json!({"by": "command line", "prefix": key.prefix, "user": key.user_id});
    Ok(data.store.audit(AuditEntry { actor: None, action, target: format!("api_key {}", key.id), ip: None, detail }).await?)
}

fn scope(name: &str) -> anyhow::Result<Scope> {
    name.parse().map_err(|()| anyhow::anyhow!("there is no scope {name}; there are: {}", joined(Scope::ALL)))
}

fn joined<T: ToString>(parts: &[T]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn as_json(key: &ApiKey) -> serde_json::Value {
    json!({
        "id": key.id, "user": key.user_id, "name": key.name, "prefix": key.prefix, "scopes": key.scopes,
        "allowed_ips": key.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>(), "is_active": key.is_active,
        "expires_at": key.expires_at, "last_used_at": key.last_used_at, "created_at": key.created_at,
    })
}
