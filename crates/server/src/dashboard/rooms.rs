//! The routes of the pages about sessions, messages, webhooks, logs, jobs, settings, virtual phones and contacts: a part of the
//! dashboard's table of contents.

use super::phones::act;
use super::{
    Row, Who, audit, campaigns, chats, contacts, deliveries, form, groups, jobs, messages, page, phones, requests, scheduled, schedules,
    send, send_template, sessions, settings, templates, webhooks,
};
use crate::http::pace::Pace;
use axum::extract::DefaultBodyLimit;

/// The same row with another limit of the body; `None` where the handler counts the bytes itself.
fn with_limit(row: Row, limit: Option<usize>) -> Row {
    let limit = limit.map_or_else(DefaultBodyLimit::disable, DefaultBodyLimit::max);
    Row { handler: row.handler.layer(limit), ..row }
}

/// The same row with the time that a file needs.
fn with_file(row: Row) -> Row {
    Row { pace: Pace::File, ..row }
}

/// The same row with the time and the room that a list of people needs.
fn with_people(row: Row) -> Row {
    Row { pace: Pace::Import, ..with_limit(row, None) }
}

/// The rows.
pub fn rows() -> Vec<Row> {
    let rooms = [session_rows(), message_rows(), campaign_rows(), webhook_rows(), log_rows(), phone_rows(), contact_rows()];
    rooms.into_iter().chain([template_rows(), schedule_rows()]).flatten().collect()
}

fn session_rows() -> Vec<Row> {
    use Who::User;
    vec![
        page("/admin/sessions/", User, sessions::list),
        page("/admin/sessions/new/", User, sessions::ask_new),
        form("/admin/sessions/new/", User, sessions::create),
        page("/admin/sessions/{id}/", User, sessions::show),
        page("/admin/sessions/{id}/live/", User, sessions::follow),
        page("/admin/sessions/{id}/groups/", User, groups::show),
        form("/admin/sessions/{id}/link/", User, sessions::relink),
        form("/admin/sessions/{id}/reconnect/", User, sessions::reconnect),
        form("/admin/sessions/{id}/offline/", User, sessions::go_offline),
        page("/admin/sessions/{id}/logout/", User, sessions::ask_log_out),
        form("/admin/sessions/{id}/logout/", User, sessions::log_out),
        page("/admin/sessions/{id}/delete/", User, sessions::ask_delete),
        form("/admin/sessions/{id}/delete/", User, sessions::delete),
        form("/admin/sessions/{id}/passkey/", User, sessions::passkey),
        form("/admin/sessions/{id}/passkey/confirm/", User, sessions::passkey_seen),
    ]
}

fn message_rows() -> Vec<Row> {
    use Who::User;
    vec![
        page("/admin/messages/", User, messages::list),
        page("/admin/messages/new/", User, send::ask),
        form("/admin/messages/send-text/", User, send::text),
        with_file(with_limit(form("/admin/messages/send-file/", User, send::file), None)),
        page("/admin/messages/{id}/", User, messages::show),
        page("/admin/messages/{id}/live/", User, messages::follow),
        page("/admin/chats/", User, chats::list),
        page("/admin/messages/{id}/chat/", User, chats::show),
        form("/admin/messages/{id}/chat/", User, chats::write),
        page("/admin/messages/{id}/chat/live/", User, chats::follow),
        with_file(page("/admin/messages/{id}/media/", User, messages::media)),
        form("/admin/messages/{id}/cancel/", User, messages::cancel),
        form("/admin/messages/{id}/retry/", User, messages::retry),
        form("/admin/messages/{id}/read/", User, messages::mark_read),
    ]
}

fn template_rows() -> Vec<Row> {
    use Who::User;
    vec![
        page("/admin/templates/", User, templates::list),
        page("/admin/templates/new/", User, templates::ask_new),
        with_file(form("/admin/templates/new/", User, templates::create)),
        form("/admin/templates/preview/", User, templates::preview),
        page("/admin/templates/{id}/", User, templates::show),
        page("/admin/templates/{id}/edit/", User, templates::ask_edit),
        with_file(form("/admin/templates/{id}/edit/", User, templates::edit)),
        page("/admin/templates/{id}/send/", User, send_template::ask),
        form("/admin/templates/{id}/send/", User, send_template::send),
        form("/admin/templates/{id}/shelve/", User, templates::shelve),
        page("/admin/templates/{id}/delete/", User, templates::ask_delete),
        form("/admin/templates/{id}/delete/", User, templates::delete),
    ]
}

fn schedule_rows() -> Vec<Row> {
    use Who::User;
    vec![
        page("/admin/messages/scheduled/", User, scheduled::list),
        page("/admin/messages/{id}/schedule/", User, scheduled::ask_change),
        form("/admin/messages/{id}/schedule/", User, scheduled::change),
        page("/admin/quiet-hours/", User, scheduled::ask_quiet),
        form("/admin/quiet-hours/", User, scheduled::set_quiet),
        page("/admin/schedules/", User, schedules::list),
        page("/admin/schedules/new/", User, schedules::ask_new),
        form("/admin/schedules/new/", User, schedules::create),
        form("/admin/schedules/preview/", User, schedules::preview),
        page("/admin/schedules/{id}/", User, schedules::show),
        page("/admin/schedules/{id}/edit/", User, schedules::ask_edit),
        form("/admin/schedules/{id}/edit/", User, schedules::edit),
        form("/admin/schedules/{id}/pause/", User, schedules::pause),
        form("/admin/schedules/{id}/resume/", User, schedules::resume),
        page("/admin/schedules/{id}/delete/", User, schedules::ask_delete),
        form("/admin/schedules/{id}/delete/", User, schedules::delete),
    ]
}

fn campaign_rows() -> Vec<Row> {
    use Who::User;
    vec![
        page("/admin/campaigns/", User, campaigns::list),
        page("/admin/campaigns/new/", User, campaigns::ask_new),
        with_file(with_limit(form("/admin/campaigns/new/", User, campaigns::create), None)),
        page("/admin/campaigns/{id}/", User, campaigns::show),
        page("/admin/campaigns/{id}/live/", User, campaigns::follow),
        page("/admin/campaigns/{id}/report/", User, campaigns::report),
        form("/admin/campaigns/{id}/start/", User, campaigns::start),
        form("/admin/campaigns/{id}/pause/", User, campaigns::pause),
        form("/admin/campaigns/{id}/resume/", User, campaigns::resume),
        page("/admin/campaigns/{id}/cancel/", User, campaigns::ask_cancel),
        form("/admin/campaigns/{id}/cancel/", User, campaigns::cancel),
        page("/admin/campaigns/{id}/delete/", User, campaigns::ask_delete),
        form("/admin/campaigns/{id}/delete/", User, campaigns::delete),
    ]
}

fn webhook_rows() -> Vec<Row> {
    use Who::User;
    vec![
        page("/admin/webhooks/", User, webhooks::list),
        page("/admin/webhooks/new/", User, webhooks::ask_new),
        form("/admin/webhooks/new/", User, webhooks::create),
        page("/admin/webhooks/{id}/", User, deliveries::show),
        page("/admin/webhooks/{id}/edit/", User, webhooks::ask_edit),
        form("/admin/webhooks/{id}/edit/", User, webhooks::edit),
        form("/admin/webhooks/{id}/enable/", User, webhooks::enable),
        form("/admin/webhooks/{id}/test/", User, deliveries::test),
        form("/admin/webhooks/{id}/replay/", User, deliveries::replay),
        page("/admin/webhooks/{id}/rotate/", User, webhooks::ask_rotate),
        form("/admin/webhooks/{id}/rotate/", User, webhooks::rotate),
        page("/admin/webhooks/{id}/delete/", User, webhooks::ask_delete),
        form("/admin/webhooks/{id}/delete/", User, webhooks::delete),
        page("/admin/webhooks/{id}/deliveries/{delivery}/", User, deliveries::show_one),
        form("/admin/webhooks/{id}/deliveries/{delivery}/replay/", User, deliveries::replay_one),
    ]
}

fn log_rows() -> Vec<Row> {
    use Who::{Admin, User};
    vec![
        page("/admin/requests/", User, requests::list),
        page("/admin/audit/", User, audit::list),
        form("/admin/audit/verify/", Admin, audit::verify),
        page("/admin/jobs/", Admin, jobs::list),
        form("/admin/jobs/retry/", Admin, jobs::retry_all),
        page("/admin/jobs/{id}/", Admin, jobs::show),
        form("/admin/jobs/{id}/retry/", Admin, jobs::retry),
        page("/admin/jobs/{id}/drop/", Admin, jobs::ask_drop),
        form("/admin/jobs/{id}/drop/", Admin, jobs::drop),
        form("/admin/jobs/schedules/{name}/run/", Admin, jobs::run),
        page("/admin/settings/", Admin, settings::show),
    ]
}

fn phone_rows() -> Vec<Row> {
    use Who::Admin;
    vec![
        page("/admin/phones/", Admin, phones::show),
        page("/admin/phones/live/", Admin, phones::follow),
        form("/admin/phones/", Admin, act::add),
        form("/admin/phones/{phone}/delete/", Admin, act::remove),
        form("/admin/phones/{phone}/scan/", Admin, act::scan),
        form("/admin/phones/{phone}/pair/", Admin, act::pair),
        form("/admin/phones/{phone}/send/", Admin, act::send),
        with_file(with_limit(form("/admin/phones/{phone}/send-file/", Admin, act::send_file), Some(act::MOST_FILE + (1 << 20)))),
        form("/admin/phones/{phone}/read/", Admin, act::read),
        form("/admin/phones/{phone}/online/", Admin, act::set_online),
        form("/admin/phones/{phone}/block/", Admin, act::set_blocked),
        form("/admin/phones/{phone}/auto/", Admin, act::set_auto),
        form("/admin/phones/{phone}/devices/{device}/unlink/", Admin, act::unlink),
        with_file(page("/admin/phones/{phone}/media/{id}/", Admin, act::media)),
    ]
}

fn contact_rows() -> Vec<Row> {
    use Who::User;
    use contacts::{import, list, one, opt_outs, settings};
    vec![
        page("/admin/contacts/", User, list::show),
        page("/admin/contacts/export/", User, list::export),
        form("/admin/contacts/check/", User, list::check),
        page("/admin/contacts/new/", User, one::ask_new),
        form("/admin/contacts/new/", User, one::create),
        page("/admin/contacts/import/", User, import::ask),
        with_people(form("/admin/contacts/import/", User, import::run)),
        page("/admin/contacts/imports/live/", User, import::follow),
        form("/admin/contacts/imports/{id}/cancel/", User, import::end),
        page("/admin/contacts/imports/{id}/faults/", User, import::faults),
        page("/admin/contacts/settings/", User, settings::show),
        form("/admin/contacts/settings/", User, settings::change),
        page("/admin/contacts/{id}/", User, one::show),
        page("/admin/contacts/{id}/edit/", User, one::ask_edit),
        form("/admin/contacts/{id}/edit/", User, one::edit),
        form("/admin/contacts/{id}/check/", User, one::check),
        form("/admin/contacts/{id}/opt-out/", User, one::opt_out),
        page("/admin/contacts/{id}/opt-in/", User, one::ask_opt_in),
        form("/admin/contacts/{id}/opt-in/", User, one::opt_in),
        page("/admin/contacts/{id}/delete/", User, one::ask_delete),
        form("/admin/contacts/{id}/delete/", User, one::delete),
        page("/admin/contacts/{id}/erase/", User, one::ask_erase),
        form("/admin/contacts/{id}/erase/", User, one::erase),
        page("/admin/opt-outs/", User, opt_outs::show),
        form("/admin/opt-outs/", User, opt_outs::create),
        page("/admin/opt-outs/import/", User, import::ask_opt_outs),
        with_people(form("/admin/opt-outs/import/", User, import::run_opt_outs)),
        page("/admin/opt-outs/{id}/end/", User, opt_outs::ask_end),
        form("/admin/opt-outs/{id}/end/", User, opt_outs::end),
    ]
}
