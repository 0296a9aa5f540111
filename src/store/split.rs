//! Values over a platform's limit, as numbered parts. The item itself then holds a marker that names a
//! set of parts; writing that marker is the commit. A new value goes to the set that the marker does not
//! name, so that a death at any moment leaves the old value or the new one.
//!
//! ```text
//! KEY       "authctl-parts 1 b 3 6500 <SHA-256 of the whole, hex>"
//! KEY#b1 KEY#b2 KEY#b3
//! ```

use zeroize::Zeroizing;

use crate::digest::sha256;

/// What a marker begins with. Records are JSON and never do.
const MARKER: &str = "authctl-parts 1 ";
/// More parts than any record needs: 64 KiB tokens in parts of 1 KiB, several times over.
const MOST_PARTS: usize = 1000;

/// Items of a keychain, by user.
pub trait Items {
    type Error;
    fn read(&self, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Self::Error>;
    fn write(&self, user: &str, value: &[u8]) -> Result<(), Self::Error>;
    /// Whether it was there.
    fn remove(&self, user: &str) -> Result<bool, Self::Error>;
}

/// What an item holds.
pub enum Held {
    Nothing,
    Value(Zeroizing<Vec<u8>>),
    /// A marker whose parts are not what it says.
    Broken,
}

/// Reads a value, whole or in parts. One item read where it is whole.
pub fn read<I: Items>(items: &I, user: &str) -> Result<Held, I::Error> {
    let Some(value) = items.read(user)? else { return Ok(Held::Nothing) };
    if !value.starts_with(MARKER.as_bytes()) {
        return Ok(Held::Value(value));
    }
    let Some(marker) = Marker::parse(&value) else { return Ok(Held::Broken) };
    let mut whole = Zeroizing::new(Vec::with_capacity(marker.length));
    for number in 1..=marker.parts {
        match items.read(&part(user, marker.set, number))? {
            Some(part) if whole.len() + part.len() <= marker.length => whole.extend(&*part),
            _ => return Ok(Held::Broken),
        }
    }
    Ok(if marker.digest == sha256(&whole) { Held::Value(whole) } else { Held::Broken })
}

/// Writes a value of any length to items of at most `limit` bytes; without a limit, in one item.
pub fn write<I: Items>(
    items: &I,
    user: &str,
    value: &[u8],
    limit: Option<usize>,
) -> Result<(), I::Error> {
    let Some(limit) = limit else { return items.write(user, value) };
    let current = items.read(user)?.and_then(|value| Marker::parse(&value)).map(|m| m.set);
    let Some(target) = target(value, limit, current) else {
        items.write(user, value)?;
        sweep(items, user, Set::A, 0)?;
        return sweep(items, user, Set::B, 0);
    };
    let parts: Vec<&[u8]> = value.chunks(limit).collect();
    for (index, bytes) in parts.iter().enumerate() {
        items.write(&part(user, target, index + 1), bytes)?;
    }
    let digest = sha256(value);
    let marker = Marker { set: target, parts: parts.len(), length: value.len(), digest };
    items.write(user, marker.to_string().as_bytes())?;
    sweep(items, user, target, parts.len())?;
    sweep(items, user, target.other(), 0)
}

/// Deletes a value and whatever parts there are; whether it was there.
pub fn remove<I: Items>(items: &I, user: &str, limit: Option<usize>) -> Result<bool, I::Error> {
    let there = items.remove(user)?;
    if limit.is_some() {
        sweep(items, user, Set::A, 0)?;
        sweep(items, user, Set::B, 0)?;
    }
    Ok(there)
}

/// Copies what the item of `user` holds, and whatever parts it has, to a user of its own, which is
/// returned. The same contents are copied once.
pub fn set_aside<I: Items>(
    items: &I,
    user: &str,
    limit: Option<usize>,
) -> Result<String, I::Error> {
    let mut found = items.read(user)?.unwrap_or_default();
    for set in [Set::A, Set::B] {
        for number in 1..=MOST_PARTS {
            let Some(part) = items.read(&part(user, set, number))? else { break };
            found.extend(&*part);
        }
    }
    let mut number = 1;
    loop {
        let copy = format!("corrupt-{number}/{user}");
        match read(items, &copy)? {
            Held::Value(there) if there == found => return Ok(copy),
            Held::Nothing => return write(items, &copy, &found, limit).map(|()| copy),
            Held::Value(_) | Held::Broken => number += 1,
        }
    }
}

/// The set to write to, or `None` where one item is enough.
fn target(value: &[u8], limit: usize, current: Option<Set>) -> Option<Set> {
    // A short value that looks like a marker would be read as one.
    let whole = value.len() <= limit && !value.starts_with(MARKER.as_bytes());
    (!whole).then(|| current.map_or(Set::A, Set::other))
}

/// Removes the parts of a set after the first `keep`, the last one first: what a death leaves is
/// numbered without a gap, and found by the next sweep.
fn sweep<I: Items>(items: &I, user: &str, set: Set, keep: usize) -> Result<(), I::Error> {
    let mut last = keep;
    while last < MOST_PARTS && items.read(&part(user, set, last + 1))?.is_some() {
        last += 1;
    }
    for number in (keep + 1..=last).rev() {
        items.remove(&part(user, set, number))?;
    }
    Ok(())
}

/// Name of a part's item, numbered from 1.
fn part(user: &str, set: Set, number: usize) -> String {
    format!("{user}#{}{number}", set.letter())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    A,
    B,
}

impl Set {
    fn other(self) -> Self {
        match self {
            Set::A => Set::B,
            Set::B => Set::A,
        }
    }

    fn letter(self) -> char {
        match self {
            Set::A => 'a',
            Set::B => 'b',
        }
    }
}

struct Marker {
    set: Set,
    parts: usize,
    /// Bytes of the whole.
    length: usize,
    /// SHA-256 of the whole, hexadecimal.
    digest: String,
}

impl Marker {
    fn parse(value: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(value).ok()?.strip_prefix(MARKER)?.split(' ');
        let set = match words.next()? {
            "a" => Set::A,
            "b" => Set::B,
            _ => return None,
        };
        let parts = words.next()?.parse().ok().filter(|parts| *parts <= MOST_PARTS)?;
        let length = words.next()?.parse().ok().filter(|length| *length <= 1 << 24)?;
        let digest = words.next()?.to_owned();
        words.next().is_none().then_some(Self { set, parts, length, digest })
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Marker { set, parts, length, digest } = self;
        write!(f, "{MARKER}{} {parts} {length} {digest}", set.letter())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::*;

    const LIMIT: usize = 2560;

    /// A keychain in memory that refuses long values, and dies before its n-th change.
    #[derive(Default)]
    struct Memory {
        items: RefCell<BTreeMap<String, Vec<u8>>>,
        changes_left: Cell<Option<usize>>,
    }

    #[derive(Debug, PartialEq)]
    struct Died;

    impl Memory {
        fn change(&self) -> Result<(), Died> {
            match self.changes_left.get() {
                Some(0) => Err(Died),
                left => {
                    self.changes_left.set(left.map(|left| left - 1));
                    Ok(())
                }
            }
        }

        fn value(&self) -> Option<Vec<u8>> {
            match read(self, "K").unwrap() {
                Held::Nothing => None,
                Held::Value(value) => Some(value.to_vec()),
                Held::Broken => panic!("broken"),
            }
        }
    }

    impl Items for Memory {
        type Error = Died;

        fn read(&self, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Died> {
            Ok(self.items.borrow().get(user).cloned().map(Zeroizing::new))
        }

        fn write(&self, user: &str, value: &[u8]) -> Result<(), Died> {
            assert!(value.len() <= LIMIT, "{} bytes in {user}", value.len());
            self.change()?;
            self.items.borrow_mut().insert(user.to_owned(), value.to_vec());
            Ok(())
        }

        fn remove(&self, user: &str) -> Result<bool, Died> {
            self.change()?;
            Ok(self.items.borrow_mut().remove(user).is_some())
        }
    }

    /// `length` bytes that differ from those of another seed at every position.
    fn value(length: usize, seed: u8) -> Vec<u8> {
        (0..length).map(|i| u8::try_from(i % 251).unwrap().wrapping_add(seed)).collect()
    }

    fn put(memory: &Memory, value: &[u8]) -> Result<(), Died> {
        write(memory, "K", value, Some(LIMIT))
    }

    const SIZES: [usize; 14] =
        [1, 2, 100, 1279, 1280, 1281, 2559, 2560, 2561, 5120, 5121, 10_000, 32_768, 65_536];

    #[test]
    fn values_of_every_size_come_back_and_leave_nothing_behind() {
        let memory = Memory::default();
        for (seed, length) in (1u8..).zip(SIZES.into_iter().chain(SIZES.into_iter().rev())) {
            let value = value(length, seed);
            put(&memory, &value).unwrap();
            assert_eq!(memory.value().unwrap(), value, "{length}");
            let needed = if length <= LIMIT { 1 } else { 1 + length.div_ceil(LIMIT) };
            assert_eq!(memory.items.borrow().len(), needed, "{length}");
        }
        assert!(remove(&memory, "K", Some(LIMIT)).unwrap());
        assert!(memory.items.borrow().is_empty());
        assert!(!remove(&memory, "K", Some(LIMIT)).unwrap());
    }

    #[test]
    fn a_death_between_any_two_changes_leaves_the_old_value_or_the_new() {
        for old_length in [10, 6000, 9000] {
            for new_length in [10, 6000, 20_000] {
                let (old, new) = (value(old_length, 1), value(new_length, 2));
                for changes in 0.. {
                    let memory = Memory::default();
                    put(&memory, &old).unwrap();
                    memory.changes_left.set(Some(changes));
                    let done = put(&memory, &new);
                    let commit =
                        if new_length <= LIMIT { 1 } else { new_length.div_ceil(LIMIT) + 1 };
                    let expected = if changes < commit { &old } else { &new };
                    assert_eq!(&memory.value().unwrap(), expected, "{changes} changes");
                    // The next write of the same process or another cleans up.
                    memory.changes_left.set(None);
                    put(&memory, &old).unwrap();
                    assert_eq!(memory.value().unwrap(), old);
                    let needed =
                        if old_length <= LIMIT { 1 } else { 1 + old_length.div_ceil(LIMIT) };
                    assert_eq!(memory.items.borrow().len(), needed);
                    if done.is_ok() {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn a_death_while_deleting_leaves_nothing_readable() {
        for changes in 1..4 {
            let memory = Memory::default();
            put(&memory, &value(6000, 1)).unwrap();
            memory.changes_left.set(Some(changes));
            let _ = remove(&memory, "K", Some(LIMIT));
            assert_eq!(memory.value(), None);
        }
    }

    #[test]
    fn a_missing_changed_or_swapped_part_is_noticed() {
        let spoil: [fn(&Memory); 4] = [
            |memory| drop(memory.items.borrow_mut().remove("K#a2")),
            |memory| memory.items.borrow_mut().get_mut("K#a1").unwrap()[7] ^= 1,
            |memory| {
                let first = memory.items.borrow()["K#a1"].clone();
                let second = memory.items.borrow_mut().insert("K#a2".into(), first).unwrap();
                memory.items.borrow_mut().insert("K#a1".into(), second);
            },
            |memory| drop(memory.items.borrow_mut().insert("K".into(), MARKER.into())),
        ];
        for spoil in spoil {
            let memory = Memory::default();
            put(&memory, &value(6000, 1)).unwrap();
            spoil(&memory);
            assert!(matches!(read(&memory, "K").unwrap(), Held::Broken));
        }
    }

    #[test]
    fn a_value_that_looks_like_a_marker_is_still_a_value() {
        let memory = Memory::default();
        let value = format!("{MARKER}a 1 5 hello").into_bytes();
        put(&memory, &value).unwrap();
        assert_eq!(memory.value().unwrap(), value);
    }

    #[test]
    fn without_a_limit_one_item_is_written_and_nothing_else_is_touched() {
        let memory = Memory::default();
        memory.changes_left.set(Some(1));
        write(&memory, "K", b"short", None).unwrap();
        assert_eq!(memory.items.borrow().len(), 1);
    }
}
