//! Pictures: whether they are whole, how large they are, and the small copy that WhatsApp shows until the file is there.
//!
//! Decoding is where a small file can become gigabytes, so the size in pixels is read and judged first, memory is bounded
//! besides, and few are decoded at once.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::path::Path;

/// Longest side of a thumbnail, in pixels: what WhatsApp's own clients make.
const THUMBNAIL: u32 = 100;
/// Quality of a thumbnail: a few KiB that travel inside the message.
const QUALITY: u8 = 60;
/// Memory that decoding may take beside the picture itself.
const SPARE: u64 = 64 << 20;

/// A picture that was looked at.
#[derive(Debug)]
pub struct Picture {
    /// Pixels, the way it is to be held.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// A small JPEG of it.
    pub thumbnail: Vec<u8>,
}

/// Why a picture can't be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Spoilt {
    /// It is none, or not whole.
    Broken,
    /// It has more pixels than allowed.
    TooManyPixels {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
}

/// Looks at the picture at `path`; takes time and memory, so only for threads that may wait.
///
/// # Errors
/// When it can't be sent.
pub fn look(path: &Path, most_pixels: u64) -> Result<Picture, Spoilt> {
    let broken = |_| Spoilt::Broken;
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|_| Spoilt::Broken)?;
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most_pixels {
        return Err(Spoilt::TooManyPixels { width, height });
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(most_pixels.saturating_mul(8).saturating_add(SPARE));
    decoder.set_limits(limits).map_err(broken)?;
    let orientation = decoder.orientation().map_err(broken)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?.thumbnail(THUMBNAIL, THUMBNAIL);
    picture.apply_orientation(orientation);
    let turned = matches!(
        orientation,
        image::metadata::Orientation::Rotate90
            | image::metadata::Orientation::Rotate270
            | image::metadata::Orientation::Rotate90FlipH
            | image::metadata::Orientation::Rotate270FlipH
    );
    let (width, height) = if turned { (height, width) } else { (width, height) };
    Ok(Picture { width, height, thumbnail: jpeg(&picture)? })
}

fn jpeg(picture: &DynamicImage) -> Result<Vec<u8>, Spoilt> {
    let mut bytes = Vec::new();
    // JPEG knows no transparency: what shines through is white, as in the chat.
    let rgba = picture.to_rgba8();
    let mut flat = image::RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in flat.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, alpha] = from.0;
        let over = |c: u8| {
            let mixed = (u32::from(c) * u32::from(alpha) + 255 * (255 - u32::from(alpha))) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        to.0 = [over(r), over(g), over(b)];
    }
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&flat).map_err(|_| Spoilt::Broken)?;
    Ok(bytes)
}

/// Whether the first bytes are those of a WebP that moves.
#[must_use]
pub fn is_moving_webp(head: &[u8]) -> bool {
    head.get(8..16) == Some(b"WEBPVP8X".as_slice()) && head.get(20).is_some_and(|flags| flags & 0x02 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        file
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        DynamicImage::new_rgba8(width, height).write_to(&mut bytes, image::ImageFormat::Png).expect("encoded");
        bytes.into_inner()
    }

    #[test]
    fn a_picture_has_a_size_and_a_small_copy() {
        let picture = look(file(&png(640, 480)).path(), 1_000_000).expect("a picture");
        assert_eq!((picture.width, picture.height), (640, 480));
        let small = image::load_from_memory(&picture.thumbnail).expect("a JPEG");
        assert_eq!((small.width(), small.height()), (100, 75));
        assert!(picture.thumbnail.starts_with(&[0xff, 0xd8]));
        assert_eq!(small.to_rgb8().get_pixel(5, 5).0, [255, 255, 255], "what is transparent is white");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decoded() {
        // A few KiB that claim 60,000 x 60,000 pixels: only the header is ever read.
        let mut bomb = png(1, 1);
        bomb.splice(16..24, [0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let mut crc = flate2::Crc::new();
        crc.update(&bomb[12..29]);
        let sum = crc.sum().to_be_bytes();
        bomb.splice(29..33, sum);
        assert_eq!(look(file(&bomb).path(), 50_000_000).err(), Some(Spoilt::TooManyPixels { width: 60_000, height: 60_000 }));
    }

    #[test]
    fn what_is_cut_off_or_no_picture_is_refused() {
        let whole = png(64, 64);
        for bytes in [&whole[..whole.len() / 2], b"not a picture at all", b""] {
            assert_eq!(look(file(bytes).path(), 1_000_000).err(), Some(Spoilt::Broken));
        }
    }
}
