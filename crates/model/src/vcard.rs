//! Contact cards as text: vCard 3.0 as WhatsApp's clients write it, and what can be read of any that comes in.

use crate::PhoneNumber;
use crate::rich::{ContactCard, MAX_CARD_CHARS};

/// Most numbers and addresses that are read of one card.
const MOST: usize = 20;

impl ContactCard {
    /// The card as text. Numbers carry `waid`, by which phones offer to write to them.
    #[must_use]
    pub fn to_vcard(&self) -> String {
        let name = escaped(&self.name);
        let mut lines = vec!["BEGIN:VCARD".to_owned(), "VERSION:3.0".to_owned(), format!("N:;{name};;;"), format!("FN:{name}")];
        lines.extend(self.organization.as_deref().map(|organization| format!("ORG:{}", escaped(organization))));
        lines.extend(self.phones.iter().map(|phone| match PhoneNumber::parse(phone) {
            Ok(number) => format!("TEL;type=CELL;waid={}:{number}", number.digits()),
            Err(_) => format!("TEL;type=CELL:{}", escaped(phone)),
        }));
        lines.extend(self.emails.iter().map(|email| format!("EMAIL:{}", escaped(email))));
        lines.push("END:VCARD".to_owned());
        lines.join("\n")
    }

    /// Reads what a stranger sent: `shown` is the name beside the card, taken before the one inside. Lines that mean
    /// nothing here are left out.
    #[must_use]
    pub fn from_vcard(shown: Option<&str>, text: &str) -> Self {
        let mut card = Self { name: String::new(), phones: Vec::new(), emails: Vec::new(), organization: None };
        let mut structured = String::new();
        for line in unfolded(text) {
            let Some((head, value)) = line.split_once(':') else { continue };
            let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
            // Apple's groups: item1.TEL
            let name = name.rsplit('.').next().unwrap_or(name).trim().to_ascii_uppercase();
            match name.as_str() {
                "FN" => card.name = plain(value),
                "N" => structured = parts(value).into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
                "ORG" => card.organization = Some(parts(value).join(" ").trim().to_owned()).filter(|text| !text.is_empty()).map(cut),
                "TEL" if card.phones.len() < MOST => card.phones.extend(number(parameters, value)),
                "EMAIL" if card.emails.len() < MOST => card.emails.extend(Some(plain(value)).filter(|text| !text.is_empty())),
                _ => {}
            }
        }
        let names = [shown.map(str::trim).unwrap_or_default().to_owned(), card.name, structured];
        card.name = cut(names.into_iter().find(|name| !name.is_empty()).unwrap_or_default());
        card
    }
}

/// A number, E.164 where it can be read. `waid` is WhatsApp's own word for it.
fn number(parameters: &str, value: &str) -> Option<String> {
    let waid = parameters.split(';').find_map(|parameter| parameter.strip_prefix("waid="));
    let known = waid.and_then(|digits| PhoneNumber::parse(&format!("+{digits}")).ok());
    let known = known.or_else(|| PhoneNumber::parse(value.trim()).ok());
    known.map(|number| number.to_string()).or_else(|| Some(plain(value)).filter(|text| !text.is_empty()))
}

/// Lines, with those that were broken put together again.
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\r' | '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The parts of a value between semicolons, without their escapes.
fn parts(value: &str) -> Vec<String> {
    let (mut parts, mut part, mut escape) = (Vec::new(), String::new(), false);
    for c in value.trim().chars() {
        match (escape, c) {
            (true, 'n' | 'N') => part.push(' '),
            (true, c) => part.push(c),
            (false, '\\') => {}
            (false, ';') => parts.push(std::mem::take(&mut part)),
            (false, c) if c.is_control() => {}
            (false, c) => part.push(c),
        }
        escape = !escape && c == '\\';
    }
    parts.push(part);
    parts
}

fn plain(value: &str) -> String {
    cut(parts(value).join(";").trim().to_owned())
}

fn cut(text: String) -> String {
    if text.chars().count() <= MAX_CARD_CHARS { text } else { text.chars().take(MAX_CARD_CHARS).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_card_is_read_back() {
        let card = ContactCard {
            name: "Müller; Anna, \\ Dr.".into(),
            phones: vec!["+12025550123".into()],
            emails: vec!["anna@example.com".into()],
            organization: Some("A, B; C".into()),
        };
        let text = card.to_vcard();
        assert!(text.contains("TEL;type=CELL;waid=12025550123:+12025550123"), "{text}");
        assert_eq!(ContactCard::from_vcard(None, &text), card);
    }

    #[test]
    fn a_card_of_another_program_is_read() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe;Jane;;;\r\nitem1.TEL;waid=12025550123:+1 202-555\r\n -0123\r\n\
                    item1.X-ABLabel:Mobile\r\nTEL:ask at the desk\r\nNOTE:a\\nb\r\nEND:VCARD";
        let card = ContactCard::from_vcard(None, text);
        assert_eq!((card.name.as_str(), card.phones), ("Doe Jane", vec!["+12025550123".to_owned(), "ask at the desk".to_owned()]));
        assert_eq!(ContactCard::from_vcard(Some("Jane"), text).name, "Jane");
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_breaks_the_reader(text in "\\PC{0,400}|(TEL|FN|N|ORG)[:;\\\\\n ]{0,40}") {
            let card = ContactCard::from_vcard(None, &text);
            prop_assert!(card.phones.len() <= MOST && card.name.chars().count() <= MAX_CARD_CHARS);
        }
    }
}
