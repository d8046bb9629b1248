//! `docs/errors.md`, written from the catalogue, so that the page and the code can't part.

use super::error::ErrorCode;
use sanasend_model::Failure;
use std::fmt::Write as _;

/// The whole page. A test keeps the file equal to it.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Error codes\n\n\
         Made from `crates/server/src/http/error.rs` by its test; do not edit by hand.\n\n\
         Every refusal has the shape `{\"success\": false, \"message\": \"...\", \"errors\": {...}, \"error_code\": \"...\"}`. Programs should look at\n\
         `error_code`, which is stable; `message` is for people. `errors` maps a field to a list of messages where fields are concerned.\n\
         Answers with status 429 and 503 say in `Retry-After` how many seconds to wait.\n\n\
         ## Answers of the API\n\n| HTTP status | `error_code` | Meaning |\n| --- | --- | --- |\n",
    );
    for code in ErrorCode::ALL {
        let _ = writeln!(page, "| {} | `{}` | {} |", code.status().as_u16(), code.as_str(), code.sentence());
    }
    page.push_str(
        "\n## Failed messages\n\n\
         A message that was accepted and can't be sent has the status `failed`; its own `error_code` says why.\n\n\
         | `error_code` | Meaning |\n| --- | --- |\n",
    );
    for failure in Failure::ALL {
        let _ = writeln!(page, "| `{}` | {} |", failure.as_str(), meaning(*failure));
    }
    page
}

fn meaning(failure: Failure) -> &'static str {
    match failure {
        Failure::NotOnWhatsApp => "The number has no WhatsApp account.",
        Failure::Expired => "The account was not connected until the message's deadline; nothing was sent.",
        Failure::OutcomeUnknown => {
            "It was handed to WhatsApp and no acknowledgement came before the deadline, or before its account was unlinked; it may have arrived."
        }
        Failure::ReachoutLimited => "WhatsApp limits messages to people who never wrote to this account (463); it was not retried.",
        Failure::Rejected => "WhatsApp refused the message; the error message holds its code.",
        Failure::AccountUnlinked => "The account was unlinked before the message left.",
        Failure::AccountBanned => "WhatsApp banned the account for a time.",
        Failure::NotSendable => "The message could not be encrypted or built.",
        Failure::MediaNotSendable => "The file can't be handed to WhatsApp: it is not here any more, or WhatsApp's media host refused it.",
        Failure::RecipientOptedOut => "The recipient opted out after the message was accepted and before it left; it is not sent.",
        Failure::UserInactive => "The user was deactivated before the message left.",
    }
}
