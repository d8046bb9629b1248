//! From a code on a screen to a device on the list, and off it again.

use crate::client::{Client, attr, dial_pinned, login_payload, new_key, public};
use crate::world::{Companion, sandbox_in};
use sanasend_sandbox::{Direction, Error, RESERVED_NUMBER, StanzaFilter};
use wacore::pair_code::PairCodeUtils;
use wacore_binary::builder::NodeBuilder;

#[tokio::test]
async fn a_scan_makes_a_device_and_restarts_it() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let mut companion = Companion::new();
    companion.link(&sandbox, "+12025550142").await;
    assert_eq!((companion.jid.user.as_str(), companion.jid.device), ("12025550142", 33));
    assert_eq!((companion.lid.user.len(), companion.lid.device), (15, 33));

    let own = StanzaFilter::default();
    let stanzas = sandbox.control().transcript(&own);
    let at = |direction, tag: &str| stanzas.iter().filter(|s| s.direction == direction && s.tag == tag).map(|s| s.at).next_back().unwrap();
    let (signed, restarted) = (at(Direction::In, "iq"), at(Direction::Out, "stream:error"));
    assert!(restarted - signed >= 20, "clients race when they are restarted at once");

    let mut second = Companion::new();
    second.link(&sandbox, "+12025550142").await;
    assert_eq!(second.jid.device, 34);
    companion.log_in(&sandbox).await;
}

#[tokio::test]
async fn a_reference_that_nobody_gave_out_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let companion = Companion::new();
    let (_client, references) = companion.ask_to_be_linked(&sandbox).await;
    assert_eq!(references.len(), 6);
    let wrong = companion.qr("2@nobody");
    let error = sandbox.control().scan(&wrong, Some("+12025550142")).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error}");
    let other = Companion::new().qr(&references[0]);
    let error = sandbox.control().scan(&other, Some("+12025550142")).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_companion_that_turns_the_signature_down_is_not_linked() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let companion = Companion::new();
    let (mut client, references) = companion.ask_to_be_linked(&sandbox).await;
    let (control, qr) = (sandbox.control(), companion.qr(&references[0]));
    let scan = tokio::spawn(async move { control.scan(&qr, Some("+12025550142")).await });
    let proposal = client.expect("iq").await;
    let no = wacore::pair::PairUtils::build_pair_error_node(&attr(&proposal, "id"), 401, "hmac-mismatch");
    client.send(&no).await;
    let error = scan.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("hmac-mismatch"), "{error}");
    assert_eq!(sandbox.control().devices("+12025550142").unwrap().len(), 1);
}

#[tokio::test]
async fn a_code_links_as_a_scan_does() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let phone = sandbox.control().add_phone(Some("+12025550142"), None).await.unwrap();
    let mut companion = Companion::new();
    let (mut client, _) = companion.ask_to_be_linked(&sandbox).await;

    let (code, ephemeral) = ("ABCD1234", new_key());
    let wrapped = PairCodeUtils::encrypt_ephemeral_pub(&public(&ephemeral), code);
    let hello = PairCodeUtils::build_companion_hello_iq(
        "12025550142",
        &public(&companion.noise),
        &wrapped,
        "1",
        "Chrome (Linux)",
        true,
        "c1".into(),
    );
    client.send(&hello).await;
    let answer = client.expect("iq").await;
    let reference = PairCodeUtils::parse_companion_hello_response(&answer.as_node_ref()).expect("a reference");

    let (control, number) = (sandbox.control(), phone.phone.clone());
    let typed = tokio::spawn(async move { control.type_pair_code(&number, code).await });
    let notification = client.expect("notification").await;
    let stage = notification.get_optional_child("link_code_companion_reg").unwrap().as_node_ref().to_owned();
    let bytes = |tag: &str| stage.as_node_ref().get_optional_child(tag).unwrap().content_bytes().unwrap().to_vec();
    assert_eq!(bytes("link_code_pairing_ref"), reference);
    let primary = PairCodeUtils::decrypt_primary_ephemeral_pub(&bytes("link_code_pairing_wrapped_primary_ephemeral_pub"), code).unwrap();
    let identity: [u8; 32] = bytes("primary_identity_pub").try_into().unwrap();
    let (bundle, secret) = PairCodeUtils::prepare_key_bundle(&ephemeral, &primary, &identity, &companion.identity).unwrap();
    companion.secret = secret;
    let own = public(&companion.identity);
    client.send(&PairCodeUtils::build_companion_finish_iq("12025550142", bundle, &own, &reference, "c2".into())).await;
    assert_eq!(attr(&client.expect("iq").await, "id"), "c2");
    companion.accept(&mut client).await;
    typed.await.unwrap().unwrap();
    assert_eq!(attr(&client.expect("stream:error").await, "code"), "515");
    companion.log_in(&sandbox).await;
}

#[tokio::test]
async fn a_device_that_is_taken_off_the_list_is_told_and_stays_out() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (gone, mut client) = Companion::ready(&sandbox, "+12025550142", 3).await;
    let (_stays, mut sibling) = Companion::ready(&sandbox, "+12025550142", 3).await;
    sandbox.control().unlink("+12025550142", gone.jid.device).unwrap();
    assert_logged_out(&mut client).await;
    let mut again = gone.dial(&sandbox).await;
    assert_eq!(attr(&again.expect("failure").await, "reason"), "401");

    let notice = sibling.expect("notification").await;
    let devices = notice.get_optional_child("devices").expect("the list of devices");
    let left: Vec<_> = devices.get_children_by_tag("device").map(|d| attr(d, "jid")).collect();
    assert_eq!(left, ["12025550142@s.whatsapp.net", "12025550142:34@s.whatsapp.net"]);
}

#[tokio::test]
async fn a_device_can_log_itself_out_but_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (companion, mut client) = Companion::ready(&sandbox, "+12025550142", 3).await;
    let remove = |jid: &str| vec![NodeBuilder::new("remove-companion-device").attr("jid", jid).attr("reason", "user_initiated").build()];
    for other in ["12025550142:34@s.whatsapp.net", "12025550142@s.whatsapp.net", "12025550199:33@s.whatsapp.net"] {
        assert_eq!(attr(&client.ask("md", "set", remove(other)).await, "type"), "error", "{other}");
    }
    let own = companion.jid.to_string();
    assert_eq!(attr(&client.ask("md", "set", remove(&own)).await, "type"), "result");
    assert_logged_out(&mut client).await;
    assert_eq!(sandbox.control().devices("+12025550142").unwrap().len(), 1);
}

async fn assert_logged_out(client: &mut Client) {
    let error = client.expect("stream:error").await;
    assert_eq!(attr(&error, "code"), "401");
    assert_eq!(attr(error.get_optional_child("conflict").unwrap(), "type"), "device_removed");
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn the_reserved_number_has_no_account() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let mut client = dial_pinned(&sandbox, &new_key(), &login_payload(RESERVED_NUMBER, 0)).await;
    assert!(client.expect("iq").await.get_optional_child("pair-device").is_some());
    assert!(sandbox.control().add_phone(Some("+999999"), None).await.is_err());
}
