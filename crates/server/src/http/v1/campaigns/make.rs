//! Making a campaign, or only trying out what it would do.

use super::ask::{Asked, CampaignForm, Source, WantedCampaign, read};
use super::view::{CampaignView, DryRun};
use crate::app::App;
use crate::campaigns::content::{CampaignContent, Form, FromTemplate};
use crate::campaigns::outlook::Audience;
use crate::campaigns::pace::Pacing;
use crate::campaigns::plan::{Listed, Planner, Tally};
use crate::campaigns::{campaign_hours, table};
use crate::http::v1::messages::asked::{SentKey, idempotency_key};
use crate::http::v1::messages::choose::choose_linked;
use crate::http::v1::messages::send_media::REFUSED_FILES;
use crate::http::v1::templates;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Query, Success};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use sanasend_model::campaign::{CampaignWish, LONGEST_NAME};
use sanasend_model::{CampaignId, CampaignState, FieldErrors, Invalid, Jid, Media, MediaKind, Network, SessionId, UserId};
use sanasend_store::{
    Campaign, CampaignChanged, CampaignMade, Contact, ContactCursor, ContactFilter, NewCampaign, NewMedia, NewRecipient, Store,
    TemplateVersion,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::IntoParams;

const PATH: &str = "POST /api/v1/campaigns/";
const BULK: &str = "POST /api/v1/messages/send-bulk/";
const CODES: [&[&str]; 2] = [&["SESSION_NOT_LINKED", "NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "WRONG_STATE", "BAD_REQUEST"], REFUSED_FILES];
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Most accounts that one campaign names; each is looked up.
const MOST_ACCOUNTS: usize = 10_000;
/// Lines that are looked at before others get their turn.
const BUNCH: usize = 500;

/// How to make a campaign.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MakeQuery {
    /// `true`: make nothing, and answer who would be skipped and when it would end.
    #[param(example = false)]
    pub(crate) dry_run: Option<bool>,
}

/// What was checked before the recipients are looked at.
struct Sound {
    name: String,
    content: CampaignContent,
    form: Form,
    media: Option<(Media, NewMedia)>,
    pacing: Pacing,
    accounts: Vec<SessionId>,
}

/// Create a campaign
///
/// One message for each of many people, with values of their own. As JSON with a list, or as a form with a CSV file of up to
/// 100,000 lines, and in `media_file` what everybody gets. It waits as a draft unless `start` is true. With `?dry_run=true`
/// nothing is made, and the answer says who would be skipped and why, and when it would end. With an `Idempotency-Key` the same
/// request makes one campaign: repeated, it is answered with the same status and that campaign as it is by then, whatever became
/// of accounts and templates.
#[utoipa::path(post, path = "/campaigns/", tag = "campaigns",
    params(MakeQuery, SentKey),
    request_body(content(
        (WantedCampaign = "application/json"),
        (CampaignForm = "multipart/form-data", example = json!({
            "name": "Opening hours", "content": "Hi {{name|there}}, we are open again.", "file": "(the bytes of people.csv)"})))),
    responses(
        (status = 201, description = "The campaign.", body = Success<CampaignView>),
        (status = 200, description = "What it would do, for a dry run.", body = Success<DryRun>)),
    extensions(("x-scope" = json!("campaigns:manage")), ("x-time-limit" = json!("media.request_seconds")),
        ("x-error-codes" = json!(CODES.concat()))))]
pub(crate) async fn create_campaign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<MakeQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let key = idempotency_key(request.headers())?;
    let asked = read(&app, &caller, PATH, request).await?;
    if query.dry_run == Some(true) {
        return Ok(Answer::ok("What the campaign would do.", dry_run(&app, &caller, asked).await?).into_response());
    }
    let (campaign, replayed) = make(&app, &caller, asked, key).await?;
    Ok(with_replay(Answer::created("The campaign was created.", CampaignView::from(campaign)).into_response(), replayed))
}

/// Send to many
///
/// Makes a campaign and starts it. It goes as fast as pacing allows; the answer holds its id, and `GET /campaigns/{id}/` how
/// it gets on.
#[utoipa::path(post, path = "/messages/send-bulk/", tag = "messages",
    params(SentKey),
    request_body(content(
        (WantedCampaign = "application/json"),
        (CampaignForm = "multipart/form-data", example = json!({
            "content": "Hi {{name|there}}, we are open again.", "file": "(the bytes of people.csv)"})))),
    responses((status = 202, description = "The campaign, which has begun.", body = Success<CampaignView>)),
    extensions(("x-scope" = json!("campaigns:manage")), ("x-time-limit" = json!("media.request_seconds")),
        ("x-error-codes" = json!(CODES.concat()))))]
pub(crate) async fn send_bulk(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, ApiError> {
    let key = idempotency_key(request.headers())?;
    let asked = Asked { start: true, ..read(&app, &caller, BULK, request).await? };
    let (campaign, replayed) = make(&app, &caller, asked, key).await?;
    Ok(with_replay(Answer::accepted("The campaign has begun.", CampaignView::from(campaign)).into_response(), replayed))
}

fn with_replay(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

async fn check(app: &App, caller: &Caller, asked: &mut Asked) -> Result<Sound, ApiError> {
    let mut errors = FieldErrors::default();
    let name = asked.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| format!("Campaign of {}", app.clock.now()), str::to_owned);
    if name.chars().count() > LONGEST_NAME {
        errors.push(Invalid::new("name", format!("must have at most {LONGEST_NAME} characters")));
    }
    let media = asked.media.take();
    let kind = media.as_ref().and_then(|media| media.kind(&mut errors));
    let text = asked.content.as_deref().filter(|text| !text.trim().is_empty());
    let says_something = text.is_some() || media.is_some();
    match (says_something, &asked.template) {
        (false, None) => errors.push(Invalid::new("content", "is required: a text, or `media`, or a saved `template`")),
        (true, Some(_)) => errors.push(Invalid::new("template", "can't be used together with `content` or `media`")),
        _ => {}
    }
    if media.is_some() {
        check_caption(text, kind, &mut errors);
    }
    let text = says_something.then(|| text.unwrap_or_default().to_owned());
    let written = text.map(|text| CampaignContent { text, language: asked.language.clone(), template: None });
    let form = written.as_ref().and_then(|content| errors.take(content.form()));
    let pacing = errors.take(Pacing::parse(asked.pacing.as_ref()));
    errors.into_result()?;
    let pacing = pacing.ok_or_else(|| ApiError::internal("a pacing that was refused and not named"))?;
    let (accounts, all_in_sandbox) = accounts(app, caller.id(), &asked.sessions).await?;
    pacing.check(&app.campaigns.settings().policy, all_in_sandbox)?;
    let (content, form, media) = match (written.zip(form), &asked.template) {
        (Some((content, form)), _) => {
            let kept = match media.zip(kind) {
                Some((media, kind)) => Some(media.keep(app, caller, kind).await?),
                None => None,
            };
            (content, form.with_file(kept.clone()), kept)
        }
        (None, Some(named)) => of_template(app, caller, named, asked.language.as_deref()).await?,
        (None, None) => return Err(ApiError::internal("a content that was refused and not named")),
    };
    Ok(Sound { name, content, form, media, pacing, accounts })
}

/// Beside some kinds of files there is no text.
fn check_caption(text: Option<&str>, kind: Option<MediaKind>, errors: &mut FieldErrors) {
    if let Some(kind) = kind.filter(|kind| text.is_some() && !kind.takes_caption()) {
        errors.push(Invalid::new("content", format!("is not possible: there is no text beside media of the type {kind}")));
    }
}

/// The content that a saved template is now, with its file.
async fn of_template(
    app: &App,
    caller: &Caller,
    named: &str,
    language: Option<&str>,
) -> Result<(CampaignContent, Form, Option<(Media, NewMedia)>), ApiError> {
    let saved = templates::choose(app, caller.id(), named, language).await?;
    if saved.is_archived {
        return Err(ApiError::because(ErrorCode::WrongState, "The template is archived; nothing is sent with it."));
    }
    let TemplateVersion { version, content: text, media, .. } = saved.present;
    let template = FromTemplate { id: saved.id, version, name: saved.name };
    let content = CampaignContent { text, language: Some(saved.language), template: Some(template) };
    let form = content.form()?.with_file(media.clone());
    Ok((content, form, media))
}

/// The accounts that are named, and whether all of them live in the sandbox.
async fn accounts(app: &App, user: UserId, named: &[String]) -> Result<(Vec<SessionId>, bool), ApiError> {
    if named.len() > MOST_ACCOUNTS {
        return Err(ApiError::field("sessions", format!("must name at most {MOST_ACCOUNTS} accounts")));
    }
    let mut accounts = Vec::with_capacity(named.len().max(1));
    let names: Vec<Option<&str>> = if named.is_empty() { vec![None] } else { named.iter().map(|name| Some(name.as_str())).collect() };
    for name in names {
        let id = choose_linked(app, user, name).await.map_err(|refused| match name {
            Some(_) if refused.code == ErrorCode::NotFound => refused.with_field("sessions", "names an account that you do not have"),
            _ => refused,
        })?;
        if !accounts.contains(&id.id) {
            accounts.push(id.id);
        }
    }
    let mut all_in_sandbox = true;
    for id in &accounts {
        let network = app.store.session(*id).await?.map(|session| session.network);
        all_in_sandbox &= network == Some(Network::Sandbox);
    }
    Ok((accounts, all_in_sandbox))
}

/// Recipients as they come, in bunches.
enum Lines {
    List(std::vec::IntoIter<Listed>),
    Contacts { store: Store, user: UserId, filter: Box<ContactFilter>, cursor: Option<ContactCursor>, is_over: bool },
    File(table::Table, #[expect(dead_code, reason = "the file goes with it")] crate::media::Staged),
}

impl Lines {
    fn of(app: &App, user: UserId, source: Source) -> Self {
        match source {
            Source::Contacts(filter) => Self::Contacts { store: app.store.clone(), user, filter, cursor: None, is_over: false },
            Source::List(listed) => Self::List(listed.into_iter()),
            Source::File { staged, column } => Self::File(table::Table::new(staged.scratch.path(), column), staged),
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<Listed>>, ApiError> {
        match self {
            Self::Contacts { is_over: true, .. } => Ok(None),
            Self::Contacts { store, user, filter, cursor, is_over } => {
                let (contacts, next) = store.list_contacts_after(*user, filter, cursor.as_ref(), BUNCH as u64).await?;
                *is_over = next.is_none();
                *cursor = next;
                Ok(Some(contacts.into_iter().filter_map(of_contact).collect()))
            }
            Self::List(rest) => {
                let bunch: Vec<Listed> = rest.take(BUNCH).collect();
                Ok(Some(bunch).filter(|bunch| !bunch.is_empty()))
            }
            Self::File(table, _) => Ok(table.next().await?),
        }
    }
}

/// A contact with its name and fields as values.
fn of_contact(contact: Contact) -> Option<Listed> {
    let id = contact.person.handles().into_iter().next()?;
    let mut values: Map<String, Value> = contact.fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    if !contact.name.is_empty() {
        values.entry("name").or_insert(Value::String(contact.name));
    }
    Some(Listed { recipient: id.to_string(), variables: Some(Value::Object(values)) })
}

/// Goes through all recipients; each bunch is planned on a thread that may think for a while.
async fn plan<F>(
    app: &App,
    caller: &Caller,
    form: Form,
    source: Source,
    mut each: impl FnMut(u64, Vec<NewRecipient>) -> F,
) -> Result<Planner, ApiError>
where
    F: Future<Output = Result<(), ApiError>>,
{
    let field = match source {
        Source::List(_) => "recipients",
        Source::Contacts(_) => "filter",
        Source::File { .. } => "file",
    };
    let most = app.campaigns.settings().most_recipients;
    let (mut planner, mut lines) = (Planner::new(form), Lines::of(app, caller.id(), source));
    while let Some(bunch) = lines.next().await? {
        let before = planner.total;
        if before + bunch.len() as u64 > most {
            return Err(ApiError::field(field, format!("holds more than {most} recipients; make several campaigns of it")));
        }
        let work = move || {
            let planned: Vec<NewRecipient> = bunch.into_iter().map(|line| planner.take(line)).collect();
            (planner, planned)
        };
        let planned;
        (planner, planned) = tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?;
        each(before, planned).await?;
    }
    if planner.total == 0 {
        return Err(ApiError::field(field, "must hold at least one recipient"));
    }
    Ok(planner)
}

async fn dry_run(app: &App, caller: &Caller, mut asked: Asked) -> Result<DryRun, ApiError> {
    let sound = check(app, caller, &mut asked).await?;
    let user = caller.id();
    // Whoever opted out is found in bunches, beside what the list itself tells.
    let seen = Arc::new(Mutex::new((Tally::default(), Audience::default())));
    let planner = plan(app, caller, sound.form, asked.source, |before, planned| {
        let (campaigns, seen) = (app.campaigns.clone(), seen.clone());
        async move {
            let open: Vec<(u64, NewRecipient)> = (before + 1..).zip(planned).filter(|(_, one)| one.skip.is_none()).collect();
            let jids: Vec<Option<Jid>> = open.iter().map(|(_, one)| Jid::parse(&one.recipient)).collect();
            let unwanted = campaigns.unwanted(user, &jids).await?;
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            for ((ordinal, one), unwanted) in open.into_iter().zip(unwanted) {
                match unwanted {
                    Some(why) => seen.0.note(ordinal, &one.recipient, why, None),
                    None => seen.1.add(&one.recipient),
                }
            }
            Ok(())
        }
    })
    .await?;
    let (late, audience) = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let policy = sound.pacing.policy(&app.campaigns.settings().policy);
    let hours = campaign_hours(asked.quiet_hours, caller.user.quiet_hours);
    let outlook = app.campaigns.outlook(&policy, &sound.accounts, &audience, hours).await?;
    let total = planner.total;
    Ok(DryRun::new(total, planner.tally.and(late), outlook))
}

/// Makes a campaign, and starts it where that is asked for; whether it was there before, by its key.
///
/// # Errors
/// What is wrong with the request; nothing was made then.
pub(crate) async fn make(app: &App, caller: &Caller, mut asked: Asked, key: Option<String>) -> Result<(Campaign, bool), ApiError> {
    let (start, fingerprint) = (asked.start, asked.fingerprint);
    if let Some(key) = &key
        && let Some((campaign, is_same)) = app.store.campaign_of_key(caller.id(), key, fingerprint).await?
    {
        if !is_same {
            return Err(ErrorCode::IdempotencyKeyReused.into());
        }
        // Before anything is checked: accounts and templates may have changed since, and where its file came from may be gone.
        if campaign.state != CampaignState::Planning {
            return Ok((begun(app, campaign, start).await?, true));
        }
    }
    let sound = check(app, caller, &mut asked).await?;
    let new = NewCampaign {
        id: CampaignId::new(&*app.clock),
        user_id: caller.id(),
        name: sound.name,
        content: serde_json::to_value(&sound.content).map_err(ApiError::internal)?,
        pacing: serde_json::to_value(&sound.pacing).map_err(ApiError::internal)?,
        quiet_hours: asked.quiet_hours,
        media: sound.media,
        accounts: sound.accounts,
        key: key.map(|key| (key, fingerprint)),
    };
    let id = match app.store.create_campaign(new).await? {
        CampaignMade::Done(campaign) => campaign.id,
        CampaignMade::Known(campaign) => return Ok((known(app, *campaign, start).await?, true)),
        CampaignMade::KeyReused => return Err(ErrorCode::IdempotencyKeyReused.into()),
    };
    let filled = fill(app, caller, id, sound.form, asked.source).await;
    if filled.is_err() {
        // What is left of it when this fails too is swept later.
        let _ = app.store.delete_campaign(id).await;
    }
    let campaign = filled?;
    Ok((begun(app, campaign, start).await?, false))
}

/// A campaign that the same request made before. It may have died between making and starting it.
async fn known(app: &App, campaign: Campaign, start: bool) -> Result<Campaign, ApiError> {
    if campaign.state == CampaignState::Planning {
        return Err(ApiError::because(ErrorCode::WrongState, "The campaign of this key is still being made; ask again in a while."));
    }
    begun(app, campaign, start).await
}

/// The campaign, started if that is wanted and it is a draft.
async fn begun(app: &App, campaign: Campaign, start: bool) -> Result<Campaign, ApiError> {
    if !start || campaign.state != CampaignState::Draft {
        return Ok(campaign);
    }
    match app.store.change_campaign(campaign.id, CampaignWish::Start).await? {
        CampaignChanged::Done(campaign) => Ok(*campaign),
        _ => Ok(campaign),
    }
}

async fn fill(app: &App, caller: &Caller, id: CampaignId, form: Form, source: Source) -> Result<Campaign, ApiError> {
    let store = app.store.clone();
    plan(app, caller, form, source, |before, planned| {
        let store = store.clone();
        async move { Ok(store.add_recipients(id, before, planned).await?) }
    })
    .await?;
    app.store.complete_campaign(id).await?.ok_or_else(ApiError::not_found)
}
