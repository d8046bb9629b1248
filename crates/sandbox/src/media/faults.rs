//! Media that goes wrong on purpose, by account.
//!
//! Apart from the network's faults because these strike requests, not stanzas. A request that does not say whose it is
//! (some clients download without a ticket) meets the fault of any account.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{self, Read};
use std::time::Duration;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaWay {
    /// From a client to the host.
    Upload,
    /// From the host to a client.
    Download,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaTrouble {
    /// The request is answered with this HTTP status; nothing is kept or given.
    Status(u16),
    /// So many bytes a second, at most.
    Slow(u64),
    /// The connection breaks half-way.
    Truncated,
    /// One byte is not what it was.
    Corrupt,
}

/// Planted faults.
#[derive(Debug, Default)]
pub(super) struct MediaFaults(Mutex<HashMap<(String, MediaWay), (MediaTrouble, u32)>>);

impl MediaFaults {
    pub fn plant(&self, phone: &str, way: MediaWay, trouble: MediaTrouble, count: u32) {
        self.0.lock().insert((phone.to_owned(), way), (trouble, count));
    }

    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// What goes wrong with this request; used up by it.
    pub fn take(&self, phone: Option<&str>, way: MediaWay) -> Option<MediaTrouble> {
        let mut planted = self.0.lock();
        let key = match phone {
            Some(phone) => (phone.to_owned(), way),
            None => planted.keys().find(|(_, strikes)| *strikes == way)?.clone(),
        };
        let (trouble, count) = planted.get_mut(&key)?;
        let trouble = *trouble;
        *count = count.saturating_sub(1);
        if *count == 0 {
            planted.remove(&key);
        }
        Some(trouble)
    }
}

/// Bytes on a bad line.
pub(super) struct Troubled<R> {
    inner: R,
    /// At most so many bytes a second.
    pace: Option<u64>,
    /// Breaks after so many bytes.
    breaks_at: Option<u64>,
    /// This byte is changed.
    bad: Option<u64>,
    done: u64,
}

impl<R> Troubled<R> {
    /// `inner`, of about `size` bytes, in this trouble.
    pub fn new(inner: R, size: u64, trouble: Option<MediaTrouble>) -> Self {
        let (mut pace, mut breaks_at, mut bad) = (None, None, None);
        match trouble {
            Some(MediaTrouble::Slow(bytes)) => pace = Some(bytes.max(1)),
            Some(MediaTrouble::Truncated) => breaks_at = Some(size / 2),
            Some(MediaTrouble::Corrupt) => bad = Some(size / 2),
            Some(MediaTrouble::Status(_)) | None => {}
        }
        Troubled { inner, pace, breaks_at, bad, done: 0 }
    }
}

impl<R: Read> Read for Troubled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut room = buffer.len();
        if let Some(end) = self.breaks_at {
            let left = end.saturating_sub(self.done);
            if left == 0 {
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the line broke, as was asked for"));
            }
            room = room.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if let Some(pace) = self.pace {
            // A twentieth of a second at a time; this runs on a thread that may block.
            let step = (pace / 20).max(1);
            room = room.min(usize::try_from(step).unwrap_or(usize::MAX));
            std::thread::sleep(Duration::from_nanos(1_000_000_000_u64.saturating_mul(room as u64) / pace));
        }
        let read = self.inner.read(&mut buffer[..room])?;
        if let Some(at) = self.bad.and_then(|bad| bad.checked_sub(self.done)).and_then(|at| usize::try_from(at).ok())
            && at < read
        {
            buffer[at] ^= 0x55;
        }
        self.done += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up_and_strikes_one_way_of_one_account() {
        let faults = MediaFaults::default();
        faults.plant("1", MediaWay::Upload, MediaTrouble::Status(503), 2);
        assert_eq!(faults.take(Some("2"), MediaWay::Upload), None);
        assert_eq!(faults.take(Some("1"), MediaWay::Download), None);
        assert_eq!(faults.take(Some("1"), MediaWay::Upload), Some(MediaTrouble::Status(503)));
        assert_eq!(faults.take(None, MediaWay::Upload), Some(MediaTrouble::Status(503)));
        assert_eq!(faults.take(Some("1"), MediaWay::Upload), None);
    }

    #[test]
    fn bytes_in_trouble() {
        let through = |trouble| {
            let mut out = Vec::new();
            let ended = Troubled::new(&b"0123456789"[..], 10, Some(trouble)).read_to_end(&mut out);
            (out, ended.is_ok())
        };
        assert_eq!(through(MediaTrouble::Slow(1_000_000)), (b"0123456789".to_vec(), true));
        assert_eq!(through(MediaTrouble::Truncated), (b"01234".to_vec(), false));
        assert_eq!(through(MediaTrouble::Corrupt), (b"01234`6789".to_vec(), true));
    }
}
