//! The built-in providers: `catalog.toml`, read by the same code as the user's file. Most commands
//! need one provider, so each is read by itself when first asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use super::file::Document;
use super::provider::{Provider, Source};

const TEXT: &str = include_str!("catalog.toml");

/// The tables of one provider, and what they mean once they have been read.
struct Entry {
    text: &'static str,
    provider: OnceLock<Provider>,
}

impl Entry {
    fn provider(&self, id: &str) -> &Provider {
        self.provider.get_or_init(|| {
            let document = Document { file: Path::new("catalog.toml"), text: self.text };
            // The text is part of the program, and a test reads all of it.
            let mut read = super::checked_providers(&document, |_| Source::Catalog)
                .unwrap_or_else(|error| panic!("{error}"));
            read.remove(id).unwrap_or_else(|| panic!("the tables of {id} do not stand together"))
        })
    }
}

/// Every provider's tables stand together, begin with its own, and end with an empty line.
static ENTRIES: LazyLock<BTreeMap<&str, Entry>> = LazyLock::new(|| {
    let blocks = TEXT.split("\n\n").filter_map(|text| {
        let (id, _) = text.strip_prefix("[provider.")?.split_once(']')?;
        Some((id, Entry { text, provider: OnceLock::new() }))
    });
    blocks.collect()
});

/// The provider of this name.
pub(super) fn provider(id: &str) -> Option<&'static Provider> {
    ENTRIES.get(id).map(|entry| entry.provider(id))
}

/// All providers, by name.
pub(super) fn providers() -> impl Iterator<Item = &'static Provider> {
    ENTRIES.iter().map(|(id, entry)| entry.provider(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_one_by_one_or_whole_the_catalog_is_the_same() {
        let document = Document { file: Path::new("catalog.toml"), text: TEXT };
        let whole = super::super::checked_providers(&document, |_| Source::Catalog).unwrap();
        assert_eq!(providers().count(), whole.len());
        for provider in providers() {
            assert_eq!(format!("{provider:?}"), format!("{:?}", whole[&provider.id]));
        }
    }
}
