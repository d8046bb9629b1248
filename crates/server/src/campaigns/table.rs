//! Lists from files: CSV with a heading line, of which one column is the recipient and the others are values.
//!
//! The file lies on this machine's disk. It is read in bunches, each in one short visit to a thread that may wait: whoever goes
//! through a list needs such threads for other things between two bunches, and a reader that kept one for the whole file would
//! with others like it leave none for them.

use super::plan::Listed;
use sanasend_model::Invalid;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Lines that go on together.
const BUNCH: usize = 500;
/// Headings that are taken for the recipient, the first that is there.
const RECIPIENT: [&str; 7] = ["recipient", "phone", "phone_number", "number", "mobile", "to", "jid"];
/// Most columns.
const MOST_COLUMNS: usize = 100;
/// Longest heading line, in bytes.
const LONGEST_HEAD: u64 = 64 * 1024;

/// A file that is read in bunches.
pub struct Table(State<BufReader<File>>);

enum State<R> {
    Closed { path: PathBuf, column: Option<String> },
    Open(Box<Rows<R>>),
    Over,
}

impl Table {
    /// A file that nothing was read of yet. `column` is the heading of the recipients, where the caller names it.
    #[must_use]
    pub fn new(path: &Path, column: Option<String>) -> Self {
        Self(State::Closed { path: path.to_owned(), column })
    }

    /// The next lines; `None` at the end, and after a fault.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn next(&mut self) -> Result<Option<Vec<Listed>>, Invalid> {
        let state = std::mem::replace(&mut self.0, State::Over);
        let read = tokio::task::spawn_blocking(move || state.read()).await;
        let (state, bunch) = read.map_err(|_| refuse("could not be read: the reader broke down"))??;
        self.0 = state;
        Ok(bunch)
    }
}

impl State<BufReader<File>> {
    fn read(self) -> Result<(Self, Option<Vec<Listed>>), Invalid> {
        let mut rows = match self {
            Self::Closed { path, column } => {
                let file = File::open(&path).map_err(|error| refuse(format!("could not be read: {error}")))?;
                Box::new(Rows::new(BufReader::new(file), column.as_deref())?)
            }
            Self::Open(rows) => rows,
            Self::Over => return Ok((Self::Over, None)),
        };
        let bunch = rows.next()?;
        Ok(if bunch.is_empty() { (Self::Over, None) } else { (Self::Open(rows), Some(bunch)) })
    }
}

fn refuse(why: impl Into<String>) -> Invalid {
    Invalid::new("file", why)
}

/// The lines below the heading.
struct Rows<R> {
    names: Vec<String>,
    /// The column of the recipients.
    at: usize,
    records: csv::ByteRecordsIntoIter<R>,
    /// Where the next line stands in the file.
    line: usize,
}

impl<R: BufRead> Rows<R> {
    fn new(mut file: R, column: Option<&str>) -> Result<Self, Invalid> {
        let mut head = Vec::new();
        let read = (&mut file).take(LONGEST_HEAD).read_until(b'\n', &mut head);
        read.map_err(|error| refuse(format!("could not be read: {error}")))?;
        let head = std::str::from_utf8(&head).map_err(|_| refuse("is not UTF-8 text; save it as CSV in UTF-8"))?;
        let head = head.trim_start_matches('\u{feff}');
        let delimiter = delimiter(head);
        let mut rows = csv::ReaderBuilder::new();
        rows.delimiter(delimiter).has_headers(false).flexible(true).trim(csv::Trim::All);
        let first = rows.from_reader(head.as_bytes()).records().next();
        let names: Vec<String> = match first {
            Some(Ok(record)) => record.iter().map(str::to_owned).collect(),
            _ => return Err(refuse("is empty; the first line must name the columns, like: phone,name")),
        };
        let at = recipient_of(&names, column)?;
        Ok(Self { names, at, records: rows.from_reader(file).into_byte_records(), line: 2 })
    }

    /// The next bunch; empty at the end.
    fn next(&mut self) -> Result<Vec<Listed>, Invalid> {
        let mut bunch = Vec::with_capacity(BUNCH);
        while bunch.len() < BUNCH {
            let Some(record) = self.records.next() else { break };
            let line = self.line;
            self.line += 1;
            let record = record.map_err(|_| refuse(format!("can't be read at line {line}")))?;
            let record = csv::StringRecord::from_byte_record(record).map_err(|_| refuse(format!("is not UTF-8 text at line {line}")))?;
            if !record.iter().all(str::is_empty) {
                bunch.push(listed(&self.names, self.at, &record));
            }
        }
        Ok(bunch)
    }
}

/// Comma, semicolon or tabulator: whatever there is most of in the heading line.
fn delimiter(head: &str) -> u8 {
    let count = |wanted: char| head.chars().filter(|letter| *letter == wanted).count();
    // The last of equals wins, so the comma stands last.
    [(b'\t', '\t'), (b';', ';'), (b',', ',')].into_iter().max_by_key(|(_, letter)| count(*letter)).map_or(b',', |(byte, _)| byte)
}

/// The place of the column with the recipients.
fn recipient_of(names: &[String], column: Option<&str>) -> Result<usize, Invalid> {
    if names.len() > MOST_COLUMNS {
        return Err(refuse(format!("has {} columns; at most {MOST_COLUMNS} are possible", names.len())));
    }
    let find = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    let found = match column {
        Some(column) => find(column).ok_or_else(|| Invalid::new("column", "is no column of the file; its first line names them")),
        None => RECIPIENT
            .into_iter()
            .find_map(find)
            .ok_or_else(|| refuse(format!("has no column with the recipients; name one in the first line: {}", RECIPIENT.join(", ")))),
    };
    let found = found?;
    let twice = names.iter().enumerate().any(|(at, name)| !name.is_empty() && names.iter().take(at).any(|other| other == name));
    if twice { Err(refuse("names a column twice in its first line")) } else { Ok(found) }
}

fn listed(names: &[String], at: usize, record: &csv::StringRecord) -> Listed {
    let mut values = Map::new();
    for (index, (name, cell)) in names.iter().zip(record.iter()).enumerate() {
        // What nobody filled in is no value, so that a default can stand for it.
        if index != at && !name.is_empty() && !cell.is_empty() {
            values.insert(name.clone(), Value::from(cell));
        }
    }
    let recipient = record.get(at).unwrap_or_default().trim_start_matches('\'').to_owned();
    Listed { recipient, variables: Some(Value::Object(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write as _;

    fn read_all(text: &[u8], column: Option<&str>) -> Result<Vec<(String, Value)>, (String, String)> {
        let told = |invalid: Invalid| (invalid.field, invalid.message);
        let mut rows = Rows::new(text, column).map_err(told)?;
        let bunch = rows.next().map_err(told)?;
        assert_eq!(rows.next(), Ok(Vec::new()), "these texts are one bunch");
        Ok(bunch.into_iter().map(|line| (line.recipient, line.variables.expect("values"))).collect())
    }

    #[test]
    fn more_lists_than_threads_are_read_side_by_side() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(2).build().expect("a runtime");
        runtime.block_on(async {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            writeln!(file, "phone,name").expect("written");
            for n in 0..=3 * BUNCH {
                writeln!(file, "+1202555{n:04},Ann").expect("written");
            }
            // All of them are half read before any goes on, and each asks for another thread meanwhile.
            let everybody = std::sync::Arc::new(tokio::sync::Barrier::new(8));
            let readers = (0..8).map(|_| {
                let (mut table, everybody) = (Table::new(file.path(), None), everybody.clone());
                tokio::spawn(async move {
                    let mut sizes = Vec::new();
                    while let Some(bunch) = table.next().await.expect("sound") {
                        sizes.push(tokio::task::spawn_blocking(move || bunch.len()).await.expect("planned"));
                        if sizes.len() == 1 {
                            everybody.wait().await;
                        }
                    }
                    sizes
                })
            });
            for sizes in futures::future::join_all(readers).await {
                assert_eq!(sizes.expect("read"), [BUNCH, BUNCH, BUNCH, 1]);
            }
        });
    }

    #[test]
    fn a_table_is_read_whatever_its_spelling() {
        let rows = vec![("+12025550123".to_owned(), json!({"name": "Ann, B."})), ("+12025550124".to_owned(), json!({}))];
        for text in [
            "phone,name\n+12025550123,\"Ann, B.\"\n+12025550124,\n",
            "\u{feff}Phone;name\r\n+12025550123;Ann, B.\r\n\r\n+12025550124;\r\n",
            "name\tnumber\nAnn, B.\t+12025550123\n\t'+12025550124",
        ] {
            assert_eq!(read_all(text.as_bytes(), None), Ok(rows.clone()), "{text}");
        }
        assert_eq!(read_all(b"who,phone\n+1,x\n", Some("WHO")), Ok(vec![("+1".to_owned(), json!({"phone": "x"}))]));
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        for (text, column, field, told) in [
            (&b""[..], None, "file", "is empty"),
            (b"name\nAnn\n", None, "file", "no column with the recipients"),
            (b"phone,name,name\n", None, "file", "twice"),
            (b"phone\n1\n", Some("who"), "column", "is no column"),
            (b"phone,name\n1,a\n2,\xff\n", None, "file", "line 3"),
            (b"ph\xffone\n", None, "file", "UTF-8"),
        ] {
            let (refused, message) = read_all(text, column).expect_err(told);
            assert!(refused == field && message.contains(told), "{refused}: {message}");
        }
    }
}
