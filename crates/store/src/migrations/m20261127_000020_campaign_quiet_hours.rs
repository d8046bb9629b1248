//! Quiet hours of the recipients of campaigns, and the file that a campaign sends.

use super::make;
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    /// `quiet_hours`: null for as the user's setting says. `quiet_until` of a recipient: not before this, for it is night
    /// where it lives. The file of a campaign stays as long as the campaign.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            ("campaigns", schema::boolean_null("quiet_hours")),
            ("campaigns", schema::text_null("media")),
            ("campaigns", schema::uuid_null("file_id")),
            ("campaigns", schema::blob_null("thumbnail")),
            ("campaign_recipients", schema::big_integer_null("quiet_until")),
            ("campaign_recipients", schema::text_null("quiet_why")),
        ];
        for (table, column) in columns {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        let statements = [
            // Asked for each file that may be dropped.
            "CREATE INDEX campaigns_file ON campaigns (file_id) WHERE file_id IS NOT NULL",
        ];
        make(manager, Vec::new(), &statements).await
    }
}
