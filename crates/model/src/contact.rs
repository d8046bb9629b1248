//! Contacts: what may stand in one, and by which words it is found.

use crate::message::names;
use crate::words::folded;
use crate::{Invalid, Jid, PhoneNumber, Recipient};
use std::collections::{BTreeMap, BTreeSet};

/// Longest name, in characters.
pub const LONGEST_NAME: usize = 200;
/// Longest notes, in characters.
pub const LONGEST_NOTES: usize = 10_000;
/// Longest name of a tag, a group or a field, in characters.
pub const LONGEST_LABEL: usize = 50;
/// Most tags, groups or fields of one contact.
pub const MOST_LABELS: usize = 50;
/// Longest value of a field, in characters.
pub const LONGEST_VALUE: usize = 1000;
/// Longest note beside a consent or an opt-out, in characters.
pub const LONGEST_NOTE: usize = 500;
/// Most words of a name that a contact is found by.
const MOST_WORDS: usize = 8;
/// Most bytes of a word that are looked at.
const LONGEST_WORD: usize = 40;

names! {
    /// Whether somebody agreed to get messages.
    Consent {
        /// Nothing is known.
        Unknown = "unknown",
        /// They agreed.
        Granted = "granted",
        /// They took it back.
        Withdrawn = "withdrawn",
    }
}

names! {
    /// How a contact came to be.
    ContactSource {
        /// A program of the user made it.
        Api = "api",
        /// The user made it in the dashboard.
        Dashboard = "dashboard",
        /// It stood in a file that was imported.
        Import = "import",
        /// The person wrote to an account of the user.
        Conversation = "conversation",
    }
}

/// A person by number or by hidden id.
///
/// # Errors
/// `Invalid` on `field` when it is neither, or a group.
pub fn person(field: &str, text: &str) -> Result<Recipient, Invalid> {
    match Recipient::parse(text) {
        Ok(Recipient::Group(_)) => Err(Invalid::new(field, "must be a person, not a group")),
        Ok(person) => Ok(person),
        Err(refused) => Err(Invalid::new(field, refused.message)),
    }
}

/// What WhatsApp may call a person, as far as it is known. A number stands for the id that it has if it has one.
#[must_use]
pub fn handles(phone: Option<&PhoneNumber>, jid: Option<&Jid>, lid: Option<&Jid>) -> Vec<Jid> {
    let all = phone.map(PhoneNumber::jid).into_iter().chain(jid.cloned()).chain(lid.cloned());
    let people: BTreeSet<Jid> = all.filter(|jid| !jid.is_group()).collect();
    people.into_iter().collect()
}

/// A text without line breaks and other signs that nobody sees, and without blanks around it.
fn one_line(text: &str) -> String {
    let visible: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A name; it may be empty.
///
/// # Errors
/// `Invalid` on `name` when it is too long.
pub fn name(text: &str) -> Result<String, Invalid> {
    let name = one_line(text);
    if name.chars().count() > LONGEST_NAME {
        return Err(Invalid::new("name", format!("must have at most {LONGEST_NAME} characters")));
    }
    Ok(name)
}

/// Notes; they may be empty and have lines.
///
/// # Errors
/// `Invalid` on `notes` when they are too long.
pub fn notes(text: &str) -> Result<String, Invalid> {
    let notes = text.trim();
    if notes.chars().count() > LONGEST_NOTES {
        return Err(Invalid::new("notes", format!("must have at most {LONGEST_NOTES} characters")));
    }
    Ok(notes.to_owned())
}

/// A note beside a consent or an opt-out.
///
/// # Errors
/// `Invalid` on `field` when it is too long.
pub fn note(field: &str, text: &str) -> Result<String, Invalid> {
    let note = one_line(text);
    if note.chars().count() > LONGEST_NOTE {
        return Err(Invalid::new(field, format!("must have at most {LONGEST_NOTE} characters")));
    }
    Ok(note)
}

/// The name of a tag or group, as it is kept: in small letters.
///
/// # Errors
/// `Invalid` on `field` when it is empty or too long.
pub fn label(field: &str, text: &str) -> Result<String, Invalid> {
    let label = one_line(text).to_lowercase();
    if label.is_empty() || label.chars().count() > LONGEST_LABEL {
        return Err(Invalid::new(field, format!("must be names of 1 to {LONGEST_LABEL} characters")));
    }
    Ok(label)
}

/// Tags or groups of a contact, each once.
///
/// # Errors
/// `Invalid` on `field` when one can't be a name or there are too many.
pub fn labels<T: AsRef<str>>(field: &str, texts: &[T]) -> Result<BTreeSet<String>, Invalid> {
    let labels: BTreeSet<String> = texts.iter().map(|text| label(field, text.as_ref())).collect::<Result<_, _>>()?;
    if labels.len() > MOST_LABELS {
        return Err(Invalid::new(field, format!("must be at most {MOST_LABELS} names")));
    }
    Ok(labels)
}

/// The name of a field of one's own: it can stand in a template.
///
/// # Errors
/// `Invalid` on `field` when it can't be one.
pub fn field_name(field: &str, text: &str) -> Result<String, Invalid> {
    let name = text.trim().to_lowercase();
    let sound = name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if !sound || !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.len() > LONGEST_LABEL {
        return Err(Invalid::new(field, "must have names of letters, digits and underscores that begin with a letter, like `order_id`"));
    }
    Ok(name)
}

/// The fields of one's own. An empty value is none.
///
/// # Errors
/// `Invalid` on `field` when a name or a value can't be one, or there are too many.
pub fn fields(field: &str, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Invalid> {
    let mut fields = BTreeMap::new();
    for (name, value) in given {
        let name = field_name(field, name)?;
        let value = value.trim();
        if value.chars().count() > LONGEST_VALUE {
            return Err(Invalid::new(field, format!("must have values of at most {LONGEST_VALUE} characters")));
        }
        if !value.is_empty() {
            fields.insert(name, value.to_owned());
        }
    }
    if fields.len() > MOST_LABELS {
        return Err(Invalid::new(field, format!("must be at most {MOST_LABELS}")));
    }
    Ok(fields)
}

/// Cuts a word where a letter ends.
fn cut(word: &str) -> &str {
    let mut end = word.len().min(LONGEST_WORD);
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    word.get(..end).unwrap_or(word)
}

/// The words by which a contact is found: those of its name, and its number.
#[must_use]
pub fn words(name: &str, phone: Option<&PhoneNumber>) -> BTreeSet<String> {
    let folded = folded(name);
    let words = folded.split(' ').filter(|word| !word.is_empty()).take(MOST_WORDS);
    words.chain(phone.map(PhoneNumber::digits)).map(|word| cut(word).to_owned()).collect()
}

/// What is looked for: the beginnings of words, the longest first. A number may be spelled in any way.
#[must_use]
pub fn wanted(search: &str) -> Vec<String> {
    let is_number = |letter: char| letter.is_ascii_digit() || matches!(letter, '+' | ' ' | '-' | '.' | '(' | ')' | '\u{a0}');
    let digits: String = search.chars().filter(char::is_ascii_digit).collect();
    if !digits.is_empty() && search.trim().chars().all(is_number) {
        return vec![cut(&digits).to_owned()];
    }
    let folded = folded(search);
    let mut wanted: Vec<String> =
        folded.split(' ').filter(|word| !word.is_empty()).take(MOST_WORDS).map(|word| cut(word).to_owned()).collect();
    wanted.sort_by_key(|word| std::cmp::Reverse(word.len()));
    wanted.dedup();
    wanted
}

/// The place of a name in a list by names: whatever case and accents.
#[must_use]
pub fn sort_key(name: &str) -> Vec<u8> {
    let folded = folded(name);
    folded.bytes().take(2 * LONGEST_WORD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn number(text: &str) -> PhoneNumber {
        PhoneNumber::parse(text).expect("a number")
    }

    #[test]
    fn a_person_is_a_number_or_a_hidden_id() {
        assert_eq!(person("phone", "+1 415 555 0100").map(|person| person.jid().to_string()).as_deref(), Ok("14155550100@s.whatsapp.net"));
        assert!(person("phone", "123456789012345@lid").is_ok());
        for refused in ["120363021033254949@g.us", "nobody", ""] {
            assert_eq!(person("phone", refused).expect_err("refused").field, "phone");
        }
    }

    #[test]
    fn a_number_and_its_id_are_one_handle() {
        let phone = number("+14155550100");
        let lid = Jid::parse("77@lid").expect("an id");
        assert_eq!(handles(Some(&phone), Some(&phone.jid()), Some(&lid)), [phone.jid(), lid]);
        assert_eq!(handles(None, Some(&Jid::parse("1@g.us").expect("an id")), None), []);
    }

    #[test]
    fn labels_are_names_in_small_letters_each_once() {
        let found = labels("tags", &["VIP", " vip ", "New  customer"]).expect("sound");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["new customer", "vip"]);
        assert!(labels("tags", &[""]).is_err());
        assert!(labels("tags", &["x".repeat(51)]).is_err());
        assert!(labels("tags", &(0..51).map(|n| n.to_string()).collect::<Vec<_>>()).is_err());
    }

    #[rstest]
    #[case("order_id", true)]
    #[case(" Order_ID ", true)]
    #[case("1st", false)]
    #[case("_x", false)]
    #[case("a b", false)]
    #[case("größe", false)]
    #[case("", false)]
    fn names_of_fields_can_stand_in_a_template(#[case] text: &str, #[case] sound: bool) {
        assert_eq!(field_name("fields", text).is_ok(), sound, "{text}");
    }

    #[test]
    fn fields_without_a_value_are_none() {
        let given = BTreeMap::from([("City".to_owned(), " Köln ".to_owned()), ("empty".to_owned(), "  ".to_owned())]);
        assert_eq!(fields("fields", &given), Ok(BTreeMap::from([("city".to_owned(), "Köln".to_owned())])));
        assert!(fields("fields", &BTreeMap::from([("x".to_owned(), "y".repeat(1001))])).is_err());
    }

    #[test]
    fn a_contact_is_found_by_its_words_and_its_number() {
        let words = words("Ànna-Maria  O'Neill", Some(&number("+14155550100")));
        assert_eq!(words.into_iter().collect::<Vec<_>>(), ["14155550100", "anna", "maria", "neill", "o"]);
        assert_eq!(wanted("ma ANNA"), ["anna", "ma"]);
        assert_eq!(wanted("+1 (415) 555"), ["1415555"]);
        assert_eq!(wanted("  "), Vec::<String>::new());
        assert_eq!(sort_key("Émile"), b"emile");
    }

    #[test]
    fn names_have_one_line() {
        assert_eq!(name(" Anna\n\tMüller\u{0} "), Ok("Anna Müller".to_owned()));
        assert!(name(&"x".repeat(201)).is_err());
        assert_eq!(notes(" a\nb "), Ok("a\nb".to_owned()));
    }

    proptest! {
        #[test]
        fn whoever_looks_for_a_word_of_a_name_finds_it(text in "\\PC{1,60}", start in 1_usize..6) {
            for word in words(&text, None) {
                let beginning: String = word.chars().take(start).collect();
                let wanted = wanted(&beginning);
                prop_assert!(wanted.iter().all(|wanted| word.starts_with(wanted.as_str())), "{word:?}: {wanted:?}");
            }
        }
    }
}
