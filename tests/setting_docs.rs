//! What the fields of callbacks and metrics do is said once, above their setters; the registries read it from tables, which are made here: `UPDATE_TABLE=1 cargo test --test setting_docs`.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use catena::tensor::settings::Registry;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false => found.extend(path.extension().is_some_and(|end| end == "rs").then_some(path)),
        }
    }
    found.sort();
    found
}

/// The first sentence of the comment above each field of the types whose names begin with `own`, and above each public method of a file, by their names. A field's
/// own comment wins.
fn comments(text: &str, own: &str) -> BTreeMap<String, String> {
    let (mut of_methods, mut of_fields) = (BTreeMap::new(), BTreeMap::new());
    let (mut comment, mut is_own) = (String::new(), true);
    for line in text.split("#[cfg(test)]").next().unwrap().lines().map(str::trim) {
        if let Some((_, name)) = line.split_once("struct ").filter(|(before, _)| !before.starts_with('/')) {
            is_own = name.starts_with(own);
        }
        if let Some(words) = line.strip_prefix("///") {
            comment += words;
        } else if let Some(rest) = line.strip_prefix("pub fn ").or(line.strip_prefix("pub enum ")) {
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            of_methods.entry(name.to_owned()).or_insert_with(|| std::mem::take(&mut comment));
            comment.clear();
        } else if !line.starts_with("#[") {
            if let Some((name, _)) =
                line.split_once(':').filter(|_| is_own && line.ends_with(',') && !comment.is_empty())
            {
                of_fields.insert(name.trim_start_matches("pub ").to_owned(), comment.clone());
            }
            comment.clear();
        }
    }
    of_methods.extend(of_fields);
    let first = |text: String| {
        let text = text.trim().split("```").next().unwrap().to_owned();
        let end = text.find(". ").map_or(text.len(), |end| end + 1);
        text[..end].trim_end_matches('.').replace("[`", "`").replace("`]", "`")
    };
    of_methods.into_iter().map(|(name, text)| (name, first(text))).collect()
}

/// A line for each field of each thing: `thing<tab>field<tab>what it does`.
fn table<T: ?Sized>(
    registry: &Registry<T>,
    comments_for: impl Fn(&str) -> BTreeMap<String, String>,
) -> String {
    let (mut text, mut silent) = (String::new(), Vec::new());
    for entry in registry.entries() {
        let known = comments_for(entry.name());
        for field in entry.fields() {
            match known.get(field.name.as_ref()).filter(|doc| !doc.is_empty()) {
                Some(doc) => text += &format!("{}\t{}\t{doc}\n", entry.name(), field.name),
                None => silent.push(format!("`{}` of {}", field.name, entry.name())),
            }
        }
    }
    assert!(
        silent.is_empty(),
        "a field needs a comment, above it or above its setter: {}",
        silent.join(", ")
    );
    text
}

fn check(path: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_TABLE").is_some() {
        fs::write(&path, made).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(stored, made, "UPDATE_TABLE=1 writes {} anew", path.display());
}

fn camel_case(name: &str) -> String {
    let upper = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(upper).collect()
}

#[test]
fn every_field_of_every_callback_says_what_it_does() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("callbacks/src"));
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let made = table(&catena::callbacks::registry(), |name| {
        let declared = format!("pub struct {}", camel_case(name));
        let own = texts.iter().find(|text| {
            text.split_once(&declared).is_some_and(|(_, rest)| rest.starts_with([' ', ';', '(']))
        });
        own.map(|text| comments(text, &camel_case(name))).unwrap_or_default()
    });
    check("callbacks/src/fields.tsv", &made);
}

#[test]
fn every_field_of_every_metric_says_what_it_does() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/catena-metrics/src"));
    let mut known = BTreeMap::new();
    for file in files {
        for (name, doc) in comments(&fs::read_to_string(file).unwrap(), "") {
            known.entry(name).or_insert(doc);
        }
    }
    // what data calls otherwise than code
    for (field, own) in [("task", "Task"), ("multidim_average", "samplewise")] {
        let doc = known[own].clone();
        known.insert(field.to_owned(), doc);
    }
    let made = table(&catena::metrics::registry(), |_| known.clone());
    check("crates/catena-metrics/src/fields.tsv", &made);
}
