//! Durable accepts, and lists of what was accepted.

use super::customer::{Account, Customer};
use super::fire::{Fired, Plan, Shot, measure};
use std::sync::Arc;

/// Recipients, in turn.
const RECIPIENTS: usize = 6400;

/// Hands texts in.
///
/// # Errors
/// When an answer is no success.
pub async fn accept(customer: &Customer, account: &Account, plan: Plan) -> anyhow::Result<Fired> {
    let bodies = (0..RECIPIENTS).map(|recipient| body(&account.name, recipient)).collect();
    measure(&shot(customer, "POST", "/api/v1/messages/send-text/", bodies), plan).await
}

/// Reads the newest twenty messages, again and again.
///
/// # Errors
/// When an answer is no success.
pub async fn list(customer: &Customer, plan: Plan) -> anyhow::Result<Fired> {
    measure(&shot(customer, "GET", "/api/v1/messages/list/?page_size=20", vec![String::new()]), plan).await
}

fn shot(customer: &Customer, method: &'static str, path: &str, bodies: Vec<String>) -> Shot {
    let headers = customer.headers().to_owned();
    Shot { address: customer.address(), method, path: path.to_owned(), headers, bodies: Arc::new(bodies) }
}

/// Numbers of the same length, in an area code that was never given to phones of this length by accident: they are
/// never sent to, since the account is offline.
fn body(session: &str, recipient: usize) -> String {
    format!(
        r#"{{"session":"{session}","recipient":"+1303555{:04}","content":"Your order is on its way. Thank you!"}}"#,
        1000 + recipient % 9000
    )
}
