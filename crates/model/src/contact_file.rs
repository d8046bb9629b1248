//! Contacts in a table of text, as spreadsheets write it: which column is what, and what a line says.

use crate::contact::{self, Consent};
use crate::words::folded;
use crate::{Invalid, Recipient};
use std::collections::{BTreeMap, BTreeSet};

/// Between the names of several tags or groups in one cell.
const BETWEEN: [char; 3] = [';', '|', ','];
/// Most columns that are looked at.
pub const MOST_COLUMNS: usize = 200;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The number, or an id like `...@lid`.
    Phone,
    /// The name.
    Name,
    /// The first name, of names that are in two columns.
    FirstName,
    /// The family name.
    LastName,
    /// Tags, with `;`, `,` or `|` between them.
    Tags,
    /// Groups, likewise.
    Groups,
    /// Notes.
    Notes,
    /// Whether the person agreed: `yes`, `no`, or a name of [`Consent`].
    Consent,
    /// Whether the person opted out: `yes` or `no`.
    OptedOut,
    /// A field of one's own.
    Field(String),
    /// Nothing that is wanted.
    Skip,
}

impl Column {
    /// Reads `phone`, `name`, `tags`, `field:city`, `skip`, and so on.
    ///
    /// # Errors
    /// `Invalid` on `mapping` with what is possible.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("field:") {
            return contact::field_name("mapping", name).map(Self::Field);
        }
        Ok(match text {
            "phone" => Self::Phone,
            "name" => Self::Name,
            "first_name" => Self::FirstName,
            "last_name" => Self::LastName,
            "tags" => Self::Tags,
            "groups" => Self::Groups,
            "notes" => Self::Notes,
            "consent" => Self::Consent,
            "opted_out" => Self::OptedOut,
            "skip" | "" => Self::Skip,
            _ => {
                let possible = "phone, name, first_name, last_name, tags, groups, notes, consent, opted_out, field:NAME or skip";
                return Err(Invalid::new("mapping", format!("must say of each column one of {possible}")));
            }
        })
    }

    /// What [`Column::parse`] reads.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Phone => "phone".into(),
            Self::Name => "name".into(),
            Self::FirstName => "first_name".into(),
            Self::LastName => "last_name".into(),
            Self::Tags => "tags".into(),
            Self::Groups => "groups".into(),
            Self::Notes => "notes".into(),
            Self::Consent => "consent".into(),
            Self::OptedOut => "opted_out".into(),
            Self::Field(name) => format!("field:{name}"),
            Self::Skip => "skip".into(),
        }
    }

    /// What a column of this heading most likely holds.
    #[must_use]
    pub fn guess(heading: &str) -> Self {
        if let Some(name) = heading.trim().strip_prefix("field:").or_else(|| heading.trim().strip_prefix("field_")) {
            return contact::field_name("mapping", name).map_or(Self::Skip, Self::Field);
        }
        let heading = folded(heading);
        match heading.as_str() {
            "phone" | "phone number" | "phonenumber" | "mobile" | "mobile phone" | "mobile number" | "number" | "whatsapp"
            | "whatsapp number" | "telefon" | "telefonnummer" | "handy" | "mobil" | "mobiltelefon" | "nummer" | "telephone" | "tel"
            | "msisdn" | "celular" | "telefono" | "telefone" | "movil" | "recipient" | "phone 1 value" => Self::Phone,
            "name" | "full name" | "fullname" | "display name" | "contact" | "contact name" | "vollstandiger name" | "nom" | "nombre"
            | "nome" => Self::Name,
            "first name" | "firstname" | "given name" | "vorname" | "prenom" => Self::FirstName,
            "last name" | "lastname" | "family name" | "surname" | "nachname" | "apellido" | "apellidos" | "sobrenome" | "cognome" => {
                Self::LastName
            }
            "tag" | "tags" | "label" | "labels" | "etiquetas" => Self::Tags,
            "group" | "groups" | "gruppe" | "gruppen" | "list" | "lists" | "segment" => Self::Groups,
            "note" | "notes" | "notiz" | "notizen" | "comment" | "comments" | "remarks" => Self::Notes,
            "consent" | "opt in" | "optin" | "einwilligung" => Self::Consent,
            "opted out" | "opt out" | "optout" | "unsubscribed" | "abgemeldet" => Self::OptedOut,
            // The other columns of our own export.
            "id" | "jid" | "lid" | "source" | "on whatsapp" | "checked at" | "created at" | "updated at" | "consent at"
            | "opted out at" => Self::Skip,
            other => contact::field_name("mapping", &other.replace(' ', "_")).map_or(Self::Skip, Self::Field),
        }
    }
}

/// Which column of a file is what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    columns: Vec<Column>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who.
    pub person: Recipient,
    /// The name; empty where none is given.
    pub name: String,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Fields of one's own.
    pub fields: BTreeMap<String, String>,
    /// Notes; empty where none are given.
    pub notes: String,
    /// Whether the person agreed, where it is said.
    pub consent: Option<Consent>,
    /// Whether the person opted out.
    pub opted_out: bool,
}

impl Mapping {
    /// For a file with these headings: what the caller says of some of them, and guesses for the others.
    ///
    /// # Errors
    /// `Invalid` on `mapping` when it names a column that is not there, no column is the number, or two are the same.
    pub fn of(headings: &[String], said: &BTreeMap<String, String>) -> Result<Self, Invalid> {
        let refuse = |message: String| Err(Invalid::new("mapping", message));
        let mut columns: Vec<Option<Column>> = vec![None; headings.len()];
        for (heading, what) in said {
            let place = headings.iter().position(|known| known.trim().eq_ignore_ascii_case(heading.trim()));
            let Some(column) = place.and_then(|place| columns.get_mut(place)) else {
                return refuse("must name columns that the file has; see `columns` of a preview".into());
            };
            *column = Some(Column::parse(what)?);
        }
        let mut taken: BTreeSet<Column> = columns.iter().flatten().filter(|column| **column != Column::Skip).cloned().collect();
        if taken.len() < columns.iter().flatten().filter(|column| **column != Column::Skip).count() {
            return refuse("must not say the same of two columns".into());
        }
        let mut guessed = Vec::with_capacity(headings.len());
        for (column, heading) in columns.into_iter().zip(headings) {
            guessed.push(column.unwrap_or_else(|| {
                let guess = Column::guess(heading);
                // The first that looks like it is it.
                if guess == Column::Skip || taken.insert(guess.clone()) { guess } else { Column::Skip }
            }));
        }
        if !guessed.contains(&Column::Phone) {
            return refuse("must say which column is `phone`; no heading looks like a phone number".into());
        }
        Ok(Self { columns: guessed })
    }

    /// Of columns as [`Column::text`] wrote them.
    ///
    /// # Errors
    /// `Invalid` on `mapping` with what is possible.
    pub fn read_back<'a>(columns: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        Ok(Self { columns: columns.into_iter().map(Column::parse).collect::<Result<_, _>>()? })
    }

    /// What each column is, in the order of the file.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, by the names of the columns.
    pub fn read<'a>(&self, cells: impl IntoIterator<Item = &'a str>) -> Result<Line, Vec<Invalid>> {
        let mut refused = Vec::new();
        let (mut person, mut first, mut last) = (None, String::new(), String::new());
        let (mut name, mut notes, mut consent, mut opted_out) = (String::new(), String::new(), None, false);
        let (mut tags, mut groups, mut fields) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for (column, cell) in self.columns.iter().zip(cells) {
            let cell = unquoted(cell);
            if cell.is_empty() && *column != Column::Phone {
                continue;
            }
            let read = match column {
                Column::Phone => contact::person("phone", cell).map(|found| person = Some(found)),
                Column::Name => contact::name(cell).map(|text| name = text),
                Column::FirstName => contact::name(cell).map(|text| first = text),
                Column::LastName => contact::name(cell).map(|text| last = text),
                Column::Tags => contact::labels("tags", &several(cell)).map(|found| tags = found),
                Column::Groups => contact::labels("groups", &several(cell)).map(|found| groups = found),
                Column::Notes => contact::notes(cell).map(|text| notes = text),
                Column::Consent => read_consent(cell).map(|found| consent = Some(found)),
                Column::OptedOut => yes_or_no("opted_out", cell).map(|found| opted_out = found),
                Column::Field(field) => {
                    contact::fields(field, &BTreeMap::from([(field.clone(), cell.to_owned())])).map(|found| fields.extend(found))
                }
                Column::Skip => Ok(()),
            };
            refused.extend(read.err());
        }
        if name.is_empty() {
            name = [first, last].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        }
        if fields.len() > contact::MOST_LABELS {
            refused.push(Invalid::new("fields", format!("must be at most {}", contact::MOST_LABELS)));
        }
        match person {
            Some(person) if refused.is_empty() => Ok(Line { person, name, tags, groups, fields, notes, consent, opted_out }),
            None if refused.is_empty() => Err(vec![Invalid::new("phone", "is missing: the line has fewer cells than the first one")]),
            _ => Err(refused),
        }
    }
}

/// A cell without the quote that keeps spreadsheets from taking it for a formula, as our own export writes it.
fn unquoted(cell: &str) -> &str {
    let cell = cell.trim();
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => cell,
    }
}

fn several(cell: &str) -> Vec<&str> {
    cell.split(BETWEEN).map(str::trim).filter(|name| !name.is_empty()).collect()
}

fn yes_or_no(field: &str, cell: &str) -> Result<bool, Invalid> {
    match folded(cell).as_str() {
        "yes" | "y" | "true" | "1" | "x" | "ja" | "oui" | "si" | "sim" => Ok(true),
        "no" | "n" | "false" | "0" | "nein" | "non" | "nao" => Ok(false),
        _ => Err(Invalid::new(field, "must be yes or no")),
    }
}

fn read_consent(cell: &str) -> Result<Consent, Invalid> {
    if let Ok(consent) = folded(cell).parse() {
        return Ok(consent);
    }
    let refuse = |_| Invalid::new("consent", "must be yes, no, granted, withdrawn or unknown");
    yes_or_no("consent", cell).map(|agreed| if agreed { Consent::Granted } else { Consent::Unknown }).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn said(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect()
    }

    #[test]
    fn columns_are_guessed_from_their_headings() {
        let headings = list(&["Telefonnummer", "Vorname", "Nachname", "Tags", "Order ID", "phone", "created_at", "🙂"]);
        let mapping = Mapping::of(&headings, &BTreeMap::new()).expect("a number");
        let columns: Vec<String> = mapping.columns().iter().map(Column::text).collect();
        assert_eq!(columns, ["phone", "first_name", "last_name", "tags", "field:order_id", "skip", "skip", "skip"]);
        assert_eq!(Mapping::read_back(columns.iter().map(String::as_str)), Ok(mapping));
    }

    #[test]
    fn the_caller_may_say_what_a_column_is() {
        let headings = list(&["A", "B", "phone"]);
        let mapping = Mapping::of(&headings, &said(&[("a", "phone"), ("B", "field:city")])).expect("sound");
        assert_eq!(mapping.columns(), [Column::Phone, Column::Field("city".into()), Column::Skip]);
        for wrong in [&[("C", "name")][..], &[("A", "nonsense")], &[("A", "name"), ("B", "name")], &[("phone", "skip")]] {
            assert_eq!(Mapping::of(&headings, &said(wrong)).expect_err("refused").field, "mapping");
        }
    }

    #[test]
    fn a_line_is_read_whole_or_every_fault_is_named() {
        let headings = list(&["phone", "first name", "last name", "tags", "consent", "opted out", "city"]);
        let mapping = Mapping::of(&headings, &BTreeMap::new()).expect("sound");
        let line = mapping.read(["'+1 415 555 0100", "Anna", "Smith", "VIP; new", "yes", "no", "Köln"]).expect("sound");
        assert_eq!((line.name.as_str(), line.consent, line.opted_out), ("Anna Smith", Some(Consent::Granted), false));
        assert_eq!(line.tags.iter().map(String::as_str).collect::<Vec<_>>(), ["new", "vip"]);
        assert_eq!(line.fields, BTreeMap::from([("city".to_owned(), "Köln".to_owned())]));
        let refused = mapping.read(["12", "Anna", "", "", "perhaps", "maybe"]).expect_err("refused");
        assert_eq!(refused.iter().map(|invalid| invalid.field.as_str()).collect::<Vec<_>>(), ["phone", "consent", "opted_out"]);
        assert_eq!(mapping.read([]).expect_err("nothing").first().map(|invalid| invalid.field.clone()).as_deref(), Some("phone"));
    }

    proptest! {
        #[test]
        fn no_cell_breaks_it(cells in proptest::collection::vec("\\PC{0,30}", 0..9)) {
            let headings = list(&["phone", "name", "tags", "groups", "notes", "consent", "opted out", "x"]);
            let mapping = Mapping::of(&headings, &BTreeMap::new()).expect("sound");
            let _ = mapping.read(cells.iter().map(String::as_str));
        }

        #[test]
        fn what_is_said_of_a_column_is_read_back(name in "[a-z][a-z0-9_]{0,20}") {
            let column = Column::Field(name);
            prop_assert_eq!(Column::parse(&column.text()), Ok(column));
        }
    }
}
