//! Webhook endpoints, the deliveries of events to them, and the log of attempts.

use super::{belongs_to, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let of_delivery = || belongs_to("delivery_id", "webhook_deliveries");
        // Before the table that points at it: PostgreSQL takes only a unique column as the target of a foreign key.
        make(
            manager,
            vec![
                endpoints().foreign_key(&mut belongs_to("user_id", "users")).to_owned(),
                deliveries().foreign_key(&mut belongs_to("endpoint_id", "webhook_endpoints")).to_owned(),
            ],
            &["CREATE UNIQUE INDEX webhook_deliveries_id ON webhook_deliveries (id)"],
        )
        .await?;
        let tables = vec![attempts().foreign_key(&mut of_delivery()).to_owned()];
        let statements = [
            "CREATE INDEX webhook_endpoints_of_user ON webhook_endpoints (user_id, created_at)",
            // Asked for every event: who listens?
            "CREATE INDEX webhook_endpoints_active ON webhook_endpoints (user_id) WHERE is_active",
            // One delivery per event and endpoint; a replay is the same delivery in another round.
            "CREATE UNIQUE INDEX webhook_deliveries_event ON webhook_deliveries (endpoint_id, event_seq)",
            "CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (endpoint_id, state, event_seq)",
            "CREATE INDEX webhook_attempts_of_delivery ON webhook_attempts (delivery_id)",
        ];
        make(manager, tables, &statements).await
    }
}

/// Secrets are sealed. `events` is empty for all. `failing_since` and `last_failed_at`: the present row of failures.
fn endpoints() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("id"),
        schema::uuid("user_id"),
        schema::text("url"),
        schema::string("description"),
        schema::text("events"),
        schema::boolean("is_active"),
        schema::blob("secret"),
        schema::blob_null("previous_secret"),
        schema::big_integer_null("previous_until"),
        schema::big_integer_null("failing_since"),
        schema::big_integer_null("last_failed_at"),
        schema::big_integer_null("disabled_at"),
        schema::text_null("disabled_reason"),
        schema::big_integer("created_at"),
        schema::big_integer("updated_at"),
    ];
    table("webhook_endpoints", columns)
}

/// `state`: 0 pending, 1 succeeded, 2 dead. `round` counts replays: a job of an earlier round does nothing. `created_at` is
/// the time of the event.
fn deliveries() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("id"),
        schema::uuid("endpoint_id"),
        schema::big_integer("event_seq"),
        schema::uuid("event_id"),
        schema::string("kind"),
        schema::small_integer("state"),
        schema::integer("round"),
        schema::integer("attempts"),
        schema::big_integer("created_at"),
        schema::big_integer_null("next_at"),
        schema::big_integer_null("ended_at"),
        schema::integer_null("last_status"),
        schema::integer_null("last_latency_ms"),
        schema::text_null("last_error"),
    ];
    table("webhook_deliveries", columns)
}

fn attempts() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("delivery_id"),
        schema::big_integer("at"),
        schema::text("request_headers"),
        schema::integer_null("response_status"),
        schema::text_null("response_headers"),
        schema::text_null("response_body"),
        schema::integer("latency_ms"),
        schema::text_null("error"),
    ];
    table("webhook_attempts", columns)
}
