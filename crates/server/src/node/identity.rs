//! Which node this is, where several share a database: an id that stays with the data folder.
//!
//! The folder's lock lets one process in, so a process that finds the id there knows that the one before it is dead, and may
//! have its accounts back at once; all others wait for the end of its lease.

use super::Ground;
use anyhow::Context;
use sanasend_model::Clock;
use std::path::Path;
use uuid::Uuid;

const FILE: &str = "node_id";

/// Makes this process a living node of a shared database; does nothing on SQLite.
///
/// # Errors
/// A sentence, when the id can't be kept or the database does not answer.
pub async fn join(ground: &Ground, clock: &dyn Clock) -> anyhow::Result<()> {
    if !ground.store.is_shared() {
        return Ok(());
    }
    let node = recall(ground.data_dir.path(), clock)?;
    ground.store.join(node);
    ground.store.enter_node(node, crate::sessions::LEASE).await.context("this node can't be made known to the others")
}

/// The id of the data folder, made when there is none.
fn recall(data_dir: &Path, clock: &dyn Clock) -> anyhow::Result<Uuid> {
    let file = data_dir.join(FILE);
    if let Some(id) = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()) {
        return Ok(id);
    }
    let id = clock.uuid();
    crate::secrets::write_private(&file, format!("{id}\n").as_bytes())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_folder_is_the_same_node_for_ever_and_two_are_two() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().expect("folder"));
        let first = recall(one.path(), &SystemClock).expect("made");
        assert_eq!(recall(one.path(), &SystemClock).expect("read"), first);
        assert_ne!(recall(other.path(), &SystemClock).expect("made"), first);
    }
}
