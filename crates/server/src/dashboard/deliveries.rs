//! One webhook endpoint with what was delivered there: look, test, post again.

use super::form::Form;
use super::list::{Asked, Pager};
use super::messages::{day, day_after};
use super::owner::names;
use super::parts::{Badge, Told};
use super::render::{Page, page};
use super::trouble::words;
use super::visitor::{Shell, Visitor};
use super::webhooks::{find, state};
use crate::app::App;
use crate::http::v1::webhooks::deliveries::get_delivery;
use crate::http::v1::webhooks::replay::{Only, ReplayWish, replay_delivery, replay_webhook, test_webhook};
use crate::http::v1::webhooks::view::{DeliveryDetail, DeliveryView, WebhookView};
use crate::http::{ApiError, ErrorCode, Json, Path};
use askama::Template;
use axum::extract::State;
use sanasend_model::webhook::DeliveryState;
use sanasend_model::{DeliveryId, WebhookId};
use sanasend_store::DeliveryFilter;
use std::sync::Arc;

/// What the list can be narrowed to.
const STATES: &[(&str, &str)] = &[("", "Any state"), ("pending", "Pending"), ("succeeded", "Succeeded"), ("dead", "Given up")];
const REPLAYED: &[(&str, &str)] = &[("failed", "What was given up"), ("all", "Every event")];

struct Line {
    view: DeliveryView,
    state: Badge,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct EndpointPage {
    shell: Shell,
    view: WebhookView,
    owner: Option<String>,
    state: Badge,
    filters: Form,
    lines: Vec<Line>,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    shell: Shell,
    detail: DeliveryDetail,
    state: Badge,
    body: Option<String>,
}

fn badge(state: DeliveryState) -> Badge {
    match state {
        DeliveryState::Pending => Badge::warn("pending"),
        DeliveryState::Succeeded => Badge::good("succeeded"),
        DeliveryState::Dead => Badge::bad("given up"),
    }
}

/// Shows an endpoint.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>, asked: Asked) -> Page {
    let view = find(&app, &visitor, id).await?;
    let filter = DeliveryFilter { state: asked.read("state")?, ..DeliveryFilter::default() };
    let listed = app.store.list_deliveries(id, &filter, asked.page()).await?;
    let owner = names(&app, &visitor, std::iter::once(view.user)).await?.remove(&view.user);
    let pager = asked.pager(&listed);
    let line = |delivery| {
        let view = DeliveryView::from(delivery);
        Line { state: badge(view.state), view }
    };
    page(&EndpointPage {
        shell: visitor.shell("Webhook endpoint", "webhooks"),
        state: state(&view),
        owner,
        view,
        filters: Form::of([("state", asked.text("state").to_owned())]),
        lines: listed.results.into_iter().map(line).collect(),
        pager,
    })
}

/// Shows a delivery.
pub async fn show_one(State(app): State<Arc<App>>, visitor: Visitor, Path((id, delivery)): Path<(WebhookId, DeliveryId)>) -> Page {
    let detail = get_delivery(State(app), visitor.caller.clone(), Path((id, delivery))).await?.into_data();
    let body = detail.request_body.as_ref().and_then(|body| serde_json::to_string_pretty(body).ok());
    page(&DeliveryPage { shell: visitor.shell("Delivery", "webhooks"), state: badge(detail.view.state), body, detail })
}

/// Posts a test now.
pub async fn test(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>) -> Page {
    let back = format!("/admin/webhooks/{id}/");
    let answer = test_webhook(State(app), visitor.caller.clone(), Path(id)).await?;
    let message = answer.body().message.clone();
    let seen = answer.into_data();
    let more = match (seen.response_status, seen.error) {
        (_, Some(error)) => format!(" {error}."),
        (Some(status), None) => format!(" It answered {status} in {} ms.", seen.latency_ms),
        (None, None) => String::new(),
    };
    let text = format!("{message}{more}");
    Ok(if seen.delivered { visitor.done(&back, &text) } else { visitor.refused(&back, &text) })
}

/// Posts one again.
pub async fn replay_one(State(app): State<Arc<App>>, visitor: Visitor, Path((id, delivery)): Path<(WebhookId, DeliveryId)>) -> Page {
    let back = format!("/admin/webhooks/{id}/deliveries/{delivery}/");
    match replay_delivery(State(app), visitor.caller.clone(), Path((id, delivery))).await {
        Ok(answer) => Ok(visitor.done(&back, &answer.body().message)),
        Err(refusal) => refused(&visitor, &back, refusal),
    }
}

/// Posts a range of days again.
pub async fn replay(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>, form: Form) -> Page {
    let back = format!("/admin/webhooks/{id}/");
    let Some(since) = day(form.text("since")) else {
        return Ok(visitor.refused(&back, "Say from which day on: a date like 2026-11-21."));
    };
    let until = form.some("until").map(|text| day_after(&text));
    if until == Some(None) {
        return Ok(visitor.refused(&back, "The last day can't be read: a date like 2026-11-21, or nothing for today."));
    }
    let until = until.flatten().map(|end| end.min(app.clock.now()));
    let only = if form.text("only") == "all" { Only::All } else { Only::Failed };
    match replay_webhook(State(app), visitor.caller.clone(), Path(id), Json(ReplayWish { since, until, only })).await {
        Ok(answer) => {
            let seen = answer.into_data();
            let rest = if seen.complete { "" } else { " There are more: ask again with a later day." };
            Ok(visitor.done(&back, &format!("On their way again: {}.{rest}", seen.count)))
        }
        Err(refusal) => refused(&visitor, &back, refusal),
    }
}

fn refused(visitor: &Visitor, back: &str, refusal: ApiError) -> Page {
    if refusal.code == ErrorCode::NotFound {
        return Err(refusal.into());
    }
    Ok(visitor.refused(back, &words(&refusal)))
}
