//! Importing a file: looked at first, then taken in. With scripts the file stays chosen between the two, and the page shows
//! how much of it was sent; without them it is chosen again.

use crate::app::App;
use crate::dashboard::parts::{Badge, Told};
use crate::dashboard::render::{Page, page, with_status};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::contacts::import::{ImportView, ReportView, import_from_page};
use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use sanasend_store::{ImportKind, Page as Paging};
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
    percent: Option<u64>,
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
    past: Vec<Past>,
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
    let past = app.store.list_imports(visitor.caller.id(), Paging { page: 1, page_size: LISTED }).await?;
    let past = past.results.into_iter().map(|import| {
        let view = ImportView::from(import);
        let state = match view.state {
            "running" => Badge::warn("running"),
            "done" => Badge::good("done"),
            _ => Badge::bad("broke off"),
        };
        let percent = view.total_bytes.filter(|total| *total > 0).map(|total| (view.read_bytes * 100 / total).min(100));
        Past { percent: percent.filter(|_| view.state == "running"), state, view }
    });
    let columns = report.iter().flat_map(|report| &report.columns).map(|found| column(found.heading.clone(), &found.holds)).collect();
    Ok(ImportPage {
        shell: visitor.shell(if is_contacts { "Import contacts" } else { "Import a list of opt-outs" }, "contacts"),
        action: if is_contacts { "/admin/contacts/import/" } else { "/admin/opt-outs/import/" },
        is_contacts,
        trouble,
        columns,
        report,
        past: past.collect(),
    })
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
