//! Every stanza of a logged-in device comes through here, and every iq finds its handler
//! by namespace. What nobody knows is refused with 501: an empty "ok" would make clients
//! fail later, and hide what is missing here.

use super::Inner;
use super::login::Session;
use super::nodes::{first_child, refusal, result, text};
use super::queue::Class;
use crate::Error;
use wacore_binary::Node;

impl Inner {
    /// A stanza from a device.
    pub(super) fn on_stanza(&self, session: &Session, node: &Node) -> Result<(), Error> {
        match node.tag.as_ref() {
            "iq" => self.on_iq(session, node),
            "message" => self.on_message(session, node),
            "receipt" => self.on_receipt(session, node),
            "ack" => self.on_ack(session, node),
            "notification" => self.on_notification(session, node),
            "presence" => self.on_presence(session, node),
            "chatstate" => {
                self.on_chatstate(session, node);
                Ok(())
            }
            // `ib` carries telemetry and hints about batches; nothing else is sent to a
            // server by itself.
            _ => Ok(()),
        }
    }

    fn on_iq(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let kind = text(node, "type");
        if kind == "result" || kind == "error" {
            return Ok(());
        }
        let answer = match text(node, "xmlns").as_ref() {
            "encrypt" => return self.on_encrypt(session, node),
            "usync" => return self.on_usync(session, node),
            "passive" => return self.on_passive(session, node),
            "md" => return self.on_md(session, node),
            "w:sync:app:state" => return self.on_app_state(session, node),
            "w:p" | "urn:xmpp:ping" => result(node).build(),
            namespace => match self.setting(session, namespace, node)? {
                Some(answer) => answer,
                None => refusal(node, 501, "feature-not-implemented"),
            },
        };
        session.link.send(answer);
        Ok(())
    }

    /// `active` is what a client says when it is ready for what it missed.
    fn on_passive(&self, session: &Session, node: &Node) -> Result<(), Error> {
        session.link.send(result(node).build());
        if first_child(node).is_some_and(|mode| mode.tag == "active") {
            let mut account = session.account.lock();
            // A connection that was replaced meanwhile must not wake the newer one.
            let mine = account
                .device(session.device)
                .and_then(|device| device.line.as_ref())
                .is_some_and(|line| line.link.number == session.link.number);
            if mine {
                self.catch_up(&mut account, session.device)?;
            }
            drop(account);
            self.announce(&session.account, session.device)?;
        }
        Ok(())
    }

    fn on_md(&self, session: &Session, node: &Node) -> Result<(), Error> {
        match first_child(node) {
            Some(what) if what.tag == "remove-companion-device" => self.on_remove(session, node, what),
            _ => {
                let answer = refusal(node, 501, "feature-not-implemented");
                session.link.send(answer);
                Ok(())
            }
        }
    }

    /// A device says that it has something; a refusal by it settles the matter as well.
    fn on_ack(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let Some(class) = Class::of(&text(node, "class")) else {
            return Ok(());
        };
        let mut account = session.account.lock();
        let id = text(node, "id");
        self.settle(&mut account, session.device, class, [id.as_ref()])
    }
}
