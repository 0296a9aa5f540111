//! Cleaning of foreign text: whatever a server, a file or another program said passes through
//! here before a person or a log sees it. Nothing that moves a cursor, hides, reorders or recolours
//! text survives, and nothing is longer than its place.

/// Longest piece of foreign text shown, in characters: two or three terminal lines.
const SHOWN: usize = 240;

/// One line of foreign text, safe to print: line breaks and tabs become blanks, every other control,
/// format or invisible character becomes U+FFFD, and the end is cut with `…`. Idempotent.
pub fn clean(foreign: &str) -> String {
    clean_to(foreign, SHOWN)
}

/// The same with an own limit in characters.
pub fn clean_to(foreign: &str, limit: usize) -> String {
    if is_plain(foreign, limit) {
        return foreign.to_owned();
    }
    let foreign = foreign.trim();
    let mut shown = String::new();
    for (count, character) in foreign.chars().enumerate() {
        if count == limit {
            shown.pop();
            shown.push('…');
            break;
        }
        shown.push(match character {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            c if is_unsafe(c) => '\u{fffd}',
            c => c,
        });
    }
    shown
}

/// Cleans a text where it stands, as most need not be.
pub fn clean_in_place(text: &mut String, limit: usize) {
    if !is_plain(text, limit) {
        *text = clean_to(text, limit);
    }
}

/// `found` where another text was expected: quoted and with escapes when cleaning would hide the
/// difference.
pub fn shown_beside(found: &str, expected: &str) -> String {
    let shown = clean(found);
    if shown == clean(expected) { clean(&format!("{found:?}")) } else { shown }
}

/// Whether there is nothing to clean, as is seen at once.
fn is_plain(text: &str, limit: usize) -> bool {
    let is_trimmed = !text.starts_with(' ') && !text.ends_with(' ');
    is_trimmed && text.len() <= limit && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Controls (C0, DEL, C1), bidirectional marks and overrides, zero-width and other invisible format
/// characters, tags, variation selectors.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_power() {
        assert_eq!(clean("\u{1b}[31mred\u{7}"), "\u{fffd}[31mred\u{fffd}");
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{9b}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        assert_eq!(clean(" two\r\nlines "), "two  lines");
    }

    #[test]
    fn long_text_is_cut() {
        let shown = clean(&"x".repeat(1 << 20));
        assert_eq!(shown.chars().count(), SHOWN);
        assert!(shown.ends_with('…'));
    }

    proptest::proptest! {
        #[test]
        fn no_control_character_comes_out(foreign in "\\PC*|.*") {
            let once = clean(&foreign);
            proptest::prop_assert!(!once.chars().any(is_unsafe));
            proptest::prop_assert_eq!(clean(&once), once);
        }
    }
}
