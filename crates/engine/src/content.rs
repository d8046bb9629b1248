//! Reading a message: what of it is for people, and what it says.

use crate::{jid, rich};
use sanasend_model::{Content, LinkPreview};
use sanasend_store::Quoted;
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::wacore::types::message::MessageInfo;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message};

/// Most bytes of a text that is believed in a link preview.
const MAX_PREVIEW: usize = 4_096;

/// What a message says; `None` when it is not for people: keys, settings and synchronisation between devices.
pub(crate) fn read(message: &Message, info: Option<&MessageInfo>) -> Option<Content> {
    let base = message.get_base_message();
    if let Some(text) = base.text_content() {
        return Some(Content::Text { body: text.to_owned(), preview: preview(base).map(Box::new) });
    }
    if let Some(rich) = rich::read(message, info) {
        return Some(rich.into());
    }
    if let Some(protocol) = base.protocol_message.as_option() {
        return match protocol.r#type {
            Some(Type::REVOKE) => Some(other("revoke")),
            Some(Type::MESSAGE_EDIT) => Some(other("edit")),
            _ => None,
        };
    }
    if let Some(kind) = kind(base) {
        return Some(other(kind));
    }
    // What is left empty when the technical parts are taken away was never for people.
    let mut rest = base.clone();
    rest.sender_key_distribution_message.take();
    rest.fast_ratchet_key_sender_key_distribution_message.take();
    rest.message_context_info.take();
    rest.device_sent_message.take();
    rest.sticker_sync_rmr_message.take();
    rest.message_history_bundle.take();
    rest.message_history_notice.take();
    rest.group_root_key_share.take();
    rest.root_secret_distribute_message.take();
    rest.conversation = None;
    (rest != Message::default()).then(|| other("unknown"))
}

/// What its sender shows of the page that a text links to.
fn preview(base: &Message) -> Option<LinkPreview> {
    let text = base.extended_text_message.as_option()?;
    let said = |text: Option<&String>| text.filter(|text| !text.trim().is_empty() && text.len() <= MAX_PREVIEW).cloned();
    Some(LinkPreview {
        url: said(text.matched_text.as_ref())?,
        title: said(text.title.as_ref())?,
        description: said(text.description.as_ref()),
    })
}

/// The message that this one answers.
pub(crate) fn quoted(message: &Message) -> Option<Quoted> {
    let context = context(message.get_base_message())?;
    let wa_message_id = context.stanza_id.clone().filter(|id| !id.is_empty())?;
    let participant = context.participant.as_deref().and_then(|participant| participant.parse().ok());
    let text = context.quoted_message.as_option().and_then(|quoted| quoted.text_content());
    Some(Quoted { wa_message_id, participant: participant.as_ref().and_then(jid::from_wire), text: text.map(str::to_owned) })
}

fn other(kind: &str) -> Content {
    Content::Other { kind: kind.to_owned() }
}

/// The kinds by the field that carries them. Several fields are versions of one kind.
macro_rules! kinds {
    ($message:expr, $($kind:literal: $($field:ident)|+,)+) => {
        $(if $($message.$field.is_set())||+ { return Some($kind); })+
    };
}

fn kind(message: &Message) -> Option<&'static str> {
    kinds! { message,
        "image": image_message,
        "video": video_message,
        "video_note": ptv_message,
        "document": document_message,
        "sticker": sticker_message | lottie_sticker_message,
        "sticker_pack": sticker_pack_message,
        "location": location_message,
        "live_location": live_location_message,
        "contact": contact_message,
        "contacts": contacts_array_message,
        "reaction": reaction_message | enc_reaction_message,
        "poll": poll_creation_message | poll_creation_message_v2 | poll_creation_message_v3 | poll_creation_message_v4
            | poll_creation_message_v5 | poll_creation_message_v6,
        "poll_vote": poll_update_message | poll_add_option_message,
        "poll_result": poll_result_snapshot_message | poll_result_snapshot_message_v3,
        "event": event_message | event_invite_message,
        "event_response": enc_event_response_message,
        "album": album_message,
        "buttons": buttons_message | template_message | highly_structured_message,
        "buttons_response": buttons_response_message | template_button_reply_message,
        "list": list_message,
        "list_response": list_response_message,
        "interactive": interactive_message,
        "interactive_response": interactive_response_message,
        "product": product_message,
        "order": order_message,
        "invoice": invoice_message,
        "payment": send_payment_message | request_payment_message | decline_payment_request_message
            | cancel_payment_request_message | payment_invite_message | payment_reminder_message | split_payment_message,
        "group_invite": group_invite_message,
        "pin": pin_in_chat_message,
        "keep": keep_in_chat_message,
        "comment": comment_message | enc_comment_message,
        "edit": secret_encrypted_message,
        "call": call | call_log_messsage | bcall_message | scheduled_call_creation_message | scheduled_call_edit_message,
        "phone_number_request": request_phone_number_message,
        "newsletter_invite": newsletter_admin_invite_message | newsletter_follower_invite_message_v2,
        "placeholder": placeholder_message,
    }
    let audio = message.audio_message.as_option()?;
    Some(if audio.ptt == Some(true) { "voice_note" } else { "audio" })
}

/// Where the kinds that people answer with carry what they answer.
fn context(message: &Message) -> Option<&ContextInfo> {
    macro_rules! first {
        ($($field:ident),+) => {
            None$(.or_else(|| message.$field.as_option()?.context_info.as_option()))+
        };
    }
    first!(
        extended_text_message,
        image_message,
        video_message,
        audio_message,
        document_message,
        sticker_message,
        location_message,
        contact_message,
        contacts_array_message,
        poll_creation_message,
        poll_creation_message_v3,
        event_message,
        buttons_response_message,
        list_response_message,
        interactive_response_message
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp_rust::wacore::proto_helpers::MessageBuilderExt;
    use whatsapp_rust::waproto::buffa::MessageField;
    use whatsapp_rust::waproto::whatsapp::MessageContextInfo;
    use whatsapp_rust::waproto::whatsapp::message::{
        AudioMessage, DeviceSentMessage, FutureProofMessage, ImageMessage, PinInChatMessage, ProtocolMessage, SenderKeyDistributionMessage,
    };

    fn body(message: &Message) -> Option<String> {
        read(message, None)?.body().map(str::to_owned)
    }

    fn kind_of(message: &Message) -> Option<String> {
        read(message, None).map(|content| content.kind().to_owned())
    }

    fn protocol(kind: Option<Type>) -> Message {
        Message { protocol_message: MessageField::some(ProtocolMessage { r#type: kind, ..Default::default() }), ..Default::default() }
    }

    #[test]
    fn a_text_is_read_in_both_forms_and_out_of_its_wrappers() {
        let plain = Message::text("hi");
        let extended = Message::text_with_context("hi", ContextInfo::default());
        let disappearing = Message {
            ephemeral_message: MessageField::some(FutureProofMessage { message: MessageField::some(plain.clone()) }),
            ..Default::default()
        };
        let from_the_phone = Message {
            device_sent_message: MessageField::some(DeviceSentMessage { message: MessageField::some(plain.clone()), ..Default::default() }),
            ..Default::default()
        };
        for message in [plain, extended, disappearing, from_the_phone] {
            assert_eq!(body(&message).as_deref(), Some("hi"));
        }
    }

    #[test]
    fn what_is_not_a_text_keeps_its_name() {
        let image = Message { image_message: MessageField::some(ImageMessage::default()), ..Default::default() };
        let voice =
            Message { audio_message: MessageField::some(AudioMessage { ptt: Some(true), ..Default::default() }), ..Default::default() };
        let pin = Message { pin_in_chat_message: MessageField::some(PinInChatMessage::default()), ..Default::default() };
        let table = [
            (image, "image"),
            (voice, "voice_note"),
            (pin, "pin"),
            (protocol(Some(Type::REVOKE)), "revoke"),
            (protocol(Some(Type::MESSAGE_EDIT)), "edit"),
        ];
        for (message, expected) in table {
            assert_eq!(kind_of(&message).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_devices_tell_each_other_is_not_for_people() {
        let key = Message {
            sender_key_distribution_message: MessageField::some(SenderKeyDistributionMessage::default()),
            message_context_info: MessageField::some(MessageContextInfo::default()),
            ..Default::default()
        };
        let table = [
            key,
            protocol(None),
            protocol(Some(Type::APP_STATE_SYNC_KEY_SHARE)),
            protocol(Some(Type::EPHEMERAL_SETTING)),
            Message::default(),
        ];
        for message in table {
            assert_eq!(kind_of(&message), None);
        }
    }

    #[test]
    fn an_answer_names_what_it_answers() {
        let context = ContextInfo {
            stanza_id: Some("3EB0AA".into()),
            participant: Some("15550100:2@s.whatsapp.net".into()),
            quoted_message: MessageField::some(Message::text("first")),
            ..Default::default()
        };
        let quoted = quoted(&Message::text_with_context("second", context)).expect("quoted");
        assert_eq!(quoted.wa_message_id, "3EB0AA");
        assert_eq!(quoted.participant.expect("who").as_str(), "15550100@s.whatsapp.net");
        assert_eq!(quoted.text.as_deref(), Some("first"));
    }
}
