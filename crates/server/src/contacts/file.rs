//! Lines of a table of text as it comes over the wire, in pieces of any size: memory for one line, whatever the file's size.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use sanasend_store::ImportPlace;

/// Longest line.
const LONGEST: usize = 256 * 1024;
/// Most cells of a line.
const MOST_CELLS: usize = 1000;
/// By then it is known what stands between cells.
const HEAD: usize = 64 * 1024;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of the line in the file, from 1; one with line breaks in its cells has that of its first.
    pub line: u64,
    /// Its cells; `None` when it is not UTF-8.
    pub cells: Option<Vec<String>>,
    /// Where it ends: another reader goes on from there as this one does.
    pub end: ImportPlace,
}

/// A line is longer than any should be: most likely a quote was never closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// Number of the line.
    pub line: u64,
}

/// Reads lines out of pieces.
pub struct Lines {
    reader: Option<Reader>,
    head: Vec<u8>,
    out: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    ended: usize,
    /// Number of the line that is being read.
    line: u64,
    /// Line ends so far.
    breaks: u64,
    /// Bytes so far.
    bytes: u64,
    separator: u8,
    /// Nothing of the line was read yet.
    fresh: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            reader: None,
            head: Vec::new(),
            out: vec![0; 1024],
            ends: vec![0; 32],
            written: 0,
            ended: 0,
            line: 1,
            breaks: 0,
            bytes: 0,
            separator: b',',
            fresh: true,
        }
    }
}

/// How some programs begin files in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

fn reader(separator: u8) -> Reader {
    ReaderBuilder::new().delimiter(separator).build()
}

/// Where the lines of a file begin whose first bytes these are, when the first of them is no headings.
#[must_use]
pub fn first_place(head: &[u8], separator: u8) -> ImportPlace {
    let bytes = if head.starts_with(MARK) { MARK.len() as u64 } else { 0 };
    ImportPlace { bytes, breaks: 0, separator }
}

/// What stands between cells: what is most often in the first line.
fn separator(head: &[u8]) -> u8 {
    let first = head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    for byte in first {
        quoted ^= *byte == b'"';
        if !quoted {
            counts.iter_mut().filter(|(separator, _)| separator == byte).for_each(|(_, count)| *count += 1);
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(separator, _)| separator)
}

impl Lines {
    /// Goes on at a place where a line ended.
    #[must_use]
    pub fn at(place: ImportPlace) -> Self {
        let ImportPlace { bytes, breaks, separator } = place;
        Self { reader: Some(reader(separator)), bytes, breaks, line: breaks + 1, separator, ..Self::default() }
    }

    /// The lines that are whole with this piece.
    ///
    /// # Errors
    /// When a line has no end.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Record>, TooLong> {
        let mut records = Vec::new();
        if self.reader.is_some() {
            self.feed(piece, &mut records)?;
            return Ok(records);
        }
        self.head.extend_from_slice(piece);
        if self.head.contains(&b'\n') || self.head.len() >= HEAD {
            self.begin(&mut records)?;
        }
        Ok(records)
    }

    /// The lines that are left at the end of the file.
    ///
    /// # Errors
    /// When the last line is too long.
    pub fn finish(mut self) -> Result<Vec<Record>, TooLong> {
        let mut records = Vec::new();
        if self.reader.is_none() {
            self.begin(&mut records)?;
        }
        self.read(&[], &mut records)?;
        Ok(records)
    }

    fn begin(&mut self, records: &mut Vec<Record>) -> Result<(), TooLong> {
        let head = std::mem::take(&mut self.head);
        let text = head.strip_prefix(MARK).unwrap_or(&head);
        self.bytes = (head.len() - text.len()) as u64;
        self.separator = separator(text);
        self.reader = Some(reader(self.separator));
        self.feed(text, records)
    }

    /// Nothing at all would mean the end to the reader.
    fn feed(&mut self, piece: &[u8], records: &mut Vec<Record>) -> Result<(), TooLong> {
        if piece.is_empty() { Ok(()) } else { self.read(piece, records) }
    }

    fn read(&mut self, mut piece: &[u8], records: &mut Vec<Record>) -> Result<(), TooLong> {
        let is_end = piece.is_empty();
        loop {
            let Some(reader) = &mut self.reader else { return Ok(()) };
            let (out, ends) = (self.out.get_mut(self.written..), self.ends.get_mut(self.ended..));
            let (result, taken, wrote, ended) = reader.read_record(piece, out.unwrap_or_default(), ends.unwrap_or_default());
            let (read, rest) = piece.split_at_checked(taken).unwrap_or((piece, &[]));
            piece = rest;
            self.written += wrote;
            self.ended += ended;
            self.count(read);
            match result {
                ReadRecordResult::InputEmpty => return Ok(()),
                ReadRecordResult::End => return Ok(()),
                ReadRecordResult::OutputFull if self.out.len() < LONGEST => self.out.resize(self.out.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() < MOST_CELLS => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => return Err(TooLong { line: self.line }),
                ReadRecordResult::Record => {
                    records.push(self.take());
                    self.fresh = true;
                    if piece.is_empty() && !is_end {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Keeps count of lines. A line begins behind what ended the one before, of which a part may come only now.
    fn count(&mut self, read: &[u8]) {
        self.bytes += read.len() as u64;
        for byte in read {
            if self.fresh && !matches!(byte, b'\r' | b'\n') {
                (self.fresh, self.line) = (false, self.breaks + 1);
            }
            self.breaks += u64::from(*byte == b'\n');
        }
    }

    fn take(&mut self) -> Record {
        let mut begin = 0;
        let ends = self.ends.get(..self.ended).unwrap_or_default();
        let cell = |end: &usize| {
            let cell = self.out.get(begin..*end).unwrap_or_default();
            begin = *end;
            std::str::from_utf8(cell).map(str::to_owned).ok()
        };
        let cells = ends.iter().map(cell).collect();
        (self.written, self.ended) = (0, 0);
        let end = ImportPlace { bytes: self.bytes, breaks: self.breaks, separator: self.separator };
        Record { line: self.line, cells, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], size: usize) -> Vec<Record> {
        let mut lines = Lines::default();
        let mut records = Vec::new();
        for piece in text.chunks(size.max(1)) {
            records.extend(lines.push(piece).expect("short lines"));
        }
        records.extend(lines.finish().expect("short lines"));
        records
    }

    fn cells(text: &[u8]) -> Vec<Vec<String>> {
        read(text, 7).into_iter().map(|record| record.cells.expect("UTF-8")).collect()
    }

    #[test]
    fn tables_of_every_spreadsheet_are_read() {
        let wanted = vec![vec!["phone".to_owned(), "name".to_owned()], vec!["+1".to_owned(), "a, \"b\"\nc".to_owned()]];
        for text in [
            "phone,name\n+1,\"a, \"\"b\"\"\nc\"",
            "\u{feff}phone;name\r\n+1;\"a, \"\"b\"\"\nc\"\r\n",
            "phone\tname\n\n+1\t\"a, \"\"b\"\"\nc\"\n",
        ] {
            assert_eq!(cells(text.as_bytes()), wanted, "{text:?}");
        }
        assert_eq!(cells(b""), Vec::<Vec<String>>::new());
        assert_eq!(cells(b"alone"), [["alone"]]);
        assert_eq!(cells(b"\"a,b,c\";x\n"), [["a,b,c", "x"]]);
    }

    #[test]
    fn lines_are_numbered_as_in_an_editor() {
        for text in ["a,b\n1,\"x\ny\"\n2,z\n\n\n3,w", "a,b\r\n1,\"x\ny\"\r\n2,z\r\n\r\n\r\n3,w\r\n"] {
            for size in 1..9 {
                let lines: Vec<u64> = read(text.as_bytes(), size).iter().map(|record| record.line).collect();
                assert_eq!(lines, [1, 2, 4, 7], "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn another_reader_goes_on_wherever_a_line_ended() {
        for text in ["\u{feff}a;b\r\n1;\"x\ny\"\r\n2;z\r\n\r\n\r\n3;w\r\n", "a;b\n1;\"x\ny\"\n2;z\n\n\n3;w", "a;b\r1;2\r\r3;4"] {
            let whole = read(text.as_bytes(), text.len());
            for (number, record) in whole.iter().enumerate() {
                let rest = text.as_bytes().get(usize::try_from(record.end.bytes).expect("short")..).expect("within");
                let mut lines = Lines::at(record.end);
                let mut found = Vec::new();
                for piece in rest.chunks(3) {
                    found.extend(lines.push(piece).expect("short lines"));
                }
                found.extend(lines.finish().expect("short lines"));
                assert_eq!(found, whole[number + 1..], "{text:?} behind {number}");
            }
        }
    }

    #[test]
    fn what_is_not_utf8_is_named_and_spoils_no_other_line() {
        let records = read(b"phone\n+1\nM\xfcller\n+2\n", 4);
        assert_eq!(records.iter().map(|record| record.cells.is_some()).collect::<Vec<_>>(), [true, true, false, true]);
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_it() {
        let mut lines = Lines::default();
        lines.push(b"phone,name\n+1,\"").expect("so far");
        let mut pieces = std::iter::repeat_with(|| lines.push(&[b'x'; 10_000])).take(100);
        assert_eq!(pieces.find_map(Result::err), Some(TooLong { line: 2 }));
    }

    proptest! {
        #[test]
        fn the_size_of_the_pieces_never_matters(
            rows in proptest::collection::vec(proptest::collection::vec("[a-z\",;\n ]{0,8}", 2..4), 1..12), size in 1_usize..40,
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            let head = ["one", "two", "three"];
            writer.write_record(head).expect("memory");
            for row in &rows {
                writer.write_record(row).expect("memory");
            }
            let text = writer.into_inner().expect("memory");
            let read: Vec<Vec<String>> = read(&text, size).into_iter().skip(1).filter_map(|record| record.cells).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
