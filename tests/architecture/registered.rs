//! What has a name in data is registered: a type that nobody can name from a file is either forgotten or in the list of those that live in code only.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Item, Type};

/// A kind of things that data can name: its trait, where the types are, where they are registered, and which live in code only.
struct Kind {
    is_a: &'static str,
    folder: &'static str,
    registry: &'static str,
    code_only: &'static [&'static str],
    /// Whether `use catena::prelude::*` brings them.
    is_in_prelude: bool,
}

const KINDS: [Kind; 5] = [
    Kind {
        is_a: "LossFn",
        folder: "crates/catena-tensor/src/loss",
        registry: "crates/catena-tensor/src/loss/any.rs",
        code_only: &["AnyLoss", "Box", "FromFn"],
        is_in_prelude: true,
    },
    Kind {
        is_a: "Schedule",
        folder: "crates/catena-tensor/src/schedule",
        registry: "crates/catena-tensor/src/schedule/registry.rs",
        code_only: &["AnySchedule", "Box", "FromFn", "Closure"],
        is_in_prelude: true,
    },
    Kind {
        is_a: "Rule",
        folder: "crates/catena-tensor/src/optim",
        registry: "crates/catena-tensor/src/optim/config.rs",
        code_only: &[],
        is_in_prelude: true,
    },
    Kind {
        is_a: "Metric",
        folder: "crates/catena-metrics/src",
        registry: "crates/catena-metrics/src/registry.rs",
        // closures
        code_only: &["BatchMetric", "LoaderMetric", "Box"],
        is_in_prelude: false,
    },
    Kind {
        is_a: "Callback",
        folder: "callbacks/src",
        registry: "callbacks/src/registry.rs",
        // they hold closures, metrics or loggers, or belong to a run as a whole
        code_only: &[
            "Aggregate",
            "Checkpoint",
            "Journal",
            "Loggers",
            "Measure",
            "RunLog",
            "Signals",
            "Validate",
        ],
        is_in_prelude: true,
    },
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in entries {
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
    found
}

/// The types that are a `wanted`, outside of tests.
fn types_that_are(wanted: &str, folder: &Path) -> Vec<String> {
    let mut types = Vec::new();
    for file in files(folder) {
        let parsed = syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap();
        for item in parsed.items {
            let Item::Impl(item) = item else { continue };
            let is_it = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
            let Type::Path(own) = item.self_ty.as_ref() else { continue };
            if is_it.is_some_and(|last| last.ident == wanted) {
                types.extend(own.path.segments.last().map(|last| last.ident.to_string()));
            }
        }
    }
    types.sort();
    types.dedup();
    types
}

#[test]
fn every_loss_schedule_optimizer_metric_and_callback_is_registered_or_lives_in_code_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut forgotten = Vec::new();
    for Kind { is_a, folder, registry, code_only, is_in_prelude: _ } in KINDS {
        let text = fs::read_to_string(root.join(registry)).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let types = types_that_are(is_a, &root.join(folder));
        assert!(types.len() > 1, "no {is_a} is found in {folder}");
        for name in types {
            if !words.contains(&name.as_str()) && !code_only.contains(&name.as_str()) {
                forgotten.push(format!("{name}, a {is_a} in {folder}, is not in {registry}"));
            }
        }
    }
    assert!(forgotten.is_empty(), "{}", forgotten.join("\n"));
}

/// The words of a file: names of types and values.
fn words(path: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
}

/// `CrossEntropy` as data writes it.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for (i, c) in name.char_indices() {
        if i > 0 && c.is_uppercase() {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}

#[test]
fn the_changelog_tells_each_of_them_and_the_prelude_brings_what_most_programs_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (changelog, prelude) = (words("CHANGELOG.md"), words("src/prelude.rs"));
    let mut forgotten = Vec::new();
    for Kind { is_a, folder, registry: _, code_only, is_in_prelude } in KINDS {
        for name in types_that_are(is_a, &root.join(folder)) {
            if code_only.contains(&name.as_str()) {
                continue;
            }
            let is_told = changelog.contains(&name)
                || changelog.contains(&snake_case(&name))
                || changelog.contains(&name.to_uppercase());
            if !is_told {
                forgotten.push(format!("{name}, a {is_a}, is not in CHANGELOG.md"));
            }
            if is_in_prelude && !prelude.contains(&name) {
                forgotten.push(format!("{name}, a {is_a}, is not in src/prelude.rs"));
            }
        }
    }
    assert!(forgotten.is_empty(), "{}", forgotten.join("\n"));
}
