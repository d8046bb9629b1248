//! `sanasend sandbox`: the simulated network alone, so that tests can kill a server while the network lives on.

use super::serve::Signals;
use super::{Places, out};
use anyhow::{Context, bail};
use clap::Args;
use sanasend_sandbox::{Config, Sandbox};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};

/// Where `sanasend sandbox` writes its public key, inside its data folder.
pub const KEY_FILE: &str = "static_key.hex";

/// Flags of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Where clients and the control API reach it; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)))]
    pub listen: SocketAddr,
    /// The same with TLS.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)))]
    pub tls_listen: SocketAddr,
    /// When ready, print one line of JSON with the addresses and public keys.
    #[arg(long)]
    pub json: bool,
}

/// Runs the network until a signal.
///
/// # Errors
/// A sentence when it can't start.
pub async fn run(args: SandboxArgs, places: &Places) -> anyhow::Result<()> {
    for address in [args.listen, args.tls_listen] {
        if !address.ip().is_loopback() {
            bail!("{address} is no loopback address: the sandbox's control API asks for no credentials");
        }
    }
    let config = places.load(Vec::new())?.config;
    let logs = crate::logs::start(&config)?;
    let data_dir = crate::data_dir::DataDir::open(&config.general.data_dir)?;
    let mut signals = Signals::listen()?;
    let settings = Config { data_dir: data_dir.sandbox(), listen: Some(args.listen), tls_listen: Some(args.tls_listen) };
    let sandbox = Sandbox::start(settings).await.context("the sandbox can't start")?;
    let key_file = data_dir.path().join(KEY_FILE);
    crate::secrets::write_private(&key_file, hex::encode(sandbox.static_key()).as_bytes())?;
    let addresses = sandbox.addresses();
    let ready = json!({
        "ws": addresses.ws,
        "wss": addresses.wss,
        "admin": addresses.admin,
        "ca_file": addresses.ca_file,
        "static_key": hex::encode(sandbox.static_key()),
        "key_file": key_file,
        "root_key": hex::encode(sandbox.root_key()),
        "pid": std::process::id(),
    });
    if args.json {
        out::line(&ready.to_string());
    } else {
        out::line(&serde_json::to_string_pretty(&ready)?);
        out::line(&format!(
            "sanasend serve --sandbox-connect {} --sandbox-key-file {}",
            addresses.ws.as_deref().unwrap_or_default(),
            key_file.display()
        ));
    }
    signals.any().await;
    sandbox.stop().await;
    logs.stop().await;
    Ok(())
}
