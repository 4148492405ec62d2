//! The tree is as ARCHITECTURE.md draws it: folders, crates and wings are there, edges between crates run one way, and no files import each other in a circle.
mod imports;
mod picture;
mod registered;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A crate of the workspace.
struct Package {
    name: String,
    /// Its folder from the root, with `/` at the end; empty for the root package.
    folder: String,
    /// The crates of the workspace that it depends on when it is built for a user.
    needs: BTreeSet<String>,
}

/// What Cargo says of the workspace.
fn packages() -> Vec<Package> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let all = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = all.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let package = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap().strip_prefix(root()).unwrap().display().to_string();
        let needed =
            package["dependencies"].as_array().unwrap().iter().filter(|needed| needed["kind"].is_null());
        let needed =
            needed.map(|needed| needed["name"].as_str().unwrap()).filter(|name| names.contains(name));
        Package {
            name: package["name"].as_str().unwrap().to_owned(),
            folder: if folder.is_empty() { folder } else { format!("{folder}/") },
            needs: needed.map(str::to_owned).collect(),
        }
    };
    all.iter().map(package).collect()
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_picture_in_architecture_md_shows_every_crate_and_every_wing_and_nothing_else() {
    let drawn = picture::folders();
    let packages = packages();
    for package in &packages {
        let folder = if package.folder.is_empty() { "src/" } else { package.folder.as_str() };
        let line = drawn.get(folder).unwrap_or_else(|| panic!("{folder} is not drawn"));
        assert!(package.name == "xtask" || line.contains(&package.name), "{folder}: {line}");
        assert!(
            package.folder.is_empty()
                || package.folder.trim_end_matches('/').ends_with(&package.name)
                || package.name == "catena-callbacks",
            "a folder is called as its crate: {folder}"
        );
    }
    for entry in std::fs::read_dir(root().join("callbacks/src")).unwrap() {
        let entry = entry.unwrap();
        let is_wing = entry.path().join("mod.rs").is_file();
        let folder = format!("callbacks/src/{}/", entry.file_name().display());
        assert_eq!(is_wing, drawn.contains_key(&folder), "{folder}");
    }
    for folder in drawn.keys() {
        assert!(root().join(folder).is_dir(), "{folder} is drawn, but is not there");
    }
}

#[test]
fn the_edges_between_crates_are_those_that_are_drawn_and_run_one_way() {
    let is: BTreeMap<String, BTreeSet<String>> =
        packages().into_iter().map(|package| (package.name, package.needs)).collect();
    for (name, needs) in picture::edges() {
        assert_eq!(is.get(&name), Some(&needs), "{name}");
    }
    let drawn: BTreeSet<String> = picture::edges().into_keys().collect();
    assert_eq!(is.keys().cloned().collect::<BTreeSet<_>>(), drawn, "every crate has a line");
    let circles = imports::circles(&is);
    assert!(circles.is_empty(), "{circles:?}");
}

#[test]
fn no_files_import_each_other_in_a_circle_and_none_goes_through_its_crates_face() {
    let mut wrong = Vec::new();
    for package in packages() {
        let imports = imports::of_crate(&root().join(&package.folder).join("src"));
        // a sequence of layers is a layer, so what a layer is and what it can be made of know each other
        let is_of_layers = |circle: &Vec<String>| circle.iter().all(|file| file.starts_with("layers::"));
        let mut circles = imports::circles(&imports.edges);
        circles.retain(|circle| package.name != "catena-tensor" || !is_of_layers(circle));
        wrong.extend(
            circles.iter().map(|circle| format!("{}: a circle of {}", package.name, circle.join(", "))),
        );
        let through = imports.through_the_face.iter();
        wrong.extend(through.map(|name| format!("{}: through lib.rs, {name}", package.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_the_features_of_loggers_neither_prost_nor_ureq_is_compiled() {
    let tree = |args: &[&str]| {
        let all = [
            "tree",
            "--locked",
            "--package",
            "catena",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ];
        let all: Vec<&str> = all.iter().chain(args).copied().collect();
        let tree = cargo(&all);
        let has = |name: &str| tree.lines().any(|line| line.split(' ').next() == Some(name));
        (has("prost"), has("ureq"), has("rustls"))
    };
    assert_eq!(tree(&["--no-default-features"]), (false, false, false));
    assert_eq!(tree(&[]), (true, false, false));
    assert_eq!(tree(&["--features", "mlflow"]), (true, true, false));
    assert_eq!(tree(&["--no-default-features", "--features", "https"]), (false, true, true));
}
