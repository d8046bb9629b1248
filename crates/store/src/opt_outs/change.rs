//! Opting people out and in, always with the proof, the event, and every id that is known of them.

use super::guard::{Guard, Standing};
use super::person::whole;
use super::{NewOptOut, OptOut, OptOutCause, Row};
use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::events::NewEvent;
use crate::messages::Peer;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{EventKind, Jid, OptOutId, PhoneNumber, SessionId, Timestamp, UserId};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

static INSERT: Rows = Rows::insert(
    "INSERT INTO opt_outs (id, user_id, phone, jid, lid, source, message_id, note, created_at) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "",
);
static STAND: Rows = Rows::insert(
    "INSERT INTO opted_out (user_id, handle, opt_out_id, answer_id) VALUES ",
    "(?, ?, ?, ?)",
    " ON CONFLICT (user_id, handle) DO NOTHING",
);
static MARK: Rows = Rows::new(
    "UPDATE contacts SET opted_out_at = ?, consent = 'withdrawn', consent_at = ?, consent_source = ?, consent_note = NULL, updated_at = ? \
     WHERE seq IN (SELECT contact_seq FROM contact_handles WHERE user_id = ? AND handle IN (",
    "?",
    "))",
);
static UNMARK: Rows = Rows::new(
    "UPDATE contacts SET opted_out_at = NULL, consent = 'granted', consent_at = ?, consent_source = ?, consent_note = ?, updated_at = ? \
     WHERE seq IN (SELECT contact_seq FROM contact_handles WHERE user_id = ? AND handle IN (",
    "?",
    "))",
);
static REMARK: Rows = Rows::new(
    "UPDATE contacts SET opted_out_at = COALESCE(opted_out_at, ?) \
     WHERE seq IN (SELECT contact_seq FROM contact_handles WHERE user_id = ? AND handle IN (",
    "?",
    "))",
);

fn told(kind: EventKind, user: UserId, session: Option<SessionId>, person: &Peer, cause: &OptOutCause, at: Timestamp) -> NewEvent {
    let data = json!({"contact": {
        "phone": person.phone, "jid": person.jid, "lid": person.lid,
        "source": cause.source, "message": cause.message_id, "at": at,
    }});
    NewEvent { user_id: user, session_id: session, kind, message_id: cause.message_id, data, at }
}

/// Opts people of one user out; answers for each the id of its opt-out, `None` where it was opted out before. `session` is
/// the account that it came through.
pub(crate) async fn opt_out_all(
    tx: &mut Tx,
    user: UserId,
    session: Option<SessionId>,
    new: Vec<NewOptOut>,
) -> Result<Vec<Option<OptOutId>>, StoreError> {
    // Before anything is written: what changes is told by the difference.
    let guard = tx.guard(user).await?;
    let people = whole(&mut tx.conn, user, new.iter().map(|new| new.person.handles()).collect()).await?;
    let all: BTreeSet<&Jid> = people.iter().flatten().collect();
    let asked: Vec<(UserId, Jid)> = all.into_iter().map(|handle| (user, handle.clone())).collect();
    let mut standing: HashMap<Jid, Standing> =
        tx.standing(&asked).await?.into_iter().map(|((_, handle), standing)| (handle, standing)).collect();
    let now = tx.clock.now();
    let (mut rows, mut stand, mut events, mut ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::with_capacity(new.len()));
    let mut marked: HashMap<&'static str, BTreeSet<&Jid>> = HashMap::new();
    for (NewOptOut { person, cause }, handles) in new.into_iter().zip(&people) {
        let before = handles.iter().find_map(|handle| standing.get(handle)).copied();
        let is_new = before.is_none() && !handles.is_empty();
        let known = before.unwrap_or_else(|| Standing { opt_out: OptOutId::new(&*tx.clock).0, answer: None });
        for handle in handles {
            if standing.insert(handle.clone(), known).is_none() {
                stand.push((handle, known));
            }
        }
        ids.push(is_new.then_some(OptOutId(known.opt_out)));
        if is_new {
            let found = Peer::of_handles(handles);
            let person = Peer { phone: person.phone.or(found.phone), jid: person.jid.or(found.jid), lid: person.lid.or(found.lid) };
            marked.entry(cause.source.as_str()).or_default().extend(handles);
            events.push(told(EventKind::ContactOptedOut, user, session, &person, &cause, now));
            rows.push((known.opt_out, person, cause));
        }
    }
    insert(tx, user, now, &rows).await?;
    insert_standing(tx, user, &stand).await?;
    for (source, handles) in marked {
        for piece in pieces(&handles.into_iter().collect::<Vec<_>>()) {
            let mut update = query(MARK.sql(piece.len())).bind(now.0).bind(now.0).bind(source).bind(now.0).bind(user.0);
            for handle in piece {
                update = update.bind(handle.as_str());
            }
            update.execute(&mut tx.conn).await.map_err(refused)?;
        }
    }
    if !stand.is_empty() {
        tx.set_guard(user, Guard { opted_out: true, ..guard }).await?;
    }
    for event in events {
        tx.tell_other(event);
    }
    Ok(ids)
}

async fn insert(tx: &mut Tx, user: UserId, now: Timestamp, rows: &[(Uuid, Peer, OptOutCause)]) -> Result<(), StoreError> {
    for piece in tx.conn.pieces(rows) {
        let mut insert = query(INSERT.sql(piece.len()));
        for (id, person, cause) in piece {
            insert = insert.bind(*id).bind(user.0).bind(person.phone.as_ref().map(PhoneNumber::as_str));
            insert = insert.bind(person.jid.as_ref().map(Jid::as_str)).bind(person.lid.as_ref().map(Jid::as_str));
            insert = insert.bind(cause.source.as_str()).bind(cause.message_id.map(|id| id.0)).bind(&cause.note).bind(now.0);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

async fn insert_standing(tx: &mut Tx, user: UserId, rows: &[(&Jid, Standing)]) -> Result<(), StoreError> {
    for piece in tx.conn.pieces(rows) {
        let mut insert = query(STAND.sql(piece.len()));
        for (handle, standing) in piece {
            insert = insert.bind(user.0).bind(handle.as_str()).bind(standing.opt_out).bind(standing.answer);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// These ids turned out to be of one person: if one of them opted out, all of them did.
pub(crate) async fn relink(tx: &mut Tx, user: UserId, handles: Vec<Jid>) -> Result<(), StoreError> {
    if handles.is_empty() || !tx.guard(user).await?.opted_out {
        return Ok(());
    }
    let Some(handles) = whole(&mut tx.conn, user, vec![handles]).await?.pop() else { return Ok(()) };
    let asked: Vec<(UserId, Jid)> = handles.iter().map(|handle| (user, handle.clone())).collect();
    let standing = tx.standing(&asked).await?;
    let Some(known) = standing.values().next().copied() else { return Ok(()) };
    let missing: Vec<(&Jid, Standing)> =
        asked.iter().filter(|person| !standing.contains_key(*person)).map(|(_, handle)| (handle, known)).collect();
    insert_standing(tx, user, &missing).await?;
    let now = tx.clock.now();
    for piece in pieces(&asked) {
        let mut update = query(REMARK.sql(piece.len())).bind(now.0).bind(user.0);
        for (_, handle) in piece {
            update = update.bind(handle.as_str());
        }
        update.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// Opts somebody in again; the opt-out that ended, `None` where there was none.
pub(crate) async fn opt_in(
    tx: &mut Tx,
    user: UserId,
    session: Option<SessionId>,
    person: &Peer,
    cause: &OptOutCause,
) -> Result<Option<OptOut>, StoreError> {
    let Some(handles) = whole(&mut tx.conn, user, vec![person.handles()]).await?.pop() else { return Ok(None) };
    let asked: Vec<(UserId, Jid)> = handles.iter().map(|handle| (user, handle.clone())).collect();
    let ended: BTreeSet<Uuid> = tx.standing(&asked).await?.into_values().map(|standing| standing.opt_out).collect();
    let now = tx.clock.now();
    let mut last = None;
    for id in ended {
        let end = "UPDATE opt_outs SET ended_at = ?, ended_source = ?, ended_message_id = ?, ended_note = ? WHERE id = ?";
        let update = query(end).bind(now.0).bind(cause.source.as_str()).bind(cause.message_id.map(|id| id.0)).bind(&cause.note).bind(id);
        update.execute(&mut tx.conn).await.map_err(refused)?;
        query("DELETE FROM opted_out WHERE opt_out_id = ?").bind(id).execute(&mut tx.conn).await.map_err(refused)?;
        let row = query_as::<_, Row>("SELECT * FROM opt_outs WHERE id = ?").bind(id).fetch_optional(&mut tx.conn);
        last = row.await.map_err(refused)?.map(Row::read).transpose()?;
    }
    let Some(opt_out) = last else { return Ok(None) };
    for piece in pieces(&asked) {
        let mut update = query(UNMARK.sql(piece.len())).bind(now.0).bind(cause.source.as_str()).bind(&cause.note).bind(now.0).bind(user.0);
        for (_, handle) in piece {
            update = update.bind(handle.as_str());
        }
        update.execute(&mut tx.conn).await.map_err(refused)?;
    }
    tx.tell_other(told(EventKind::ContactOptedIn, user, session, &opt_out.person, cause, now));
    Ok(Some(opt_out))
}

impl Store {
    /// Opts people of a user out, in one transaction; how many were not opted out before. The caller bounds the number.
    pub async fn opt_out(&self, user: UserId, people: Vec<NewOptOut>) -> Result<Vec<Option<OptOutId>>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let ids = opt_out_all(tx, user, None, people).await?;
                tx.finish().await?;
                Ok(ids)
            })
        })
        .await
    }

    /// Opts somebody in again; the opt-out that ended, `None` where there was none.
    pub async fn opt_in(&self, user: UserId, person: Peer, cause: OptOutCause) -> Result<Option<OptOut>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let ended = opt_in(tx, user, None, &person, &cause).await?;
                tx.finish().await?;
                Ok(ended)
            })
        })
        .await
    }
}
