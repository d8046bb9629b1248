//! What accounts handed to WhatsApp's media host of late, so that a file that goes to many goes up once.
//!
//! In memory only: what is lost with the process costs one upload more. The bookkeeping is apart from [`super::carry`], which
//! waits for the host, so that its bound can be tested as it is.

use sanasend_engine::Uploaded;
use sanasend_model::{Media, MediaKind, SessionId, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a file that was handed over is sent to others too. WhatsApp keeps files for some weeks, and who gets it must have
/// time to open it.
pub(super) const REUSED: Duration = Duration::from_hours(7 * 24);
/// How long it is believed without asking that the host still has it.
pub(super) const BELIEVED: Duration = Duration::from_hours(1);
/// The same where there is reason to doubt it: often enough to be right, and no more than that, whoever gives reasons.
pub(super) const ASKED: Duration = Duration::from_mins(1);
/// Files that are remembered at most; who was not asked for the longest goes first.
const MOST: usize = 1_024;

/// A file as an account sends it: what opens it at the host is made for its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Which {
    session: SessionId,
    kind: MediaKind,
    sha256: [u8; 32],
}

impl Which {
    pub(super) fn of(session: SessionId, media: &Media) -> Self {
        Self { session, kind: media.kind, sha256: media.sha256 }
    }
}

/// A file that is at the host.
#[derive(Debug, Clone)]
pub(super) struct Handed {
    pub(super) uploaded: Uploaded,
    /// Since when.
    pub(super) at: Timestamp,
    /// When the host was last known to have it.
    pub(super) seen: Timestamp,
}

/// Where a file is at the host, when it is; who comes second waits here while the first hands it over.
pub(super) type Place = Arc<tokio::sync::Mutex<Option<Handed>>>;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<Which, (Place, Timestamp)>>);

impl Uploads {
    /// The place of a file.
    pub(super) fn place(&self, which: Which, now: Timestamp) -> Place {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((place, asked_for)) = places.get_mut(&which) {
            *asked_for = now;
            return place.clone();
        }
        if places.len() >= MOST {
            // Somebody who waits at a place holds it; nobody is to be parted from who comes next.
            let idle = places.iter().filter(|(_, (place, _))| Arc::strong_count(place) == 1);
            if let Some(oldest) = idle.min_by_key(|(_, (_, asked_for))| *asked_for).map(|(which, _)| *which) {
                places.remove(&oldest);
            }
        }
        places.entry(which).or_insert_with(|| (Place::default(), now)).0.clone()
    }

    /// Has the host asked about all files of an account before they are used again, but those that it was asked about just now.
    pub(super) fn doubt(&self, session: SessionId, now: Timestamp) {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, (place, _)) in places.iter().filter(|(which, _)| which.session == session) {
            // Whoever holds one asks the host, or hands the file over, at this moment.
            if let Ok(mut handed) = place.try_lock()
                && let Some(known) = handed.as_mut().filter(|known| known.seen.plus(ASKED) <= now)
            {
                known.seen = Timestamp(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn which(number: u64) -> Which {
        let mut sha256 = [0; 32];
        sha256[..8].copy_from_slice(&number.to_be_bytes());
        Which::of(SessionId(Uuid::nil()), &Media::new(MediaKind::Image, "image/png", 1, sha256))
    }

    #[test]
    fn a_file_has_one_place_for_all_who_send_it_in_the_same_way() {
        let uploads = Uploads::default();
        let place = |which: Which| uploads.place(which, Timestamp(1));
        assert!(Arc::ptr_eq(&place(which(1)), &place(which(1))));
        assert!(!Arc::ptr_eq(&place(which(1)), &place(which(2))));
        assert!(!Arc::ptr_eq(&place(which(1)), &place(Which { kind: MediaKind::Document, ..which(1) })));
        assert!(!Arc::ptr_eq(&place(which(1)), &place(Which { session: SessionId(Uuid::max()), ..which(1) })));
    }

    #[test]
    fn doubt_is_of_one_account_and_of_what_was_not_asked_about_just_now() {
        let uploads = Uploads::default();
        let key = [7_u8; 32];
        let bytes = serde_json::json!({"url": "https://example.com/a", "direct_path": "/a", "media_key": key, "enc_sha256": key,
            "sha256": key, "length": 7, "key_made_at": 7, "sidecar": null});
        let uploaded = Uploaded::from_bytes(bytes.to_string().as_bytes()).expect("an upload");
        let now = Timestamp(0).plus(BELIEVED);
        let handed = |seen| Handed { uploaded: uploaded.clone(), at: Timestamp(1), seen };
        let set = |which: Which, seen| *uploads.place(which, now).try_lock().expect("free") = Some(handed(seen));
        let other = Which { session: SessionId(Uuid::max()), ..which(1) };
        set(which(1), now.minus(ASKED));
        set(which(2), now);
        set(other, now.minus(ASKED));
        uploads.place(which(3), now);
        let held = uploads.place(which(4), now);
        let _held = held.try_lock().expect("free");
        uploads.doubt(SessionId(Uuid::nil()), now);
        let seen = |which: Which| uploads.place(which, now).try_lock().expect("free").as_ref().map(|handed| handed.seen);
        assert_eq!((seen(which(1)), seen(which(2)), seen(which(3))), (Some(Timestamp(0)), Some(now), None));
        assert_eq!(seen(other), Some(now.minus(ASKED)));
    }

    #[test]
    fn who_was_not_asked_for_the_longest_goes_and_nobody_who_is_waited_for() {
        let uploads = Uploads::default();
        let waited_for = uploads.place(which(0), Timestamp(0));
        for number in 1..=2 * MOST as u64 {
            uploads.place(which(number), Timestamp(i64::try_from(number).expect("small")));
        }
        assert_eq!(uploads.0.lock().expect("places").len(), MOST);
        assert!(Arc::ptr_eq(&waited_for, &uploads.place(which(0), Timestamp(0))));
        let places = uploads.0.lock().expect("places");
        assert!(!places.contains_key(&which(1)) && places.contains_key(&which(2 * MOST as u64)));
    }
}
