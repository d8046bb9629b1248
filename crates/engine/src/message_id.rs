//! WhatsApp message ids, chosen by us before anything is sent: the id is on disk first, so that a re-send
//! after a crash carries the same one and the recipient sees the message once.

use sanasend_model::Clock;
use std::fmt::Write as _;

/// Milliseconds that count as one moment.
const MOMENT: i64 = 16;

/// A new id in the form of WhatsApp's own web client: `3EB0` and 18 upper-case hexadecimal digits.
///
/// Eight of them are the time, the other ten are random. Every message stands in an index by this id: with the time in front,
/// new ones go next to each other, and a commit of many messages writes a few pages of it instead of one page for each.
/// The time comes round again after two years, which costs nothing.
pub fn new_message_id(clock: &dyn Clock) -> String {
    let mut bytes = [0_u8; 9];
    let (time, random) = bytes.split_at_mut(4);
    let [_, _, _, _, moment @ ..] = (clock.now().0 / MOMENT).to_be_bytes();
    time.copy_from_slice(&moment);
    clock.fill(random);
    let mut id = String::with_capacity(22);
    id.push_str("3EB0");
    for byte in bytes {
        // Writing into a String can't fail.
        let _ = write!(id, "{byte:02X}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use sanasend_model::Timestamp;

    #[derive(Debug)]
    struct Fixed(i64);
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(self.0)
        }
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xA7);
        }
    }

    #[test]
    fn has_the_form_of_whatsapps_web_client() {
        assert_eq!(new_message_id(&Fixed(0)), "3EB000000000A7A7A7A7A7");
        assert_eq!(new_message_id(&Fixed(1_795_773_600_000)).len(), 22);
    }

    #[test]
    fn later_ones_stand_behind_earlier_ones() {
        let now = 1_795_773_600_000;
        let mut last = String::new();
        for later in [0, 16, 1_000, 3_600_000, 86_400_000] {
            let id = new_message_id(&Fixed(now + later));
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }
}
