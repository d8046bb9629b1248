//! How often the disk can be made to keep 4 KiB for good, in a second.

use anyhow::Context;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of one write: a page of a database.
const PAGE: usize = 4096;
/// The file is written over again after this many pages, so that the disk does not fill.
const PAGES: u64 = 4096;

/// Writes a page and syncs it, again and again, for `time`; syncs per second.
///
/// # Errors
/// What the disk says.
pub fn measure(folder: &Path, time: Duration) -> anyhow::Result<f64> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(folder.join("raw.fsync")).context("can't write")?;
    let page = [0x5a_u8; PAGE];
    let started = Instant::now();
    let mut synced = 0_u32;
    while started.elapsed() < time {
        if u64::from(synced) % PAGES == 0 {
            file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(&page)?;
        file.sync_data()?;
        synced += 1;
    }
    Ok(f64::from(synced) / started.elapsed().as_secs_f64())
}
