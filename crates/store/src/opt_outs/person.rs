//! Who is who: the ids that are known to be of one person, from contacts and from what WhatsApp told of recipients.

use crate::StoreError;
use crate::dialect::{Rows, pieces, query_as, refused};
use crate::writer::Tx;
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

type Alias = (String, String, Option<String>, Option<String>, Option<String>);

/// All ids of these people, each given by some of its ids.
pub(crate) async fn whole(tx: &mut Tx, user: UserId, people: Vec<Vec<Jid>>) -> Result<Vec<BTreeSet<Jid>>, StoreError> {
    let mut people: Vec<BTreeSet<Jid>> = people.into_iter().map(|handles| handles.into_iter().collect()).collect();
    let mut fresh: BTreeSet<Jid> = people.iter().flatten().cloned().collect();
    for _ in 0..ROUNDS {
        let found = same(tx, user, &fresh.into_iter().collect::<Vec<_>>()).await?;
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
async fn same(tx: &mut Tx, user: UserId, handles: &[Jid]) -> Result<HashMap<Jid, Vec<Jid>>, StoreError> {
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
        for (of, handle) in select.fetch_all(&mut tx.conn).await.map_err(refused)? {
            add(&of, &handle);
        }
        for rows in [&ASKED, &BY_LID, &BY_JID] {
            let mut select = query_as::<_, Alias>(rows.sql(piece.len()));
            for handle in piece {
                select = select.bind(user.0).bind(handle.as_str());
            }
            for (of, asked, phone, jid, lid) in select.fetch_all(&mut tx.conn).await.map_err(refused)? {
                let phone = phone.as_deref().and_then(|phone| PhoneNumber::from_wa_user(phone.trim_start_matches('+')));
                let all = [Some(asked), phone.map(|phone| phone.jid().to_string()), jid, lid];
                all.into_iter().flatten().for_each(|handle| add(&of, &handle));
            }
        }
    }
    Ok(found)
}
