//! Changes to the user's file: one table or key, while comments, order and everything else stay as they
//! are. What would come out is read like the file itself before it is written, and written whole.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table};

use super::file::{Document, Problem};
use super::{Config, Error, Provider, StoreChoice, read_text};
use crate::private_file;
use crate::toml_tables::{self, first_table, first_table_mut};

/// A change that has been found good, and is not written yet.
#[derive(Debug)]
pub struct Edit {
    /// As the user names it; a link keeps leading where it leads.
    file: PathBuf,
    before: String,
    after: String,
}

impl Edit {
    /// Checks a change. Nothing is written.
    fn new(file: &Path, before: String, after: String) -> Result<Self, Error> {
        Config::parse(file, &after)?;
        Ok(Self { file: file.to_owned(), before, after })
    }

    /// A provider as it will be.
    pub fn provider(&self, id: &str) -> Result<Provider, Error> {
        Config::parse(&self.file, &self.after)?.provider(id).cloned()
    }

    /// Writes it, unless the file is no longer what the change was made of.
    pub fn write(&self) -> Result<(), Error> {
        if read_text(&self.file)?.unwrap_or_default() != self.before {
            return Err(Error::Changed { path: self.file.clone() });
        }
        let target = private_file::follow(&self.file)?.unwrap_or_else(|| self.file.clone());
        if let Some(directory) = target.parent().filter(|directory| !directory.exists()) {
            private_file::make_directory(directory)?;
        }
        Ok(private_file::replace(&target, self.after.as_bytes())?)
    }
}

/// The file with `[provider.ID]` at its end, or in the place of the one that is there.
pub fn add_provider(file: &Path, id: &str, table: Table) -> Result<Edit, Error> {
    let before = read_text(file)?.unwrap_or_default();
    let mut document = parse(file, &before)?;
    let old = tables(&mut document).and_then(|providers| providers.remove(id));
    let after = match old {
        None => format!("{}{}", ended(&before), snippet(id, table)),
        Some(old) => {
            in_place(&mut document, id, &old, table);
            document.to_string()
        }
    };
    Edit::new(file, before, after)
}

/// The file without `[provider.ID]`; `None` if it has none.
pub fn remove_provider(file: &Path, id: &str) -> Result<Option<Edit>, Error> {
    let before = read_text(file)?.unwrap_or_default();
    let mut document = parse(file, &before)?;
    if !toml_tables::remove(&mut document, "provider", id) {
        return Ok(None);
    }
    Edit::new(file, before, document.to_string()).map(Some)
}

/// Writes the choice of the store into the user's file.
pub fn remember_store(file: &Path, choice: StoreChoice) -> Result<(), Error> {
    let before = read_text(file)?.unwrap_or_default();
    Config::parse(file, &before)?;
    let mut document = parse(file, &before)?;
    set(&mut document, "store", choice.as_str().into());
    let after = document.to_string();
    Edit::new(file, before, after)?.write()
}

fn parse(file: &Path, text: &str) -> Result<DocumentMut, Error> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let place = error.span().unwrap_or_default();
        Document { file, text }.wrong(&Problem::new(place, error.message()))
    })
}

/// The tables of all providers.
fn tables(document: &mut DocumentMut) -> Option<&mut dyn toml_edit::TableLike> {
    document.get_mut("provider")?.as_table_like_mut()
}

/// The tables of one provider as they stand in a file.
pub fn snippet(id: &str, table: Table) -> String {
    let mut providers = Table::new();
    providers.set_implicit(true);
    providers.insert(id, Item::Table(table));
    let mut document = DocumentMut::new();
    document.insert("provider", Item::Table(providers));
    document.to_string()
}

/// The text with an empty line at its end, if there is any text.
fn ended(text: &str) -> String {
    match text.trim_end_matches('\n') {
        "" => String::new(),
        some => format!("{some}\n\n"),
    }
}

/// Puts a table where the old one stood, with the comments above it.
fn in_place(document: &mut DocumentMut, id: &str, old: &Item, table: Table) {
    let mut item = Item::Table(table);
    if let (Some(old), Some(new)) = (first_table(old), first_table_mut(&mut item)) {
        *new.decor_mut() = old.decor().clone();
        new.set_position(old.position());
    }
    if let Some(providers) = tables(document) {
        providers.insert(id, item);
    }
}

/// Sets a key of the top level; a comment after an old value stays.
fn set(document: &mut DocumentMut, key: &str, mut value: toml_edit::Value) {
    if let Some(old) = document.get(key).and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    document[key] = Item::Value(value);
}
