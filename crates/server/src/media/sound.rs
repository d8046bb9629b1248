//! Length and size of what can be played, read from the file's own tables: no decoding, a few reads.
//!
//! Best effort: a file without readable tables is sent without these figures, and clients find them out themselves.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Boxes that are looked at before it is given up: a film has a handful on each level.
const MOST_BOXES: usize = 4096;
/// How much of an Ogg file's end is searched for its last page.
const OGG_END: u64 = 64 * 1024;
/// Opus counts samples at this rate, whatever it was recorded with.
const OPUS_RATE: u64 = 48_000;

/// What the tables say.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub struct Played {
    /// Length, rounded up.
    pub seconds: Option<u32>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
}

/// Reads the tables of an MP4 or Ogg Opus file; nothing is known of others.
#[must_use]
pub fn look(path: &Path, mime: &str) -> Played {
    let read = || -> io::Result<Played> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        let mut played = Played::default();
        match sanasend_model::media::essence(mime) {
            "video/mp4" | "video/3gpp" | "audio/mp4" => boxes(&mut file, 0, end, &mut played, &mut { MOST_BOXES })?,
            "audio/ogg" => played.seconds = opus(&mut file, end)?,
            _ => {}
        }
        Ok(played)
    };
    read().unwrap_or_default()
}

/// Goes through the boxes between two places: `moov` holds `mvhd` (length) and one `trak` with a `tkhd` (size) per track.
fn boxes(file: &mut File, mut at: u64, end: u64, played: &mut Played, left: &mut usize) -> io::Result<()> {
    while at + 8 <= end && *left > 0 {
        *left -= 1;
        file.seek(SeekFrom::Start(at))?;
        let mut size = u64::from(number(file)?);
        let mut name = [0; 4];
        file.read_exact(&mut name)?;
        let mut header = 8;
        if size == 1 {
            size = u64::from(number(file)?) << 32 | u64::from(number(file)?);
            header = 16;
        } else if size == 0 {
            size = end - at;
        }
        if size < header || size > end - at {
            return Ok(());
        }
        match &name {
            b"moov" | b"trak" => boxes(file, at + header, at + size, played, left)?,
            b"mvhd" => played.seconds = length(file)?.or(played.seconds),
            b"tkhd" => {
                // Width and height are the last two fields, as 16.16 fixed point numbers.
                file.seek(SeekFrom::Start(at + size - 8))?;
                let (width, height) = (number(file)? >> 16, number(file)? >> 16);
                if width > 0 && height > 0 {
                    (played.width, played.height) = (Some(width), Some(height));
                }
            }
            _ => {}
        }
        at += size;
    }
    Ok(())
}

/// The length in `mvhd`, behind its version and dates.
fn length(file: &mut File) -> io::Result<Option<u32>> {
    let wide = number(file)? >> 24 == 1;
    file.seek(SeekFrom::Current(if wide { 16 } else { 8 }))?;
    let scale = u64::from(number(file)?);
    let units = if wide { u64::from(number(file)?) << 32 | u64::from(number(file)?) } else { u64::from(number(file)?) };
    Ok(if scale == 0 { None } else { u32::try_from(units.div_ceil(scale)).ok() })
}

/// The place of the last page is its end in samples, of which the first few are silence.
fn opus(file: &mut File, end: u64) -> io::Result<Option<u32>> {
    let mut head = [0; 64];
    let read = file.read(&mut head)?;
    if !super::look::is_opus(head.get(..read).unwrap_or_default()) {
        return Ok(None);
    }
    let skipped = u64::from(u16::from_le_bytes([head[38], head[39]]));
    file.seek(SeekFrom::Start(end.saturating_sub(OGG_END)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let page = tail.windows(4).rposition(|window| window == b"OggS");
    let samples = page.and_then(|page| tail.get(page + 6..page + 14)).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    Ok(samples.and_then(|samples| u32::try_from(samples.saturating_sub(skipped).div_ceil(OPUS_RATE)).ok()))
}

fn number(file: &mut File) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_box(name: [u8; 4], content: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(content.len() + 8).expect("small").to_be_bytes().to_vec();
        bytes.extend_from_slice(&name);
        bytes.extend_from_slice(content);
        bytes
    }

    fn looked(bytes: &[u8], mime: &str) -> Played {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        look(file.path(), mime)
    }

    fn film() -> Vec<u8> {
        let mut mvhd = vec![0; 12];
        mvhd.extend_from_slice(&1000_u32.to_be_bytes());
        mvhd.extend_from_slice(&2500_u32.to_be_bytes());
        let mut tkhd = vec![0; 76];
        tkhd.extend_from_slice(&(640_u32 << 16).to_be_bytes());
        tkhd.extend_from_slice(&(360_u32 << 16).to_be_bytes());
        let moov = [a_box(*b"mvhd", &mvhd), a_box(*b"trak", &a_box(*b"tkhd", &tkhd))].concat();
        [a_box(*b"ftyp", b"mp42\0\0\0\0"), a_box(*b"mdat", &[7; 100]), a_box(*b"moov", &moov)].concat()
    }

    #[test]
    fn a_film_tells_its_length_and_size() {
        assert_eq!(looked(&film(), "video/mp4"), Played { seconds: Some(3), width: Some(640), height: Some(360) });
    }

    #[test]
    fn a_voice_note_tells_its_length() {
        let mut ogg = b"OggS\x00\x02".to_vec();
        ogg.resize(28, 0);
        ogg.extend_from_slice(b"OpusHead\x01\x01\x38\x01");
        ogg.resize(80, 0);
        ogg.extend_from_slice(b"OggS\x00\x04");
        ogg.extend_from_slice(&(48_000_u64 * 5 + 312).to_le_bytes());
        ogg.resize(200, 0);
        assert_eq!(looked(&ogg, "audio/ogg; codecs=opus").seconds, Some(5));
    }

    #[test]
    fn broken_tables_tell_nothing_and_end() {
        let mut lying = film();
        let at = lying.len() - 4;
        lying[at..].copy_from_slice(&[0; 4]);
        for cut in [0, 4, 7, 30, 120] {
            let _ = looked(&film()[..cut], "video/mp4");
        }
        let _ = looked(&lying, "video/mp4");
        let endless = [a_box(*b"moov", b""), vec![0, 0, 0, 0, b'm', b'o', b'o', b'v'], vec![0; 8]].concat();
        assert_eq!(looked(&endless, "video/mp4"), Played::default());
        assert_eq!(looked(b"OggS", "audio/ogg"), Played::default());
    }
}
