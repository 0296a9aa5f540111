//! A URL as a QR code for a phone, in half-block characters.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Narrowest terminal that gets a code; a code may need more.
const COLUMNS: usize = 60;

/// The lines of a QR code of `text`, if the terminal has room for them. Blocks are the light
/// modules, quiet zone included, as scanners want it on a dark terminal.
pub(super) fn lines(text: &str, columns: Option<usize>) -> Option<Vec<String>> {
    let columns = columns.filter(|&columns| columns >= COLUMNS)?;
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let image =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    let lines: Vec<String> = image.lines().map(str::to_owned).collect();
    let width = lines.first()?.chars().count();
    (width <= columns).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_terminal_gets_a_code_of_half_blocks() {
        let lines = lines("https://github.com/login/device", Some(80)).unwrap();
        let width = lines[0].chars().count();
        assert!(width <= 60 && lines.len() <= width / 2 + 1);
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert!(lines[0].chars().all(|block| block == '█'), "quiet zone");
        assert!(lines.iter().flat_map(|line| line.chars()).all(|block| " ▄▀█".contains(block)));
    }

    #[test]
    fn a_narrow_terminal_or_a_pipe_gets_none() {
        assert!(lines("https://github.com/login/device", Some(59)).is_none());
        assert!(lines("https://github.com/login/device", None).is_none());
        assert!(lines(&"x".repeat(2_000), Some(100)).is_none());
        assert!(lines(&"x".repeat(10_000), Some(1_000)).is_none());
    }
}
