//! Lists of contacts: newest first or by name, narrowed by what is noted of them, or found by the beginnings of words.
//!
//! Each list walks one index in its order and stops at the end of its page: that of words when something is looked for, that
//! of a tag or group when one is asked for, else that of the user's contacts. What else is asked for is looked up for each row.

use super::Contact;
use super::labels::LabelKind;
use super::row::{COLUMNS, From, Row, read_all};
use crate::dialect::{AssertSqlSafe, FromRow, QueryAs, query_as, refused};
use crate::opt_outs::limit;
use crate::page::{COUNTED, order_fields};
use crate::{LongList, Ordering, Page, Store, StoreError};
use sanasend_model::{Consent, UserId, contact};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

order_fields! {
    /// What contacts can be sorted by.
    ContactOrder {
        /// When the contact was made.
        CreatedAt = "created_at",
        /// Its name, whatever case and accents.
        Name = "name",
    }
}

/// Which contacts to list.
#[derive(Debug, Clone, Default)]
pub struct ContactFilter {
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only of this group.
    pub group: Option<String>,
    /// Only with this consent.
    pub consent: Option<Consent>,
    /// Only those who opted out, or only others.
    pub opted_out: Option<bool>,
    /// Only those who are on WhatsApp, or are not; `Some(None)` for those who were never asked about.
    pub on_whatsapp: Option<Option<bool>>,
    /// Beginnings of words of the name, or of the number. Such a list is sorted by the word that was found.
    pub search: Option<String>,
    /// Order of the list.
    pub ordering: Ordering<ContactOrder>,
}

/// A place in a list of contacts: behind one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactCursor {
    place: Vec<u8>,
    seq: i64,
}

impl fmt::Display for ContactCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", hex::encode(&self.place), self.seq)
    }
}

impl FromStr for ContactCursor {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (place, seq) = text.split_once('-').ok_or(())?;
        Ok(Self { place: hex::decode(place).map_err(drop)?, seq: i64::from_str_radix(seq, 16).map_err(drop)? })
    }
}

/// The first bytes behind all that begin with these.
fn end_of(beginning: &[u8]) -> Vec<u8> {
    let mut end = beginning.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; beginning.len() + 1]
}

/// Contacts of a tag or group that are sorted by their names; of more the names of all are walked through.
const SORTED: i64 = 5_000;
/// Most names of fields that are told.
const MOST_NAMES: usize = 500;
/// Contacts that are looked at for names at once.
const NAMES_PIECE: i64 = 5000;

/// What is looked for, in the words of a statement.
struct Asked<'f> {
    user: UserId,
    filter: &'f ContactFilter,
    /// Beginnings of words, the one that leads first.
    words: Vec<String>,
    /// Tags and groups, the one that leads first unless words do.
    labels: Vec<(LabelKind, &'f str)>,
    /// So many contacts have the name that would lead that sorting them costs more than walking through all contacts in
    /// their order and leaving out the others.
    walk: bool,
}

/// Which index leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Words,
    Label,
    Contacts,
}

impl<'f> Asked<'f> {
    fn of(user: UserId, filter: &'f ContactFilter) -> Self {
        let words = filter.search.as_deref().map(contact::wanted).unwrap_or_default();
        let labels = [(LabelKind::Tag, &filter.tag), (LabelKind::Group, &filter.group)];
        let labels = labels.into_iter().filter_map(|(kind, name)| Some((kind, name.as_deref()?))).collect();
        Self { user, filter, words, labels, walk: false }
    }

    fn lead(&self) -> Lead {
        match (self.words.is_empty(), self.labels.is_empty()) {
            (false, _) => Lead::Words,
            (true, false) if !self.walk => Lead::Label,
            (true, _) => Lead::Contacts,
        }
    }

    /// Names of the columns by which the list is sorted: a place and a number.
    fn places(&self) -> (&'static str, &'static str) {
        match (self.lead(), self.filter.ordering.by) {
            (Lead::Words, _) => ("w.word", "w.contact_seq"),
            (_, ContactOrder::Name) => ("c.name_key", "c.seq"),
            (Lead::Label, ContactOrder::CreatedAt) => ("", "l.contact_seq"),
            (Lead::Contacts, ContactOrder::CreatedAt) => ("", "c.seq"),
        }
    }

    /// `FROM` and `WHERE`, without a cursor. [`Asked::bind`] binds its values.
    fn rows(&self) -> String {
        let (mut sql, first_label) = match self.lead() {
            Lead::Words => {
                let sql = "FROM contact_words AS w JOIN contacts AS c ON c.seq = w.contact_seq WHERE w.user_id = ? AND w.word >= ? \
                           AND w.word < ? AND NOT EXISTS (SELECT 1 FROM contact_words AS e WHERE e.contact_seq = w.contact_seq \
                           AND e.word >= ? AND e.word < w.word)";
                (sql.to_owned(), 0)
            }
            Lead::Label => {
                let sql = "FROM contact_labels AS l JOIN contacts AS c ON c.seq = l.contact_seq \
                           WHERE l.user_id = ? AND l.kind = ? AND l.label = ?";
                (sql.to_owned(), 1)
            }
            Lead::Contacts => ("FROM contacts AS c WHERE c.user_id = ?".to_owned(), 0),
        };
        for _ in self.words.iter().skip(1) {
            sql.push_str(" AND EXISTS (SELECT 1 FROM contact_words AS o WHERE o.contact_seq = c.seq AND o.word >= ? AND o.word < ?)");
        }
        for _ in self.labels.iter().skip(first_label) {
            sql.push_str(" AND EXISTS (SELECT 1 FROM contact_labels AS o WHERE o.user_id = ? AND o.kind = ? AND o.label = ? AND o.contact_seq = c.seq)");
        }
        if self.filter.consent.is_some() {
            sql.push_str(" AND c.consent = ?");
        }
        match self.filter.opted_out {
            Some(true) => sql.push_str(" AND c.opted_out_at IS NOT NULL"),
            Some(false) => sql.push_str(" AND c.opted_out_at IS NULL"),
            None => {}
        }
        match self.filter.on_whatsapp {
            Some(Some(_)) => sql.push_str(" AND c.on_whatsapp = ?"),
            Some(None) => sql.push_str(" AND c.on_whatsapp IS NULL"),
            None => {}
        }
        sql
    }

    /// Binds the values of [`Asked::rows`]. Of words only those behind a cursor are walked.
    fn bind<T: FromRow>(&self, mut select: QueryAs<T>, cursor: Option<&ContactCursor>) -> QueryAs<T> {
        select = select.bind(self.user.0);
        let mut first_label = 0;
        if let Some(word) = self.words.first() {
            let begin = cursor.map_or(word.as_bytes(), |cursor| cursor.place.as_slice().max(word.as_bytes()));
            select = select.bind(begin).bind(end_of(word.as_bytes())).bind(word.as_bytes());
        } else if let Some((kind, name)) = self.labels.first().filter(|_| !self.walk) {
            select = select.bind(kind.number()).bind(*name);
            first_label = 1;
        }
        for word in self.words.iter().skip(1) {
            select = select.bind(word.as_bytes()).bind(end_of(word.as_bytes()));
        }
        for (kind, name) in self.labels.iter().skip(first_label) {
            select = select.bind(self.user.0).bind(kind.number()).bind(*name);
        }
        if let Some(consent) = self.filter.consent {
            select = select.bind(consent.as_str());
        }
        match self.filter.on_whatsapp {
            Some(Some(there)) => select.bind(there),
            _ => select,
        }
    }

    /// Whether the list goes from large to small. What is found by words goes from A to Z.
    fn descending(&self) -> bool {
        self.lead() != Lead::Words && self.filter.ordering.descending
    }

    fn select(&self, behind: bool, end: &str) -> String {
        let (place, seq) = self.places();
        let (way, sign) = if self.descending() { ("DESC", "<") } else { ("ASC", ">") };
        let shown = if place.is_empty() { "c.name_key" } else { place };
        let (order, cursor) = if place.is_empty() {
            (format!("{seq} {way}"), format!("{seq} {sign} ?"))
        } else {
            (format!("{place} {way}, {seq} {way}"), format!("({place}, {seq}) {sign} (?, ?)"))
        };
        let cursor = if behind { format!(" AND {cursor}") } else { String::new() };
        format!("SELECT {COLUMNS}, {shown} AS place {}{cursor} ORDER BY {order} {end}", self.rows())
    }
}

fn cursor_of(row: &Row) -> ContactCursor {
    ContactCursor { place: row.place.clone(), seq: row.seq }
}

impl Store {
    /// What is asked for, in the shape that costs least: the index of a tag or group has no order by names.
    async fn shaped<'f>(&self, user: UserId, filter: &'f ContactFilter) -> Result<Asked<'f>, StoreError> {
        let mut asked = Asked::of(user, filter);
        if let (Lead::Label, ContactOrder::Name, Some((kind, name))) = (asked.lead(), filter.ordering.by, asked.labels.first()) {
            let sql = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM contact_labels WHERE user_id = ? AND kind = ? AND label = ? LIMIT ?) AS counted";
            let count = query_as::<_, (i64,)>(sql).bind(user.0).bind(kind.number()).bind(*name).bind(SORTED);
            let (count,) = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
            asked.walk = count >= SORTED;
        }
        Ok(asked)
    }

    /// A page of a user's contacts, and the cursor behind it where more follow.
    pub async fn list_contacts(
        &self,
        user: UserId,
        filter: &ContactFilter,
        page: Page,
    ) -> Result<(LongList<Contact>, Option<ContactCursor>), StoreError> {
        let asked = self.shaped(user, filter).await?;
        let select = query_as::<_, Row>(AssertSqlSafe(asked.select(false, "LIMIT ? OFFSET ?")));
        let rows = asked.bind(select, None).bind(limit(page.page_size)).bind(limit(page.offset()));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let known = page.known_count(rows.len());
        let count = match known {
            Some(count) => count,
            // Counting needs no order.
            None => self.count(&Asked::of(user, filter)).await?,
        };
        let next = rows.last().filter(|_| known.is_none()).map(cursor_of);
        let results = read_all(From::Readers(&self.inner.readers), rows).await?;
        Ok((LongList { count: count.min(COUNTED), is_exact: count <= COUNTED, results, next: None }, next))
    }

    /// How many contacts there are, up to one more than [`COUNTED`].
    async fn count(&self, asked: &Asked<'_>) -> Result<u64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM (SELECT 1 AS one {} LIMIT ?) AS counted", asked.rows());
        let select = asked.bind(query_as::<_, (i64,)>(AssertSqlSafe(sql)), None).bind(limit(COUNTED + 1));
        let (count,) = select.fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Whose contact it is.
    pub async fn contact_owner(&self, id: sanasend_model::ContactId) -> Result<Option<UserId>, StoreError> {
        let owner = crate::dialect::query_scalar::<_, uuid::Uuid>("SELECT user_id FROM contacts WHERE id = ?").bind(id.0);
        Ok(owner.fetch_optional(&self.inner.readers).await.map_err(refused)?.map(UserId))
    }

    /// The names of all fields of their own that a user's contacts have, at most [`MOST_NAMES`]: for the columns of a table.
    pub async fn contact_field_names(&self, user: UserId) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT seq, fields FROM contacts WHERE user_id = ? AND seq > ? AND fields <> '{}' ORDER BY seq LIMIT ?";
        let (mut names, mut behind) = (BTreeSet::new(), i64::MIN);
        loop {
            let rows = query_as::<_, (i64, String)>(sql).bind(user.0).bind(behind).bind(NAMES_PIECE).fetch_all(&self.inner.readers);
            let rows = rows.await.map_err(refused)?;
            let Some((last, _)) = rows.last() else { break };
            behind = *last;
            let fields = rows.iter().filter_map(|(_, fields)| serde_json::from_str::<BTreeMap<String, String>>(fields).ok());
            names.extend(fields.flat_map(BTreeMap::into_keys));
        }
        Ok(names.into_iter().take(MOST_NAMES).collect())
    }

    /// The next `most` contacts behind `cursor` (from the start without one), and the cursor behind them when more follow.
    pub async fn list_contacts_after(
        &self,
        user: UserId,
        filter: &ContactFilter,
        cursor: Option<&ContactCursor>,
        most: u64,
    ) -> Result<(Vec<Contact>, Option<ContactCursor>), StoreError> {
        let asked = self.shaped(user, filter).await?;
        let mut select = asked.bind(query_as::<_, Row>(AssertSqlSafe(asked.select(cursor.is_some(), "LIMIT ?"))), cursor);
        if let Some(cursor) = cursor {
            if !asked.places().0.is_empty() {
                select = select.bind(cursor.place.as_slice());
            }
            select = select.bind(cursor.seq);
        }
        let mut rows = select.bind(limit(most.saturating_add(1))).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(cursor_of);
        Ok((read_all(From::Readers(&self.inner.readers), rows).await?, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        let cursor = ContactCursor { place: b"anna".to_vec(), seq: 77 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "-", "zz-1", "61-", "61"] {
            assert_eq!(wrong.parse::<ContactCursor>().ok().filter(|_| wrong != "-"), None, "{wrong}");
        }
    }

    #[test]
    fn what_begins_so_ends_before_the_end() {
        assert_eq!(end_of(b"ann"), b"ano");
        assert_eq!(end_of(&[b'a', u8::MAX]), b"b");
        assert_eq!(end_of(&[u8::MAX]), [u8::MAX, u8::MAX]);
    }
}
