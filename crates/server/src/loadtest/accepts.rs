//! Durable accepts: clients that send one text after the other, each waiting for its answer.

use super::customer::{Account, Customer, millis};
use super::report::{Rate, quantile};
use anyhow::bail;
use std::time::Duration;
use tokio::time::Instant;

/// Recipients of one client, in turn.
const RECIPIENTS: usize = 100;
/// What is not counted: connections open, caches fill.
const WARM_UP: Duration = Duration::from_millis(300);

/// What was accepted, and how fast.
pub struct Accepted {
    /// The figures, without the warm-up.
    pub rate: Rate,
    /// All messages that were answered with success, the warm-up included.
    pub accepted: u64,
}

/// Sends with `clients` connections for `time`.
///
/// # Errors
/// When an answer is no success.
pub async fn measure(customer: &Customer, account: &Account, clients: usize, time: Duration) -> anyhow::Result<Accepted> {
    let start = Instant::now() + WARM_UP;
    let end = start + time;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..clients {
        let (customer, session) = (customer.clone(), account.name.clone());
        tasks.spawn(async move { client(&customer, &session, number, start, end).await });
    }
    let (mut samples, mut accepted) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (times, all) = done??;
        samples.extend(times);
        accepted += all;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of what one machine does in minutes")]
    let per_s = samples.len() as f64 / time.as_secs_f64();
    let rate = Rate { per_s, p50_ms: quantile(&mut samples, 0.5), p99_ms: quantile(&mut samples, 0.99) };
    Ok(Accepted { rate, accepted })
}

/// One client: the times of its accepts within the measurement, and the number of all.
async fn client(customer: &Customer, session: &str, number: usize, start: Instant, end: Instant) -> anyhow::Result<(Vec<f64>, u64)> {
    let mut connection = customer.api().await?;
    let bodies: Vec<String> = (0..RECIPIENTS).map(|recipient| body(session, number * RECIPIENTS + recipient)).collect();
    let (mut times, mut accepted) = (Vec::new(), 0);
    for body in bodies.iter().cycle() {
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        let answer = connection.ask("POST", "/api/v1/messages/send-text/", customer.headers(), body.as_bytes()).await?;
        if !(200..300).contains(&answer.status) {
            bail!("a message was answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        accepted += 1;
        if begun >= start && Instant::now() <= end {
            times.push(millis(begun));
        }
    }
    Ok((times, accepted))
}

/// Numbers of the same length, in an area code that was never given to phones of this length by accident: they are
/// never sent to, since the account is offline.
fn body(session: &str, recipient: usize) -> String {
    format!(
        r#"{{"session":"{session}","recipient":"+1303555{:04}","content":"Your order is on its way. Thank you!"}}"#,
        1000 + recipient % 9000
    )
}
