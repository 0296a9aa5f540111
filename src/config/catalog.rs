//! The built-in providers: `catalog.toml`, read by the same code as the user's file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use super::file::Document;
use super::provider::{Provider, Source};

/// The providers by id, read when first asked for.
pub(super) fn providers() -> &'static BTreeMap<String, Provider> {
    static PROVIDERS: LazyLock<BTreeMap<String, Provider>> = LazyLock::new(|| {
        let document =
            Document { file: Path::new("catalog.toml"), text: include_str!("catalog.toml") };
        // The text is part of the program, and a test reads it.
        super::checked_providers(&document, |_| Source::Catalog)
            .unwrap_or_else(|error| panic!("{error}"))
    });
    &PROVIDERS
}
