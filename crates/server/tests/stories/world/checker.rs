//! The checker of the fault stories. It knows nothing of our code: it reads what the API answered, what phones show,
//! and what the network recorded.

use sanasend_sandbox::{Control, Direction, StanzaFilter, StanzaRecord};
use serde_json::Value;
use std::collections::BTreeMap;

/// Each of `sent` is shown exactly once, and in this order.
#[track_caller]
pub fn shown_once_in_order(sent: &[String], shown: &[String]) {
    shown_once(sent, shown);
    let order: Vec<&String> = shown.iter().filter(|text| sent.contains(text)).collect();
    assert_eq!(order, sent.iter().collect::<Vec<_>>(), "out of order");
}

/// Each of `sent` is shown exactly once.
#[track_caller]
pub fn shown_once(sent: &[String], shown: &[String]) {
    let lost: Vec<&String> = sent.iter().filter(|text| !shown.contains(text)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let doubled: Vec<&String> = sent.iter().filter(|text| shown.iter().filter(|other| other == text).count() > 1).collect();
    assert!(doubled.is_empty(), "shown twice: {doubled:?}");
}

/// What the network recorded of a message, line by line: for the failure of a story, to say what happened.
pub fn history_of(control: &Control, id: &str) -> String {
    let filter = StanzaFilter { limit: Some(usize::MAX), ..StanzaFilter::default() };
    let named = |record: &StanzaRecord| record.node.to_string().contains(id);
    let line = |record: StanzaRecord| {
        let jid = record.jid.clone().unwrap_or_default();
        let mut node = record.node.to_string();
        node.truncate(node.char_indices().nth(400).map_or(node.len(), |(at, _)| at));
        format!("{:>6} {:?} {jid} {node}", record.seq, record.direction)
    };
    control.transcript(&filter).into_iter().filter(named).map(line).collect::<Vec<_>>().join("\n")
}

/// What the network recorded of one account's companions.
pub struct Transcript(Vec<StanzaRecord>);

impl Transcript {
    /// Everything of the devices of `number`.
    pub fn of(control: &Control, number: &str) -> Self {
        let filter = StanzaFilter { jid: Some(number.to_owned()), limit: Some(usize::MAX), ..StanzaFilter::default() };
        let companion = |record: &StanzaRecord| record.jid.as_deref().is_some_and(|jid| jid.contains(':'));
        Self(control.transcript(&filter).into_iter().filter(companion).collect())
    }

    /// Invariant I5: no message key is used for two different messages. A key is named by the two devices, the
    /// sender's ratchet key and the counter.
    #[track_caller]
    pub fn no_counter_is_reused(&self) -> usize {
        let mut used: BTreeMap<(String, String, u64), String> = BTreeMap::new();
        let mut seen = 0;
        for record in self.0.iter().filter(|record| record.direction == Direction::In) {
            let sender = record.jid.clone().unwrap_or_default();
            for (recipient, header) in encrypted(&record.node) {
                let ratchet = header["ratchet_key_hash"].as_str().unwrap_or_default();
                let key = (format!("{sender} -> {recipient}"), ratchet.to_owned(), header["counter"].as_u64().unwrap_or_default());
                let payload = header["payload_hash"].as_str().unwrap_or_default().to_owned();
                seen += 1;
                if let Some(other) = used.insert(key.clone(), payload.clone()) {
                    assert_eq!(other, payload, "message key used twice: {key:?}");
                }
            }
        }
        seen
    }

    /// Ids of messages of which the account's companion acknowledged the recipient's receipt: the network does not tell that
    /// again. (The account's own phone tells of its copy with a receipt too, of the type `sender`.)
    pub fn receipts_acknowledged(&self) -> Vec<String> {
        let told = self.0.iter().filter(|record| record.direction == Direction::In && record.tag == "ack");
        let told = told.filter(|record| record.node["attrs"]["class"] == "receipt" && record.node["attrs"]["type"] != "sender");
        told.filter_map(|record| record.node["attrs"]["id"].as_str().map(str::to_owned)).collect()
    }

    /// Ids of messages that the account's companion told the network it has (`ack` or `receipt`).
    pub fn acknowledged(&self) -> Vec<String> {
        let told = self.0.iter().filter(|record| record.direction == Direction::In);
        let told = told.filter(|record| match record.node["tag"].as_str() {
            Some("ack") => record.node["attrs"]["class"] == "message",
            Some("receipt") => record.node["attrs"]["type"] != "retry",
            _ => false,
        });
        told.filter_map(|record| record.node["attrs"]["id"].as_str().map(str::to_owned)).collect()
    }

    /// Invariant 6: never two live connections. A connection that was heard is not heard again once another one was.
    #[track_caller]
    pub fn one_connection_at_a_time(&self) {
        let mut heard: Vec<u64> = Vec::new();
        for record in self.0.iter().filter(|record| record.direction == Direction::In) {
            if heard.last() != Some(&record.connection) {
                assert!(!heard.contains(&record.connection), "connection {} lives beside another", record.connection);
                heard.push(record.connection);
            }
        }
    }

    /// How often the companion was let in.
    pub fn logins(&self) -> usize {
        self.0.iter().filter(|record| record.direction == Direction::Out && record.node["tag"] == "success").count()
    }

    /// Ids of messages in the order in which the companion wrote each for the first time.
    pub fn first_writes(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for record in self.0.iter().filter(|record| record.direction == Direction::In && record.node["tag"] == "message") {
            let id = record.node["attrs"]["id"].as_str().unwrap_or_default();
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        ids
    }

    /// How often the companion wrote a message with this id.
    pub fn writes_of(&self, id: &str) -> usize {
        let written = |record: &&StanzaRecord| {
            record.direction == Direction::In && record.node["tag"] == "message" && record.node["attrs"]["id"] == id
        };
        self.0.iter().filter(written).count()
    }
}

/// Every encrypted part of a stanza with the device it is for.
fn encrypted(stanza: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    let to = stanza["attrs"]["to"].as_str().unwrap_or_default();
    collect(stanza, to, &mut found);
    found
}

fn collect<'a>(node: &'a Value, recipient: &str, found: &mut Vec<(String, &'a Value)>) {
    let recipient = if node["tag"] == "to" { node["attrs"]["jid"].as_str().unwrap_or(recipient) } else { recipient };
    if node["tag"] == "enc" && node["header"].get("ratchet_key_hash").is_some() {
        found.push((recipient.to_owned(), &node["header"]));
    }
    for child in node["children"].as_array().into_iter().flatten() {
        collect(child, recipient, found);
    }
}
