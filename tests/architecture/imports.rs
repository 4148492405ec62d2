//! Which file of a crate imports which, read from the source with `syn`. Tests are left out.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};

/// What a crate's files import.
#[derive(Default)]
pub(crate) struct Imports {
    /// By file, the files whose names it uses.
    pub(crate) edges: BTreeMap<String, BTreeSet<String>>,
    /// Names that a file takes from its crate's `lib.rs`, which only hands them on.
    pub(crate) through_the_face: Vec<String>,
}

/// The imports between the files below `src/`.
pub(crate) fn of_crate(source: &Path) -> Imports {
    let mut files = BTreeMap::new();
    find(source, &[], &mut files);
    let read = |(module, file): (&Vec<String>, &syn::File)| {
        let mut reader = Reader { module: module.clone(), ..Reader::default() };
        reader.visit_file(file);
        (module.clone(), reader)
    };
    let modules: BTreeMap<Vec<String>, Reader> = files.iter().map(read).collect();
    let mut imports = Imports::default();
    for (module, reader) in &modules {
        let to = imports.edges.entry(module.join("::")).or_default();
        for path in &reader.paths {
            // in a program of one file, and in lib.rs itself, the root is no face
            if path.len() == 1 && !module.is_empty() && modules[&[][..]].hands_on.contains_key(&path[0]) {
                imports.through_the_face.push(format!("{}: {}", module.join("::"), path[0]));
            }
            let at = resolve(path, &modules);
            if !at.is_empty() && at != module {
                to.insert(at.join("::"));
            }
        }
    }
    imports
}

/// The file that has what a path names: where a file only hands a name on, it is looked for there.
fn resolve<'a>(path: &[String], modules: &'a BTreeMap<Vec<String>, Reader>) -> &'a [String] {
    // the longest beginning that is a file; the root is one
    let start = (0..=path.len()).rev().find_map(|n| modules.get_key_value(&path[..n]));
    let Some((at, reader)) = start else { return &[] };
    match path.get(at.len()).and_then(|name| reader.hands_on.get(name)) {
        Some(there) if there != path => resolve(there, modules),
        _ => at,
    }
}

/// All files, by the path of the module that each is.
fn find(folder: &Path, at: &[String], modules: &mut BTreeMap<Vec<String>, syn::File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let below = || [at, std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            if name != "bin" && name != "snapshots" {
                find(&path, &below(), modules);
            }
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || name == "tests" {
            continue;
        }
        let module = if ["lib", "main", "mod"].contains(&name.as_str()) { at.to_vec() } else { below() };
        let file = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
        modules.insert(module, file);
    }
}

/// Collects the paths of a file that lead to its own crate.
#[derive(Default)]
struct Reader {
    module: Vec<String>,
    /// What it uses, from the crate's root.
    paths: Vec<Vec<String>>,
    /// The names that it only hands on, and where they are.
    hands_on: BTreeMap<String, Vec<String>>,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|what| what.is_ident("test") || what.is_ident("fuzzing"))
    })
}

impl Reader {
    /// A path as one from the crate's root, if it begins there.
    fn rooted(&self, path: &[String]) -> Option<Vec<String>> {
        let mut path = path.iter().peekable();
        let mut from = match path.next().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self") => self.module.clone(),
            Some("super") => self.module[..self.module.len().saturating_sub(1)].to_vec(),
            _ => return None,
        };
        while path.next_if(|part| *part == "super").is_some() {
            from.pop();
        }
        from.extend(path.cloned());
        Some(from)
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let hands_on = matches!(item.vis, syn::Visibility::Public(_) | syn::Visibility::Restricted(_));
        for (name, path) in leaves(&item.tree, &[]) {
            if !hands_on {
                self.paths.extend(self.rooted(&path));
                continue;
            }
            // a face may leave out the `self`
            let below = || [&self.module[..], &path[..]].concat();
            let path = self.rooted(&path).unwrap_or_else(below);
            self.hands_on.insert(name, path);
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if parts.len() > 1 {
            self.paths.extend(self.rooted(&parts));
        }
        visit::visit_path(self, path);
    }
}

/// The names that a `use` brings, each with its path.
fn leaves(tree: &syn::UseTree, before: &[String]) -> Vec<(String, Vec<String>)> {
    let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, &with(&path.ident)),
        syn::UseTree::Name(name) if name.ident == "self" => {
            vec![(before.last().cloned().unwrap_or_default(), before.to_vec())]
        }
        syn::UseTree::Name(name) => vec![(name.ident.to_string(), with(&name.ident))],
        syn::UseTree::Rename(name) => vec![(name.rename.to_string(), with(&name.ident))],
        syn::UseTree::Glob(_) => vec![("*".into(), before.to_vec())],
        syn::UseTree::Group(group) => group.items.iter().flat_map(|tree| leaves(tree, before)).collect(),
    }
}

/// The sets of more than one name that lead to each other.
pub(crate) fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(name) = next.pop() {
            next.extend(edges.get(name).into_iter().flatten().filter(|to| seen.insert((*to).clone())));
        }
        seen
    };
    let all: BTreeMap<&String, BTreeSet<String>> = edges.keys().map(|name| (name, reached(name))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (name, reach) in &all {
        let with = reach.iter().filter(|other| all.get(other).is_some_and(|back| back.contains(*name)));
        let circle: Vec<String> = with.cloned().collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}
