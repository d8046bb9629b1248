//! Linking by a code that the owner types into the phone, as far as the network sees it:
//! it carries sealed keys between the two and knows no code.

use super::nodes::{child_bytes, child_key, holding, refusal, result, text};
use super::pairing::Stranger;
use super::seam::{CodeFinish, CodeHello, PrimaryHello};
use super::{Inner, Network};
use crate::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, SERVER_JID};

/// A code is good for this long.
const CODE_LIVES: Duration = Duration::from_mins(3);
/// A companion has this long to answer the phone's half.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A companion that waits for its code to be typed.
pub(crate) struct Waiting {
    hello: CodeHello,
    pub until: Instant,
}

impl Network {
    /// The companion that waits for a code to be typed on this phone.
    #[must_use]
    pub fn code_hello(&self, phone: &str) -> Option<CodeHello> {
        let stranger = self.0.waiting_for(phone)?;
        let stage = stranger.state.lock();
        let code = stage.code.as_ref()?;
        (code.until > Instant::now()).then(|| code.hello.clone())
    }

    /// Tells the waiting companion what the phone made of the code; resolves with its
    /// answer. Then open the bundle and call [`Network::scan`].
    ///
    /// # Errors
    /// `Error::Unknown` when no companion waits; `Error::Refused` when it does not
    /// answer (a wrong code, for one).
    pub async fn code_answer(&self, phone: &str, hello: PrimaryHello) -> Result<CodeFinish, Error> {
        let inner = &self.0;
        let nobody = || Error::Unknown("no device waits for a code of this phone".into());
        let stranger = inner.waiting_for(phone).ok_or_else(nobody)?;
        let reference = self.code_hello(phone).ok_or_else(nobody)?.reference;
        let (tx, rx) = oneshot::channel();
        stranger.state.lock().finishing = Some(tx);
        let stage = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "primary_hello")
            .children([
                holding("link_code_pairing_wrapped_primary_ephemeral_pub", hello.wrapped_ephemeral),
                holding("primary_identity_pub", hello.identity),
                holding("link_code_pairing_ref", reference.as_bytes()),
            ])
            .build();
        stranger.link.send(
            NodeBuilder::new("notification")
                .attr("from", SERVER_JID)
                .attr("type", "link_code_companion_reg")
                .attr("id", inner.next_id())
                .attr("t", inner.clock.unix_seconds())
                .children([stage])
                .build(),
        );
        match tokio::time::timeout(ANSWER_WITHIN, rx).await {
            Ok(Ok(finish)) => Ok(finish),
            Ok(Err(_)) => Err(Error::Refused("the device is gone".into())),
            Err(_) => Err(Error::Refused("the device does not answer".into())),
        }
    }
}

impl Inner {
    fn waiting_for(&self, phone: &str) -> Option<Arc<Stranger>> {
        self.waiting.by_phone.lock().get(phone)?.upgrade()
    }

    /// A stage of linking by code, from the companion.
    pub(super) fn on_code_stage(&self, stranger: &Arc<Stranger>, node: &Node) {
        let stage = node.get_optional_child("link_code_companion_reg");
        let done = match stage.map(|stage| (stage, text(stage, "stage"))) {
            Some((stage, name)) if name == "companion_hello" => self.on_hello(stranger, stage),
            Some((stage, name)) if name == "companion_finish" => on_finish(stranger, stage),
            _ => None,
        };
        let answer = done.map_or_else(|| refusal(node, 400, "bad-request"), |content| result(node).children(content).build());
        stranger.link.send(answer);
    }

    /// The companion leaves its sealed key for a phone; it gets a reference.
    fn on_hello(&self, stranger: &Arc<Stranger>, stage: &Node) -> Option<Vec<Node>> {
        let phone: Jid = text(stage, "jid").parse().ok()?;
        let wrapped = child_bytes(stage, "link_code_pairing_wrapped_companion_ephemeral_pub")?.to_vec();
        let noise = child_key(stage, "companion_server_auth_key_pub")?;
        if wrapped.len() != 80 || noise != stranger.noise {
            return None;
        }
        let reference = self.invite_by_code(stranger, CODE_LIVES);
        stranger.state.lock().code = Some(Waiting {
            hello: CodeHello { reference: reference.clone(), wrapped_ephemeral: wrapped, noise },
            until: Instant::now() + CODE_LIVES,
        });
        let mut by_phone = self.waiting.by_phone.lock();
        by_phone.insert(phone.user.to_string(), Arc::downgrade(stranger));
        let answer = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "companion_hello")
            .children([holding("link_code_pairing_ref", reference.into_bytes())]);
        Some(vec![answer.build()])
    }
}

/// The companion's sealed bundle for the phone.
fn on_finish(stranger: &Stranger, stage: &Node) -> Option<Vec<Node>> {
    let finish = CodeFinish {
        wrapped_bundle: child_bytes(stage, "link_code_pairing_wrapped_key_bundle")?.to_vec(),
        identity: child_key(stage, "companion_identity_public")?,
        reference: String::from_utf8(child_bytes(stage, "link_code_pairing_ref")?.to_vec()).ok()?,
    };
    let waiting = stranger.state.lock().finishing.take()?;
    // The phone may have given up meanwhile; the companion did its part all the same.
    let _ = waiting.send(finish);
    Some(Vec::new())
}
