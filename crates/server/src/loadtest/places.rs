//! Temporary folders that are gone when the load test ends, however it ends.

use std::path::{Path, PathBuf};

/// A folder for this process alone, removed when dropped.
pub struct Temporary(PathBuf);

impl Temporary {
    /// Makes one inside `parent`, or inside the system's folder for temporary files.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn make(parent: Option<&Path>) -> anyhow::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = parent.join(format!("sanasend-loadtest-{}", std::process::id()));
        crate::data_dir::make_private(&path)?;
        Ok(Self(path))
    }

    /// A folder inside, made when it is not there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(name);
        crate::data_dir::make_private(&path)?;
        Ok(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            crate::cli::out::note(&format!("{} could not be removed: {error}", self.0.display()));
        }
    }
}
