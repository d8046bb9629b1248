//! The first line of a table: which column holds what, and where the people begin.

use super::Refused;
use crate::contacts::file::{Lines, Record, first_place};
use sanasend_model::contact_file::{Column, MOST_COLUMNS, Mapping};
use sanasend_model::{Invalid, contact};
use sanasend_store::ImportPlace;
use std::collections::BTreeMap;

/// As much as is known of a table by its first line.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Headings and what each column was taken for.
    pub(super) columns: Vec<(String, String)>,
    /// How its lines are read.
    pub(super) mapping: Mapping,
    /// Whether the first line is one of people already, since a list of bare numbers has no headings.
    pub(super) bare: bool,
}

/// Reads the first line.
///
/// # Errors
/// When it has too many columns, what is said of them is wrong, or none is the number.
pub(super) fn table(cells: Option<&[String]>, said: &BTreeMap<String, String>) -> Result<Table, Refused> {
    let Some(cells) = cells else { return Err(Invalid::new("file", "must be text in UTF-8; save it as CSV UTF-8").into()) };
    if cells.len() > MOST_COLUMNS {
        return Err(Invalid::new("file", format!("must have at most {MOST_COLUMNS} columns")).into());
    }
    let number = cells.iter().position(|cell| contact::person("phone", cell.trim_start_matches('\'')).is_ok());
    let headings: Vec<String> = match number {
        Some(place) => (0..cells.len()).map(|column| if column == place { "phone".into() } else { format!("({})", column + 1) }).collect(),
        None => cells.iter().map(|cell| cell.trim().to_owned()).collect(),
    };
    let mut said = said.clone();
    if number.is_some() {
        // Columns without a heading are left out unless something is said of them.
        for heading in headings.iter().filter(|heading| *heading != "phone") {
            said.entry(heading.clone()).or_insert_with(|| "skip".into());
        }
    }
    let mapping = Mapping::of(&headings, &said)?;
    let columns = headings.into_iter().zip(mapping.columns().iter().map(Column::text)).collect();
    Ok(Table { columns, mapping, bare: number.is_some() })
}

/// Waits for the first line of a file that comes in pieces.
pub(super) struct Head {
    lines: Option<Lines>,
    begin: Vec<u8>,
    said: BTreeMap<String, String>,
    found: Option<(Table, ImportPlace)>,
}

impl Head {
    pub(super) fn new(said: BTreeMap<String, String>) -> Self {
        Self { lines: Some(Lines::default()), begin: Vec::new(), said, found: None }
    }

    /// Takes a piece in, until the first line is known.
    ///
    /// # Errors
    /// As [`table`].
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Refused> {
        let Some(lines) = &mut self.lines else { return Ok(()) };
        if self.begin.len() < 3 {
            self.begin.extend(piece.iter().take(3 - self.begin.len()));
        }
        let records = lines.push(piece)?;
        self.take(records)
    }

    /// The table, and the place at which its people begin.
    ///
    /// # Errors
    /// As [`table`], and when there was nothing in the file.
    pub(super) fn finish(mut self) -> Result<(Table, ImportPlace), Refused> {
        if let Some(lines) = self.lines.take() {
            self.take(lines.finish()?)?;
        }
        self.found.ok_or_else(|| Invalid::new("file", "is empty").into())
    }

    fn take(&mut self, records: Vec<Record>) -> Result<(), Refused> {
        let Some(first) = records.into_iter().next() else { return Ok(()) };
        let table = table(first.cells.as_deref(), &self.said)?;
        let place = if table.bare { first_place(&self.begin, first.end.separator) } else { first.end };
        (self.lines, self.found) = (None, Some((table, place)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, size: usize) -> (Table, ImportPlace) {
        let mut head = Head::new(BTreeMap::new());
        for piece in text.as_bytes().chunks(size) {
            head.push(piece).expect("sound");
        }
        head.finish().expect("sound")
    }

    #[test]
    fn people_begin_behind_the_headings_or_at_once() {
        for size in [1, 5, 1000] {
            let (table, place) = found("\u{feff}phone;name\r\n+14155550101;Anna\r\n", size);
            assert_eq!((table.bare, place.separator, place.breaks), (false, b';', 0));
            assert!((13..=15).contains(&place.bytes), "{place:?}");
            let (table, place) = found("\u{feff}+14155550101\n+14155550102\n", size);
            assert_eq!((table.bare, place.bytes, place.breaks), (true, 3, 0));
            let (table, place) = found("phone\n", size);
            assert_eq!((table.columns.len(), place.bytes), (1, 6));
        }
        assert!(matches!(Head::new(BTreeMap::new()).finish(), Err(Refused::File(invalid)) if invalid.message.contains("empty")));
    }
}
