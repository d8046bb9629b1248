//! Importing a file: looked at first, then taken in. With scripts the file stays chosen between the two, and the page shows
//! how much of it was sent and how far its lines are read; without them it is chosen again, and the page is loaded again.

use crate::app::App;
use crate::dashboard::live::{self, Make};
use crate::dashboard::owner::{acting_for, names, only_own};
use crate::dashboard::parts::{Badge, Told};
use crate::dashboard::render::{Page, page, with_status};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::contacts::import::{ReportView, import_from_page};
use crate::http::v1::contacts::imports::{ImportView, cancel, faults_file};
use crate::http::{ApiError, Caller, ErrorCode, Path};
use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use sanasend_model::ImportId;
use sanasend_store::{Import, ImportKind, Page as Paging};
use std::sync::Arc;

/// Imports that are listed below the form.
const LISTED: u64 = 10;

/// What a column may hold; fields of one's own are added by the name of the heading.
const HOLDS: &[(&str, &str)] = &[
    ("phone", "Phone number"),
    ("name", "Name"),
    ("first_name", "First name"),
    ("last_name", "Family name"),
    ("tags", "Tags"),
    ("groups", "Groups"),
    ("notes", "Notes"),
    ("consent", "Consent"),
    ("opted_out", "Opted out"),
    ("skip", "Leave out"),
];

/// A column with what it may hold.
struct Column {
    heading: String,
    options: Vec<(String, String, bool)>,
}

struct Past {
    view: ImportView,
    state: Badge,
    /// While it runs.
    percent: Option<u64>,
    /// Whose it is, shown to admins where it is not their own.
    owner: Option<String>,
    can_cancel: bool,
}

/// How the latest imports get on.
#[derive(Template)]
#[template(path = "parts/imports.html")]
struct Part {
    past: Vec<Past>,
}

#[derive(Template)]
#[template(path = "contact_import.html")]
struct ImportPage {
    shell: Shell,
    action: &'static str,
    is_contacts: bool,
    trouble: Option<String>,
    columns: Vec<Column>,
    report: Option<ReportView>,
    part: Part,
}

/// Choices for a column: what it was taken for is chosen.
fn column(heading: String, holds: &str) -> Column {
    let chosen = |value: &str| value == holds;
    let mut options: Vec<(String, String, bool)> =
        HOLDS.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned(), chosen(value))).collect();
    let own = if holds.starts_with("field:") {
        holds.to_owned()
    } else {
        sanasend_model::contact_file::Column::guess(&format!("field:{}", field_name(&heading))).text()
    };
    if let Some(name) = own.strip_prefix("field:") {
        options.push((own.clone(), format!("Own field “{name}”"), chosen(&own)));
    }
    Column { heading, options }
}

/// A heading as the name of a field.
fn field_name(heading: &str) -> String {
    sanasend_model::words::folded(heading).replace(' ', "_")
}

async fn page_of(
    app: &App,
    visitor: &Visitor,
    kind: ImportKind,
    report: Option<ReportView>,
    trouble: Option<String>,
) -> Result<ImportPage, Trouble> {
    let is_contacts = kind == ImportKind::Contacts;
    let columns = report.iter().flat_map(|report| &report.columns).map(|found| column(found.heading.clone(), &found.holds)).collect();
    Ok(ImportPage {
        shell: visitor.shell(if is_contacts { "Import contacts" } else { "Import a list of opt-outs" }, "contacts"),
        action: if is_contacts { "/admin/contacts/import/" } else { "/admin/opt-outs/import/" },
        is_contacts,
        trouble,
        columns,
        report,
        part: Part::of(app, visitor).await?,
    })
}

impl Part {
    async fn of(app: &App, visitor: &Visitor) -> Result<Self, ApiError> {
        let listed = app.store.list_imports(only_own(visitor), Paging { page: 1, page_size: LISTED }).await?.results;
        let owners = names(app, visitor, listed.iter().map(|import| import.user_id)).await?;
        let me = visitor.caller.id();
        let owner = |import: &Import| owners.get(&import.user_id).filter(|_| import.user_id != me).cloned();
        Ok(Self { past: listed.into_iter().map(|import| Past::of(owner(&import), import)).collect() })
    }
}

impl Past {
    fn of(owner: Option<String>, import: Import) -> Self {
        let can_cancel = !import.state.is_over();
        let view = ImportView::from(import);
        let state = match view.state {
            "receiving" => Badge::warn("being handed in"),
            "running" => Badge::warn("running"),
            "done" => Badge::good("done"),
            "canceled" => Badge::plain("canceled"),
            _ => Badge::bad("broke off"),
        };
        let percent = view.total_bytes.filter(|total| *total > 0 && view.state == "running");
        let percent = percent.map(|total| (view.read_bytes.saturating_mul(100) / total).min(100));
        Self { view, state, percent, owner, can_cancel }
    }
}

/// The latest imports, live.
pub async fn follow(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let (seen, looker) = (app.clone(), visitor.clone());
    let make: Make = Box::new(move || {
        let (app, visitor) = (seen.clone(), looker.clone());
        Box::pin(async move { Part::of(&app, &visitor).await.ok()?.render().ok() })
    });
    Ok(live::follow(app, visitor, make)?)
}

/// An import, and the caller that its handlers are given.
async fn find(app: &App, visitor: &Visitor, id: ImportId) -> Result<(Import, Caller), ApiError> {
    let import = app.store.import(None, id).await?.ok_or_else(ApiError::not_found)?;
    let caller = acting_for(app, visitor, import.user_id).await?;
    Ok((import, caller))
}

/// Ends one.
pub async fn end(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ImportId>) -> Page {
    let (import, caller) = find(&app, &visitor, id).await?;
    let back = if import.kind == ImportKind::Contacts { "/admin/contacts/import/" } else { "/admin/opt-outs/import/" };
    match cancel(&app, &caller, id).await {
        Ok(()) => Ok(visitor.done(back, "The import was canceled; what was read before is in.")),
        Err(refusal) if refusal.code == ErrorCode::WrongState => Ok(visitor.refused(back, &refusal.message)),
        Err(refusal) => Err(refusal.into()),
    }
}

/// The lines of one that were refused, as a file.
pub async fn faults(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ImportId>) -> Page {
    find(&app, &visitor, id).await?;
    Ok(faults_file(app.store.clone(), id))
}

/// Shows the form.
pub async fn ask(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    page(&page_of(&app, &visitor, ImportKind::Contacts, None, None).await?)
}

/// Looks at a file, or takes it in.
pub async fn run(State(app): State<Arc<App>>, visitor: Visitor, request: Request) -> Page {
    take(&app, &visitor, ImportKind::Contacts, request).await
}

/// Shows the form for a list of opt-outs.
pub async fn ask_opt_outs(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    page(&page_of(&app, &visitor, ImportKind::OptOuts, None, None).await?)
}

/// Looks at a list of opt-outs, or takes it in.
pub async fn run_opt_outs(State(app): State<Arc<App>>, visitor: Visitor, request: Request) -> Page {
    take(&app, &visitor, ImportKind::OptOuts, request).await
}

async fn take(app: &App, visitor: &Visitor, kind: ImportKind, request: Request) -> Page {
    match import_from_page(app, &visitor.caller, kind, request).await {
        Ok(report) => page(&page_of(app, visitor, kind, Some(report), None).await?),
        Err(refusal) if matches!(refusal.code.status().as_u16(), 400 | 413 | 415) => {
            let faults = refusal.errors.0.iter().map(|(field, messages)| format!("{field} {}", messages.join("; ")));
            let text = faults.reduce(|one, other| format!("{one}. {other}")).unwrap_or(refusal.message);
            with_status(StatusCode::BAD_REQUEST, &page_of(app, visitor, kind, None, Some(text)).await?)
        }
        Err(refusal) => Err(refusal.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_may_become_a_field_of_its_own_name() {
        let column = column("Kunden-Nr.".into(), "skip");
        let chosen: Vec<&str> = column.options.iter().filter(|(.., chosen)| *chosen).map(|(value, ..)| value.as_str()).collect();
        assert_eq!(chosen, ["skip"]);
        assert!(column.options.iter().any(|(value, ..)| value == "field:kunden_nr"));
        let taken = super::column("City".into(), "field:city");
        assert!(taken.options.iter().any(|(value, _, chosen)| value == "field:city" && *chosen));
    }
}
