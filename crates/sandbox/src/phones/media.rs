//! What a phone does with media: it opens what it gets, sends files, and leaves a file again when one of its
//! companions could not get it.

use crate::Error;
use crate::phones::attachment::{self, NewMedia};
use crate::phones::chats::OpenFile;
use crate::phones::link::Link;
use crate::phones::phone::Phone;
use crate::phones::stanzas;
use std::io::Read;
use std::sync::Arc;
use wacore::crypto::hkdf_sha256_into;
use wacore::media_retry::decrypt_media_retry_notification;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::crypto::aes_256_gcm_encrypt;
use waproto::buffa::Message as _;
use waproto::whatsapp::MediaRetryNotification;
use waproto::whatsapp::media_retry_notification::ResultType;

/// `<error code>` of an answer: the phone does not have the file either.
const NOT_FOUND: u8 = 2;

impl Phone {
    /// Sends a file to a chat. It is on its way when this returns, or waits on the phone while that is offline.
    /// Answers the message id.
    pub async fn send_media(&self, to: &Jid, new: NewMedia, mut source: Box<dyn Read + Send>) -> Result<String, Error> {
        if new.kind.media_type().is_none() {
            return Err(Error::Invalid("media is one of image, video, video_note, audio, voice_note, document, sticker".into()));
        }
        let chat = self.chat_with(to)?;
        let quoted = self.quoted(new.reply_to.as_deref())?;
        let (number, kind, flaw) = (self.number.clone(), new.kind, new.flaw);
        let sealed = self
            .gallery
            .busy(move |gallery| {
                let kept = gallery.keep(&mut source)?;
                gallery.leave(&number, kind, &kept.name, None, flaw)
            })
            .await??;
        let context = quoted.as_ref().map(|message| message.quote().context());
        let message = attachment::message(&new, &sealed, context, self.network.clock().unix_seconds());
        let outgoing = self.outgoing(chat, &message);
        self.show_own(&outgoing, &message, Some(&sealed))?;
        if let Some(link) = self.link() {
            self.dispatch(&link, &outgoing).await;
        }
        Ok(outgoing.id)
    }

    /// A file that the phone has, of the newest message with this id; what else there is to say of it comes with it.
    pub fn open_media(&self, id: &str) -> Result<OpenFile, Error> {
        let (media, sealed) = self.chats.lock().media(self.state(), id)?;
        let file = match sealed.file {
            Some(name) => self.gallery.read(&name)?,
            None => None,
        };
        match (file, media.problem.clone()) {
            (Some((file, size)), _) => Ok(OpenFile { file, size, media }),
            (None, Some(problem)) => Err(Error::Refused(format!("this phone does not have the file: {problem}"))),
            (None, None) => Err(Error::Unknown(format!("the file of {id}: it is not here yet, or not kept any more"))),
        }
    }

    /// Downloads what is shown but not here yet.
    pub(super) fn fetch_missing(self: &Arc<Self>) {
        let missing = self.chats.lock().unfetched();
        for index in missing {
            self.fetch(index);
        }
    }

    /// Downloads the file of a shown message, in its own time.
    pub(super) fn fetch(self: &Arc<Self>, index: usize) {
        let phone = self.clone();
        tokio::spawn(async move {
            if let Err(error) = phone.fetch_now(index).await {
                tracing::warn!(phone = %phone.own.pn, %error, "a file was not taken in");
            }
        });
    }

    async fn fetch_now(&self, index: usize) -> Result<(), Error> {
        let Some(mut sealed) = self.chats.lock().sealed(self.state(), index)? else {
            return Ok(());
        };
        let (number, wanted) = (self.number.clone(), sealed.clone());
        let outcome = self.gallery.busy(move |gallery| gallery.fetch(&number, &wanted)).await?;
        let problem = match outcome {
            Ok(placed) => {
                sealed.file = Some(placed.name);
                None
            }
            Err(problem) => Some(problem),
        };
        self.chats.lock().settle_media(self.state(), index, &sealed, problem)?;
        self.note_change();
        Ok(())
    }

    /// A companion could not download a file: leaves it again and says where.
    pub(super) async fn leave_again(&self, link: &Link, receipt: &Node) -> Result<(), Error> {
        let (Some(id), Some(companion)) = (stanzas::text(receipt, "id"), stanzas::jid(receipt, "from")) else {
            return Ok(());
        };
        let Some(about) = receipt.get_optional_child("rmr").filter(|_| self.is_own(&companion)) else {
            return Ok(());
        };
        let answer = match self.left_again(&id, receipt).await {
            Ok(children) => children,
            Err(error) => {
                tracing::debug!(id, %error, "a file was not left again");
                vec![NodeBuilder::new("error").attr("code", NOT_FOUND).build()]
            }
        };
        let notification = NodeBuilder::new("notification")
            .attr("id", id)
            .attr("to", companion)
            .attr("type", "mediaretry")
            .children(answer.into_iter().chain([about.clone()]));
        link.send(notification.build())
    }

    async fn left_again(&self, id: &str, receipt: &Node) -> Result<Vec<Node>, Error> {
        let (_, sealed) = self.chats.lock().media(self.state(), id)?;
        check_request(id, receipt, &sealed.key)?;
        let name = sealed.file.clone().ok_or_else(|| Error::Unknown("this phone does not have the file".into()))?;
        let (number, kind, key) = (self.number.clone(), sealed.kind, sealed.key.clone());
        let again = self.gallery.busy(move |gallery| gallery.leave(&number, kind, &name, Some(&key), None)).await??;
        let told = MediaRetryNotification {
            stanza_id: Some(id.to_owned()),
            direct_path: Some(again.direct_path.clone()),
            result: Some(ResultType::SUCCESS),
            ..Default::default()
        };
        let iv = self.network.clock().bytes::<12>();
        let mut text = Vec::new();
        aes_256_gcm_encrypt(&retry_key(&sealed.key)?, &iv, id.as_bytes(), &told.encode_to_vec(), &mut text)
            .map_err(|error| Error::Keys(error.to_string()))?;
        let parts = [NodeBuilder::new("enc_p").bytes(text).build(), NodeBuilder::new("enc_iv").bytes(iv.to_vec()).build()];
        Ok(vec![NodeBuilder::new("encrypt").children(parts).build()])
    }
}

/// Who asks must know the file's key; clients that leave the proof out are believed, as WhatsApp does.
fn check_request(id: &str, receipt: &Node, key: &[u8]) -> Result<(), Error> {
    let Some(proof) = receipt.get_optional_child("encrypt") else {
        return Ok(());
    };
    let part = |name| proof.get_optional_child(name).and_then(stanzas::bytes).unwrap_or_default();
    decrypt_media_retry_notification(key, id, part("enc_iv"), part("enc_p")).map_err(|error| Error::Protocol(error.to_string()))?;
    Ok(())
}

fn retry_key(key: &[u8]) -> Result<[u8; 32], Error> {
    let mut out = [0; 32];
    hkdf_sha256_into(key, None, b"WhatsApp Media Retry Notification", &mut out).map_err(|error| Error::Keys(error.to_string()))?;
    Ok(out)
}
