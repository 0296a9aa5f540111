//! A table leaves a TOML document, or gives its place to another one; comments that are about something else
//! stay.

use toml_edit::{DocumentMut, Item, Table, TableLike};

/// Takes `[above.key]` out; whether it was there.
pub fn remove(document: &mut DocumentMut, above: &str, key: &str) -> bool {
    let tables = document.get_mut(above).and_then(Item::as_table_like_mut);
    let Some(old) = tables.and_then(|tables: &mut dyn TableLike| tables.remove(key)) else {
        return false;
    };
    let kept = comments_apart(&old);
    if !kept.is_empty() {
        let position = first_position(&old);
        keep_comments(document, position, &kept);
    }
    true
}

/// The comments above a table that an empty line parts from it: they are about something else.
fn comments_apart(old: &Item) -> String {
    let prefix = first_table(old).and_then(|table| table.decor().prefix()?.as_str());
    let above = prefix.and_then(|prefix| Some(prefix.rsplit_once("\n\n")?.0)).unwrap_or_default();
    if above.contains('#') { format!("{above}\n") } else { String::new() }
}

/// The first table of an item that has a heading of its own.
pub fn first_table(item: &Item) -> Option<&Table> {
    let table = item.as_table()?;
    if table.is_implicit() {
        return table.iter().find_map(|(_, item)| first_table(item));
    }
    Some(table)
}

pub fn first_table_mut(item: &mut Item) -> Option<&mut Table> {
    let table = item.as_table_mut()?;
    if table.is_implicit() {
        return table.iter_mut().find_map(|(_, item)| first_table_mut(item));
    }
    Some(table)
}

fn first_position(item: &Item) -> isize {
    first_table(item).and_then(Table::position).unwrap_or_default()
}

/// Puts comments above the next table of the file, else at its end.
fn keep_comments(document: &mut DocumentMut, after: isize, comments: &str) {
    let next = following(document.as_table(), after);
    let Some(table) = next.and_then(|at| table_at(document.as_table_mut(), at)) else {
        let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
        return document.set_trailing(format!("{comments}{trailing}"));
    };
    let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    let prefix = format!("{comments}\n{}", prefix.trim_start_matches('\n'));
    table.decor_mut().set_prefix(prefix);
}

/// The position of the first table after `position`.
fn following(table: &Table, position: isize) -> Option<isize> {
    let inner = table.iter().filter_map(|(_, item)| item.as_table());
    let own = |table: &Table| table.position().filter(|at| !table.is_implicit() && *at > position);
    inner.flat_map(|table| [own(table), following(table, position)]).flatten().min()
}

fn table_at(table: &mut Table, position: isize) -> Option<&mut Table> {
    for (_, item) in table.iter_mut() {
        let Some(inner) = item.as_table_mut() else { continue };
        if inner.position() == Some(position) && !inner.is_implicit() {
            return Some(inner);
        }
        if let Some(found) = table_at(inner, position) {
            return Some(found);
        }
    }
    None
}
