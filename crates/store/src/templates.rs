//! Templates and their versions. A version never changes: an edit makes the next one, so that what was sent can be looked up.

use crate::dialect::{On, query, query_as, query_scalar, refused};
use crate::rows::{Place, from_row};
use crate::template_uses::{TemplateDeleted, uses_in};
use crate::writer::Tx;
use crate::{Listed, NewMedia, Page, Store, StoreError};
use sanasend_model::{FileId, Media, TemplateId, Timestamp, UserId};
use uuid::Uuid;

/// A version of a template.
#[derive(Clone, PartialEq, Eq)]
pub struct TemplateVersion {
    /// Its number, from 1.
    pub version: i32,
    /// The source of the text, or of the caption where there is a file; empty for a file without one.
    pub content: String,
    /// The file, and how it is stored.
    pub media: Option<(Media, NewMedia)>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Texts of people are not for logs.
impl std::fmt::Debug for TemplateVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TemplateVersion").field("version", &self.version).finish_non_exhaustive()
    }
}

/// A template in one language, with its present version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTemplate {
    /// Id.
    pub id: TemplateId,
    /// Whose it is.
    pub user_id: UserId,
    /// Its name; templates of one name are the same in several languages.
    pub name: String,
    /// Its language.
    pub language: String,
    /// Whether it is put away: it can be looked at, and nothing is sent with it.
    pub is_archived: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// The present version.
    pub present: TemplateVersion,
}

/// A template to make.
#[derive(Debug, Clone)]
pub struct NewTemplate {
    /// Whose it is.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// Its language.
    pub language: String,
    /// The source of its text or caption, checked.
    pub content: String,
    /// The file, and how it is stored.
    pub media: Option<(Media, NewMedia)>,
}

/// What came of making one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateCreated {
    /// Made.
    Done(Box<SavedTemplate>),
    /// The user has as many as it may have.
    LimitReached,
}

/// What to change; what is `None` stays. Another content or file makes a new version.
#[derive(Debug, Clone, Default)]
pub struct TemplatePatch {
    /// Its name.
    pub name: Option<String>,
    /// Its language.
    pub language: Option<String>,
    /// Whether it is put away.
    pub is_archived: Option<bool>,
    /// The source of its text or caption, checked.
    pub content: Option<String>,
    /// The file, or none from now on.
    pub media: Option<Option<(Media, NewMedia)>>,
}

/// Which templates to list.
#[derive(Debug, Clone, Default)]
pub struct TemplateFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only those that are put away, or only the others.
    pub is_archived: Option<bool>,
    /// Only in this language.
    pub language: Option<String>,
    /// Part of the name, without case.
    pub search: Option<String>,
}

struct Row {
    id: Uuid,
    user_id: Uuid,
    name: String,
    language: String,
    is_archived: bool,
    created_at: i64,
    updated_at: i64,
    version: i32,
    content: String,
    media: Option<String>,
    file_id: Option<Uuid>,
    thumbnail: Option<Vec<u8>>,
    made_at: i64,
}

from_row!("templates": Row {
    id, user_id, name, language, is_archived, created_at, updated_at, version, content, media, file_id, thumbnail, made_at
});

/// Templates, each with the version that the join names.
macro_rules! select {
    ($of:literal, $rest:literal) => {
        concat!(
            "SELECT t.id, t.user_id, t.name, t.language, t.is_archived, t.created_at, t.updated_at, v.version, v.content, v.media, \
             v.file_id, v.thumbnail, v.created_at AS made_at FROM templates AS t JOIN template_versions AS v ON v.template_id = t.id ",
            $of,
            " ",
            $rest
        )
    };
}

impl Row {
    fn read(self) -> Result<SavedTemplate, StoreError> {
        let place = Place { table: "template_versions", row: &self.id };
        let media: Option<Media> = place.json("media", self.media.as_deref())?;
        let file = self.file_id.map(|id| NewMedia { file: FileId(id), thumbnail: self.thumbnail });
        Ok(SavedTemplate {
            id: TemplateId(self.id),
            user_id: UserId(self.user_id),
            name: self.name,
            language: self.language,
            is_archived: self.is_archived,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            present: TemplateVersion {
                version: self.version,
                content: self.content,
                media: media.zip(file),
                created_at: Timestamp(self.made_at),
            },
        })
    }
}

fn all(rows: Vec<Row>) -> Result<Vec<SavedTemplate>, StoreError> {
    rows.into_iter().map(Row::read).collect()
}

async fn find<'c>(conn: impl Into<On<'c>>, id: TemplateId) -> Result<Option<SavedTemplate>, StoreError> {
    let sql = select!("AND v.version = t.version", "WHERE t.id = ?");
    query_as::<_, Row>(sql).bind(id.0).fetch_optional(conn).await.map_err(refused)?.map(Row::read).transpose()
}

async fn add_version(
    tx: &mut Tx,
    id: TemplateId,
    version: i32,
    content: &str,
    media: Option<&(Media, NewMedia)>,
) -> Result<(), StoreError> {
    let described = media.and_then(|(media, _)| serde_json::to_string(media).ok());
    let sql = "INSERT INTO template_versions (template_id, version, content, media, file_id, thumbnail, created_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let insert = query(sql).bind(id.0).bind(version).bind(content).bind(described).bind(media.map(|(_, file)| file.file.0));
    let insert = insert.bind(media.and_then(|(_, file)| file.thumbnail.clone())).bind(tx.clock.now().0);
    insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn create(tx: &mut Tx, new: NewTemplate, limit: u64) -> Result<TemplateCreated, StoreError> {
    let count = query_scalar::<_, i64>("SELECT COUNT(*) FROM templates WHERE user_id = ?").bind(new.user_id.0);
    let count = count.fetch_one(&mut tx.conn).await.map_err(refused)?;
    if u64::try_from(count).is_ok_and(|count| count >= limit) {
        return Ok(TemplateCreated::LimitReached);
    }
    let (id, now) = (TemplateId::new(&*tx.clock), tx.clock.now());
    let sql = "INSERT INTO templates (id, user_id, name, language, version, is_archived, created_at, updated_at) \
               VALUES (?, ?, ?, ?, 1, FALSE, ?, ?)";
    let insert = query(sql).bind(id.0).bind(new.user_id.0).bind(new.name).bind(new.language).bind(now.0).bind(now.0);
    insert.execute(&mut tx.conn).await.map_err(refused)?;
    add_version(tx, id, 1, &new.content, new.media.as_ref()).await?;
    let made = find(&mut tx.conn, id).await?.ok_or_else(|| StoreError::Unavailable("the template was not written".into()))?;
    Ok(TemplateCreated::Done(Box::new(made)))
}

async fn update(tx: &mut Tx, id: TemplateId, patch: TemplatePatch) -> Result<Option<SavedTemplate>, StoreError> {
    let Some(old) = find(&mut tx.conn, id).await? else { return Ok(None) };
    let content = patch.content.unwrap_or_else(|| old.present.content.clone());
    let media = patch.media.unwrap_or_else(|| old.present.media.clone());
    let mut version = old.present.version;
    if content != old.present.content || media != old.present.media {
        version += 1;
        add_version(tx, id, version, &content, media.as_ref()).await?;
    }
    let sql = "UPDATE templates SET name = ?, language = ?, is_archived = ?, version = ?, updated_at = ? WHERE id = ?";
    let update = query(sql).bind(patch.name.unwrap_or(old.name)).bind(patch.language.unwrap_or(old.language));
    let update = update.bind(patch.is_archived.unwrap_or(old.is_archived)).bind(version).bind(tx.clock.now().0).bind(id.0);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    find(&mut tx.conn, id).await
}

fn number(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

impl Store {
    /// Makes a template unless the user has `limit` of them. `Conflict` on `name` when there is one of that name in that
    /// language, on `owner` when the user is gone.
    pub async fn create_template(&self, new: NewTemplate, limit: u64) -> Result<TemplateCreated, StoreError> {
        self.write(move |tx| Box::pin(create(tx, new, limit))).await
    }

    /// One template with its present version.
    pub async fn template(&self, id: TemplateId) -> Result<Option<SavedTemplate>, StoreError> {
        find(&self.inner.readers, id).await
    }

    /// A user's templates of one name, in all languages, by language.
    pub async fn templates_named(&self, user: UserId, name: &str) -> Result<Vec<SavedTemplate>, StoreError> {
        let sql = select!("AND v.version = t.version", "WHERE t.user_id = ? AND t.name = ? ORDER BY t.language");
        let rows = query_as::<_, Row>(sql).bind(user.0).bind(name).fetch_all(&self.inner.readers).await.map_err(refused)?;
        all(rows)
    }

    /// A version of a template.
    pub async fn template_version(&self, id: TemplateId, version: i32) -> Result<Option<TemplateVersion>, StoreError> {
        let sql = select!("AND v.version = ?", "WHERE t.id = ?");
        let row = query_as::<_, Row>(sql).bind(version).bind(id.0).fetch_optional(&self.inner.readers).await.map_err(refused)?;
        Ok(row.map(Row::read).transpose()?.map(|template| template.present))
    }

    /// A page of the versions of a template, newest first.
    pub async fn list_template_versions(&self, id: TemplateId, page: Page) -> Result<Listed<TemplateVersion>, StoreError> {
        let count = query_scalar::<_, i64>("SELECT COUNT(*) FROM template_versions WHERE template_id = ?").bind(id.0);
        let count = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql = select!("", "WHERE t.id = ? ORDER BY v.version DESC LIMIT ? OFFSET ?");
        let rows = query_as::<_, Row>(sql).bind(id.0).bind(number(page.page_size)).bind(number(page.offset()));
        let rows = all(rows.fetch_all(&self.inner.readers).await.map_err(refused)?)?;
        let results = rows.into_iter().map(|template| template.present).collect();
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    /// A page of the templates, by name and language.
    pub async fn list_templates(&self, filter: &TemplateFilter, page: Page) -> Result<Listed<SavedTemplate>, StoreError> {
        let user = filter.user_id.map(|user| user.0);
        let pattern = filter.search.as_deref().map(crate::dialect::like);
        let count = "SELECT COUNT(*) FROM templates AS t WHERE (? IS NULL OR t.user_id = ?) AND (? IS NULL OR t.is_archived = ?) \
                     AND (? IS NULL OR t.language = ?) AND (? IS NULL OR LOWER(t.name) LIKE ? ESCAPE '\\')";
        let count = query_scalar::<_, i64>(count).bind(user).bind(user).bind(filter.is_archived).bind(filter.is_archived);
        let count = count.bind(filter.language.as_deref()).bind(filter.language.as_deref()).bind(pattern.as_deref());
        let count = count.bind(pattern.as_deref()).fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql = select!(
            "AND v.version = t.version",
            "WHERE (? IS NULL OR t.user_id = ?) AND (? IS NULL OR t.is_archived = ?) AND (? IS NULL OR t.language = ?) \
             AND (? IS NULL OR LOWER(t.name) LIKE ? ESCAPE '\\') ORDER BY t.name, t.language, t.id LIMIT ? OFFSET ?"
        );
        let rows = query_as::<_, Row>(sql).bind(user).bind(user).bind(filter.is_archived).bind(filter.is_archived);
        let rows = rows.bind(filter.language.as_deref()).bind(filter.language.as_deref()).bind(pattern.as_deref());
        let rows = rows.bind(pattern.as_deref()).bind(number(page.page_size)).bind(number(page.offset()));
        let results = all(rows.fetch_all(&self.inner.readers).await.map_err(refused)?)?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    /// Changes a template; `None` when it is not there. `Conflict` on `name` as above.
    pub async fn update_template(&self, id: TemplateId, patch: TemplatePatch) -> Result<Option<SavedTemplate>, StoreError> {
        self.write(move |tx| Box::pin(update(tx, id, patch))).await
    }

    /// Removes a template with its versions. What was sent with it stays; what needs it keeps it from being removed, unless
    /// that is wanted by `force`.
    pub async fn delete_template(&self, id: TemplateId, force: bool) -> Result<TemplateDeleted, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if !force {
                    let uses = uses_in(tx, id).await?;
                    if !uses.is_empty() {
                        return Ok(TemplateDeleted::InUse(uses));
                    }
                }
                let delete = query("DELETE FROM templates WHERE id = ?").bind(id.0).execute(&mut tx.conn).await;
                let gone = delete.map(|done| done.rows_affected() > 0).map_err(refused)?;
                Ok(if gone { TemplateDeleted::Done } else { TemplateDeleted::Missing })
            })
        })
        .await
    }
}
