//! How lists are asked for and answered: numbered pages, orderings, and cursors for lists without end.
//!
//! Counting rows costs as much as reading them. Lists of users, keys and accounts are counted exactly; those that grow for
//! ever ([`LongList`]) up to [`COUNTED`], and say when there are more.

use crate::dialect::{FromRow, Pool, count, fetch, like};
use crate::{Cursor, StoreError};
use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr, NullOrdering};
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoSimpleExpr, Order, QueryOrder, QuerySelect, Select};
use std::str::FromStr;

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Number of the page, from 1.
    pub page: u64,
    /// Rows on a page; the caller keeps it within its own maximum.
    pub page_size: u64,
}

/// Rows of a long list that are counted.
pub const COUNTED: u64 = 10_000;

impl Page {
    /// Rows before this page.
    pub const fn offset(self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.page_size)
    }

    /// The number of all rows, where it follows from how many this page has: it is not full, so it is the last.
    pub(crate) fn known_count(self, found: usize) -> Option<u64> {
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        (found < self.page_size && (found > 0 || self.page == 1)).then(|| self.offset() + found)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { page: 1, page_size: 20 }
    }
}

/// One page of a list and the number of rows on all its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// Rows that the filter leaves, on all pages.
    pub count: u64,
    /// Rows of the page asked for.
    pub results: Vec<T>,
}

impl<T> Listed<T> {
    /// The same page with each row turned into something else.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Listed<U> {
        Listed { count: self.count, results: self.results.into_iter().map(turn).collect() }
    }
}

/// One page of a list that grows for ever.
#[derive(Debug, Clone, PartialEq)]
pub struct LongList<T> {
    /// Rows that the filter leaves, on all pages; not beyond [`COUNTED`].
    pub count: u64,
    /// Whether there are not more than `count`.
    pub is_exact: bool,
    /// Rows of the page asked for.
    pub results: Vec<T>,
    /// The place behind this page, where more may follow.
    pub next: Option<Cursor>,
}

/// By what a list is sorted: `created_at`, or `-created_at` for the reverse. Newest first when nobody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ordering<T> {
    /// The sorted field.
    pub by: T,
    /// Largest first.
    pub descending: bool,
}

impl<T: Default> Default for Ordering<T> {
    fn default() -> Self {
        Self { by: T::default(), descending: true }
    }
}

impl<T: FromStr<Err = ()>> FromStr for Ordering<T> {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        Ok(Self { by: name.parse()?, descending })
    }
}

impl<T> Ordering<T> {
    pub(crate) const fn direction(&self) -> Order {
        if self.descending { Order::Desc } else { Order::Asc }
    }
}

/// Sorts by a column that may hold nothing; nothing comes before everything else. (Of themselves SQLite and PostgreSQL do not
/// agree on that.)
pub(crate) fn nothing_first<E: EntityTrait, C: ColumnTrait>(rows: Select<E>, column: C, direction: Order) -> Select<E> {
    let nulls = if matches!(direction, Order::Asc) { NullOrdering::First } else { NullOrdering::Last };
    rows.order_by_with_nulls(column, direction, nulls)
}

/// One page of `rows`, and the number of all of them.
pub(crate) async fn listed<E>(rows: Select<E>, page: Page, on: &Pool) -> Result<Listed<E::Model>, StoreError>
where
    E: EntityTrait,
    E::Model: FromRow,
{
    let count = count(rows.clone(), on).await?;
    let results = fetch(rows.limit(page.page_size).offset(page.offset()), on).await?;
    Ok(Listed { count, results })
}

/// How many of `rows` there are, counted up to `most`.
pub(crate) async fn count_up_to<E: EntityTrait>(most: u64, rows: Select<E>, on: &Pool) -> Result<u64, StoreError> {
    count(rows.select_only().expr(Expr::cust("1")).limit(most), on).await
}

/// The rows behind a cursor, in a list sorted by `time` and `seq`.
pub(crate) fn behind<C: ColumnTrait>(time: C, seq: C, cursor: Cursor, descending: bool) -> Expr {
    let place = Expr::tuple([time.into_simple_expr(), seq.into_simple_expr()]);
    let end = Expr::tuple([Expr::value(cursor.created_at), Expr::value(cursor.seq)]);
    if descending { place.lt(end) } else { place.gt(end) }
}

/// Whether one of the columns holds `text`, without case.
pub(crate) fn found_in<C: ColumnTrait>(columns: &[C], text: &str) -> Condition {
    let pattern = like(text);
    columns.iter().fold(Condition::any(), |any, column| {
        let lower = Func::lower(column.into_simple_expr());
        any.add(Expr::expr(lower).like(LikeExpr::new(pattern.clone()).escape('\\')))
    })
}

/// Makes an enum of the fields that a list can be sorted by; the first one is the default.
macro_rules! order_fields {
    ($(#[$outer:meta])* $type:ident { $(#[$first_doc:meta])* $first:ident = $first_text:literal $(, $(#[$doc:meta])* $name:ident = $text:literal)* $(,)? }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $type { $(#[$first_doc])* #[default] $first, $($(#[$doc])* $name,)* }

        impl $type {
            /// The names that a caller may ask for, for the documentation and refusals.
            pub const NAMES: &'static [&'static str] = &[$first_text, $($text,)*];
        }

        impl std::str::FromStr for $type {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $first_text => Ok(Self::$first), $($text => Ok(Self::$name),)* _ => Err(()) }
            }
        }
    };
}
pub(crate) use order_fields;
