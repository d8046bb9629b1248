//! WhatsApp's codes as a table: what each makes of the session or of the message.

use crate::world::{Transcript, World, eventually};
use sanasend_sandbox::Fault;

/// How an account stands after a code, when the dust has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It comes back by itself and is connected.
    Returns,
    /// It rests in this status, for the reason of this code, and does not come back by itself.
    Rests(&'static str, &'static str),
}

/// A `<stream:error>` in the middle of a connection.
#[tokio::test(flavor = "multi_thread")]
async fn codes_in_a_connection() {
    let table = [
        (401, After::Rests("logged_out", "unlinked")),
        (409, After::Rests("disconnected", "replaced")),
        (429, After::Returns),
        (500, After::Returns),
        (503, After::Returns),
        (515, After::Returns),
        (516, After::Rests("logged_out", "unlinked")),
    ];
    let cases = table.map(|(code, after)| stands(code, after, vec![Fault::StreamError(code)]));
    futures::future::join_all(cases).await;
}

/// A `<failure>` as the answer to the next login, after the connection was cut.
#[tokio::test(flavor = "multi_thread")]
async fn codes_at_login() {
    let table = [
        (401, After::Rests("logged_out", "unlinked")),
        (403, After::Rests("logged_out", "unlinked")),
        (405, After::Returns),
        (406, After::Rests("logged_out", "unlinked")),
        (440, After::Returns),
        (500, After::Returns),
        (503, After::Returns),
    ];
    let cases = table.map(|(code, after)| stands(code, after, vec![Fault::Failure { code, count: 1 }, Fault::Disconnect]));
    futures::future::join_all(cases).await;
}

/// Plants the faults in a world of its own, and checks how the account stands after them, and that what stands is
/// told with a sentence.
async fn stands(code: u16, after: After, faults: Vec<Fault>) {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let before = Transcript::of(&world.control(), &shop.number).logins();
    for fault in faults {
        world.control().fault(&shop.number, fault).expect("fault");
    }
    match after {
        After::Rests(status, reason_code) => {
            let session = shop.status_becomes(status).await;
            let reason = session["reason"].as_str().unwrap_or_default();
            assert!(reason.ends_with('.'), "code {code} has a sentence: {session}");
            assert_eq!(session["reason_code"], reason_code, "code {code}: {session}");
            assert!(session["qr_code"].is_null(), "code {code}: {session}");
        }
        After::Returns => {
            let what = format!("code {code}: back");
            let back = eventually(&what, || async {
                let again = Transcript::of(&world.control(), &shop.number).logins() > before;
                (again && shop.session().await["status"] == "connected").then_some(())
            });
            back.await;
            let friend = world.friend("Friend").await;
            shop.send_text(&friend, "still here").await;
            friend.sees("still here").await;
        }
    }
    world.stop().await;
}

/// An `<ack error>` to a message.
#[tokio::test(flavor = "multi_thread")]
async fn codes_to_a_message() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    for (code, outcome) in [
        (463, Err("REACHOUT_LIMITED")),
        (479, Err("REJECTED_BY_WHATSAPP")),
        (405, Err("REJECTED_BY_WHATSAPP")),
        (500, Ok(())),
        (503, Ok(())),
    ] {
        let text = format!("code {code}");
        world.control().fault(&shop.number, Fault::Nack { code, count: 1 }).expect("fault");
        let sent = shop.send_text(&friend, &text).await;
        match outcome {
            Ok(()) => {
                friend.sees(&text).await;
                shop.message_becomes(&sent, "delivered").await;
            }
            Err(expected) => {
                let failed = shop.message_becomes(&sent, "failed").await;
                assert_eq!(failed["error_code"], expected, "{failed}");
                assert!(failed["error_message"].as_str().is_some_and(|text| text.ends_with('.')), "{failed}");
                if expected == "REACHOUT_LIMITED" {
                    let told = || async { (shop.session().await["reason_code"] == "reachout_limited").then_some(()) };
                    eventually("the limit of the account is told", told).await;
                }
            }
        }
        world.control().clear_faults();
    }
    assert_eq!(friend.shows(), ["code 500", "code 503"], "a refused message was not sent again");
    assert_eq!(shop.session().await["status"], "connected", "a refused message is not the end of the account");
    world.stop().await;
}
