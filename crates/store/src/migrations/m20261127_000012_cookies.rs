//! Cookies of people who use the dashboard: each stands for a login, and is good while it is used.

use super::{belongs_to, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut digest = schema::blob("digest");
        digest.primary_key();
        let columns = vec![digest, schema::uuid("login_id"), schema::big_integer("seen_at")];
        manager.create_table(table("cookies", columns).foreign_key(&mut belongs_to("login_id", "logins")).to_owned()).await?;
        manager.get_connection().execute_unprepared("CREATE INDEX cookies_of_login ON cookies (login_id)").await.map(drop)
    }
}
