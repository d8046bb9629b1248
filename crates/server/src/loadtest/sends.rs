//! Texts to the end: from the request to WhatsApp's acknowledgement, through the real protocol and the sandbox.

use super::customer::{Account, Customer, millis};
use anyhow::bail;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Virtual phones that each measurement of throughput writes to; each is a chat, and chats keep their order.
const FRIENDS: usize = 40;
/// Connections that hand messages in.
const CLIENTS: usize = 16;
/// How long what was accepted may take to be acknowledged after the last request.
const DRAIN_PATIENCE: Duration = Duration::from_mins(2);
/// How often it is asked what is still on its way.
const POLL: Duration = Duration::from_millis(20);
/// Most samples of the waiting time.
const SAMPLES: usize = 2000;

/// Times from request to acknowledgement of texts sent one after the other, milliseconds.
///
/// # Errors
/// When a text is not acknowledged in time.
pub async fn acknowledgements(customer: &Customer, account: &Account, time: Duration) -> anyhow::Result<Vec<f64>> {
    let friend = customer.friends(1).await?.remove(0);
    let mut connection = customer.api().await?;
    let text = json!({"session": account.name, "recipient": friend, "content": "Is anybody there?"});
    let mut times = Vec::new();
    // The first text of a chat fetches keys; it is no sample.
    send_and_wait(customer, &mut connection, &text).await?;
    let end = Instant::now() + time;
    while Instant::now() < end && times.len() < SAMPLES {
        let begun = Instant::now();
        send_and_wait(customer, &mut connection, &text).await?;
        times.push(millis(begun));
    }
    Ok(times)
}

/// Sends a text and waits for its acknowledgement.
///
/// # Errors
/// When it is refused or not acknowledged in time.
pub async fn send_and_wait(customer: &Customer, connection: &mut super::wire::Connection, text: &Value) -> anyhow::Result<()> {
    let answer = customer.ask(connection, "POST", "/api/v1/messages/send-text/?wait=10", text).await?;
    let status = answer.pointer("/data/status").and_then(Value::as_str).unwrap_or_default();
    if !matches!(status, "sent" | "delivered" | "read") {
        bail!("a text was not acknowledged within 10 s; it is {status}");
    }
    Ok(())
}

/// Sends through all `accounts` for `time` and waits until everything is acknowledged; texts per second over the
/// whole of it.
///
/// # Errors
/// When a text is refused, fails, or is not acknowledged in time.
pub async fn through(customer: &Customer, accounts: &[Account], time: Duration) -> anyhow::Result<f64> {
    let friends = customer.friends(FRIENDS.max(accounts.len())).await?;
    // Each account has its own friends, so that twenty accounts share the same number of chats as one.
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (number, friend) in friends.into_iter().enumerate() {
        pairs.push((accounts[number % accounts.len()].name.clone(), friend));
    }
    let mut connection = customer.api().await?;
    for (session, friend) in &pairs {
        let text = json!({"session": session, "recipient": friend, "content": "Hello!"});
        send_and_wait(customer, &mut connection, &text).await?;
    }
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let mine: Vec<(String, String)> = pairs.iter().skip(number % pairs.len()).step_by(CLIENTS).cloned().collect();
        let customer = customer.clone();
        tasks.spawn(async move { hand_in(&customer, &mine, begun + time).await });
    }
    let mut accepted = 0_u32;
    while let Some(done) = tasks.join_next().await {
        accepted += done??;
    }
    drain(customer).await?;
    Ok(f64::from(accepted) / begun.elapsed().as_secs_f64())
}

/// Hands texts in for `pairs` of session and recipient, in turn, until `end`; how many were accepted.
async fn hand_in(customer: &Customer, pairs: &[(String, String)], end: Instant) -> anyhow::Result<u32> {
    let mut connection = customer.api().await?;
    let mut accepted = 0;
    for (session, friend) in pairs.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        let text = json!({"session": session, "recipient": friend, "content": "Your order is on its way."});
        customer.ask(&mut connection, "POST", "/api/v1/messages/send-text/", &text).await?;
        accepted += 1;
    }
    Ok(accepted)
}

/// Waits until nothing is pending, and makes sure that nothing failed.
async fn drain(customer: &Customer) -> anyhow::Result<()> {
    let mut connection = customer.api().await?;
    let deadline = Instant::now() + DRAIN_PATIENCE;
    while count(customer, &mut connection, "pending").await? > 0 {
        if Instant::now() >= deadline {
            bail!("some texts were not acknowledged within {} s", DRAIN_PATIENCE.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
    match count(customer, &mut connection, "failed").await? {
        0 => Ok(()),
        failed => bail!("{failed} texts failed"),
    }
}

/// How many texts are on their way.
///
/// # Errors
/// When the server does not tell.
pub async fn pending(customer: &Customer, connection: &mut super::wire::Connection) -> anyhow::Result<u64> {
    count(customer, connection, "pending").await
}

async fn count(customer: &Customer, connection: &mut super::wire::Connection, status: &str) -> anyhow::Result<u64> {
    let path = format!("/api/v1/messages/list/?status={status}&page_size=1");
    let answer = customer.ask(connection, "GET", &path, &Value::Null).await?;
    Ok(answer.pointer("/data/count").and_then(Value::as_u64).unwrap_or(0))
}
