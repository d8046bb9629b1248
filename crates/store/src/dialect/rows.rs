//! Statements over many rows: so few sizes that every one stays prepared.

use super::query::{Sql, numbered};
use std::sync::{Arc, OnceLock};

/// Sizes in which rows are written by one statement: so few that every statement stays prepared, and so many that a batch of
/// any size up to the largest takes three statements at most.
const SIZES: [usize; 12] = [64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1];

/// Cuts rows into pieces that [`Rows::sql`] has a statement for.
pub(crate) fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

type Texts = [OnceLock<Arc<str>>; SIZES.len()];

/// A statement over many rows: `head`, then `row` once per row with commas between, then `tail`.
pub(crate) struct Rows {
    head: &'static str,
    row: &'static str,
    tail: &'static str,
    plain: Texts,
    numbered: Texts,
    /// Whether PostgreSQL takes the values by columns; see [`Rows::insert`].
    by_columns: bool,
    columns: OnceLock<Arc<str>>,
}

impl Rows {
    /// The parts of the statement.
    pub(crate) const fn new(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self::made(head, row, tail, false)
    }

    const fn made(head: &'static str, row: &'static str, tail: &'static str, by_columns: bool) -> Self {
        let plain = [const { OnceLock::new() }; SIZES.len()];
        let numbered = [const { OnceLock::new() }; SIZES.len()];
        Self { head, row, tail, plain, numbered, by_columns, columns: OnceLock::new() }
    }

    /// The parts of an `INSERT` of many rows; `head` ends with `VALUES`, and only `row` takes values. PostgreSQL gets one
    /// array per column instead of a value per field: one statement whatever the number of rows, read and planned once.
    pub(crate) const fn insert(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self::made(head, row, tail, true)
    }

    /// How many values a row takes, where PostgreSQL takes them by columns.
    pub(super) fn columns(&self) -> Option<usize> {
        self.by_columns.then(|| self.row.matches('?').count())
    }

    /// The statement for a piece of this many rows, put together once per database.
    pub(crate) const fn sql(&'static self, rows: usize) -> Sql {
        Sql::Rows(self, rows)
    }

    pub(super) fn plain(&self, rows: usize) -> Arc<str> {
        once(&self.plain, rows, || format!("{}{}{}", self.head, vec![self.row; rows].join(","), self.tail))
    }

    pub(super) fn numbered(&self, rows: usize) -> Arc<str> {
        if self.by_columns {
            return self.columns.get_or_init(|| self.over_columns().into()).clone();
        }
        once(&self.numbered, rows, || numbered(&self.plain(rows)))
    }
}

impl Rows {
    fn over_columns(&self) -> String {
        let head = self.head.trim_end().trim_end_matches("VALUES");
        let mut row = String::new();
        let inner = self.row.strip_prefix('(').and_then(|row| row.strip_suffix(')')).unwrap_or(self.row);
        let mut count = 0_usize;
        for (index, part) in inner.split('?').enumerate() {
            if index > 0 {
                count = index;
                row.push_str("t.c");
                row.push_str(&index.to_string());
            }
            row.push_str(part);
        }
        let list = |mark: &str| (1..=count).map(|index| format!("{mark}{index}")).collect::<Vec<_>>().join(", ");
        format!("{head}SELECT {row} FROM UNNEST({}) AS t({}){}", list("$"), list("c"), self.tail)
    }
}

fn once(texts: &Texts, rows: usize, make: impl FnOnce() -> String) -> Arc<str> {
    match SIZES.iter().position(|size| *size == rows).and_then(|at| texts.get(at)) {
        Some(text) => text.get_or_init(|| make().into()).clone(),
        None => make().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_all_rows_in_order() {
        let rows: Vec<u32> = (0..87).collect();
        let sizes: Vec<usize> = pieces(&rows).map(<[u32]>::len).collect();
        assert_eq!(sizes, [64, 16, 6, 1]);
        assert_eq!(pieces(&rows).flatten().copied().collect::<Vec<_>>(), rows);
    }

    #[test]
    fn a_batch_takes_three_statements_at_most() {
        for rows in 1..=64 {
            assert!(pieces(&vec![(); rows]).count() <= 3, "{rows}");
        }
    }

    #[test]
    fn rows_are_put_together_and_numbered() {
        static INSERT: Rows = Rows::new("INSERT INTO t VALUES ", "(?, ?)", " ON CONFLICT DO NOTHING");
        assert_eq!(&*INSERT.plain(2), "INSERT INTO t VALUES (?, ?),(?, ?) ON CONFLICT DO NOTHING");
        assert_eq!(&*INSERT.numbered(2), "INSERT INTO t VALUES ($1, $2),($3, $4) ON CONFLICT DO NOTHING");
    }

    #[test]
    fn postgresql_takes_an_insert_by_columns() {
        static INSERT: Rows = Rows::insert("INSERT INTO t (a, b, c) VALUES ", "(?, 0, ? AND NOT EXISTS (SELECT ?))", " RETURNING a");
        assert_eq!(&*INSERT.plain(1), "INSERT INTO t (a, b, c) VALUES (?, 0, ? AND NOT EXISTS (SELECT ?)) RETURNING a");
        assert_eq!(
            &*INSERT.numbered(7),
            "INSERT INTO t (a, b, c) SELECT t.c1, 0, t.c2 AND NOT EXISTS (SELECT t.c3) FROM UNNEST($1, $2, $3) AS t(c1, c2, c3) RETURNING a"
        );
        assert_eq!(INSERT.columns(), Some(3));
    }
}
