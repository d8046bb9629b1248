//! The tables `campaigns` and `campaign_recipients`.

use super::{Campaign, CampaignRecipient};
use crate::rows::{Place, from_row};
use crate::{NewMedia, StoreError};
use sanasend_model::{CampaignId, FileId, Media, MessageId, RecipientState, SessionId, Timestamp, UserId};
use serde_json::Value;
use uuid::Uuid;

pub(super) struct Row {
    id: Uuid,
    user_id: Uuid,
    name: String,
    state: String,
    reason: Option<String>,
    content: String,
    pacing: String,
    quiet_hours: Option<bool>,
    media: Option<String>,
    file_id: Option<Uuid>,
    thumbnail: Option<Vec<u8>>,
    pub(super) fingerprint: Option<Vec<u8>>,
    total: i64,
    accepted: i64,
    skipped: i64,
    step: i64,
    judged_from: i32,
    held_until: Option<i64>,
    held_why: Option<String>,
    moved_at: Option<i64>,
    told_at: Option<i64>,
    created_at: i64,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    updated_at: i64,
}

from_row!("campaigns": Row {
    id,
    user_id,
    name,
    state,
    reason,
    content,
    pacing,
    quiet_hours,
    media,
    file_id,
    thumbnail,
    fingerprint,
    total,
    accepted,
    skipped,
    step,
    judged_from,
    held_until,
    held_why,
    moved_at,
    told_at,
    created_at,
    started_at,
    ended_at,
    updated_at
});

impl Row {
    pub(super) fn read(self) -> Result<Campaign, StoreError> {
        let id = CampaignId(self.id);
        let place = Place { table: "campaigns", row: &id };
        let json = |column: &str, text: &str| place.json::<Value>(column, Some(text)).map(Option::unwrap_or_default);
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let media: Option<Media> = place.json("media", self.media.as_deref())?;
        let file = self.file_id.map(|file| NewMedia { file: FileId(file), thumbnail: self.thumbnail });
        Ok(Campaign {
            id,
            user_id: UserId(self.user_id),
            name: self.name,
            state: place.name("state", &self.state)?,
            reason: self.reason,
            content: json("content", &self.content)?,
            pacing: json("pacing", &self.pacing)?,
            quiet_hours: self.quiet_hours,
            media: media.zip(file),
            total: count(self.total),
            accepted: count(self.accepted),
            skipped: count(self.skipped),
            step: self.step,
            judged_from: self.judged_from,
            held_until: self.held_until.map(Timestamp),
            held_why: self.held_why,
            moved_at: self.moved_at.map(Timestamp),
            told_at: self.told_at.map(Timestamp),
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            ended_at: self.ended_at.map(Timestamp),
            updated_at: Timestamp(self.updated_at),
        })
    }
}

pub(super) struct RecipientRow {
    campaign_id: Uuid,
    ordinal: i32,
    recipient: String,
    variables: Option<String>,
    state: i16,
    reason: Option<String>,
    detail: Option<String>,
    message_id: Option<Uuid>,
    session_id: Option<Uuid>,
    accepted_at: Option<i64>,
    held_since: Option<i64>,
    held_until: Option<i64>,
    held_why: Option<String>,
    quiet_until: Option<i64>,
    quiet_why: Option<String>,
    message_status: Option<String>,
    error_code: Option<String>,
}

from_row!("campaign_recipients": RecipientRow {
    campaign_id,
    ordinal,
    recipient,
    variables,
    state,
    reason,
    detail,
    message_id,
    session_id,
    accepted_at,
    held_since,
    held_until,
    held_why,
    quiet_until,
    quiet_why,
    message_status,
    error_code
});

impl RecipientRow {
    pub(super) fn read(self) -> Result<CampaignRecipient, StoreError> {
        let row = format!("{} {}", self.campaign_id, self.ordinal);
        let place = Place { table: "campaign_recipients", row: &row };
        let named = |column: &str, text: Option<&str>| text.map(|text| place.name(column, text)).transpose();
        Ok(CampaignRecipient {
            ordinal: self.ordinal,
            variables: place.json("variables", self.variables.as_deref())?,
            state: RecipientState::of(self.state).ok_or_else(|| place.corrupt("state"))?,
            reason: self.reason.as_deref().map(|text| place.name("reason", text)).transpose()?,
            detail: self.detail,
            message_id: self.message_id.map(MessageId),
            session_id: self.session_id.map(SessionId),
            accepted_at: self.accepted_at.map(Timestamp),
            held_since: self.held_since.map(Timestamp),
            held_until: self.held_until.map(Timestamp),
            held_why: self.held_why,
            quiet: self.quiet_until.map(Timestamp).zip(self.quiet_why),
            message_status: named("message_status", self.message_status.as_deref())?,
            error_code: self.error_code,
            recipient: self.recipient,
        })
    }
}
