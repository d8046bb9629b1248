//! A file on its way in: written to a scratch file while its size and hash are taken.
//!
//! Whatever it comes from (a request, a URL, WhatsApp), it is looked at only when all of it lies on this machine, so that
//! no size costs memory. A file that nobody keeps goes with its value.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 * 1024;

/// Why a file did not come in whole.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// It is larger than allowed.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// The disk did not take it.
    #[error("the file could not be written: {0}")]
    Disk(#[from] std::io::Error),
}

/// A scratch file that goes with its value, unless it was moved away.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A file that may be made at `path`.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may have been moved away; what can't be removed now is swept later.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A file that is being written.
pub struct Staging {
    file: BufWriter<File>,
    scratch: Scratch,
    hash: Sha256,
    size: u64,
    limit: u64,
}

/// A file that came in whole.
#[derive(Debug)]
pub struct Staged {
    /// Where it is.
    pub scratch: Scratch,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

impl Staging {
    /// Begins a file of at most `limit` bytes.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn begin(scratch: Scratch, limit: u64) -> Result<Self, StageError> {
        let file = File::create_new(scratch.path()).await?;
        Ok(Self { file: BufWriter::with_capacity(BUFFER, file), scratch, hash: Sha256::new(), size: 0, limit })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When there are too many of them, or the disk is full.
    pub async fn write(&mut self, bytes: &Bytes) -> Result<(), StageError> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(StageError::TooLarge { limit: self.limit });
        }
        self.hash.update(bytes);
        Ok(self.file.write_all(bytes).await?)
    }

    /// The file is whole.
    ///
    /// # Errors
    /// When its last bytes could not be written.
    pub async fn finish(mut self) -> Result<Staged, StageError> {
        self.file.flush().await?;
        Ok(Staged { scratch: self.scratch, size: self.size, sha256: self.hash.finalize().into() })
    }
}

impl Staged {
    /// Reads a file that something else wrote to `scratch`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn of(scratch: Scratch) -> std::io::Result<Self> {
        let work = move || {
            let mut file = std::fs::File::open(scratch.path())?;
            let mut hash = Hashing(Sha256::new());
            let size = std::io::copy(&mut file, &mut hash)?;
            Ok(Self { scratch, size, sha256: hash.0.finalize().into() })
        };
        tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
    }

    /// Its first bytes, at most `count`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn head(&self, count: u64) -> std::io::Result<Vec<u8>> {
        use tokio::io::AsyncReadExt as _;
        let mut head = Vec::new();
        File::open(self.scratch.path()).await?.take(count).read_to_end(&mut head).await?;
        Ok(head)
    }
}

struct Hashing(Sha256);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
