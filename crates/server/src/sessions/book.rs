//! How recipients are addressed, as WhatsApp answered: a number is asked for once, not with every message.

use sanasend_engine::Found;
use sanasend_model::{Jid, PhoneNumber, Timestamp};
use sanasend_store::Peer;
use std::collections::HashMap;
use std::time::Duration;

/// Most answers kept per account; when full, all are forgotten and asked for again.
const CAPACITY: usize = 4096;
/// How long an answer is believed: people leave and join.
const GOOD_FOR: Duration = Duration::from_hours(24);

/// One recipient's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Where messages go.
    pub to: Jid,
    /// Who that is.
    pub peer: Peer,
}

/// The answers, by the number that was asked for.
#[derive(Debug, Default)]
pub struct Book {
    entries: HashMap<PhoneNumber, (Timestamp, Address)>,
}

impl Book {
    /// The address of a number, when WhatsApp was asked not long ago.
    pub fn find(&self, phone: &PhoneNumber, now: Timestamp) -> Option<Address> {
        let (at, address) = self.entries.get(phone)?;
        (now.since(*at) < GOOD_FOR).then(|| address.clone())
    }

    /// Notes an answer; `None` when the number is not on WhatsApp, which is never noted: it may join at any time.
    pub fn note(&mut self, found: &Found, now: Timestamp) -> Option<Address> {
        let to = found.jid.clone().or_else(|| found.lid.clone())?;
        // What WhatsApp answers is the truth: a Brazilian number may have lost or gained its ninth digit.
        let phone = to.phone().or_else(|| Some(found.phone.clone()));
        let address = Address { to, peer: Peer { phone, jid: found.jid.clone(), lid: found.lid.clone() } };
        if self.entries.len() >= CAPACITY {
            self.entries.clear();
        }
        self.entries.insert(found.phone.clone(), (now, address.clone()));
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> PhoneNumber {
        PhoneNumber::parse(text).expect("number")
    }

    #[test]
    fn the_address_is_what_whatsapp_answers_not_what_was_typed() {
        let mut book = Book::default();
        let typed = number("+5511987654321");
        let jid = Jid::parse("551187654321@s.whatsapp.net").expect("jid");
        let address = book.note(&Found { phone: typed.clone(), jid: Some(jid.clone()), lid: None }, Timestamp(0)).expect("on WhatsApp");
        assert_eq!((address.to, address.peer.phone.map(|p| p.to_string())), (jid, Some("+551187654321".into())));
        assert!(book.find(&typed, Timestamp(1000)).is_some());
        assert!(book.find(&typed, Timestamp(0).plus(GOOD_FOR)).is_none(), "believed for a day");
    }

    #[test]
    fn a_number_that_is_not_there_is_asked_for_again() {
        let mut book = Book::default();
        let typed = number("+12025550100");
        assert!(book.note(&Found { phone: typed.clone(), jid: None, lid: None }, Timestamp(0)).is_none());
        assert!(book.find(&typed, Timestamp(0)).is_none());
    }
}
