//! Two contacts that turn out to be one person become one.

use super::change::{number_in, rewrite_words};
use super::labels::{self, Label, LabelKind};
use super::put::{insert_handles, known, written};
use super::row::by_seq;
use crate::StoreError;
use crate::dialect::{query, refused};
use crate::opt_outs::relink;
use crate::writer::Tx;
use sanasend_model::{Consent, Jid, UserId};

/// These ids are of one person: the contact that has one of them gets all, and takes in others that have some. The contact's
/// number in the table, where there is one.
pub(super) async fn unite(tx: &mut Tx, user: UserId, handles: &[Jid]) -> Result<Option<i64>, StoreError> {
    let there = known(tx, user, handles).await?;
    let mut seqs: Vec<i64> = there.values().copied().collect();
    seqs.sort_unstable();
    seqs.dedup();
    let Some(keep) = seqs.first().copied() else { return Ok(None) };
    for gone in seqs.into_iter().skip(1) {
        take_in(tx, user, keep, gone).await?;
    }
    let missing: Vec<(Jid, i64)> =
        handles.iter().filter(|handle| !there.contains_key(*handle)).map(|handle| (handle.clone(), keep)).collect();
    if !missing.is_empty() {
        insert_handles(tx, user, &missing).await?;
    }
    let Some((_, contact)) = by_seq(&mut tx.conn, &[keep]).await?.pop() else { return Ok(None) };
    let lid = handles.iter().find(|handle| handle.is_lid());
    let jid = handles.iter().find(|handle| !handle.is_lid());
    let phone = contact.person.phone.clone().or_else(|| number_in(handles));
    let sql = "UPDATE contacts SET phone = ?, jid = COALESCE(jid, ?), lid = COALESCE(lid, ?), updated_at = ? WHERE seq = ?";
    let update =
        query(sql).bind(phone.as_ref().map(|phone| phone.as_str().to_owned())).bind(jid.map(Jid::as_str)).bind(lid.map(Jid::as_str));
    update.bind(tx.clock.now().0).bind(keep).execute(&mut tx.conn).await.map_err(refused)?;
    if contact.person.phone != phone {
        rewrite_words(tx, user, keep, &contact.name, phone.as_ref()).await?;
    }
    relink(tx, user, handles.to_vec()).await?;
    Ok(Some(keep))
}

/// The contact `keep` gets what it does not have of `gone`, which ends.
async fn take_in(tx: &mut Tx, user: UserId, keep: i64, gone: i64) -> Result<(), StoreError> {
    let mut both = by_seq(&mut tx.conn, &[keep, gone]).await?;
    both.sort_by_key(|(seq, _)| *seq != keep);
    let mut both = both.into_iter().map(|(_, contact)| contact);
    let (Some(mut one), Some(other)) = (both.next(), both.next()) else { return Ok(()) };
    let moved = query("UPDATE contact_handles SET contact_seq = ? WHERE contact_seq = ?").bind(keep).bind(gone);
    moved.execute(&mut tx.conn).await.map_err(refused)?;
    query("DELETE FROM contacts WHERE seq = ?").bind(gone).execute(&mut tx.conn).await.map_err(refused)?;
    let mut names: Vec<Label> = other.tags.iter().map(|name| (LabelKind::Tag, name.clone(), keep)).collect();
    names.extend(other.groups.iter().map(|name| (LabelKind::Group, name.clone(), keep)));
    labels::add(tx, user, &names).await?;
    for (name, value) in other.fields {
        one.fields.entry(name).or_insert(value);
    }
    let notes = [one.notes.as_str(), other.notes.as_str()].into_iter().filter(|notes| !notes.is_empty()).collect::<Vec<_>>().join("\n");
    let name = if one.name.is_empty() { other.name } else { one.name };
    super::change::rename(tx, user, keep, &name, one.person.phone.as_ref().or(other.person.phone.as_ref())).await?;
    let text = |jid: Option<Jid>| jid.map(|jid| jid.as_str().to_owned());
    let sql = "UPDATE contacts SET phone = COALESCE(phone, ?), jid = COALESCE(jid, ?), lid = COALESCE(lid, ?), notes = ?, fields = ?, \
               opted_out_at = COALESCE(opted_out_at, ?) WHERE seq = ?";
    let update = query(sql).bind(other.person.phone.as_ref().map(|phone| phone.as_str().to_owned())).bind(text(other.person.jid));
    let update = update.bind(text(other.person.lid)).bind(notes).bind(written(&one.fields)).bind(other.opted_out_at.map(|at| at.0));
    update.bind(keep).execute(&mut tx.conn).await.map_err(refused)?;
    // Who took it back somewhere took it back; who agreed somewhere and took nothing back agreed.
    let consent = match (one.consent, other.consent) {
        (Consent::Withdrawn, _) | (_, Consent::Unknown) => return Ok(()),
        (Consent::Granted, Consent::Granted) => return Ok(()),
        (_, consent) => consent,
    };
    let (source, note) = (other.consent_source.unwrap_or_default(), other.consent_note);
    super::change::set_consent(tx, keep, consent, &source, note.as_deref()).await
}
