//! How a linked account fares, as its page shows it.

use super::chart::{Chart, Place, Series};
use super::parts::{Badge, Told};
use crate::app::App;
use crate::http::ApiError;
use crate::http::v1::sessions::health::{HealthView, look};
use askama::Template;
use askama::filters::HtmlSafe;
use sanasend_model::pacing::Level;
use sanasend_store::Session;

const DAYS: [Series; 3] =
    [Series { name: "Sent", tone: "good" }, Series { name: "Failed", tone: "bad" }, Series { name: "Received", tone: "info" }];

/// The part of the page.
#[derive(Template)]
#[template(path = "parts/account_health.html")]
pub struct AccountHealth {
    health: HealthView,
    badge: Badge,
    chart: Chart,
}

impl HtmlSafe for AccountHealth {}

impl AccountHealth {
    /// Looks at an account.
    ///
    /// # Errors
    /// When the store is down, or the account was deleted in this moment.
    pub async fn of(app: &App, row: &Session) -> Result<Self, ApiError> {
        let health = look(app, row).await?;
        let word = health.level.as_str().replace('_', " ");
        let badge = match health.level {
            Level::Good => Badge::good(word),
            Level::WarmingUp | Level::Resting => Badge::plain(word),
            Level::Offline => Badge::warn(word),
            Level::Unlinked | Level::Limited | Level::Failing => Badge::bad(word),
        };
        let count = |count: i64| Some(f64::from(i32::try_from(count.max(0)).unwrap_or(i32::MAX)));
        let places = health
            .days
            .iter()
            .map(|day| Place { label: day.day.clone(), values: vec![count(day.sent), count(day.failed), count(day.received)] });
        let chart = Chart::bars("Messages by day", &DAYS, places.collect());
        Ok(Self { health, badge, chart })
    }

    fn meters(&self) -> [(&'static str, u32, u32); 3] {
        let health = &self.health;
        [
            ("Messages today", health.today.used, health.today.cap),
            ("Messages this hour", health.this_hour.used, health.this_hour.cap),
            ("To people who never wrote, today", health.cold_today.used, health.cold_today.cap),
        ]
    }
}
