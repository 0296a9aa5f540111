//! Where a line ends: the first CR or LF of a long text, looked for many bytes at a time.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Two single bytes are searched for with vector instructions.
static ENDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(["\n", "\r"]).ok());

/// The first CR or LF.
pub fn find(text: &[u8]) -> Option<usize> {
    match &*ENDS {
        Some(ends) => ends.find(text).map(|found| found.start()),
        None => text.iter().position(|byte| matches!(byte, b'\n' | b'\r')),
    }
}
