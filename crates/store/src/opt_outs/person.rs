//! Who is who: the ids that are known to be of one person, from contacts and from what WhatsApp told of recipients.

use crate::StoreError;
use crate::dialect::{On, Rows, pieces, query_as, refused};
use sanasend_model::{Jid, PhoneNumber, UserId};
use std::collections::{BTreeSet, HashMap};

/// How often what was found is looked up again: a number leads to a hidden id, and that to another spelling of the number.
const ROUNDS: usize = 2;

static OF_CONTACTS: Rows = Rows::new(
    "SELECT wanted.column2, other.handle FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN contact_handles AS known ON known.user_id = wanted.column1 AND known.handle = wanted.column2 \
     JOIN contact_handles AS other ON other.contact_seq = known.contact_seq",
);
static ASKED: Rows = Rows::new(
    "SELECT wanted.column2, asked, chat_aliases.phone, chat_aliases.jid, chat_aliases.lid FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN sessions ON sessions.user_id = wanted.column1 \
     JOIN chat_aliases ON session_id = sessions.id AND asked = wanted.column2",
);
static BY_LID: Rows = Rows::new(
    "SELECT wanted.column2, asked, chat_aliases.phone, chat_aliases.jid, chat_aliases.lid FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN chat_aliases ON chat_aliases.lid = wanted.column2 JOIN sessions ON sessions.id = session_id AND sessions.user_id = wanted.column1",
);
static BY_JID: Rows = Rows::new(
    "SELECT wanted.column2, asked, chat_aliases.phone, chat_aliases.jid, chat_aliases.lid FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN chat_aliases ON chat_aliases.jid = wanted.column2 JOIN sessions ON sessions.id = session_id AND sessions.user_id = wanted.column1",
);

type Found = (String, String, Option<String>, Option<String>, Option<String>);
/// What was asked for, and the number and ids that it led to.
type Alias = (String, Option<String>, Option<String>, Option<String>);

/// All ids of these people, each given by some of its ids.
pub(crate) async fn whole(on: impl Into<On<'_>> + Send, user: UserId, people: Vec<Vec<Jid>>) -> Result<Vec<BTreeSet<Jid>>, StoreError> {
    let mut on = on.into();
    let mut people: Vec<BTreeSet<Jid>> = people.into_iter().map(|handles| handles.into_iter().collect()).collect();
    let mut fresh: BTreeSet<Jid> = people.iter().flatten().cloned().collect();
    for _ in 0..ROUNDS {
        let found = same(&mut on, user, &fresh.into_iter().collect::<Vec<_>>()).await?;
        fresh = BTreeSet::new();
        for handles in &mut people {
            let more: Vec<Jid> = handles.iter().filter_map(|handle| found.get(handle)).flatten().cloned().collect();
            for handle in more {
                if handles.insert(handle.clone()) {
                    fresh.insert(handle);
                }
            }
        }
        if fresh.is_empty() {
            break;
        }
    }
    Ok(people)
}

/// What is known to be the same as each of these.
async fn same(on: &mut On<'_>, user: UserId, handles: &[Jid]) -> Result<HashMap<Jid, Vec<Jid>>, StoreError> {
    let mut found: HashMap<Jid, Vec<Jid>> = HashMap::new();
    let mut add = |of: &str, handle: &str| {
        if let (Some(of), Some(handle)) = (Jid::parse(of), Jid::parse(handle))
            && !handle.is_group()
        {
            found.entry(of).or_default().push(handle);
        }
    };
    for piece in pieces(handles) {
        let mut select = query_as::<_, (String, String)>(OF_CONTACTS.sql(piece.len()));
        for handle in piece {
            select = select.bind(user.0).bind(handle.as_str());
        }
        for (of, handle) in select.fetch_all(on.again()).await.map_err(refused)? {
            add(&of, &handle);
        }
        for rows in [&ASKED, &BY_LID, &BY_JID] {
            let mut select = query_as::<_, Found>(rows.sql(piece.len()));
            for handle in piece {
                select = select.bind(user.0).bind(handle.as_str());
            }
            for (of, asked, phone, jid, lid) in select.fetch_all(on.again()).await.map_err(refused)? {
                spellings((asked, phone, jid, lid)).for_each(|handle| add(&of, &handle));
            }
        }
    }
    Ok(found)
}

/// All ids that stand in what is known of a recipient.
fn spellings((asked, phone, jid, lid): Alias) -> impl Iterator<Item = String> {
    let phone = phone.and_then(|phone| PhoneNumber::from_wa_user(phone.trim_start_matches('+')));
    [Some(asked), phone.map(|phone| phone.jid().to_string()), jid, lid].into_iter().flatten()
}

/// All ids that accounts of any user found this one to be known by: for those who see everything.
pub(crate) async fn known_to_anybody(on: impl Into<On<'_>> + Send, jid: &Jid) -> Result<BTreeSet<Jid>, StoreError> {
    let sql =
        "SELECT asked, phone, jid, lid FROM chat_aliases WHERE lid = ? UNION SELECT asked, phone, jid, lid FROM chat_aliases WHERE jid = ?";
    let rows = query_as::<_, Alias>(sql).bind(jid.as_str()).bind(jid.as_str()).fetch_all(on).await.map_err(refused)?;
    let known = rows.into_iter().flat_map(spellings).filter_map(|id| Jid::parse(&id)).filter(|id| !id.is_group());
    Ok(known.chain([jid.clone()]).collect())
}
