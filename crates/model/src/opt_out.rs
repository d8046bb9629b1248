//! Opting out: which messages are the wish to hear no more (STOP) or to hear again (START), and what is kept of a wish.
//!
//! A wish is a whole message and nothing else: "stop" is one, "please don't stop" is none. What is compared is the text as
//! [`folded`] leaves it. The table holds words that the person can hardly mean otherwise; operators add their own.

use crate::Invalid;
use crate::message::names;
use crate::words::folded;
use std::collections::HashSet;

/// Longest text that can be a wish, in bytes: whoever writes more wants to say something.
const LONGEST: usize = 120;
/// Longest word that an operator may add, in characters.
const LONGEST_WORD: usize = 40;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To get no more messages.
    Stop,
    /// To get messages again.
    Start,
}

/// The words of a language.
#[derive(Debug, Clone, Copy)]
pub struct Language {
    /// ISO 639-1.
    pub code: &'static str,
    /// Ask to hear no more.
    pub stop: &'static [&'static str],
    /// Ask to hear again.
    pub start: &'static [&'static str],
}

const fn language(code: &'static str, stop: &'static [&'static str], start: &'static [&'static str]) -> Language {
    Language { code, stop, start }
}

/// Every language that is known.
pub const LANGUAGES: &[Language] = &[
    language(
        "en",
        &["stop", "stop all", "stopall", "unsubscribe", "opt out", "optout", "cancel", "end", "quit", "revoke", "remove me"],
        &["start", "unstop", "subscribe", "resubscribe", "opt in", "optin", "resume"],
    ),
    language(
        "de",
        &["stop", "stopp", "abmelden", "abbestellen", "austragen", "keine nachrichten", "keine nachrichten mehr"],
        &["start", "anmelden", "wieder anmelden"],
    ),
    language(
        "fr",
        &["stop", "arrêt", "arrêter", "arrêtez", "désabonner", "se désabonner", "désinscription", "désinscrire"],
        &["start", "reprendre", "s'abonner", "se réabonner"],
    ),
    language(
        "es",
        &["stop", "alto", "parar", "baja", "dar de baja", "darse de baja", "darme de baja", "desuscribir", "cancelar"],
        &["start", "alta", "dar de alta", "darse de alta", "suscribir", "suscribirme"],
    ),
    language(
        "pt",
        &["stop", "parar", "pare", "sair", "descadastrar", "cancelar", "cancelar inscrição", "remover"],
        &["start", "voltar", "inscrever", "reinscrever"],
    ),
    language(
        "it",
        &["stop", "ferma", "fermati", "cancellami", "disiscrivimi", "disiscriviti", "annulla iscrizione"],
        &["start", "riprendi", "iscrivimi", "iscriviti"],
    ),
    language("nl", &["stop", "stoppen", "afmelden", "uitschrijven"], &["start", "aanmelden", "inschrijven"]),
    language("pl", &["stop", "wypisz", "wypisz mnie", "rezygnuję", "zatrzymaj"], &["start", "zapisz", "zapisz mnie", "wznów"]),
    language(
        "tr",
        &["stop", "dur", "durdur", "iptal", "ret", "abonelikten çık", "listeden çık"],
        &["start", "başla", "başlat", "abone ol"],
    ),
    language("ar", &["إيقاف", "توقف", "قف", "إلغاء", "إلغاء الاشتراك", "الغاء الاشتراك"], &["ابدأ", "بدء", "اشتراك", "استئناف"]),
    language("hi", &["रोकें", "रोको", "बंद", "बंद करो", "बंद करें", "band karo", "band karen"], &["शुरू", "शुरू करो", "शुरू करें", "shuru", "shuru karo"]),
    language("id", &["stop", "berhenti", "berhenti berlangganan", "hentikan", "batal"], &["start", "mulai", "berlangganan", "lanjutkan"]),
    language("ru", &["стоп", "отписаться", "отписка", "отпишите", "отпишите меня"], &["старт", "подписаться", "подписка", "возобновить"]),
    language("uk", &["стоп", "відписатися", "відписка"], &["старт", "підписатися", "підписка"]),
];

/// The words that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    stop: HashSet<String>,
    start: HashSet<String>,
}

impl Default for Words {
    /// Those of every language.
    fn default() -> Self {
        let mut words = Self { stop: HashSet::new(), start: HashSet::new() };
        for language in LANGUAGES {
            words.add(language);
        }
        words
    }
}

impl Words {
    /// The words of these languages, by their codes, and more of the operator's own.
    ///
    /// # Errors
    /// `Invalid` on `languages`, `stop_words` or `start_words`: a language that is not known, a word that is none or long, or
    /// one that would mean both.
    pub fn of(languages: &[String], stop: &[String], start: &[String]) -> Result<Self, Invalid> {
        let mut words = Self { stop: HashSet::new(), start: HashSet::new() };
        for code in languages {
            let known = LANGUAGES.iter().find(|language| language.code.eq_ignore_ascii_case(code.trim()));
            let Some(language) = known else {
                let codes: Vec<&str> = LANGUAGES.iter().map(|language| language.code).collect();
                return Err(Invalid::new("languages", format!("must be some of {}", codes.join(", "))));
            };
            words.add(language);
        }
        for (field, more, set) in [("stop_words", stop, &mut words.stop), ("start_words", start, &mut words.start)] {
            for word in more {
                let meant = folded(word);
                if meant.is_empty() || word.chars().count() > LONGEST_WORD {
                    return Err(Invalid::new(field, format!("must be words of 1 to {LONGEST_WORD} characters, with letters or digits")));
                }
                set.insert(meant);
            }
        }
        if let Some(both) = words.stop.intersection(&words.start).next() {
            return Err(Invalid::new("start_words", format!("`{both}` can't be a word for both")));
        }
        Ok(words)
    }

    fn add(&mut self, language: &Language) {
        self.stop.extend(language.stop.iter().map(|word| folded(word)));
        self.start.extend(language.start.iter().map(|word| folded(word)));
    }

    /// What the author of a text wants, where that is all that it says.
    #[must_use]
    pub fn wish(&self, text: &str) -> Option<Wish> {
        if text.len() > LONGEST {
            return None;
        }
        let meant = folded(text);
        if self.stop.contains(&meant) {
            Some(Wish::Stop)
        } else if self.start.contains(&meant) {
            Some(Wish::Start)
        } else {
            None
        }
    }
}

names! {
    /// How somebody came to be opted out, or in again.
    OptOutSource {
        /// The person wrote a word that says so.
        Word = "word",
        /// A program of the user said so.
        Api = "api",
        /// The user said so in the dashboard.
        Dashboard = "dashboard",
        /// It stood in a list that was imported.
        Import = "import",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("STOP", Some(Wish::Stop))]
    #[case(" stop. ", Some(Wish::Stop))]
    #[case("Stop!!!", Some(Wish::Stop))]
    #[case("\"STOP\"", Some(Wish::Stop))]
    #[case("Opt-out", Some(Wish::Stop))]
    #[case("abmelden", Some(Wish::Stop))]
    #[case("ARRETER", Some(Wish::Stop))]
    #[case("İptal", Some(Wish::Stop))]
    #[case("ABONELIKTEN CIK", Some(Wish::Stop))]
    #[case("إلغاء الإشتراك", Some(Wish::Stop))]
    #[case("बंद करो", Some(Wish::Stop))]
    #[case("Стоп", Some(Wish::Stop))]
    #[case("Start", Some(Wish::Start))]
    #[case("s’abonner", Some(Wish::Start))]
    #[case("подписаться", Some(Wish::Start))]
    #[case("please stop", None)]
    #[case("don't stop", None)]
    #[case("the bus stop", None)]
    #[case("stopp it", None)]
    #[case("non stop", None)]
    #[case("no", None)]
    #[case("", None)]
    #[case("!!!", None)]
    fn a_wish_is_a_whole_message(#[case] text: &str, #[case] wish: Option<Wish>) {
        assert_eq!(Words::default().wish(text), wish, "{text}");
    }

    #[test]
    fn no_word_means_both_in_any_mixture_of_languages() {
        let words = Words::default();
        assert_eq!(words.stop.intersection(&words.start).count(), 0);
        for language in LANGUAGES {
            assert!(!language.stop.is_empty() && !language.start.is_empty(), "{}", language.code);
            for word in language.stop {
                assert_eq!(words.wish(&word.to_uppercase()), Some(Wish::Stop), "{word}");
            }
        }
    }

    #[test]
    fn operators_choose_languages_and_add_words() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let words = Words::of(&list(&["de"]), &list(&["Genug!"]), &list(&["los"])).expect("sound");
        assert_eq!(words.wish("genug"), Some(Wish::Stop));
        assert_eq!(words.wish("Los."), Some(Wish::Start));
        assert_eq!(words.wish("unsubscribe"), None, "English was not chosen");
        for (languages, stop, start, field) in [
            (&["xx"][..], &[][..], &[][..], "languages"),
            (&["en"], &["!"], &[], "stop_words"),
            (&["en"], &[], &["stop"], "start_words"),
            (&["en"], &[], &["a word that is much too long to be typed by a person"], "start_words"),
        ] {
            let refused = Words::of(&list(languages), &list(stop), &list(start)).expect_err(field);
            assert_eq!(refused.field, field);
        }
    }

    proptest! {
        #[test]
        fn case_and_punctuation_never_matter(index in 0_usize..200, front in "[ .!*\"]{0,3}", back in "[ .!?*\"]{0,3}", loud in any::<bool>()) {
            let all: Vec<&str> = LANGUAGES.iter().flat_map(|language| language.stop.iter().copied()).collect();
            let word = all[index % all.len()];
            let word = if loud { word.to_uppercase() } else { word.to_owned() };
            prop_assert_eq!(Words::default().wish(&format!("{front}{word}{back}")), Some(Wish::Stop));
        }

        #[test]
        fn no_text_of_a_stranger_breaks_it(text in "\\PC{0,200}") {
            let _ = Words::default().wish(&text);
        }
    }
}
