//! The plan of the house holds: modules stand in bands in `src/lib.rs`, a file imports only from lower
//! bands, a folder has one door, nothing goes in circles. Reads every `crate::`, `super::` and `self::`
//! path in `src`, except in code that is compiled for tests alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;
use syn::visit::{self, Visit};

/// The path of a module below the crate: `["launch", "masking"]`; empty for `lib.rs`.
type Module = Vec<String>;

/// A source file with the modules that it names.
struct File {
    module: Module,
    text: String,
    /// Absolute paths, as far as they are written: modules, then items.
    names: BTreeSet<Module>,
    /// Files that it declares as modules which others may see.
    open_modules: Vec<String>,
    /// Files that it declares for tests alone.
    test_modules: Vec<Module>,
}

#[test]
fn imports_go_down_the_bands() {
    let bands = bands();
    let mut wrong = Vec::new();
    for file in files() {
        let Some(own) = file.module.first() else { continue };
        let others = file.names.iter().filter_map(|name| name.first()).filter(|top| *top != own);
        for top in others.collect::<BTreeSet<_>>() {
            match (bands.get(own), bands.get(top)) {
                (Some(from), Some(to)) if to >= from => {
                    wrong.push(format!("{own} (band {from}) imports {top} (band {to})"));
                }
                _ => {}
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_module_stands_in_a_band_and_the_bands_ascend() {
    let bands = bands();
    for file in files() {
        let Some(own) = file.module.first() else { continue };
        assert!(bands.contains_key(own), "src/lib.rs lists no band for {own}");
    }
    let numbers: Vec<u32> = in_order().into_iter().map(|(_, band)| band).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn a_folder_has_one_door() {
    for file in files() {
        let own = file.module.join("::");
        assert_eq!(file.open_modules, Vec::<String>::new(), "{own} opens files of its own");
    }
}

#[test]
fn files_do_not_import_in_circles() {
    let files = files();
    let known: BTreeSet<Module> = files.iter().map(|file| file.module.clone()).collect();
    let mut imports: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for file in &files {
        let targets = file.names.iter().filter_map(|name| nearest(&known, name));
        // The files of a folder and its door know each other.
        let targets = targets.filter(|target| !file.module.starts_with(target));
        imports.insert(&file.module, targets.collect());
    }
    // Without circles, files that import nothing that is left can be taken away until none is left.
    while let Some(done) =
        imports.iter().find(|(_, targets)| !targets.iter().any(|t| imports.contains_key(t)))
    {
        let done = (*done.0).clone();
        imports.remove(&done);
    }
    assert!(imports.is_empty(), "in circles: {:?}", imports.keys());
}

#[test]
fn every_file_begins_with_what_it_is_responsible_for() {
    for file in files() {
        assert!(
            file.text.starts_with("//! "),
            "{} does not begin with //!",
            file.module.join("::")
        );
    }
}

// -------------------------------------------------------------------------------------------- bands

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules of `lib.rs` with the band of the comment above them, in their order.
fn in_order() -> Vec<(String, u32)> {
    let line = Regex::new(r"^(?:// band (\d+):.*|(?:pub )?mod (\w+);)$").unwrap();
    let text = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let mut band = None;
    let mut modules = Vec::new();
    for found in text.lines().filter_map(|text| line.captures(text)) {
        if let Some(number) = found.get(1) {
            band = Some(number.as_str().parse().unwrap());
        } else if let Some(module) = found.get(2) {
            let band = band.unwrap_or_else(|| panic!("{} has no band", module.as_str()));
            modules.push((module.as_str().to_owned(), band));
        }
    }
    modules
}

fn bands() -> BTreeMap<String, u32> {
    in_order().into_iter().collect()
}

// -------------------------------------------------------------------------------------------- files

fn files() -> Vec<File> {
    let mut files = Vec::new();
    collect(&source(), &mut Vec::new(), &mut files);
    assert!(files.len() > 5, "no sources found");
    let for_tests: BTreeSet<Module> =
        files.iter().flat_map(|file| file.test_modules.clone()).collect();
    files.retain(|file| !for_tests.contains(&file.module));
    files
}

fn collect(directory: &Path, module: &mut Module, files: &mut Vec<File>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_root = module.is_empty() && (name == "lib" || name == "main");
        if path.is_dir() {
            module.push(name);
            collect(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            let mut own = module.clone();
            if !is_root && name != "mod" {
                own.push(name);
            }
            files.push(read(&path, own));
        }
    }
}

fn read(path: &Path, module: Module) -> File {
    let text = std::fs::read_to_string(path).unwrap();
    let syntax = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut reader = Reader { place: module.clone(), ..Reader::default() };
    reader.visit_file(&syntax);
    let (names, open_modules, test_modules) = (reader.names, reader.open, reader.for_tests);
    File { module, text, names, open_modules, test_modules }
}

/// The file that a path leads to: the longest of its beginnings that is one.
fn nearest<'a>(known: &'a BTreeSet<Module>, name: &[String]) -> Option<&'a Module> {
    (1..=name.len()).rev().find_map(|length| known.get(&name[..length]))
}

/// Walks a file and notes every path that begins with `crate`, `super` or `self`.
#[derive(Default)]
struct Reader {
    /// Where the walk is, inline modules included.
    place: Module,
    names: BTreeSet<Module>,
    open: Vec<String>,
    for_tests: Vec<Module>,
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    let test = Regex::new(r"\btest\b").unwrap();
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            list.path.is_ident("cfg") && test.is_match(&list.tokens.to_string())
        }
        _ => false,
    })
}

impl Reader {
    fn note(&mut self, path: &[String]) {
        let mut absolute = match path.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.place.clone(),
            _ => return,
        };
        for segment in path {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(absolute.pop()),
                _ => absolute.push(segment.clone()),
            }
        }
        self.names.insert(absolute);
    }

    fn note_use(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.note_use(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.note_use(item, before));
            }
            syn::UseTree::Name(name) => self.note_last(&name.ident, before),
            syn::UseTree::Rename(rename) => self.note_last(&rename.ident, before),
            syn::UseTree::Glob(_) => self.note(before),
        }
    }

    fn note_last(&mut self, name: &syn::Ident, before: &mut Vec<String>) {
        before.push(name.to_string());
        self.note(before);
        before.pop();
    }

    /// Macros and attributes are not parsed; their paths are found in the text.
    fn note_text(&mut self, text: &str) {
        let path = Regex::new(r"\b(?:crate|super|self)(?:\s*::\s*\w+)+").unwrap();
        for found in path.find_iter(text) {
            let segments: Vec<String> =
                found.as_str().split("::").map(|segment| segment.trim().to_owned()).collect();
            self.note(&segments);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.place.push(module.ident.to_string());
        let is_open = !matches!(module.vis, syn::Visibility::Inherited);
        if is_for_tests(&module.attrs) {
            self.for_tests.push(self.place.clone());
        } else {
            if module.content.is_none() && is_open {
                self.open.push(module.ident.to_string());
            }
            visit::visit_item_mod(self, module);
        }
        self.place.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.note_use(&item.tree, &mut Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&segments);
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(super)` says who may see, not what is imported.
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.note_text(&item.tokens.to_string());
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.note_text(&list.tokens.to_string());
    }
}
