//! A sandbox with linked companions that exist only as keys: enough to speak to the
//! network, without any Signal session.

use crate::client::{Client, PATIENCE, attr, dial_pinned, login_payload, new_key, public};
use sanasend_sandbox::{Config, Sandbox};
use std::path::Path;
use wacore::companion_reg::CompanionWebClientType;
use wacore::pair::{DeviceState, PairUtils};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::KeyPair;

pub async fn sandbox_in(folder: &Path) -> Sandbox {
    let config = Config { data_dir: folder.to_owned(), listen: None, tls_listen: None };
    Sandbox::start(config).await.unwrap()
}

/// The keys of a companion.
pub struct Companion {
    pub noise: KeyPair,
    pub identity: KeyPair,
    pub secret: [u8; 32],
    /// Its signed prekey, public half and signature: a phone looks at the signature.
    pub signed: ([u8; 32], [u8; 64]),
    pub jid: Jid,
    pub lid: Jid,
}

impl Companion {
    pub fn new() -> Companion {
        let (identity, prekey) = (new_key(), new_key());
        let mut random = rand::make_rng::<rand::rngs::StdRng>();
        let signature = identity.calculate_signature(&prekey.public_key.serialize(), &mut random).unwrap();
        let signed = (public(&prekey), signature);
        Companion { noise: new_key(), identity, secret: [9; 32], signed, jid: Jid::default(), lid: Jid::default() }
    }

    pub fn keys(&self) -> DeviceState {
        DeviceState { identity_key: self.identity.clone(), noise_key: self.noise.clone(), adv_secret_key: self.secret }
    }

    pub fn qr(&self, reference: &str) -> String {
        PairUtils::make_qr_data(&self.keys(), reference, CompanionWebClientType::Chrome)
    }

    /// Connects as nobody in particular; answers the references it is offered.
    pub async fn ask_to_be_linked(&self, sandbox: &Sandbox) -> (Client, Vec<String>) {
        let mut client = dial_pinned(sandbox, &self.noise, &login_payload(sanasend_sandbox::RESERVED_NUMBER, 0)).await;
        let offer = client.expect("iq").await;
        let references = offer.get_optional_child("pair-device").unwrap().get_children_by_tag("ref");
        (client, references.map(|r| r.content_as_string().unwrap().to_string()).collect())
    }

    /// Signs what `pair-success` brings, as a client does; answers its new jid and LID.
    pub async fn accept(&mut self, client: &mut Client) {
        let iq = client.expect("iq").await;
        let success = iq.get_optional_child("pair-success").expect("pair-success");
        let device = success.get_optional_child("device").unwrap();
        self.jid = attr(device, "jid").parse().unwrap();
        self.lid = attr(device, "lid").parse().unwrap();
        let reference = success.as_node_ref();
        let blob = reference.get_optional_child("device-identity").unwrap().content_bytes().unwrap().to_vec();
        let (signed, key_index) = PairUtils::do_pair_crypto(&self.keys(), &blob).unwrap();
        let answer = PairUtils::build_pair_success_response(&attr(&iq, "id"), signed, key_index);
        client.send(&answer).await;
    }

    /// Links to the account of `phone`; everything up to the restart.
    pub async fn link(&mut self, sandbox: &Sandbox, phone: &str) {
        let (mut client, references) = self.ask_to_be_linked(sandbox).await;
        let (control, qr, phone) = (sandbox.control(), self.qr(&references[0]), phone.to_owned());
        let scan = tokio::spawn(async move { control.scan(&qr, Some(&phone)).await });
        self.accept(&mut client).await;
        scan.await.unwrap().unwrap();
        let restart = client.expect("stream:error").await;
        assert_eq!(attr(&restart, "code"), "515");
        assert!(client.next().await.is_none(), "the server closes after a restart");
    }

    /// Logs in; everything up to `<success>`.
    pub async fn log_in(&self, sandbox: &Sandbox) -> Client {
        let mut client = self.dial(sandbox).await;
        let success = client.next().await.expect("a greeting");
        assert_eq!(success.tag, "success");
        assert_eq!(attr(&success, "lid"), self.lid.to_string());
        client
    }

    pub async fn dial(&self, sandbox: &Sandbox) -> Client {
        dial_pinned(sandbox, &self.noise, &login_payload(&self.jid.user, self.jid.device)).await
    }

    /// A new companion of `phone`, linked, with `prekeys` one-time prekeys from number 1,
    /// logged in and caught up.
    pub async fn ready(sandbox: &Sandbox, phone: &str, prekeys: u32) -> (Companion, Client) {
        let mut companion = Companion::new();
        companion.link(sandbox, phone).await;
        let mut client = companion.log_in(sandbox).await;
        client.ask("encrypt", "set", companion.upload(1, prekeys)).await;
        let backlog = client.activate().await;
        for node in &backlog {
            client.ack(node).await;
        }
        // What its phone greets it with (keys, history, list of devices) may come later.
        companion.drain(sandbox, &mut client).await;
        (companion, client)
    }

    /// Acknowledges everything until nothing waits for anybody.
    async fn drain(&self, sandbox: &Sandbox, client: &mut Client) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let own = format!("{}", self.jid);
        while sandbox.control().transcript(&filter(&own, "message")).len() < 2 {
            assert!(tokio::time::Instant::now() < deadline, "the phone sends keys and history");
            for node in client.settled().await {
                client.ack(&node).await;
            }
        }
        for node in client.settled().await {
            client.ack(&node).await;
        }
        client.settled().await;
    }

    /// The content of an upload of keys.
    pub fn upload(&self, first: u32, count: u32) -> Vec<Node> {
        let keys = (first..first + count).map(|id| key_node(id, &[u8::try_from(id % 251).unwrap(); 32]));
        vec![
            NodeBuilder::new("registration").bytes(77_u32.to_be_bytes()).build(),
            NodeBuilder::new("type").bytes([5]).build(),
            NodeBuilder::new("identity").bytes(public(&self.identity)).build(),
            NodeBuilder::new("list").children(keys).build(),
            self.skey(1),
        ]
    }

    /// Its signed prekey under a number.
    pub fn skey(&self, id: u32) -> Node {
        let id = NodeBuilder::new("id").bytes(three(id)).build();
        let value = NodeBuilder::new("value").bytes(self.signed.0).build();
        let signature = NodeBuilder::new("signature").bytes(self.signed.1).build();
        NodeBuilder::new("skey").children([id, value, signature]).build()
    }
}

fn filter(jid: &str, tag: &str) -> sanasend_sandbox::StanzaFilter {
    sanasend_sandbox::StanzaFilter::tag(tag).of(jid)
}

fn three(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}

fn key_node(id: u32, key: &[u8; 32]) -> Node {
    let id = NodeBuilder::new("id").bytes(three(id)).build();
    let value = NodeBuilder::new("value").bytes(*key).build();
    NodeBuilder::new("key").children([id, value]).build()
}

/// A message with one sealed copy for each device.
pub fn message(id: &str, to: &Jid, devices: &[&Jid]) -> Node {
    let copies = devices.iter().map(|jid| {
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").bytes(jid.to_string().into_bytes());
        NodeBuilder::new("to").attr("jid", *jid).children([enc.build()]).build()
    });
    NodeBuilder::new("message")
        .attr("to", to)
        .attr("id", id)
        .attr("type", "text")
        .children([NodeBuilder::new("participants").children(copies).build()])
        .build()
}
