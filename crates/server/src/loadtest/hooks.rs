//! Webhooks, end to end: a virtual phone writes, the account receives, a receiver is told.
//!
//! Four figures. How long it takes from the phone's keyboard to the receiver while little happens; how many come through
//! when phones write as fast as they can (the simulated network encrypts and the account decrypts each of them, in the same
//! process); how fast deliveries go out that have piled up; and what another user's dead receiver does to the first figure.

use super::accepts;
use super::child::Process;
use super::customer::{Account, Customer, millis};
use super::fire::Plan;
use super::places::Temporary;
use super::receiver::{MARK, Receiver};
use super::report::{Hooks, quantile};
use super::{SERVE, SETTINGS};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Phones that write, each on a connection of its own.
const PHONES: usize = 32;
/// Messages in a second while latency is measured.
const CALM: f64 = 200.0;
/// How long what is under way may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often a living and a dead receiver take turns, so that what the machine does meanwhile meets both alike.
const ROUNDS: u32 = 4;
/// Endpoints of the user whose receiver is dead.
const DEAD_ENDPOINTS: usize = 4;

/// Each text has its number, in the whole process.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// Measures all four.
///
/// # Errors
/// When a delivery does not come.
pub async fn measure(place: &Temporary, time: Duration, stage: &impl Fn(&str)) -> anyhow::Result<Hooks> {
    stage("webhooks: starting a server");
    let mut settings = SETTINGS.to_vec();
    settings.push(("SANASEND_EGRESS__ALLOW", "127.0.0.1/32"));
    let server = Process::start(SERVE, &place.folder("hooks")?, &settings).await?;
    let customer = Customer::of(&server)?;
    let shop = customer.link("shop").await?;
    let (shop_phone, friends) = (customer.phone_of(&shop).await?, customer.friends(PHONES).await?);
    let receiver = Receiver::start().await?;
    customer.listen(&receiver.url(), "message.received").await?;
    stage("webhooks: from the phone to the receiver");
    write(&customer, &friends, &shop_phone, Duration::from_millis(500), None, &receiver).await?;
    let mut calm = write(&customer, &friends, &shop_phone, time, Some(CALM), &receiver).await?;
    stage("webhooks: as many as come");
    let begun = Instant::now();
    let many = write(&customer, &friends, &shop_phone, time, None, &receiver).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of what one machine does in minutes")]
    let per_s = many.len() as f64 / begun.elapsed().as_secs_f64();
    stage("webhooks: beside a dead receiver");
    let other = other_user(&server, &customer).await?;
    let others_shop = other.link("other").await?;
    let other_phone = other.phone_of(&others_shop).await?;
    let others = customer.friends(PHONES / 4).await?;
    let dead = Receiver::start().await?;
    for _ in 0..DEAD_ENDPOINTS {
        other.listen(&dead.url(), "message.received").await?;
    }
    let (mut beside_alive, mut beside_dead) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (is_alive, times) in [(true, &mut beside_alive), (false, &mut beside_dead)] {
            dead.answers(is_alive);
            let pair = beside(&customer, (&friends, &shop_phone), (&others, &other_phone), time, (&receiver, &dead));
            times.extend(pair.await?);
        }
        // The order of a chat is kept: when these have come, what had piled up before has come too.
        dead.answers(true);
        write(&customer, &others, &other_phone, Duration::from_millis(200), Some(CALM / 2.0), &dead).await?;
    }
    stage("webhooks: what has piled up");
    let drain_per_s = drain(&customer, &shop, time).await?;
    server.stop().await?;
    Ok(Hooks {
        p50_ms: quantile(&mut calm, 0.5),
        p99_ms: quantile(&mut calm, 0.99),
        per_s,
        drain_per_s,
        beside_alive_p99_ms: quantile(&mut beside_alive, 0.99),
        beside_dead_p99_ms: quantile(&mut beside_dead, 0.99),
    })
}

/// Phones write to `to` for `time`, together `rate` messages a second or as fast as they can; the milliseconds of each
/// from when it was due to its arrival at the receiver.
async fn write(
    customer: &Customer,
    phones: &[String],
    to: &str,
    time: Duration,
    rate: Option<f64>,
    receiver: &Receiver,
) -> anyhow::Result<Vec<f64>> {
    let mut tasks = tokio::task::JoinSet::new();
    let (begun, clients) = (Instant::now(), u32::try_from(phones.len())?);
    let step = rate.map(|rate| Duration::from_secs_f64(f64::from(clients) / rate));
    for (place, phone) in (0_u32..).zip(phones) {
        let (customer, phone, to) = (customer.clone(), phone.clone(), to.to_owned());
        tasks.spawn(async move {
            let mut connection = customer.phones().await?;
            let mut sent = Vec::new();
            let mut due = begun + step.unwrap_or_default().mul_f64(f64::from(place) / f64::from(clients));
            loop {
                match step {
                    Some(step) => {
                        tokio::time::sleep_until(due).await;
                        due += step;
                    }
                    None => due = Instant::now(),
                }
                let at = due - step.unwrap_or_default();
                if at >= begun + time {
                    return anyhow::Ok(sent);
                }
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                customer.write(&mut connection, &phone, &to, &format!("{MARK}{number} is here")).await?;
                sent.push((number, at));
            }
        });
    }
    let mut sent = Vec::new();
    while let Some(done) = tasks.join_next().await {
        sent.extend(done??);
    }
    let mut times = Vec::with_capacity(sent.len());
    let deadline = Instant::now() + PATIENCE;
    for (number, at) in sent {
        let arrival = loop {
            if let Some(arrival) = receiver.arrival(number) {
                break arrival;
            }
            anyhow::ensure!(Instant::now() < deadline, "text {number} did not reach the receiver");
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        times.push(arrival.duration_since(at).as_secs_f64() * 1000.0);
    }
    Ok(times)
}

/// The same for two accounts at once; the first one's times.
async fn beside(
    customer: &Customer,
    (phones, to): (&[String], &str),
    (other_phones, other_to): (&[String], &str),
    time: Duration,
    (receiver, other): (&Receiver, &Receiver),
) -> anyhow::Result<Vec<f64>> {
    let first = write(customer, phones, to, time, Some(CALM / 2.0), receiver);
    let second = write(customer, other_phones, other_to, time, Some(CALM / 2.0), other);
    tokio::pin!(first);
    tokio::select! {
        times = &mut first => times,
        done = second => {
            done?;
            first.await
        }
    }
}

/// Accepts for an account that is offline, told to a receiver that does not answer; then it does.
async fn drain(customer: &Customer, account: &Account, time: Duration) -> anyhow::Result<f64> {
    customer.go_offline(account).await?;
    let slow = Receiver::start().await?;
    slow.answers(false);
    customer.listen(&slow.url(), "message.accepted").await?;
    let fired = accepts::accept(customer, account, Plan { clients: PHONES, time, rate: None }).await?;
    let begun = Instant::now();
    slow.answers(true);
    slow.wait_for(fired.answered, begun + PATIENCE).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of what one machine does in minutes")]
    let count = fired.answered as f64;
    Ok(count / (millis(begun) / 1000.0))
}

/// A second user, with a key that may do everything.
async fn other_user(server: &Process, customer: &Customer) -> anyhow::Result<Customer> {
    let mut api = customer.api().await?;
    let login = json!({"username": server.text("/admin/username")?, "password": server.text("/admin/password")?});
    let admin = customer.logged_in(&mut api, &login).await?;
    let user = json!({"username": "other", "email": "other@example.com", "password": "a long and odd sentence 47",
                      "max_messages_per_day": 10_000_000, "max_messages_per_minute": 10_000_000});
    let made = admin.ask(&mut api, "POST", "/api/v1/users/", &user).await?;
    let key = json!({"user": made["data"]["id"], "name": "loadtest"});
    let key = admin.ask(&mut api, "POST", "/api/v1/api-keys/", &key).await?;
    let key = key["data"]["key"].as_str().map(str::to_owned);
    Customer::with_key(server, &key.ok_or_else(|| anyhow::anyhow!("no key was made"))?)
}
