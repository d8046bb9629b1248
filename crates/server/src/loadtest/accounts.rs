//! What a linked account costs in memory, how long linking takes, and how long a server takes to start.

use super::child::Process;
use super::customer::{Customer, millis};
use super::places::Temporary;
use super::report::Memory;
use super::wire::Connection;
use super::{SERVE, SETTINGS};
use anyhow::Context;
use indicatif::ProgressBar;
use std::time::Duration;
use tokio::time::Instant;

/// After the start and after the last link, so that what was only needed for a moment is given back.
const REST: Duration = Duration::from_secs(4);
/// Accounts that are linked between two looks of the progress bar.
const STEP: usize = 10;

/// Times of linking, milliseconds.
#[derive(Debug, Default)]
pub struct Linked {
    /// From the request to the code.
    pub qr_ms: Vec<f64>,
    /// From the scan to `connected`.
    pub link_ms: Vec<f64>,
}

/// Links `count` accounts on a server whose sandbox runs in another process.
///
/// # Errors
/// When an account can't be linked.
pub async fn measure(place: &Temporary, count: usize, progress: &ProgressBar) -> anyhow::Result<(Memory, Linked)> {
    let network =
        Process::start(&["sandbox", "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"], &place.folder("network")?, &[]).await?;
    let (ws, key) = (network.text("/ws")?, network.text("/key_file")?);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--sandbox-connect", &ws, "--sandbox-key-file", &key];
    let folder = place.folder("memory")?;
    // The first start hashes two passwords, and what that took is given back only little by little: every later start is
    // what an operator sees.
    let first = Process::start(&arguments, &folder, SETTINGS).await?;
    let key = first.text("/demo/api_key")?;
    first.stop().await?;
    let server = Process::start(&arguments, &folder, SETTINGS).await?;
    let customer = Customer::with_key(&server, &key)?;
    tokio::time::sleep(REST).await;
    let (empty_kib, empty_private_kib) = (server.resident_kib("VmRSS")?, server.resident_kib("RssAnon")?);
    let mut linked = Linked::default();
    for begin in (0..count).step_by(STEP) {
        progress.set_message(format!("memory: linking accounts, {begin} of {count}"));
        for number in begin..count.min(begin + STEP) {
            // One at a time: the times of linking are those of a server that does nothing else.
            let account = customer.link(&format!("account-{number}")).await?;
            linked.qr_ms.push(account.qr_ms);
            linked.link_ms.push(account.link_ms);
        }
    }
    tokio::time::sleep(REST).await;
    let full_kib = server.resident_kib("VmRSS")?;
    server.stop().await?;
    network.stop().await?;
    #[expect(clippy::cast_precision_loss, reason = "kibibytes of one process")]
    let per_account_kib = full_kib.saturating_sub(empty_kib) as f64 / count.max(1) as f64;
    Ok((Memory { empty_kib, empty_private_kib, per_account_kib, accounts: count }, linked))
}

/// From the start of a process on a new folder to its first answer, milliseconds.
///
/// # Errors
/// When it does not answer.
pub async fn start_time(place: &Temporary) -> anyhow::Result<f64> {
    let folder = place.folder("start")?;
    let begun = Instant::now();
    let server = Process::start(SERVE, &folder, SETTINGS).await?;
    let address = server.text("/api")?.trim_start_matches("http://").parse().context("the API's address")?;
    let answer = Connection::open(address).await?.ask("GET", "/health/live", "", b"").await?;
    let took = millis(begun);
    server.stop().await?;
    anyhow::ensure!(answer.status == 200, "the server's health is {}", answer.status);
    Ok(took)
}
