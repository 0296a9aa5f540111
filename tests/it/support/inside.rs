//! What a process and everything it started can reach: memory, environment, arguments, open files. A test looks
//! there for a secret that must not be found.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::sandbox::Sandbox;

/// Largest piece of memory that is looked at in one go.
const PIECE: u64 = 4 << 20;

/// Everything that descends from `pid`, without it.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let mut waiting = vec![pid];
    while let Some(parent) = waiting.pop() {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let children =
            tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> = children
            .flat_map(|text| {
                text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
            })
            .collect();
        all.extend(&children);
        waiting.extend(children);
    }
    all
}

/// A variable of a process.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut pairs = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    pairs.find_map(|pair| Some(pair.strip_prefix(&format!("{name}="))?.to_owned()))
}

/// A secret in the forms in which it could lie about.
pub struct Needle {
    forms: AhoCorasick,
    longest: u64,
}

impl Needle {
    /// Raw, in hexadecimal, percent-encoded, and in Base64 at each of its three offsets.
    pub fn new(secret: &str) -> Self {
        let bytes = secret.as_bytes();
        let mut forms = vec![secret.to_owned()];
        forms.push(
            bytes
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|half| char::from(b"0123456789abcdef"[usize::from(half)]))
                .collect(),
        );
        forms.push(url::form_urlencoded::byte_serialize(bytes).collect());
        for offset in 0..3 {
            let padded = [&vec![b' '; offset][..], bytes].concat();
            for engine in [STANDARD, URL_SAFE_NO_PAD] {
                // Without the characters that depend on what stands before and behind.
                let text = engine.encode(&padded);
                let end = text.trim_end_matches('=').len() - 2;
                forms.push(text[if offset == 0 { 0 } else { 4 }..end].to_owned());
            }
        }
        let longest = forms.iter().map(String::len).max().unwrap_or(0) as u64;
        Self { forms: AhoCorasick::new(forms).unwrap(), longest }
    }

    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.is_match(bytes)
    }

    /// Where this process has the secret.
    pub fn places_in(&self, pid: u32) -> Vec<String> {
        let mut places = self.in_memory(pid);
        for name in ["environ", "cmdline"] {
            if self.is_in(&fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default()) {
                places.push(name.to_owned());
            }
        }
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        let files = targets.filter(|target| target.is_file());
        places.extend(
            files.filter(|file| self.is_in_file(file)).map(|file| file.display().to_string()),
        );
        places
    }

    fn in_memory(&self, pid: u32) -> Vec<String> {
        // Who has ended in the meantime has nothing.
        let Ok(maps) = fs::read_to_string(format!("/proc/{pid}/maps")) else { return Vec::new() };
        let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
        let readable = maps
            .lines()
            .filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with('r')));
        let has_it = |line: &&str| {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
            let mut pieces = (start..end).step_by(usize::try_from(PIECE).unwrap());
            pieces.any(|from| {
                let length = (end - from).min(PIECE + self.longest);
                let mut piece = vec![0; usize::try_from(length).unwrap()];
                // What cannot be read (`[vvar]`, past a file's end) holds nothing.
                let read = memory.read_at(&mut piece, from).unwrap_or(0);
                self.is_in(&piece[..read])
            })
        };
        readable.filter(has_it).map(str::to_owned).collect()
    }

    fn is_in_file(&self, file: &Path) -> bool {
        self.is_in(&fs::read(file).unwrap_or_default())
    }

    /// The files of a sandbox that have it.
    pub fn files_of(&self, sandbox: &Sandbox) -> Vec<String> {
        let files =
            sandbox.files().into_iter().filter(|file| file.is_file() && self.is_in_file(file));
        files.map(|file| file.display().to_string()).collect()
    }
}
