//! QR codes as pictures: PNG for screens and files, SVG for pages. Drawn only when somebody asks for one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fast_qr::qr::{QRBuilder, QRCode};
use std::fmt::Write as _;

/// White border around the code, in modules; scanners want four.
const QUIET_ZONE: usize = 4;
/// Pixels per module in the PNG.
const SCALE: usize = 6;

/// The picture as PNG; `None` when the text is too long for any QR code.
pub fn png(text: &str) -> Option<Vec<u8>> {
    let code = QRBuilder::new(text).build().ok()?;
    let side = (code.size + 2 * QUIET_ZONE) * SCALE;
    let mut gray = vec![0xff_u8; side * side];
    for (row, column) in dark_modules(&code) {
        let left = (column + QUIET_ZONE) * SCALE;
        for line in 0..SCALE {
            let start = ((row + QUIET_ZONE) * SCALE + line) * side + left;
            gray[start..start + SCALE].fill(0);
        }
    }
    encode(&gray, u32::try_from(side).ok()?)
}

/// The picture as a `data:` URL of a PNG, for an `<img>` on any page.
pub fn png_data_url(text: &str) -> Option<String> {
    png(text).map(|picture| format!("data:image/png;base64,{}", STANDARD.encode(picture)))
}

/// The picture as a stand-alone SVG document, one path for all dark modules.
pub fn svg(text: &str) -> Option<String> {
    let code = QRBuilder::new(text).build().ok()?;
    let side = code.size + 2 * QUIET_ZONE;
    let mut path = String::new();
    for (row, column) in dark_modules(&code) {
        // Writing into a String can't fail.
        let _ = write!(path, "M{},{}h1v1h-1z", column + QUIET_ZONE, row + QUIET_ZONE);
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

/// Row and column of each dark module.
fn dark_modules(code: &QRCode) -> impl Iterator<Item = (usize, usize)> + '_ {
    (0..code.size).flat_map(move |row| (0..code.size).map(move |column| (row, column))).filter(|(row, column)| code[*row][*column].value())
}

fn encode(gray: &[u8], side: u32) -> Option<Vec<u8>> {
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(gray).ok()?;
    writer.finish().ok()?;
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_as_long_as_whatsapps_becomes_a_png_and_an_svg() {
        let text = format!("2@{},{},{},{}", "a".repeat(120), "b".repeat(44), "c".repeat(44), "d".repeat(44));
        let picture = png(&text).expect("png");
        assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
        assert!(png_data_url(&text).expect("url").starts_with("data:image/png;base64,iVBOR"));
        assert!(svg(&text).expect("svg").starts_with("<svg xmlns"));
    }

    #[test]
    fn a_text_that_fits_no_code_gives_none() {
        assert!(png(&"x".repeat(8000)).is_none());
    }
}
