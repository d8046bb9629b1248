//! Writing a backup: files in, checksums beside, manifest last.

use super::{File, HEAD, MANIFEST, MEDIA, Manifest, SECRETS};
use anyhow::{Context, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tar::{Builder, Header};

/// What goes into the file.
pub struct Content {
    /// The manifest, still without files.
    pub manifest: Manifest,
    /// The copy of the database: names inside, and where the files are.
    pub database: Vec<(String, PathBuf)>,
    /// The folder of media, where there is one.
    pub media: Option<PathBuf>,
    /// The sealed secrets, unless they are left out.
    pub secrets: Option<Vec<u8>>,
}

/// Writes the file; `told` hears of every piece of it. Answers the manifest and the writer.
///
/// # Errors
/// What the disk says, or that a file became shorter while it was read.
pub fn write<W: Write>(content: Content, out: W, told: &dyn Fn(u64)) -> anyhow::Result<(Manifest, W)> {
    let Content { mut manifest, database, media, secrets } = content;
    let mut tar = Builder::new(GzEncoder::new(out, Compression::fast()));
    let head = serde_json::to_vec_pretty(&manifest.head)?;
    add(&mut tar, HEAD, head.len() as u64, &mut head.as_slice(), told)?;
    if let Some(sealed) = secrets {
        manifest.files.push(add(&mut tar, SECRETS, sealed.len() as u64, &mut sealed.as_slice(), told)?);
    }
    for (name, path) in database {
        let file = open(&path)?.with_context(|| format!("{} is gone", path.display()))?;
        manifest.files.push(add_file(&mut tar, &name, file, told)?);
    }
    for (name, path) in media.map(|folder| walk(&folder)).transpose()?.unwrap_or_default() {
        if let Some(file) = open(&path)? {
            manifest.files.push(add_file(&mut tar, &name, file, told)?);
        }
    }
    let text = serde_json::to_vec_pretty(&manifest)?;
    add(&mut tar, MANIFEST, text.len() as u64, &mut text.as_slice(), told)?;
    let out = tar.into_inner().and_then(GzEncoder::finish).context("the backup can't be finished")?;
    Ok((manifest, out))
}

/// A file of the disk; nothing when it went away meanwhile, as media do that are cleaned up.
fn open(path: &Path) -> anyhow::Result<Option<fs::File>> {
    match fs::File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

fn add_file<W: Write>(tar: &mut Builder<W>, name: &str, mut file: fs::File, told: &dyn Fn(u64)) -> anyhow::Result<File> {
    let bytes = file.metadata()?.len();
    add(tar, name, bytes, &mut file, told)
}

fn add<W: Write>(tar: &mut Builder<W>, name: &str, bytes: u64, from: &mut dyn Read, told: &dyn Fn(u64)) -> anyhow::Result<File> {
    let mut header = Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    let mut hashed = Hashed { from: from.take(bytes), hash: Sha256::new(), read: 0, told };
    tar.append_data(&mut header, name, &mut hashed).with_context(|| format!("can't write {name}"))?;
    if hashed.read != bytes {
        bail!("{name} became shorter while it was read");
    }
    Ok(File { path: name.to_owned(), bytes, sha256: hex::encode(hashed.hash.finalize()) })
}

/// Every file below a folder of media, with its name inside the backup.
fn walk(folder: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let (mut found, mut open) = (Vec::new(), vec![(MEDIA.to_owned(), folder.to_owned())]);
    while let Some((name, folder)) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))? {
            let entry = entry?;
            let Some(own) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let (name, kind) = (format!("{name}/{own}"), entry.file_type()?);
            if kind.is_dir() {
                open.push((name, entry.path()));
            } else if kind.is_file() && !own.contains('#') {
                // With `#` in its name it is half a file, still being written.
                found.push((name, entry.path()));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A reader that hashes what passes.
struct Hashed<'a, R> {
    from: R,
    hash: Sha256,
    read: u64,
    told: &'a dyn Fn(u64),
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.read += count as u64;
        (self.told)(count as u64);
        Ok(count)
    }
}
