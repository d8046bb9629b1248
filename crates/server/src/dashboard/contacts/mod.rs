//! Contacts and opt-outs: the list, one contact, files in and out, and what a user wants of both. One's own; an admin sees those
//! of the user that the address names, one user at a time.

pub mod import;
pub mod list;
pub mod one;
pub mod opt_outs;
pub mod settings;

use super::parts::Badge;
use crate::http::v1::contacts::view::ContactView;
use sanasend_model::Consent;

/// A number or id by which a person is shown.
fn known_as(view: &ContactView) -> String {
    let ids = [
        view.phone.as_ref().map(ToString::to_string),
        view.jid.as_ref().map(ToString::to_string),
        view.lid.as_ref().map(ToString::to_string),
    ];
    ids.into_iter().flatten().next().unwrap_or_default()
}

/// Whether somebody may be written to, as a word with a colour.
fn standing(view: &ContactView) -> Badge {
    match (view.opted_out, view.consent) {
        (true, _) => Badge::bad("opted out"),
        (false, Consent::Granted) => Badge::good("agreed"),
        (false, Consent::Withdrawn) => Badge::warn("consent withdrawn"),
        (false, Consent::Unknown) => Badge::plain("consent unknown"),
    }
}

/// Whether somebody is on WhatsApp.
fn presence(view: &ContactView) -> Badge {
    match view.on_whatsapp {
        Some(true) => Badge::good("on WhatsApp"),
        Some(false) => Badge::bad("not on WhatsApp"),
        None => Badge::plain("not asked yet"),
    }
}

/// Names as people write them into one field.
fn several(text: &str) -> Vec<String> {
    text.split([',', ';', '\n']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
