//! Where the bytes of files lie: a folder, or a bucket that speaks S3.
//!
//! Names are generated ids, never anything that somebody sent. A file is staged elsewhere on this machine first and put
//! in whole: nobody ever sees half of one. [`FileStore::put`] returns when the bytes would survive a power cut.

use crate::StoreError;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload};
use sanasend_model::{FileId, Timestamp};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of one part of an upload to a bucket; S3 takes no less than 5 MiB.
const PART: usize = 8 << 20;

/// A bucket that speaks S3.
#[derive(Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the names of all objects begin with; may be empty.
    pub prefix: String,
    /// Where it is, when not at Amazon.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// Who we are.
    pub access_key_id: String,
    /// And the proof.
    pub secret_access_key: String,
}

/// Bytes of a file on their way.
pub struct Opened {
    /// Bytes of the whole file.
    pub size: u64,
    /// Those asked for.
    pub bytes: BoxStream<'static, Result<Bytes, StoreError>>,
}

/// A file of this machine with the bytes of a stored one; a copy is removed with this value.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    is_copy: bool,
}

impl LocalFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if self.is_copy {
            // What can't be removed now is swept with the folder it is in.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where the bytes of files lie. Cheap to clone.
#[derive(Clone)]
pub struct FileStore {
    objects: Arc<dyn ObjectStore>,
    prefix: Name,
    /// The folder, when it is one: files are then moved into it instead of being copied.
    folder: Option<PathBuf>,
}

impl std::fmt::Debug for FileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStore").field("folder", &self.folder).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl FileStore {
    /// Files in a folder, which must be on the same file system as the files that are put into it. Made when it is missing.
    pub fn in_folder(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|error| trouble(&error))?;
        let objects = LocalFileSystem::new_with_prefix(folder).map_err(|error| trouble(&error))?;
        Ok(Self { objects: Arc::new(objects), prefix: Name::default(), folder: Some(folder.to_owned()) })
    }

    /// Files in a bucket. Nothing is asked of it yet.
    pub fn in_bucket(bucket: &Bucket) -> Result<Self, StoreError> {
        let plain = bucket.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_access_key_id(&bucket.access_key_id)
            .with_secret_access_key(&bucket.secret_access_key)
            .with_allow_http(plain);
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let objects = builder.build().map_err(|error| trouble(&error))?;
        Ok(Self::over(Arc::new(objects), &bucket.prefix))
    }

    fn over(objects: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self { objects, prefix: Name::from(prefix), folder: None }
    }

    /// Puts a staged file in under `id`; it is gone from where it was staged. Durable when this returns.
    pub async fn put(&self, id: FileId, staged: &Path) -> Result<(), StoreError> {
        let Some(folder) = &self.folder else {
            self.upload(id, staged).await?;
            let _ = fs::remove_file(staged);
            return Ok(());
        };
        let (from, to) = (staged.to_owned(), folder.join(relative(id)));
        blocking(move || move_in(&from, &to)).await
    }

    async fn upload(&self, id: FileId, staged: &Path) -> Result<(), StoreError> {
        let name = self.name(id);
        let from = staged.to_owned();
        let mut file = blocking(move || File::open(from)).await?;
        let (mut part, mut rest) = next_part(file).await?;
        if part.len() < PART {
            return self.objects.put(&name, PutPayload::from(part)).await.map(drop).map_err(|error| trouble(&error));
        }
        let mut upload = self.objects.put_multipart(&name).await.map_err(|error| trouble(&error))?;
        loop {
            let last = part.len() < PART;
            let sent = if part.is_empty() { Ok(()) } else { upload.put_part(PutPayload::from(part)).await };
            if let Err(error) = sent {
                let _ = upload.abort().await;
                return Err(trouble(&error));
            }
            if last {
                return upload.complete().await.map(drop).map_err(|error| trouble(&error));
            }
            file = rest;
            (part, rest) = next_part(file).await?;
        }
    }

    /// The bytes of a file, or a range of them; `None` when it is not there. The range must lie within the file.
    pub async fn open(&self, id: FileId, range: Option<Range<u64>>) -> Result<Option<Opened>, StoreError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        match self.objects.get_opts(&self.name(id), options).await {
            Ok(found) => {
                let size = found.meta.size;
                Ok(Some(Opened { size, bytes: found.into_stream().map_err(|error| trouble(&error)).boxed() }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(trouble(&error)),
        }
    }

    /// Whether the place answers; asks for a file that nobody has.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.folder {
            Some(folder) => fs::metadata(folder).map(drop).map_err(|error| trouble(&error)),
            None => self.has(FileId(uuid::Uuid::nil())).await.map(drop),
        }
    }

    /// Writes a few bytes, reads them back and removes them: whether everything is allowed that is needed. Their name is none
    /// of a file.
    pub async fn try_out(&self) -> Result<(), StoreError> {
        const BYTES: &[u8] = b"sanasend tries out this place";
        let name: Name = self.prefix.parts().chain(Name::from("probe").parts()).collect();
        self.objects.put(&name, PutPayload::from_static(BYTES)).await.map_err(|error| trouble(&error))?;
        let read = async { self.objects.get(&name).await?.bytes().await };
        let read = read.await.map_err(|error| trouble(&error));
        self.objects.delete(&name).await.map_err(|error| trouble(&error))?;
        if read? == BYTES { Ok(()) } else { Err(StoreError::Unavailable("the storage of files gives other bytes than it took".into())) }
    }

    /// Whether it is a bucket.
    pub fn is_bucket(&self) -> bool {
        self.folder.is_none()
    }

    /// Whether a file is there.
    pub async fn has(&self, id: FileId) -> Result<bool, StoreError> {
        Ok(self.size(id).await?.is_some())
    }

    /// How many bytes a file has; `None` when it is not there.
    pub async fn size(&self, id: FileId) -> Result<Option<u64>, StoreError> {
        match self.objects.head(&self.name(id)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(trouble(&error)),
        }
    }

    /// The file as one of this machine: itself where it lies in a folder, else a copy at `scratch`. `None` when it is not
    /// there.
    pub async fn local(&self, id: FileId, scratch: PathBuf) -> Result<Option<LocalFile>, StoreError> {
        if let Some(folder) = &self.folder {
            let path = folder.join(relative(id));
            return Ok(path.exists().then_some(LocalFile { path, is_copy: false }));
        }
        let Some(mut opened) = self.open(id, None).await? else { return Ok(None) };
        let local = LocalFile { path: scratch.clone(), is_copy: true };
        let mut file = blocking(move || File::create_new(scratch)).await?;
        while let Some(bytes) = opened.bytes.next().await {
            let bytes = bytes?;
            file = blocking(move || file.write_all(&bytes).map(|()| file)).await?;
        }
        Ok(Some(local))
    }

    /// Drops the bytes of a file; one that is not there is no error.
    pub async fn delete(&self, id: FileId) -> Result<(), StoreError> {
        match self.objects.delete(&self.name(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(trouble(&error)),
        }
    }

    /// All files with the time since when they are there, as they come.
    pub fn list(&self) -> BoxStream<'static, Result<(FileId, Timestamp), StoreError>> {
        let listed = self.objects.list(Some(&self.prefix)).map_err(|error| trouble(&error));
        let known = listed.try_filter_map(|object| async move {
            let id: Option<FileId> = object.location.filename().and_then(|name| name.parse().ok());
            Ok(id.map(|id| (id, Timestamp(object.last_modified.timestamp_millis()))))
        });
        known.boxed()
    }

    fn name(&self, id: FileId) -> Name {
        self.prefix.parts().chain(Name::from(relative(id)).parts()).collect()
    }
}

/// Spread over 256 folders by the random end of the id: some file systems are slow with one large folder.
fn relative(id: FileId) -> String {
    let text = id.to_string();
    let shelf = text.get(34..).unwrap_or("00").to_owned();
    format!("{shelf}/{text}")
}

/// Moves a file so that it is there whole after a power cut, or not at all.
fn move_in(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    let shelf = to.parent().unwrap_or(to);
    if !shelf.exists() {
        fs::create_dir_all(shelf)?;
        if let Some(folder) = shelf.parent() {
            File::open(folder)?.sync_all()?;
        }
    }
    fs::rename(from, to)?;
    File::open(shelf)?.sync_all()
}

/// The next part of a file, shorter than [`PART`] at its end only.
async fn next_part(mut file: File) -> Result<(Bytes, File), StoreError> {
    blocking(move || {
        let mut part = Vec::with_capacity(PART);
        (&mut file).take(PART as u64).read_to_end(&mut part)?;
        Ok((Bytes::from(part), file))
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| trouble(&error)),
        Err(error) => Err(trouble(&error)),
    }
}

fn trouble(error: &dyn std::error::Error) -> StoreError {
    StoreError::Unavailable(format!("the storage of files: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn id(end: u8) -> FileId {
        format!("0190a000-0000-7000-8000-0000000000{end:02x}").parse().expect("an id")
    }

    async fn read(store: &FileStore, id: FileId, range: Option<Range<u64>>) -> Vec<u8> {
        let opened = store.open(id, range).await.expect("asked").expect("there");
        opened
            .bytes
            .try_fold(Vec::new(), |mut all, bytes| async move {
                all.extend_from_slice(&bytes);
                Ok(all)
            })
            .await
            .expect("read")
    }

    /// What a place must do, whatever it is.
    async fn keeps_files(store: FileStore, folder: &Path) {
        let whole: Vec<u8> = (0..=255_u8).cycle().take(PART * 2 + 77).collect();
        for (end, size) in [(1, 5), (2, PART), (3, whole.len()), (4, 0)] {
            let staged = folder.join("staged");
            fs::write(&staged, &whole[..size]).expect("staged");
            store.put(id(end), &staged).await.expect("put");
            assert!(!staged.exists(), "nothing stays behind");
            assert_eq!(read(&store, id(end), None).await, whole[..size], "{size} bytes");
            assert_eq!(store.size(id(end)).await.expect("asked"), Some(size as u64));
            let local = store.local(id(end), folder.join("scratch")).await.expect("asked").expect("there");
            assert_eq!(fs::read(local.path()).expect("read"), whole[..size]);
        }
        assert!(!folder.join("scratch").exists(), "copies go with their values");
        assert_eq!(read(&store, id(3), Some(10..20)).await, whole[10..20]);
        let mut listed: Vec<FileId> = store.list().map_ok(|(id, _)| id).try_collect().await.expect("listed");
        listed.sort_unstable();
        assert_eq!(listed, [id(1), id(2), id(3), id(4)]);
        store.delete(id(1)).await.expect("deleted");
        store.delete(id(1)).await.expect("once more");
        assert!(!store.has(id(1)).await.expect("asked") && store.has(id(2)).await.expect("asked"));
        assert!(store.open(id(1), None).await.expect("asked").is_none());
        store.ping().await.expect("it answers");
        store.try_out().await.expect("it takes and gives");
        assert_eq!(store.list().try_collect::<Vec<_>>().await.expect("listed").len(), 3, "nothing stays of trying out");
        assert!(store.local(id(1), folder.join("scratch")).await.expect("asked").is_none());
    }

    #[tokio::test]
    async fn a_folder_keeps_files() {
        let folder = tempfile::tempdir().expect("a folder");
        keeps_files(FileStore::in_folder(&folder.path().join("media")).expect("made"), folder.path()).await;
    }

    #[tokio::test]
    async fn a_bucket_keeps_files_under_its_prefix() {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = Arc::new(InMemory::new());
        let other = Name::from(format!("other/{}", id(9)));
        objects.put(&other, PutPayload::from_static(b"not ours")).await.expect("put");
        keeps_files(FileStore::over(objects, "sanasend/media"), folder.path()).await;
    }
}
