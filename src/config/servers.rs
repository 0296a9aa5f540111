//! `servers.toml`: the MCP servers that somebody signed in to by their addresses, in the tables of
//! config.toml. authctl writes it by itself, under a lock: processes that find one server at the same time
//! come to one table.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table};
use url::Url;

use super::file::{Document, Problem};
use super::provider::Source;
use super::{Error, Provider, check_providers, read_text};
use crate::private_file;

/// What stands above the tables.
const HEADING: &str = "# Written by authctl login URL. What a server needs beyond this stands in config.toml, which wins.\n\n";

/// The tables, by their names.
pub fn read_servers(file: &Path) -> Result<BTreeMap<String, Provider>, Error> {
    match read_text(file)? {
        Some(text) => parse(file, &text),
        None => Ok(BTreeMap::new()),
    }
}

fn parse(file: &Path, text: &str) -> Result<BTreeMap<String, Provider>, Error> {
    let document = Document { file, text };
    let source = |line| Source::Servers { path: file.to_owned(), line };
    check_providers(&document, document.parse()?.provider, source)
}

/// The file, which no other process changes until this is dropped.
pub struct Servers {
    file: PathBuf,
    document: DocumentMut,
    text: String,
    providers: BTreeMap<String, Provider>,
    /// Held, and never read.
    _lock: File,
}

impl Servers {
    pub fn open(file: &Path) -> Result<Self, Error> {
        private_file::make_directory(file.parent().unwrap_or(Path::new(".")))?;
        let lock_file = file.with_extension("lock");
        let lock = private_file::open_lock(&lock_file)?;
        lock.lock().map_err(|source| Error::Io { action: "lock", path: lock_file, source })?;
        let text = read_text(file)?.unwrap_or_default();
        let tables = text.strip_prefix(HEADING).unwrap_or(&text);
        let document = tables.parse().map_err(|error: toml_edit::TomlError| {
            let place = error.span().unwrap_or_default();
            Document { file, text: &text }.wrong(&Problem::new(place, error.message()))
        })?;
        let providers = parse(file, &text)?;
        Ok(Self { file: file.to_owned(), document, text, providers, _lock: lock })
    }

    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.get(id)
    }

    /// The one at this address.
    pub fn at(&self, url: &Url) -> Option<&Provider> {
        self.providers.values().find(|provider| provider.is_at(url))
    }

    /// Writes a table, in place of one of the same name.
    pub fn put(&mut self, id: &str, table: Table) -> Result<Provider, Error> {
        let providers = self.document.entry("provider").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        if let Some(providers) = providers.as_table_like_mut() {
            providers.insert(id, Item::Table(table));
        }
        self.write()?;
        let unknown = || Error::UnknownProvider { name: id.to_owned(), nearest: Vec::new() };
        self.providers.get(id).cloned().ok_or_else(unknown)
    }

    /// Forgets a table; whether it was there.
    pub fn remove(&mut self, id: &str) -> Result<bool, Error> {
        let providers = self.document.get_mut("provider").and_then(Item::as_table_like_mut);
        let was_there = providers.and_then(|providers| providers.remove(id)).is_some();
        self.write()?;
        Ok(was_there)
    }

    /// What authctl would not read is not written.
    fn write(&mut self) -> Result<(), Error> {
        let text = format!("{HEADING}{}", self.document);
        if text == self.text {
            return Ok(());
        }
        self.providers = parse(&self.file, &text)?;
        private_file::replace(&self.file, text.as_bytes())?;
        self.text = text;
        Ok(())
    }
}
