//! WhatsApp message ids, chosen by us before anything is sent: the id is on disk first, so that a re-send
//! after a crash carries the same one and the recipient sees the message once.

use sanasend_model::Clock;
use std::fmt::Write as _;

/// A new id in the form of WhatsApp's own web client: `3EB0` and 18 upper-case hexadecimal digits.
pub fn new_message_id(clock: &dyn Clock) -> String {
    let mut random = [0_u8; 9];
    clock.fill(&mut random);
    let mut id = String::with_capacity(22);
    id.push_str("3EB0");
    for byte in random {
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
    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xA7);
        }
    }

    #[test]
    fn has_the_form_of_whatsapps_web_client() {
        assert_eq!(new_message_id(&Fixed), "3EB0A7A7A7A7A7A7A7A7A7");
    }
}
