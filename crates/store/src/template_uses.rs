//! What needs a template: what would fail without it. Recurring sends do, which are filled with its present version at each
//! run; a campaign holds its text and its file itself.

use crate::dialect::{query_as, refused};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{ScheduleId, TemplateId};
use uuid::Uuid;

/// Recurring sends that are not over and need a template, with their names.
pub type TemplateUses = Vec<(ScheduleId, String)>;

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

fn named(rows: Vec<(Uuid, String)>) -> TemplateUses {
    rows.into_iter().map(|(id, name)| (ScheduleId(id), name)).collect()
}

/// The same as [`Store::template_uses`] inside a transaction.
pub(crate) async fn uses_in(tx: &mut Tx, id: TemplateId) -> Result<TemplateUses, StoreError> {
    let rows = query_as::<_, (Uuid, String)>(SCHEDULES).bind(id.0).fetch_all(&mut tx.conn).await;
    rows.map(named).map_err(refused)
}

impl Store {
    /// What would fail without the template.
    pub async fn template_uses(&self, id: TemplateId) -> Result<TemplateUses, StoreError> {
        let rows = query_as::<_, (Uuid, String)>(SCHEDULES).bind(id.0).fetch_all(&self.inner.readers).await;
        rows.map(named).map_err(refused)
    }
}
