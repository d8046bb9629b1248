//! Importing contacts from CSV: a small file at once, a larger one behind the answer. How imports get on is told by `imports`.

use crate::app::App;
use crate::contacts::import::{Look, Refused, Stage, Staged, Wanted, take_in};
use crate::http::parts::{Form, broken, text, unknown};
use crate::http::{Answer, ApiError, Caller, ErrorCode, Success, audit};
use axum::extract::multipart::Field;
use axum::extract::{Request, State};
use axum::http::header;
use sanasend_model::contact_file::Line;
use sanasend_model::{ImportId, Invalid};
use sanasend_store::{Import, ImportFault, ImportKind, ImportProgress, ImportState, MOST_IMPORTS, StoreError};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// What a form takes beside its file.
const MAX_BESIDE: u64 = 1 << 20;

/// A file to import. `file` must come last.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only documents the form, which is read as it streams in")]
pub(crate) struct ImportForm {
    /// What columns hold, as JSON: heading to `phone`, `name`, `first_name`, `last_name`, `tags`, `groups`, `notes`, `consent`,
    /// `opted_out`, `field:NAME` or `skip`. Columns that are not named are guessed by their headings.
    #[schema(example = "{\"Mobile\": \"phone\", \"Customer no.\": \"field:customer\"}")]
    mapping: Option<String>,
    /// `true` to look only: nothing is written, and the answer says what would be.
    #[schema(example = "true")]
    dry_run: Option<String>,
    /// The file: CSV in UTF-8 with commas, semicolons or tabs, the headings in the first line.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A line that was refused.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "ImportFault")]
pub(crate) struct FaultView {
    /// Number of the line in the file; the headings are line 1.
    #[schema(example = 17)]
    pub(crate) line: u64,
    /// The column.
    #[schema(example = "phone")]
    pub(crate) field: String,
    /// What to change.
    #[schema(example = "must be a phone number with country code, like +14155550100")]
    pub(crate) message: String,
}

impl From<ImportFault> for FaultView {
    fn from(fault: ImportFault) -> Self {
        Self { line: fault.line, field: fault.field, message: fault.message }
    }
}

/// A column of the file.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "ImportColumn")]
pub(crate) struct ColumnView {
    /// Its heading.
    #[schema(example = "Mobile")]
    pub(crate) heading: String,
    /// What it was taken for.
    #[schema(example = "phone")]
    pub(crate) holds: String,
}

/// A line as it was understood.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "ImportLine")]
pub(crate) struct LineView {
    /// The number or id.
    #[schema(example = "+12025550123")]
    pub(crate) phone: String,
    /// The name.
    #[schema(example = "Anna Smith")]
    pub(crate) name: String,
    /// Tags.
    #[schema(example = json!(["vip"]))]
    pub(crate) tags: Vec<String>,
    /// Groups.
    #[schema(example = json!([]))]
    pub(crate) groups: Vec<String>,
    /// Fields of your own.
    #[schema(value_type = Object, example = json!({"city": "Berlin"}))]
    pub(crate) fields: BTreeMap<String, String>,
    /// Notes.
    #[schema(example = "")]
    pub(crate) notes: String,
    /// Whether the person opted out.
    #[schema(example = false)]
    pub(crate) opted_out: bool,
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        Self {
            phone: match &line.person {
                sanasend_model::Recipient::Phone(phone) => phone.to_string(),
                other => other.jid().to_string(),
            },
            name: line.name,
            tags: line.tags.into_iter().collect(),
            groups: line.groups.into_iter().collect(),
            fields: line.fields,
            notes: line.notes,
            opted_out: line.opted_out,
        }
    }
}

/// What came of an import, or of looking at a file.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "ImportReport")]
pub(crate) struct ReportView {
    /// Id of the import; null when the file was only looked at.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) id: Option<ImportId>,
    /// Whether the file was only looked at.
    #[schema(example = true)]
    pub(crate) dry_run: bool,
    /// `done`; `running` when the file is so large that it is taken in behind the answer: ask for the import then. Null when
    /// the file was only looked at.
    #[schema(value_type = Option<String>, example = "done")]
    pub(crate) state: Option<&'static str>,
    /// The columns of the file.
    pub(crate) columns: Vec<ColumnView>,
    /// Lines, without the headings.
    #[schema(example = 1000)]
    pub(crate) lines: u64,
    /// People who were new (would be, when only looked at).
    #[schema(example = 980)]
    pub(crate) created: u64,
    /// People who were there already, and lines that named somebody again.
    #[schema(example = 19)]
    pub(crate) merged: u64,
    /// Lines that were refused.
    #[schema(example = 1)]
    pub(crate) refused: u64,
    /// The first 100 faults of them.
    pub(crate) faults: Vec<FaultView>,
    /// The first 10 lines as they were understood; empty while the import runs.
    pub(crate) preview: Vec<LineView>,
}

impl ReportView {
    fn new(id: Option<(ImportId, ImportState)>, columns: Vec<(String, String)>, progress: ImportProgress, shown: Vec<Line>) -> Self {
        Self {
            id: id.map(|(id, _)| id),
            dry_run: id.is_none(),
            state: id.map(|(_, state)| state.as_str()),
            columns: columns.into_iter().map(|(heading, holds)| ColumnView { heading, holds }).collect(),
            lines: progress.lines,
            created: progress.created,
            merged: progress.merged,
            refused: progress.refused,
            faults: progress.faults.into_iter().map(FaultView::from).collect(),
            preview: shown.into_iter().map(LineView::from).collect(),
        }
    }

    fn of(import: Import, shown: Vec<Line>) -> Self {
        Self::new(Some((import.id, import.state)), import.columns, import.progress, shown)
    }

    /// Whether lines are still being read.
    pub(crate) fn is_running(&self) -> bool {
        self.state == Some(ImportState::Running.as_str())
    }

    /// The answer of the API, in which `done` says what was done.
    pub(crate) fn answer(self, done: &str) -> Answer<Self> {
        match (self.dry_run, self.is_running()) {
            (true, _) => Answer::ok("The file was looked at; nothing was written.", self),
            (_, true) => Answer::accepted("The file is there; its lines are being read.", self),
            _ => Answer::ok(done, self),
        }
    }
}

/// Import contacts
///
/// A form with a CSV file. People who are contacts already get what is new (a name, more tags, fields); nothing is taken
/// away. Lines that can't be read are named and spoil no others. Send `dry_run` first to see what would happen. A file below
/// 256 KiB is taken in before the answer, 200; of a larger one the answer is 202, its lines are read in the background, also
/// through a restart of the server, and `GET /contacts/imports/{id}/` tells how far it is. At most 5 imports of a user can be
/// under way.
#[utoipa::path(post, path = "/contacts/import/", tag = "contacts",
    request_body(content((ImportForm = "multipart/form-data", example = json!({
        "mapping": "{\"Mobile\": \"phone\"}", "dry_run": "true", "file": "(the bytes of contacts.csv)"})))),
    responses((status = 200, description = "What came of it.", body = Success<ReportView>),
        (status = 202, description = "The file is there; its lines are being read.", body = Success<ReportView>)),
    extensions(("x-scope" = json!("contacts:write")), ("x-time-limit" = json!("contacts.import_seconds")),
        ("x-error-codes" = json!(["BAD_REQUEST", "WRONG_STATE"]))))]
pub(crate) async fn import_contacts(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Answer<ReportView>, ApiError> {
    Ok(import(&app, &caller, ImportKind::Contacts, request).await?.answer("The contacts were imported."))
}

/// Reads a form and imports its file.
///
/// # Errors
/// When it is no form, a field is unknown or comes twice, or the file can't be read as a table.
pub(crate) async fn import(app: &App, caller: &Caller, kind: ImportKind, request: Request) -> Result<ReportView, ApiError> {
    read(app, caller, kind, request, false).await
}

/// The same for a page's form, which says of each column in a field of its own (`as:HEADING`) what it holds.
///
/// # Errors
/// As [`import`].
pub(crate) async fn import_from_page(app: &App, caller: &Caller, kind: ImportKind, request: Request) -> Result<ReportView, ApiError> {
    read(app, caller, kind, request, true).await
}

async fn read(app: &App, caller: &Caller, kind: ImportKind, request: Request, is_page: bool) -> Result<ReportView, ApiError> {
    let most = app.config.contacts.import_limit_mib << 20;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<u64>().ok());
    let too_large = || ApiError::because(ErrorCode::PayloadTooLarge, format!("The file is larger than {} MiB.", most >> 20));
    if announced.is_some_and(|bytes| bytes > most + MAX_BESIDE) {
        return Err(too_large());
    }
    let kind_of = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind_of.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        return Err(ApiError::because(
            ErrorCode::UnsupportedMediaType,
            "The body must be a form (multipart/form-data) with a field `file`.",
        ));
    }
    let mut form = Form::of(request).await?;
    let mut wanted = Wanted { kind, dry_run: false, mapping: BTreeMap::new(), total_bytes: announced };
    let (mut report, mut columns) = (None, 0_u64);
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        if report.is_some() {
            return Err(ApiError::field(name, "must come before `file`, which is read as it comes"));
        }
        match name.as_str() {
            "mapping" => {
                let text = text(&name, field).await?;
                let read = if text.trim().is_empty() { Ok(BTreeMap::new()) } else { serde_json::from_str(&text) };
                wanted.mapping = read.map_err(|_| ApiError::field(&name, "must be a JSON object of headings and what they hold"))?;
            }
            "dry_run" => {
                wanted.dry_run = match text(&name, field).await?.trim() {
                    "true" | "1" | "on" => true,
                    "" | "false" | "0" => false,
                    _ => return Err(ApiError::field(&name, "must be true or false")),
                }
            }
            of_column if is_page && of_column.starts_with("as:") => {
                let (heading, holds) = (of_column.trim_start_matches("as:").to_owned(), text(&name, field).await?);
                // They are in memory, and a form may have any number of fields.
                columns += (heading.len() + holds.len()) as u64;
                if columns > MAX_BESIDE {
                    return Err(ErrorCode::PayloadTooLarge.into());
                }
                wanted.mapping.insert(heading, holds);
            }
            "file" => report = Some(run(app, caller, wanted.clone(), field, most).await?.ok_or_else(too_large)?),
            _ => return Err(unknown(&name)),
        }
    }
    report.ok_or_else(|| ApiError::field("file", "is required"))
}

/// Takes a file in as it comes; `None` when it is larger than `most`.
async fn run(app: &App, caller: &Caller, wanted: Wanted, field: Field<'_>, most: u64) -> Result<Option<ReportView>, ApiError> {
    if wanted.dry_run { look(app, caller, wanted, field, most).await } else { stage(app, caller, wanted, field, most).await }
}

/// Looks at a file.
async fn look(app: &App, caller: &Caller, wanted: Wanted, mut field: Field<'_>, most: u64) -> Result<Option<ReportView>, ApiError> {
    let (mut look, mut read) = (Look::new(app.store.clone(), caller.id(), wanted), 0_u64);
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        read += piece.len() as u64;
        if read > most {
            return Ok(None);
        }
        look.push(&piece).await.map_err(refuse)?;
    }
    let (columns, progress, shown) = look.finish().await.map_err(refuse)?;
    Ok(Some(ReportView::new(None, columns, progress, shown)))
}

/// Keeps a file, and takes its lines in when it is small.
async fn stage(app: &App, caller: &Caller, wanted: Wanted, mut field: Field<'_>, most: u64) -> Result<Option<ReportView>, ApiError> {
    let kind = wanted.kind;
    let begun = Stage::begin(app.store.clone(), app.clock.clone(), caller.id(), wanted).await;
    let too_many = || format!("{MOST_IMPORTS} imports are under way; wait until one has ended, or cancel one.");
    let mut stage = begun.map_err(|error| match error {
        StoreError::Conflict { what: "imports" } => ApiError::because(ErrorCode::WrongState, too_many()),
        error => error.into(),
    })?;
    let mut read = 0_u64;
    let ended = loop {
        match field.chunk().await {
            Ok(Some(piece)) => {
                read += piece.len() as u64;
                if read > most {
                    stage.broke(&format!("The file is larger than {} MiB.", most >> 20)).await;
                    return Ok(None);
                }
                if let Err(refused) = stage.push(&piece).await {
                    break Err(refuse(refused));
                }
            }
            Ok(None) => break stage.finish().await.map_err(refuse),
            Err(error) => break Err(broken(&error)),
        }
    };
    match ended {
        Ok(staged) => take(app, caller, kind, staged).await.map(Some),
        Err(refusal) => {
            let faults = refusal.errors.0.iter().map(|(field, messages)| format!("{field} {}", messages.join("; ")));
            stage.broke(&faults.reduce(|one, other| format!("{one}. {other}")).unwrap_or_else(|| refusal.message.clone())).await;
            Err(refusal)
        }
    }
}

/// Takes the lines of a small file in, and tells how the import stands.
async fn take(app: &App, caller: &Caller, kind: ImportKind, staged: Staged) -> Result<ReportView, ApiError> {
    let Staged { id, job, is_small } = staged;
    let mut shown = Vec::new();
    if is_small {
        shown = take_in(&app.store, id).await?.shown;
        app.store.drop_import_job(job).await?;
    }
    let import = app.store.import(None, id).await?.ok_or_else(ApiError::not_found)?;
    if let (ImportState::Broken, Some(reason)) = (import.state, &import.reason) {
        return Err(Invalid::new("file", reason.trim_start_matches("The file ").trim_end_matches('.')).into());
    }
    let detail = json!({"kind": kind.as_str(), "bytes": import.total_bytes});
    audit::note(app, caller, "contacts.imported", format!("import {id}"), detail).await;
    Ok(ReportView::of(import, shown))
}

fn refuse(refused: Refused) -> ApiError {
    match refused {
        Refused::File(invalid) => invalid.into(),
        Refused::Canceled => ApiError::because(ErrorCode::WrongState, "The import was canceled."),
        Refused::Store(error) => error.into(),
    }
}
