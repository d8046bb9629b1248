//! What needs a template: what would fail without it.
//!
//! Recurring sends are filled with its present version at each run. A campaign holds its text itself, and needs the template
//! only for a file.

use crate::dialect::{query_as, refused};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{CampaignId, ScheduleId, TemplateId};
use serde_json::Value;
use uuid::Uuid;

/// What needs a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateUses {
    /// Recurring sends that are not over, with their names.
    pub schedules: Vec<(ScheduleId, String)>,
    /// Campaigns that are not over and send its file, with their names.
    pub campaigns: Vec<(CampaignId, String)>,
}

impl TemplateUses {
    /// Whether nothing needs it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.schedules.is_empty() && self.campaigns.is_empty()
    }
}

/// What came of deleting a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateDeleted {
    /// It is gone.
    Done,
    /// There is none.
    Missing,
    /// It is needed.
    InUse(TemplateUses),
}

const SCHEDULES: &str = "SELECT id, name FROM recurring WHERE template_id = ? AND next_at IS NOT NULL ORDER BY name, id";
const CAMPAIGNS: &str = "SELECT c.id, c.name, c.content FROM templates t JOIN campaigns c ON c.user_id = t.user_id \
                         WHERE t.id = ? AND c.state IN ('planning', 'draft', 'running', 'paused') ORDER BY c.name, c.id";

type Named = (Uuid, String);

fn gather(id: TemplateId, schedules: Vec<Named>, campaigns: Vec<(Uuid, String, String)>) -> TemplateUses {
    let needs = |content: &str| {
        let content: Value = serde_json::from_str(content).unwrap_or_default();
        let template = &content["template"];
        template["id"].as_str() == Some(&id.to_string()) && template["has_file"].as_bool() == Some(true)
    };
    TemplateUses {
        schedules: schedules.into_iter().map(|(id, name)| (ScheduleId(id), name)).collect(),
        campaigns: campaigns.into_iter().filter(|(.., content)| needs(content)).map(|(id, name, _)| (CampaignId(id), name)).collect(),
    }
}

/// The same inside a transaction.
pub(crate) async fn uses_in(tx: &mut Tx, id: TemplateId) -> Result<TemplateUses, StoreError> {
    let schedules = query_as::<_, Named>(SCHEDULES).bind(id.0).fetch_all(&mut tx.conn).await.map_err(refused)?;
    let campaigns = query_as::<_, (Uuid, String, String)>(CAMPAIGNS).bind(id.0).fetch_all(&mut tx.conn).await.map_err(refused)?;
    Ok(gather(id, schedules, campaigns))
}

impl Store {
    /// What would fail without the template.
    pub async fn template_uses(&self, id: TemplateId) -> Result<TemplateUses, StoreError> {
        let schedules = query_as::<_, Named>(SCHEDULES).bind(id.0).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let campaigns = query_as::<_, (Uuid, String, String)>(CAMPAIGNS).bind(id.0).fetch_all(&self.inner.readers);
        Ok(gather(id, schedules, campaigns.await.map_err(refused)?))
    }
}
