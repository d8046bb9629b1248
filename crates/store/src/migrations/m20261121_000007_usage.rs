//! More figures of each user's day, figures of each hour, and the API log.

use super::{key, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = vec![usage_hourly(), api_hourly(), api_log()];
        let statements = [
            "ALTER TABLE usage_daily ADD COLUMN media_sent BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE usage_daily ADD COLUMN api_requests BIGINT NOT NULL DEFAULT 0",
            "CREATE INDEX usage_daily_by_day ON usage_daily (day)",
            // Newest first, whatever it is narrowed by; see `api_log`.
            "CREATE INDEX api_log_by_time ON api_log (at, seq)",
            "CREATE INDEX api_log_of_user ON api_log (user_id, at, seq)",
            "CREATE INDEX api_log_of_key ON api_log (api_key_id, at, seq) WHERE api_key_id IS NOT NULL",
            "CREATE INDEX api_log_of_endpoint ON api_log (endpoint, at, seq)",
            "CREATE INDEX api_log_of_address ON api_log (ip, at, seq)",
            "CREATE INDEX api_log_refused ON api_log (at, seq) WHERE status_code >= 400 AND status_code < 500",
            "CREATE INDEX api_log_failed ON api_log (at, seq) WHERE status_code >= 500",
        ];
        make(manager, tables, &statements).await
    }
}

/// All users together; `hour` counts from 1970-01-01T00:00Z.
fn usage_hourly() -> TableCreateStatement {
    let columns = vec![
        schema::integer("hour"),
        schema::big_integer("accepted"),
        schema::big_integer("sent"),
        schema::big_integer("received"),
        schema::big_integer("failed"),
    ];
    table("usage_hourly", columns).primary_key(&mut key(&["hour"])).to_owned()
}

/// Requests by hour, first digit of the status, and step of latency (see `model::latency`).
fn api_hourly() -> TableCreateStatement {
    let columns = vec![schema::integer("hour"), schema::integer("status_class"), schema::integer("step"), schema::big_integer("requests")];
    table("api_hourly", columns).primary_key(&mut key(&["hour", "status_class", "step"])).to_owned()
}

/// One row per request. Neither the user nor the key is a foreign key: the log tells what happened, and removing a
/// user must not have to look through millions of rows.
fn api_log() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid_null("user_id"),
        schema::uuid_null("api_key_id"),
        schema::string("method"),
        schema::string("endpoint"),
        schema::string("path"),
        schema::integer("status_code"),
        schema::big_integer("latency_us"),
        schema::string("ip"),
        schema::string("request_id"),
        schema::big_integer("at"),
    ];
    table("api_log", columns)
}
