//! Campaigns: the list, making one of a file, and one of them live with what became of its recipients.

use super::chart::{Chart, Place, Series};
use super::confirm::Confirm;
use super::form::Form;
use super::list::{Asked, Pager};
use super::live::{self, Make};
use super::once::Once;
use super::owner::{acting_for, asked_or_own, names};
use super::parts::{Badge, Empty, Told, When, grouped};
use super::render::{Page, page, with_status};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::campaigns::change::{change, delete_campaign, try_out};
use crate::http::v1::campaigns::form::{Fields, asked_by, read_fields};
use crate::http::v1::campaigns::view::{CampaignRecipientView, CampaignReport, CampaignView, DryRun};
use crate::http::v1::campaigns::{make, read};
use crate::http::{ApiError, Caller, ErrorCode, Path, csv};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Request, State};
use sanasend_model::campaign::CampaignWish;
use sanasend_model::{CampaignId, CampaignState, RecipientState};
use sanasend_store::{Campaign, CampaignFilter, Page as Paging, RecipientFilter, SessionFilter};
use std::sync::Arc;

/// Accounts offered to send with.
const MOST_ACCOUNTS: u64 = 100;
const PATH: &str = "POST /admin/campaigns/new/";
/// What the list can be narrowed to.
const STATES: &[(&str, &str)] = &[
    ("", "Any state"),
    ("draft", "Draft"),
    ("running", "Running"),
    ("paused", "Paused"),
    ("stopped", "Stopped"),
    ("finished", "Finished"),
    ("canceled", "Canceled"),
];
/// What recipients can be narrowed to.
const RECIPIENTS: &[(&str, &str)] = &[("", "All"), ("planned", "Planned"), ("accepted", "Accepted"), ("skipped", "Skipped")];
/// Whether one waits where it is night.
const NIGHTS: &[(&str, &str)] = &[("", "As set in Quiet hours"), ("true", "Wait where it is night"), ("false", "Send at night too")];
const PACES: &[(&str, &str)] = &[("default", "As this server is set"), ("none", "None (sandbox accounts only)")];
const FUNNEL: [Series; 1] = [Series { name: "Recipients", tone: "good" }];

struct Line {
    view: CampaignView,
    owner: Option<String>,
    state: Badge,
    since: When,
}

#[derive(Template)]
#[template(path = "campaigns.html")]
struct ListPage {
    shell: Shell,
    filters: Form,
    is_admin: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

/// An account, or all of them, to send with.
struct Account {
    value: String,
    label: String,
}

#[derive(Template)]
#[template(path = "campaign_new.html")]
struct NewPage {
    shell: Shell,
    form: Form,
    once: Once,
    accounts: Vec<Account>,
}

/// How a campaign stands, as it is kept up to date.
#[derive(Template)]
#[template(path = "parts/campaign.html")]
struct Part {
    report: CampaignReport,
    accounts: Vec<(String, String, String)>,
    state: Badge,
    chart: Chart,
    can: Can,
}

impl HtmlSafe for Part {}

/// What may be done with it now.
struct Can(CampaignState);

impl Can {
    fn start(&self) -> bool {
        self.0.after(CampaignWish::Start).is_some()
    }

    fn pause(&self) -> bool {
        self.0.after(CampaignWish::Pause).is_some()
    }

    fn resume(&self) -> bool {
        self.0.after(CampaignWish::Resume).is_some()
    }

    fn cancel(&self) -> bool {
        self.0.after(CampaignWish::Cancel).is_some()
    }
}

#[derive(Template)]
#[template(path = "campaign.html")]
struct CampaignPage {
    shell: Shell,
    owner: Option<(String, String)>,
    id: String,
    view: CampaignView,
    part: Part,
    outlook: Option<DryRun>,
    filters: Form,
    rows: Vec<CampaignRecipientView>,
    pager: Pager,
}

impl CampaignPage {
    /// The size of its file.
    fn size(&self) -> String {
        self.view.media.as_ref().map_or_else(String::new, |media| grouped(i64::try_from(media.size).unwrap_or(i64::MAX)))
    }

    /// What it does where it is night.
    fn nights(&self) -> &'static str {
        match self.view.quiet_hours {
            Some(true) => "it waits where it is night",
            Some(false) => "it sends at night too",
            None => "as its owner has set them",
        }
    }
}

/// The state as a word with a colour.
fn badge(state: CampaignState) -> Badge {
    match state {
        CampaignState::Running => Badge::good("running"),
        CampaignState::Finished => Badge::good("finished"),
        CampaignState::Stopped => Badge::bad("stopped"),
        CampaignState::Paused => Badge::warn("paused"),
        CampaignState::Planning | CampaignState::Draft | CampaignState::Canceled => Badge::plain(state.as_str()),
    }
}

/// Shows the list.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let state = asked.read::<CampaignState>("state")?;
    let filter = CampaignFilter { user_id: asked_or_own(&visitor, &asked)?, state, search: asked.some("search") };
    let listed = app.store.list_campaigns(&filter, asked.page()).await?;
    let owners = names(&app, &visitor, listed.results.iter().map(|campaign| campaign.user_id)).await?;
    let pager = asked.pager(&listed);
    let line = |campaign: Campaign| Line {
        owner: owners.get(&campaign.user_id).cloned(),
        state: badge(campaign.state),
        since: When(campaign.created_at),
        view: campaign.into(),
    };
    let empty = if asked.is_narrowed() {
        Empty { title: "No campaign fits", text: "Ask for less.", href: "/admin/campaigns/".into(), action: "Show all" }
    } else {
        let text = "Send one message to many people, each with values of their own, paced so that your accounts stay well.";
        Empty { title: "No campaign yet", text, href: "/admin/campaigns/new/".into(), action: "Make a campaign" }
    };
    page(&ListPage {
        shell: visitor.shell("Campaigns", "campaigns"),
        filters: asked.kept(["search", "state", "user"]),
        is_admin: visitor.is_admin(),
        lines: listed.results.into_iter().map(line).collect(),
        pager,
        empty,
    })
}

async fn new_page(app: &App, visitor: &Visitor, (form, once): (Form, Once)) -> Result<NewPage, ApiError> {
    let filter = SessionFilter { user_id: Some(visitor.caller.id()), ..SessionFilter::default() };
    let listed = app.store.list_sessions(&filter, Paging { page: 1, page_size: MOST_ACCOUNTS }).await?;
    let linked: Vec<_> = listed.results.into_iter().filter(|row| row.linked).collect();
    let mut accounts: Vec<Account> = Vec::with_capacity(linked.len() + 1);
    if linked.len() > 1 {
        let all: Vec<String> = linked.iter().map(|row| row.id.to_string()).collect();
        accounts.push(Account { value: all.join(","), label: format!("All {} accounts, sharing the work", linked.len()) });
    }
    accounts.extend(linked.into_iter().map(|row| {
        let number = row.phone.as_ref().map(|phone| format!(", {phone}")).unwrap_or_default();
        Account { value: row.id.to_string(), label: format!("{}{number} ({})", row.name, row.status.as_str()) }
    }));
    Ok(NewPage { shell: visitor.shell("Make a campaign", "campaigns"), form, once, accounts })
}

/// Shows the form of a new one.
pub async fn ask_new(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let form = Form::of([("pacing", "default".to_owned())]);
    page(&new_page(&app, &visitor, (form, Once::new(&app))).await?)
}

/// What was entered, to be shown again.
fn entered(fields: &Fields) -> Form {
    let kept = |text: &Option<String>| text.clone().unwrap_or_default();
    let pacing = fields.pacing.clone().unwrap_or_else(|| "default".to_owned());
    Form::of([
        ("name", kept(&fields.name)),
        ("content", kept(&fields.content)),
        ("sessions", kept(&fields.sessions)),
        ("pacing", pacing),
        ("media_type", kept(&fields.media_type)),
        ("quiet_hours", kept(&fields.quiet_hours)),
    ])
}

/// What is wrong with the file for everybody is said beside it.
fn beside_the_file(refusal: ApiError) -> ApiError {
    if !refusal.code.as_str().starts_with("MEDIA_") {
        return refusal;
    }
    let said = refusal.message.clone();
    refusal.with_field("media_file", said)
}

/// Makes one as a draft, and leads to it.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, once: Once, request: Request) -> Page {
    let mut fields = Fields::default();
    let read = read_fields(&app, request, &mut fields).await;
    // Browsers send line ends as in letters of old, and a file without name and bytes where none was chosen.
    fields.content = fields.content.take().map(|text| text.replace("\r\n", "\n"));
    fields.media_file = fields.media_file.take().filter(|file| file.name.as_deref().is_some_and(|name| !name.is_empty()));
    let entered = entered(&fields);
    let made = match read.and_then(|()| asked_by(PATH, fields)) {
        Ok(asked) => make::make(&app, &visitor.caller, asked, once.key()).await,
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok((campaign, _)) => {
            let to = format!("/admin/campaigns/{}/", campaign.id);
            Ok(visitor.done(&to, "The campaign was made. Look at it, and start it when it is right."))
        }
        // Sent twice while a long list is still taken in: the first goes on.
        Err(refusal) if refusal.code == ErrorCode::WrongState => Ok(visitor.done("/admin/campaigns/", &refusal.message)),
        Err(refusal) => {
            let entered = once.refused(&app, entered, beside_the_file(refusal))?;
            with_status(entered.0.status(), &new_page(&app, &visitor, entered).await?)
        }
    }
}

/// A campaign, and the caller that its handlers are given.
async fn find(app: &App, visitor: &Visitor, id: CampaignId) -> Result<(Campaign, Caller), ApiError> {
    let campaign = app.store.campaign(id).await?.ok_or_else(ApiError::not_found)?;
    let caller = acting_for(app, visitor, campaign.user_id).await?;
    Ok((campaign, caller))
}

impl Part {
    async fn of(app: &App, campaign: Campaign) -> Result<Self, ApiError> {
        let state = campaign.state;
        let report = read::report(app, campaign).await?;
        let mut accounts = Vec::with_capacity(report.accounts.len());
        for one in &report.accounts {
            let name = app.store.session(one.session).await?.map_or_else(|| "a deleted account".to_owned(), |session| session.name);
            let did = format!("{} accepted, {} failed, {} answered", one.accepted, one.failed, one.replied);
            let left = one.left_why.as_ref().map(|why| format!("left the campaign: {why}")).unwrap_or_default();
            accounts.push((name, did, left));
        }
        Ok(Self { accounts, state: badge(state), chart: funnel(&report), can: Can(state), report })
    }

    fn tiles(&self) -> [(&'static str, String); 6] {
        let (view, outcomes) = (&self.report.view, &self.report.outcomes);
        let count = |number: u64| grouped(i64::try_from(number).unwrap_or(i64::MAX));
        [
            ("Recipients", count(view.total)),
            ("Accepted", count(view.accepted)),
            ("Delivered", count(self.report.funnel.delivered)),
            ("Failed", count(outcomes.failed)),
            ("Skipped", count(view.skipped)),
            ("Left", count(view.left)),
        ]
    }

    fn done(&self) -> u64 {
        self.report.view.accepted + self.report.view.skipped
    }
}

fn funnel(report: &CampaignReport) -> Chart {
    let funnel = &report.funnel;
    let steps = [
        ("Accepted", funnel.accepted),
        ("Sent", funnel.sent),
        ("Delivered", funnel.delivered),
        ("Read", funnel.read),
        ("Answered", funnel.replied),
    ];
    let place = |(label, count): (&str, u64)| Place {
        label: label.to_owned(),
        values: vec![Some(f64::from(u32::try_from(count).unwrap_or(u32::MAX)))],
    };
    Chart::bars("How far messages came", &FUNNEL, steps.into_iter().map(place).collect())
}

/// Shows one.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>, asked: Asked) -> Page {
    let (campaign, caller) = find(&app, &visitor, id).await?;
    let owner = visitor.is_admin().then(|| (caller.user.id.to_string(), caller.user.username.clone()));
    let state = asked.read::<RecipientState>("state")?;
    let listed = app.store.list_recipients(id, &RecipientFilter { state, after: 0 }, asked.page()).await?;
    let pager = asked.pager(&listed);
    // Before it begins it is told what it would do; afterwards what it does.
    let outlook = if campaign.state == CampaignState::Draft { Some(try_out(&app, &caller, id).await?) } else { None };
    page(&CampaignPage {
        shell: visitor.shell(campaign.name.clone(), "campaigns"),
        owner,
        id: id.to_string(),
        view: campaign.clone().into(),
        part: Part::of(&app, campaign).await?,
        outlook,
        filters: asked.kept(["state"]),
        rows: listed.results.into_iter().map(CampaignRecipientView::from).collect(),
        pager,
    })
}

/// One, live.
pub async fn follow(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    find(&app, &visitor, id).await?;
    let seen = app.clone();
    let make: Make = Box::new(move || {
        let app = seen.clone();
        Box::pin(async move {
            let campaign = app.store.campaign(id).await.ok().flatten()?;
            Part::of(&app, campaign).await.ok()?.render().ok()
        })
    });
    Ok(live::follow_events(app, visitor, make)?)
}

async fn act(app: &App, visitor: &Visitor, id: CampaignId, wish: CampaignWish) -> Page {
    let (_, caller) = find(app, visitor, id).await?;
    let back = format!("/admin/campaigns/{id}/");
    let changed = change(app, &caller, id, wish).await;
    match changed {
        Ok(answer) => Ok(visitor.done(&back, &answer.body().message)),
        // A button that was pressed twice finds done what it wants.
        Err(refusal) if refusal.code == ErrorCode::WrongState && is_so(app, id, wish).await? => {
            Ok(visitor.done(&back, "It is so already; nothing was done twice."))
        }
        Err(refusal) if refusal.code == ErrorCode::WrongState => Ok(visitor.refused(&back, &refusal.message)),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Whether a campaign stands as a wish would make it.
async fn is_so(app: &App, id: CampaignId, wish: CampaignWish) -> Result<bool, ApiError> {
    let state = app.store.campaign(id).await?.map(|campaign| campaign.state);
    let wanted = match wish {
        CampaignWish::Start | CampaignWish::Resume => CampaignState::Running,
        CampaignWish::Pause => CampaignState::Paused,
        CampaignWish::Cancel => CampaignState::Canceled,
    };
    Ok(state == Some(wanted))
}

/// Starts one.
pub async fn start(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    act(&app, &visitor, id, CampaignWish::Start).await
}

/// Holds one.
pub async fn pause(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    act(&app, &visitor, id, CampaignWish::Pause).await
}

/// Goes on with one.
pub async fn resume(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    act(&app, &visitor, id, CampaignWish::Resume).await
}

/// Asks before one is ended.
pub async fn ask_cancel(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    let (campaign, _) = find(&app, &visitor, id).await?;
    confirm(
        &visitor,
        id,
        format!("Cancel {}?", campaign.name),
        "cancel",
        "Cancel the campaign",
        vec![
            format!("The {} recipients that are left get no message, for ever.", campaign.left()),
            "Messages that were accepted go on.".into(),
        ],
    )
}

/// Ends one.
pub async fn cancel(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    act(&app, &visitor, id, CampaignWish::Cancel).await
}

/// Asks before one is deleted.
pub async fn ask_delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    let (campaign, _) = find(&app, &visitor, id).await?;
    let text = vec!["The campaign goes with its list of recipients. Its messages stay.".into()];
    confirm(&visitor, id, format!("Delete {}?", campaign.name), "delete", "Delete the campaign", text)
}

fn confirm(visitor: &Visitor, id: CampaignId, title: String, act: &str, button: &'static str, text: Vec<String>) -> Page {
    Confirm {
        shell: visitor.shell(title, "campaigns"),
        text,
        action: format!("/admin/campaigns/{id}/{act}/"),
        button,
        is_grave: true,
        back: format!("/admin/campaigns/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Deletes one.
pub async fn delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    match delete_campaign(State(app), caller, Path(id)).await {
        Ok(answer) => Ok(visitor.done("/admin/campaigns/", &answer.body().message)),
        Err(refusal) if refusal.code == ErrorCode::WrongState => Ok(visitor.refused(&format!("/admin/campaigns/{id}/"), &refusal.message)),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Every recipient as a file.
pub async fn report(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<CampaignId>) -> Page {
    find(&app, &visitor, id).await?;
    Ok(csv::answer("campaign", read::lines(app.store.clone(), id)))
}
