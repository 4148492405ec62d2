//! What ARCHITECTURE.md draws.
use std::collections::{BTreeMap, BTreeSet};

const TEXT: &str = include_str!("../../ARCHITECTURE.md");

/// The lines of the block of code that begins with this line.
fn block(first: &str) -> Vec<&'static str> {
    let start =
        TEXT.find(&format!("```text\n{first}")).unwrap_or_else(|| panic!("no block begins with {first:?}"));
    TEXT[start..].lines().skip(1).take_while(|line| *line != "```").collect()
}

/// Folders from the root, each with its line. A line that is set in belongs below the one that is less so.
pub(crate) fn folders() -> BTreeMap<String, String> {
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut folders = BTreeMap::new();
    for line in block("src/") {
        let depth = line.len() - line.trim_start().len();
        let name = line.split_whitespace().next().unwrap_or_default();
        above.retain(|(other, _)| *other < depth);
        let folder = above.iter().map(|(_, folder)| folder.as_str()).collect::<String>() + name;
        if name.ends_with('/') {
            above.push((depth, name.to_owned()));
            folders.insert(folder, line.to_owned());
        }
    }
    folders
}

/// Which crates each crate depends on.
pub(crate) fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let edge = |line: &&'static str| {
        let (name, needs) = line.split_once("->").unwrap_or((line, ""));
        (name.trim().to_owned(), needs.split_whitespace().map(str::to_owned).collect())
    };
    block("catena  ").iter().map(edge).collect()
}
