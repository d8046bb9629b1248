//! Ids on both sides of the wall: the client library's carry devices, ours never do.

use sanasend_model::{Jid, PhoneNumber};
use sanasend_store::Peer;
use whatsapp_rust::wacore_binary::Jid as WireJid;

/// Ours to the library's.
pub(crate) fn to_wire(jid: &Jid) -> Option<WireJid> {
    jid.as_str().parse().ok()
}

/// The library's to ours, without the device; `None` for kinds of ids that we do not speak with.
pub(crate) fn from_wire(jid: &WireJid) -> Option<Jid> {
    Jid::parse(&jid.to_non_ad_string())
}

/// A person known by one or two ids.
pub(crate) fn peer(ids: impl IntoIterator<Item = Jid>) -> Peer {
    let mut peer = Peer { phone: None, jid: None, lid: None };
    for id in ids {
        let place = if id.is_lid() { &mut peer.lid } else { &mut peer.jid };
        place.get_or_insert(id);
    }
    peer.phone = peer.jid.as_ref().and_then(Jid::phone);
    peer
}

/// The number that an id by number holds.
pub(crate) fn phone(jid: &WireJid) -> Option<PhoneNumber> {
    from_wire(jid)?.phone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_cut_off_and_a_person_keeps_both_ids() {
        let wire: WireJid = "15550100:33@s.whatsapp.net".parse().expect("jid");
        let jid = from_wire(&wire).expect("ours");
        assert_eq!(jid.as_str(), "15550100@s.whatsapp.net");
        let lid = Jid::parse("123@lid").expect("lid");
        let peer = peer([lid.clone(), jid.clone()]);
        assert_eq!((peer.jid, peer.lid), (Some(jid), Some(lid)));
        assert_eq!(peer.phone.expect("phone").as_str(), "+15550100");
    }
}
