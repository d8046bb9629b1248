//! Opens the storage that the settings name: the data folder, another folder, or a bucket.

use super::Storage;
use crate::config::settings::MediaSettings;
use crate::data_dir::make_private;
use anyhow::{Context, anyhow, bail};
use sanasend_store::{Bucket, FileStore};
use std::path::Path;

/// Opens it; folders are made when they are missing.
///
/// # Errors
/// A sentence for the operator.
pub fn open_storage(settings: &MediaSettings, data_dir: &Path) -> anyhow::Result<Storage> {
    match settings.storage_url.as_deref() {
        None => in_folder(&data_dir.join("media")),
        Some(url) => match url.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => in_folder(Path::new(path)),
            Some(("s3", _)) => in_bucket(settings, data_dir),
            _ => bail!("`media.storage_url` must be like file:///srv/media or s3://bucket/prefix"),
        },
    }
}

fn in_folder(folder: &Path) -> anyhow::Result<Storage> {
    make_private(folder)?;
    let files = FileStore::in_folder(folder).with_context(|| format!("can't use the folder {}", folder.display()))?;
    let scratch = folder.join("scratch");
    make_private(&scratch)?;
    Ok(Storage { files, scratch })
}

/// The bucket of the settings with its name, where files lie in one; makes no folder.
pub fn open_bucket(settings: &MediaSettings) -> Option<anyhow::Result<(FileStore, String)>> {
    let place = settings.storage_url.as_deref()?.strip_prefix("s3://")?;
    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
    let (Some(id), Some(secret)) = (&settings.s3_access_key_id, &settings.s3_secret_access_key) else {
        return Some(Err(anyhow!("a bucket needs `media.s3_access_key_id` and `media.s3_secret_access_key`")));
    };
    let bucket = Bucket {
        name: name.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        endpoint: settings.s3_endpoint.clone(),
        region: settings.s3_region.clone(),
        access_key_id: id.0.clone(),
        secret_access_key: secret.0.clone(),
    };
    let files = FileStore::in_bucket(&bucket).context("the bucket of `media.storage_url` can't be used");
    Some(files.map(|files| (files, bucket.name)))
}

fn in_bucket(settings: &MediaSettings, data_dir: &Path) -> anyhow::Result<Storage> {
    let (files, _) = open_bucket(settings).context("`media.storage_url` names no bucket")??;
    let scratch = data_dir.join("scratch");
    make_private(&scratch)?;
    Ok(Storage { files, scratch })
}
