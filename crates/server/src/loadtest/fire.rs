//! Requests, many of them: by clients that each wait for their answer, or at a fixed rate whatever the answers do.
//!
//! At a fixed rate a request's time runs from the moment it was due and not from when a connection was free: a server that
//! stalls for a second has made everybody wait who came in that second. Clients that wait for their answer do not see that.

use super::customer::millis;
use super::report::{Rate, quantile};
use super::wire::Connection;
use anyhow::bail;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What is not counted: connections open, caches fill.
const WARM_UP: Duration = Duration::from_millis(300);

/// What is asked.
#[derive(Debug, Clone)]
pub struct Shot {
    /// Where.
    pub address: SocketAddr,
    /// `GET`, `POST`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Header lines, each ended by CR LF.
    pub headers: String,
    /// Bodies in turn; each client begins at another.
    pub bodies: Arc<Vec<String>>,
}

/// How it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections.
    pub clients: usize,
    /// For how long.
    pub time: Duration,
    /// Requests in a second, all together; `None`: each client asks again when it was answered.
    pub rate: Option<f64>,
}

/// What came of it.
pub struct Fired {
    /// The figures, without the warm-up.
    pub rate: Rate,
    /// All requests that were answered with success, the warm-up included.
    pub answered: u64,
}

/// Asks as planned.
///
/// # Errors
/// When an answer is no success.
pub async fn measure(shot: &Shot, plan: Plan) -> anyhow::Result<Fired> {
    let start = Instant::now() + WARM_UP;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..plan.clients {
        let shot = shot.clone();
        tasks.spawn(async move { client(&shot, plan, number, start).await });
    }
    let (mut samples, mut answered) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (times, all) = done??;
        samples.extend(times);
        answered += all;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of what one machine does in minutes")]
    let per_s = samples.len() as f64 / plan.time.as_secs_f64();
    let rate = Rate { per_s, p50_ms: quantile(&mut samples, 0.5), p99_ms: quantile(&mut samples, 0.99) };
    Ok(Fired { rate, answered })
}

/// One client: the times of its requests within the measurement, and the number of all.
async fn client(shot: &Shot, plan: Plan, number: usize, start: Instant) -> anyhow::Result<(Vec<f64>, u64)> {
    let mut connection = Connection::open(shot.address).await?;
    let end = start + plan.time;
    // At a fixed rate the clients take turns: each has its own moment in every round.
    let clients = u32::try_from(plan.clients).unwrap_or(u32::MAX);
    let step = plan.rate.map(|rate| Duration::from_secs_f64(f64::from(clients) / rate));
    let mut due = step.map(|step| start - WARM_UP + step.mul_f64(f64::from(u32::try_from(number).unwrap_or(0)) / f64::from(clients)));
    let (mut times, mut answered) = (Vec::new(), 0);
    let offset = number * 100 % shot.bodies.len().max(1);
    for body in shot.bodies.iter().cycle().skip(offset) {
        let begun = match (&mut due, step) {
            (Some(due), Some(step)) => {
                tokio::time::sleep_until(*due).await;
                let begun = *due;
                *due += step;
                begun
            }
            _ => Instant::now(),
        };
        if begun >= end {
            break;
        }
        let answer = connection.ask(shot.method, &shot.path, &shot.headers, body.as_bytes()).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{} was answered {}: {}", shot.path, answer.status, String::from_utf8_lossy(&answer.body));
        }
        answered += 1;
        if begun >= start && (plan.rate.is_some() || Instant::now() <= end) {
            times.push(millis(begun));
        }
    }
    Ok((times, answered))
}
