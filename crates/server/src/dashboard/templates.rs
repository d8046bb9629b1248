//! Templates: the list, the editor with its preview, versions, putting away and deleting.

use super::confirm::Confirm;
use super::form::Form;
use super::list::{Asked, Pager};
use super::owner::{acting_for, asked_or_own, names};
use super::parts::{Badge, Empty, When};
use super::render::{Page, html_answer, page, with_status};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::templates::change::{DeleteTemplate, change, create as create_template, delete_template, uses_in_words};
use crate::http::v1::templates::preview::{PreviewView, show as show_preview};
use crate::http::v1::templates::view::{PartOfTemplate, TemplateView, WantedMedia, WantedTemplate};
use crate::http::{ApiError, Caller, ErrorCode, Path, Query};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::StatusCode;
use sanasend_model::{FieldErrors, TemplateId};
use sanasend_store::TemplateFilter;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the list can be narrowed to.
pub const SHELVES: &[(&str, &str)] = &[("", "In use"), ("archived", "Archived")];
/// As what a file is sent.
pub const FILES: &[(&str, &str)] = &[
    ("", "No other file"),
    ("image", "A picture"),
    ("video", "A film"),
    ("document", "A document"),
    ("audio", "Sound"),
    ("voice_note", "A voice note"),
];
/// How a template is written, in a sentence.
pub const SYNTAX: &str = "A value is {{name}}, with a default {{name|there}}, in a format {{amount:money}}; {{#name}}..{{/name}} is there only when the value is.";
/// Versions that are shown.
const VERSIONS: u64 = 25;

struct Line {
    id: String,
    owner: Option<String>,
    name: String,
    language: String,
    excerpt: String,
    kind: &'static str,
    version: i32,
    changed: When,
}

#[derive(Template)]
#[template(path = "templates.html")]
struct ListPage {
    shell: Shell,
    filters: Form,
    is_admin: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

#[derive(Template)]
#[template(path = "template_form.html")]
struct FormPage {
    shell: Shell,
    form: Form,
    preview: Preview,
    action: String,
    back: String,
    button: &'static str,
}

/// What a source looks like with sample values, or what is wrong with it.
#[derive(Template)]
#[template(path = "parts/template_preview.html")]
struct Preview {
    shown: Option<PreviewView>,
    problems: Vec<String>,
}

impl HtmlSafe for Preview {}

struct Version {
    number: i32,
    content: String,
    made: When,
}

#[derive(Template)]
#[template(path = "template.html")]
struct OnePage {
    shell: Shell,
    owner: Option<(String, String)>,
    view: TemplateView,
    standing: Badge,
    versions: Vec<Version>,
    preview: Preview,
    changed: When,
}

/// Shows the list.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let archived = asked.one_of("shelf", SHELVES)? == "archived";
    let filter = TemplateFilter {
        user_id: asked_or_own(&visitor, &asked)?,
        is_archived: Some(archived),
        language: None,
        search: asked.some("search"),
    };
    let listed = app.store.list_templates(&filter, asked.page()).await?;
    let owners = names(&app, &visitor, listed.results.iter().map(|template| template.user_id)).await?;
    let pager = asked.pager(&listed);
    let lines = listed.results.into_iter().map(|template| Line {
        id: template.id.to_string(),
        owner: owners.get(&template.user_id).cloned(),
        kind: template.present.media.as_ref().map_or("text", |(media, _)| media.kind.as_str()),
        excerpt: template.present.content.chars().take(120).collect(),
        version: template.present.version,
        name: template.name,
        language: template.language,
        changed: When(template.updated_at),
    });
    let text = "Write a message once, with places for names, orders and dates, and send it by its name.";
    let empty = Empty { title: "No template here", text, href: "/admin/templates/new/".into(), action: "Write a template" };
    let filters = asked.kept(["search", "shelf", "user"]);
    let (shell, is_admin) = (visitor.shell("Templates", "templates"), visitor.is_admin());
    page(&ListPage { shell, filters, is_admin, lines: lines.collect(), pager, empty })
}

/// Values as they are written in a box: one per line, `name: value`.
fn sample(text: &str) -> BTreeMap<String, Value> {
    let pairs = text.lines().filter_map(|line| line.split_once([':', '=']));
    pairs.map(|(name, value)| (name.trim().to_owned(), Value::from(value.trim()))).collect()
}

/// Browsers send line ends as in letters of old.
fn words(form: &Form, name: &str) -> String {
    form.text(name).replace("\r\n", "\n")
}

fn preview_of(content: &str, language: &str, samples: &str) -> Preview {
    let told = |errors: FieldErrors| -> Vec<String> {
        errors.0.into_iter().flat_map(|(field, messages)| messages.into_iter().map(move |why| format!("{field} {why}"))).collect()
    };
    match show_preview(content, language, sample(samples)) {
        Ok(shown) => {
            let problems = told(FieldErrors(shown.problems.clone()));
            Preview { shown: Some(shown), problems }
        }
        Err(errors) => Preview { shown: None, problems: told(errors) },
    }
}

/// What is entered, as it would be sent: a part of the page, asked for by the script.
pub async fn preview(_: Visitor, form: Form) -> Page {
    let part = preview_of(&words(&form, "content"), form.text("language"), &words(&form, "sample"));
    Ok(html_answer(StatusCode::OK, part.render().map_err(ApiError::internal)?))
}

fn form_page(visitor: &Visitor, form: Form, id: Option<TemplateId>) -> FormPage {
    let preview = preview_of(&words(&form, "content"), form.text("language"), &words(&form, "sample"));
    let (title, action, back, button) = match id {
        None => ("Write a template", "/admin/templates/new/".into(), "/admin/templates/".into(), "Save the template"),
        Some(id) => {
            ("Change the template", format!("/admin/templates/{id}/edit/"), format!("/admin/templates/{id}/"), "Save as a new version")
        }
    };
    FormPage { shell: visitor.shell(title, "templates"), form, preview, action, back, button }
}

/// Shows the editor of a new one.
pub async fn ask_new(visitor: Visitor) -> Page {
    let form = Form::of([
        ("language", "en".into()),
        ("content", "Hi {{name|there}}, your order {{order}} is ready.".into()),
        ("sample", "name: Ada\norder: 17".into()),
    ]);
    page(&form_page(&visitor, form, None))
}

fn media(form: &Form) -> Option<WantedMedia> {
    let media_type = form.some("media_type")?;
    Some(WantedMedia { media_type, media_url: form.some("media_url"), media_base64: None, filename: None })
}

/// Makes one.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, form: Form) -> Page {
    let wanted = WantedTemplate {
        name: form.text("name").trim().to_owned(),
        language: form.text("language").trim().to_owned(),
        content: words(&form, "content"),
        media: media(&form),
    };
    match create_template(&app, &visitor.caller, wanted).await {
        Ok(answer) => {
            let said = answer.body().message.clone();
            Ok(visitor.done(&format!("/admin/templates/{}/", answer.into_data().id), &said))
        }
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &form_page(&visitor, form, None))
        }
    }
}

/// A template, and the caller that its handlers are given.
async fn find(app: &App, visitor: &Visitor, id: TemplateId) -> Result<(TemplateView, Caller), ApiError> {
    let template = app.store.template(id).await?.ok_or_else(ApiError::not_found)?;
    let caller = acting_for(app, visitor, template.user_id).await?;
    Ok((template.into(), caller))
}

/// Shows one with its versions.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<TemplateId>) -> Page {
    let (view, caller) = find(&app, &visitor, id).await?;
    let paging = sanasend_store::Page { page: 1, page_size: VERSIONS };
    let versions = app.store.list_template_versions(id, paging).await?.results.into_iter();
    let versions = versions.map(|version| Version { number: version.version, content: version.content, made: When(version.created_at) });
    page(&OnePage {
        shell: visitor.shell(view.name.clone(), "templates"),
        owner: visitor.is_admin().then(|| (caller.user.id.to_string(), caller.user.username.clone())),
        standing: if view.is_archived { Badge::plain("archived") } else { Badge::good("in use") },
        // That values are missing is no fault here.
        preview: Preview { problems: Vec::new(), ..preview_of(&view.present.content, &view.language, "") },
        versions: versions.collect(),
        changed: When(view.updated_at),
        view,
    })
}

/// Shows the editor of one.
pub async fn ask_edit(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<TemplateId>) -> Page {
    let (view, _) = find(&app, &visitor, id).await?;
    let samples: Vec<String> = view.present.variables.iter().map(|variable| format!("{}: ", variable.name)).collect();
    let form =
        Form::of([("name", view.name), ("language", view.language), ("content", view.present.content), ("sample", samples.join("\n"))]);
    page(&form_page(&visitor, form, Some(id)))
}

/// Changes one.
pub async fn edit(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<TemplateId>, form: Form) -> Page {
    let part = PartOfTemplate {
        name: Some(form.text("name").trim().to_owned()),
        language: Some(form.text("language").trim().to_owned()),
        content: Some(words(&form, "content")),
        media: media(&form).map(Some),
        is_archived: None,
    };
    let (_, caller) = find(&app, &visitor, id).await?;
    match change(&app, &caller, id, part).await {
        Ok(answer) => Ok(visitor.done(&format!("/admin/templates/{id}/"), &answer.body().message)),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &form_page(&visitor, form, Some(id)))
        }
    }
}

/// Puts one away, or takes it out again.
pub async fn shelve(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<TemplateId>, form: Form) -> Page {
    let part = PartOfTemplate { is_archived: Some(form.is_on("archived")), ..PartOfTemplate::default() };
    let (_, caller) = find(&app, &visitor, id).await?;
    let answer = change(&app, &caller, id, part).await?;
    Ok(visitor.done(&format!("/admin/templates/{id}/"), &answer.body().message))
}

/// Asks before one is deleted.
pub async fn ask_delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<TemplateId>) -> Page {
    let (view, _) = find(&app, &visitor, id).await?;
    let uses = uses_in_words(&app.store.template_uses(id).await?);
    let mut text = vec![format!("{} ({}) goes with all its versions. Messages that were sent with it stay.", view.name, view.language)];
    if !uses.is_empty() {
        text.push(format!("It is in use, and this will fail without it: {}.", uses.join(", ")));
    }
    Confirm {
        shell: visitor.shell("Delete the template?", "templates"),
        text,
        action: format!("/admin/templates/{id}/delete/"),
        button: "Delete the template",
        is_grave: true,
        back: format!("/admin/templates/{id}/"),
        // Only what was shown is agreed to.
        hidden: if uses.is_empty() { Vec::new() } else { vec![("force", "on".to_owned())] },
        fields: Vec::new(),
    }
    .show()
}

/// Deletes one.
pub async fn delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<TemplateId>, form: Form) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    let asked = DeleteTemplate { force: Some(form.is_on("force")) };
    match delete_template(State(app), caller, Path(id), Query(asked)).await {
        Ok(answer) => Ok(visitor.done("/admin/templates/", &answer.body().message)),
        Err(refusal) if refusal.code == ErrorCode::TemplateInUse => {
            Ok(visitor.refused(&format!("/admin/templates/{id}/"), "Meanwhile something uses it; look again before you delete it."))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_values_are_read_line_by_line() {
        let read = sample("name: Ada\n\nwhen=2026-11-07\nno value\nurl: https://x.example");
        assert_eq!(read.keys().map(String::as_str).collect::<Vec<_>>(), ["name", "url", "when"]);
        assert_eq!(read["url"], Value::from("https://x.example"));
    }

    #[test]
    fn a_preview_shows_words_as_words() {
        let part = preview_of("<b>{{name}}</b>", "en", "name: <script>").render().expect("HTML");
        assert!(!part.contains("<script>") && !part.contains("<b>&"), "{part}");
        assert!(preview_of("{{name", "en", "").shown.is_none());
    }
}
