//! Reading a backup into an empty folder. It may come from anywhere: only names that we write are taken, nothing is written
//! outside the folder, and in the end everything must be as the manifest says.

use super::{DATABASE, FORMAT, File, HEAD, Head, MANIFEST, MEDIA, Manifest, SECRETS, TABLES};
use anyhow::{Context, bail, ensure};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};
use tar::{Archive, Entry, EntryType};

/// Longest head, manifest or secrets: they are read into memory.
const LONGEST_TEXT: u64 = 256 * 1024 * 1024;

/// Writes the content into `folder`, which must be empty and private; `told` hears of every piece. Answers the manifest.
///
/// # Errors
/// A sentence: it is no backup, of a newer program, damaged, or ends too early.
pub fn read(from: impl Read, folder: &Path, told: &dyn Fn(u64)) -> anyhow::Result<Manifest> {
    let mut archive = Archive::new(GzDecoder::new(from));
    let mut entries = archive.entries().context("this is no backup of SanaSend")?;
    let first = entries.next().context("the file is empty")?.context("this is no backup of SanaSend")?;
    check_head(first)?;
    let mut found: Vec<File> = Vec::new();
    for entry in entries {
        let mut entry = entry.context("the backup is damaged or ends too early")?;
        ensure!(entry.header().entry_type() == EntryType::Regular, "the backup holds something that is no file");
        let name = entry.path()?.to_str().context("a name in the backup is no text")?.to_owned();
        if name == MANIFEST {
            return confirm(&text(&mut entry)?, &found);
        }
        ensure!(is_known(&name), "the backup holds {name:?}, which no backup of ours does");
        ensure!(found.iter().all(|file| file.path != name), "the backup holds {name:?} twice");
        found.push(write(&mut entry, &name, &folder.join(&name), told)?);
    }
    bail!("the backup ends before its manifest: it was cut off")
}

/// The first entry alone: enough to refuse what can't be put where it is wanted.
///
/// # Errors
/// A sentence: it is no backup, or of a newer program.
pub fn head(from: impl Read) -> anyhow::Result<Head> {
    let mut archive = Archive::new(GzDecoder::new(from));
    let mut entries = archive.entries().context("this is no backup of SanaSend")?;
    check_head(entries.next().context("the file is empty")?.context("this is no backup of SanaSend")?)
}

fn check_head<R: Read>(mut entry: Entry<'_, R>) -> anyhow::Result<Head> {
    ensure!(entry.path()?.to_str() == Some(HEAD), "this is no backup of SanaSend");
    let head: Head = serde_json::from_str(&text(&mut entry)?).context("the head of the backup is damaged")?;
    ensure!(head.format <= FORMAT, "the backup was made by a newer program ({}); restore it with that", head.program);
    Ok(head)
}

fn text<R: Read>(entry: &mut Entry<'_, R>) -> anyhow::Result<String> {
    ensure!(entry.size() <= LONGEST_TEXT, "the backup is damaged");
    let mut text = String::new();
    entry.read_to_string(&mut text).context("the backup is damaged or ends too early")?;
    Ok(text)
}

fn is_known(name: &str) -> bool {
    let inside = |rest: &str| !rest.is_empty() && Path::new(rest).components().all(|part| matches!(part, Component::Normal(_)));
    let below = |folder: &str| name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    let table = |file: &str| inside(file) && !file.contains('/') && file.strip_suffix(".copy").is_some();
    name == DATABASE || name == SECRETS || below(MEDIA).is_some_and(inside) || below(TABLES).is_some_and(table)
}

fn write<R: Read>(entry: &mut Entry<'_, R>, name: &str, to: &Path, told: &dyn Fn(u64)) -> anyhow::Result<File> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut file = open.with_context(|| format!("can't write {}", to.display()))?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0_u8; 64 * 1024]);
    loop {
        let count = entry.read(&mut buffer).context("the backup is damaged or ends too early")?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).with_context(|| format!("can't write {}", to.display()))?;
        hash.update(&buffer[..count]);
        bytes += count as u64;
        told(count as u64);
    }
    file.sync_all()?;
    Ok(File { path: name.to_owned(), bytes, sha256: hex::encode(hash.finalize()) })
}

/// Everything that was found is what the manifest lists, and nothing is missing.
fn confirm(text: &str, found: &[File]) -> anyhow::Result<Manifest> {
    let manifest: Manifest = serde_json::from_str(text).context("the manifest of the backup is damaged")?;
    for file in &manifest.files {
        let same = found.iter().find(|other| other.path == file.path);
        let same = same.with_context(|| format!("{} is missing in the backup", file.path))?;
        ensure!(same == file, "{} is damaged: its checksum is not the one that was written down", file.path);
    }
    ensure!(found.len() == manifest.files.len(), "the backup holds more than its manifest lists");
    Ok(manifest)
}
