//! The guard at both ends of the outbox: nothing is accepted for, and nothing leaves to, somebody who opted out.
//!
//! Asking about every recipient would cost every send a statement, and most users have nobody who opted out. So the writer
//! knows which users must be asked for ([`Guards`]): it is the only one who writes here, and on a database that several
//! nodes write to it learns at the beginning of each transaction, with what it asks anyway, whether that has changed.

use crate::dialect::{Pool, Rows, pieces, query, query_as, query_scalar, refused};
use crate::messages::{Message, Peer};
use crate::outbox::Accepted;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Jid, MessageId, UserId};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What is to be looked at for a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Somebody opted out.
    pub(crate) opted_out: bool,
    /// Messages go only to people who agreed, or who wrote first.
    pub(crate) requires_consent: bool,
    /// Whoever writes becomes a contact.
    pub(crate) from_conversations: bool,
}

/// The users for whom there is something to look at.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    pub(crate) version: i64,
    users: HashMap<UserId, Guard>,
    /// Changed by the transaction that is open.
    pub(crate) changed: bool,
}

const GUARDED: &str = "SELECT users.id, EXISTS (SELECT 1 FROM opted_out WHERE opted_out.user_id = users.id), \
    COALESCE(contact_settings.requires_consent, FALSE), COALESCE(contact_settings.from_conversations, FALSE) \
    FROM users LEFT JOIN contact_settings ON contact_settings.user_id = users.id \
    WHERE EXISTS (SELECT 1 FROM opted_out WHERE opted_out.user_id = users.id) \
    OR contact_settings.requires_consent OR contact_settings.from_conversations";

static STANDING: Rows = Rows::new(
    "SELECT opted_out.user_id, handle, opt_out_id, answer_id FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN opted_out ON opted_out.user_id = wanted.column1 AND handle = wanted.column2",
);
static AGREED: Rows = Rows::new(
    "SELECT contact_handles.user_id, handle FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN contact_handles ON contact_handles.user_id = wanted.column1 AND handle = wanted.column2 \
     JOIN contacts ON contacts.seq = contact_seq AND consent = 'granted'",
);
static WROTE: Rows = Rows::new(
    "SELECT wanted.column1, wanted.column2 FROM (VALUES ",
    "(?, ?)",
    ") AS wanted WHERE EXISTS (SELECT 1 FROM messages WHERE user_id = wanted.column1 AND chat = wanted.column2 AND direction = 'inbound')",
);

/// An opt-out in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) opt_out: Uuid,
    /// The one message that may still go.
    pub(crate) answer: Option<Uuid>,
}

type Person = (UserId, Jid);

impl Tx {
    async fn load_guards(&mut self) -> Result<&Guards, StoreError> {
        if self.guards.is_none() {
            let version = query_scalar::<_, i64>("SELECT COALESCE(MAX(version), 0) FROM guard_version").fetch_one(&mut self.conn);
            let version = version.await.map_err(refused)?;
            let rows = query_as::<_, (Uuid, bool, bool, bool)>(GUARDED).fetch_all(&mut self.conn).await.map_err(refused)?;
            let guard = |(user, opted_out, requires_consent, from_conversations)| {
                (UserId(user), Guard { opted_out, requires_consent, from_conversations })
            };
            self.guards = Some(Guards { version, users: rows.into_iter().map(guard).collect(), changed: false });
        }
        self.guards.as_ref().ok_or_else(|| StoreError::Unavailable("the guards were not read".into()))
    }

    /// What is to be looked at for a user.
    pub(crate) async fn guard(&mut self, user: UserId) -> Result<Guard, StoreError> {
        Ok(self.load_guards().await?.users.get(&user).copied().unwrap_or_default())
    }

    /// The users among these for whom there is something to look at.
    async fn guarded(&mut self, users: impl Iterator<Item = UserId> + Send) -> Result<HashMap<UserId, Guard>, StoreError> {
        let guards = self.load_guards().await?;
        if guards.users.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(users.filter_map(|user| Some((user, *guards.users.get(&user)?))).collect())
    }

    /// Notes that there is something to look at for a user, also for other nodes. The guard must have been read before that was
    /// written, or nothing seems to have changed.
    pub(crate) async fn set_guard(&mut self, user: UserId, guard: Guard) -> Result<(), StoreError> {
        if self.guard(user).await? == guard {
            return Ok(());
        }
        let update = "INSERT INTO guard_version (id, version) VALUES (1, 1) \
                      ON CONFLICT (id) DO UPDATE SET version = guard_version.version + 1 RETURNING version";
        let update = query_scalar::<_, i64>(update);
        let version = update.fetch_one(&mut self.conn).await.map_err(refused)?;
        if let Some(guards) = &mut self.guards {
            guards.version = version;
            guards.changed = true;
            guards.users.insert(user, guard);
        }
        Ok(())
    }

    /// Which of these people opted out.
    pub(crate) async fn standing(&mut self, people: &[Person]) -> Result<HashMap<Person, Standing>, StoreError> {
        let mut found = HashMap::new();
        for piece in pieces(people) {
            let mut select = query_as::<_, (Uuid, String, Uuid, Option<Uuid>)>(STANDING.sql(piece.len()));
            for (user, handle) in piece {
                select = select.bind(user.0).bind(handle.as_str());
            }
            for (user, handle, opt_out, answer) in select.fetch_all(&mut self.conn).await.map_err(refused)? {
                if let Some(handle) = Jid::parse(&handle) {
                    found.insert((UserId(user), handle), Standing { opt_out, answer });
                }
            }
        }
        Ok(found)
    }

    /// Which of these people a statement finds.
    async fn found_by(&mut self, rows: &'static Rows, people: &[Person]) -> Result<HashSet<Person>, StoreError> {
        let mut found = HashSet::new();
        for piece in pieces(people) {
            let mut select = query_as::<_, (Uuid, String)>(rows.sql(piece.len()));
            for (user, handle) in piece {
                select = select.bind(user.0).bind(handle.as_str());
            }
            let rows = select.fetch_all(&mut self.conn).await.map_err(refused)?;
            found.extend(rows.into_iter().filter_map(|(user, handle)| Some((UserId(user), Jid::parse(&handle)?))));
        }
        Ok(found)
    }

    /// Whether there is something to look at for any of these users.
    pub(crate) async fn is_any_guarded(&mut self, mut users: impl Iterator<Item = UserId> + Send) -> Result<bool, StoreError> {
        let guards = self.load_guards().await?;
        Ok(!guards.users.is_empty() && users.any(|user| guards.users.contains_key(&user)))
    }

    /// What is to be said against these messages that wait for a decision, in their order: their recipients opted out or
    /// never agreed. The id beside each is what it was addressed to before anything was found out.
    pub(crate) async fn refuse_recipients(&mut self, messages: &[(&Message, Jid)]) -> Result<Vec<Option<Accepted>>, StoreError> {
        let guarded = self.guarded(messages.iter().map(|(message, _)| message.user_id)).await?;
        let mut looked: Vec<(Guard, MessageId, Vec<Person>)> = Vec::with_capacity(messages.len());
        for (message, asked) in messages {
            let guard = guarded.get(&message.user_id).copied().unwrap_or_default();
            let handles = if guard == Guard::default() { Vec::new() } else { handles_of(message, Some(asked)) };
            looked.push((guard, message.id, handles.into_iter().map(|handle| (message.user_id, handle)).collect()));
        }
        let of = |wanted: fn(&Guard) -> bool| -> Vec<Person> {
            let people: HashSet<&Person> = looked.iter().filter(|(guard, ..)| wanted(guard)).flat_map(|(.., people)| people).collect();
            people.into_iter().cloned().collect()
        };
        let (blockable, cold) = (of(|guard| guard.opted_out), of(|guard| guard.requires_consent));
        let standing = self.standing(&blockable).await?;
        let agreed = self.found_by(&AGREED, &cold).await?;
        let open: Vec<Person> = cold.into_iter().filter(|person| !agreed.contains(person)).collect();
        let wrote = self.found_by(&WROTE, &open).await?;
        let refusal = |(guard, id, people): (Guard, MessageId, Vec<Person>)| {
            let blocks = |person: &Person| standing.get(person).is_some_and(|standing| standing.answer != Some(id.0));
            let knows = |person: &Person| agreed.contains(person) || wrote.contains(person);
            if people.iter().any(blocks) {
                Some(Accepted::OptedOut)
            } else {
                // A group has nobody to ask.
                (guard.requires_consent && !people.is_empty() && !people.iter().any(knows)).then_some(Accepted::ConsentRequired)
            }
        };
        Ok(looked.into_iter().map(refusal).collect())
    }

    /// Which of these messages, which are about to be sent, have a recipient who opted out.
    pub(crate) async fn opted_out_since(&mut self, messages: &[Message]) -> Result<HashSet<MessageId>, StoreError> {
        let guarded = self.guarded(messages.iter().map(|message| message.user_id)).await?;
        let blockable = |message: &&Message| guarded.get(&message.user_id).is_some_and(|guard| guard.opted_out);
        let mut people: HashMap<Person, Vec<MessageId>> = HashMap::new();
        for message in messages.iter().filter(blockable) {
            for handle in handles_of(message, None) {
                people.entry((message.user_id, handle)).or_default().push(message.id);
            }
        }
        if people.is_empty() {
            return Ok(HashSet::new());
        }
        let standing = self.standing(&people.keys().cloned().collect::<Vec<_>>()).await?;
        let mut blocked = HashSet::new();
        for (person, standing) in standing {
            let ids = people.get(&person).into_iter().flatten();
            blocked.extend(ids.filter(|id| standing.answer != Some(id.0)));
        }
        Ok(blocked)
    }

    /// Lets one message go to somebody who opted out.
    pub(crate) async fn allow_answer(&mut self, opt_out: Uuid, message: MessageId) -> Result<(), StoreError> {
        let update = query("UPDATE opted_out SET answer_id = ? WHERE opt_out_id = ?").bind(message.0).bind(opt_out);
        update.execute(&mut self.conn).await.map(drop).map_err(refused)
    }
}

/// Every id of the person that a message is for; none for a group.
fn handles_of(message: &Message, asked: Option<&Jid>) -> Vec<Jid> {
    if message.chat.is_group() {
        return Vec::new();
    }
    let mut handles = message.peer.handles();
    for more in [Some(&message.chat), asked].into_iter().flatten() {
        if !handles.contains(more) {
            handles.push(more.clone());
        }
    }
    handles
}

/// Which of these ids may not be sent anything.
async fn standing_for(readers: &Pool, user: UserId, handles: &[Jid]) -> Result<HashSet<Jid>, StoreError> {
    let mut found = HashSet::new();
    for piece in pieces(handles) {
        let mut select = query_as::<_, (Uuid, String, Uuid, Option<Uuid>)>(STANDING.sql(piece.len()));
        for handle in piece {
            select = select.bind(user.0).bind(handle.as_str());
        }
        found.extend(select.fetch_all(readers).await.map_err(refused)?.into_iter().filter_map(|(_, handle, ..)| Jid::parse(&handle)));
    }
    Ok(found)
}

impl Store {
    /// Which of these people opted out, in their order: for a look before many messages are made. What is sent is asked
    /// again when it is accepted, and when it leaves.
    pub async fn opted_out(&self, user: UserId, people: &[Peer]) -> Result<Vec<bool>, StoreError> {
        let handles: HashSet<Jid> = people.iter().flat_map(Peer::handles).collect();
        let found = standing_for(&self.inner.readers, user, &handles.into_iter().collect::<Vec<_>>()).await?;
        Ok(people.iter().map(|person| person.handles().iter().any(|handle| found.contains(handle))).collect())
    }

    /// Whether a message may not go to somebody who turned out to be these ids, because they opted out.
    pub async fn is_opted_out(&self, user: UserId, message: MessageId, person: &Peer) -> Result<bool, StoreError> {
        let handles = person.handles();
        for piece in pieces(&handles) {
            let mut select = query_as::<_, (Uuid, String, Uuid, Option<Uuid>)>(STANDING.sql(piece.len()));
            for handle in piece {
                select = select.bind(user.0).bind(handle.as_str());
            }
            let rows = select.fetch_all(&self.inner.readers).await.map_err(refused)?;
            if rows.iter().any(|(.., answer)| *answer != Some(message.0)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Which of these people a user that needs consent may not write to, in their order; all may be written to where
    /// the user needs none.
    pub async fn lacks_consent(&self, user: UserId, people: &[Peer]) -> Result<Vec<bool>, StoreError> {
        if !self.contact_settings(user).await?.requires_consent {
            return Ok(vec![false; people.len()]);
        }
        let handles: HashSet<Jid> = people.iter().flat_map(Peer::handles).collect();
        let handles: Vec<Jid> = handles.into_iter().collect();
        let mut known = HashSet::new();
        for rows in [&AGREED, &WROTE] {
            for piece in pieces(&handles) {
                let mut select = query_as::<_, (Uuid, String)>(rows.sql(piece.len()));
                for handle in piece {
                    select = select.bind(user.0).bind(handle.as_str());
                }
                let found = select.fetch_all(&self.inner.readers).await.map_err(refused)?;
                known.extend(found.into_iter().filter_map(|(_, handle)| Jid::parse(&handle)));
            }
        }
        Ok(people.iter().map(|person| !person.handles().iter().any(|handle| known.contains(handle))).collect())
    }
}
