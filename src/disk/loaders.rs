//! What the loaders of a stage are, as data, and how they differ from those that a snapshot was taken with.
use catena_record::formats::run::{LoaderSettings, StageLoaderDescription};
use serde_json::Value;

use super::difference::{Differences, Remedy};
use crate::stage::StageLoader;

/// The settings that say which samples a batch has: inside an epoch nobody can go on with others.
const BATCHES: [&str; 7] = ["batches", "rows", "batch_size", "shuffle", "drop_last", "limit", "order"];
/// What is compared only where both runs have it: a version that matters only to who shuffles, and a hash that may be added later.
const IF_BOTH: [&str; 2] = ["order", "fingerprint"];

/// What a resume compares loaders by.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    /// The stage's name.
    pub(super) stage: &'a str,
    /// The loader in whose middle the snapshot was taken, if it was taken in one.
    pub(super) inside: Option<&'a str>,
    /// Whether both runs are of one version of catena: then what only one of them tells differs.
    pub(super) same_catena: bool,
}

/// A loader of a stage as data.
pub(super) fn describe(loader: &StageLoader) -> StageLoaderDescription {
    let said = loader.source.describe();
    let settings = said.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    StageLoaderDescription {
        name: loader.name.clone(),
        mode: format!("{:?}", loader.mode).to_lowercase(),
        batches: loader.source.batches(),
        data: Some(LoaderSettings { kind: said.kind().to_owned(), settings }),
    }
}

/// How a loader differs.
fn compare_one(
    loader: &StageLoaderDescription,
    before: &StageLoaderDescription,
    how: Compared,
    found: &mut Differences,
) {
    let Compared { stage, inside, same_catena } = how;
    let (is_train, is_inside) = (loader.is_train(), inside == Some(loader.name.as_str()));
    let of = format!("loader `{}` of stage `{stage}`", loader.name);
    let differs = |found: &mut Differences, setting: &str, before: String, now: String| {
        let remedy = match is_train {
            false => Remedy::None,
            true if is_inside && BATCHES.contains(&setting) => Remedy::BetweenEpochs,
            true => Remedy::Allow("data".into()),
        };
        found.add(remedy, &format!("{setting} of {of}"), before, now);
    };
    let count = |n: Option<u64>| n.map_or("unknown".into(), |n| n.to_string());
    let (was, is) = match (&before.data, &loader.data) {
        (Some(was), Some(is)) => (was, is),
        _ => {
            differs(found, "batches", count(before.batches), count(loader.batches));
            found.tell(format!(
                "{of}: the snapshot does not say what it gave, so nothing but the number of its batches could be compared"
            ));
            return;
        }
    };
    if was.kind != is.kind {
        // nobody knows whether the batches of one type are those of another
        let remedy = match (is_train, is_inside) {
            (false, _) => Remedy::None,
            (true, true) => Remedy::BetweenEpochs,
            (true, false) => Remedy::Allow("data".into()),
        };
        found.add(remedy, &format!("the type of {of}"), was.kind.clone(), is.kind.clone());
    }
    let all = same_catena && was.kind == is.kind;
    let (was, is) = (&was.settings, &is.settings);
    for name in was.keys().chain(is.keys().filter(|name| !was.contains_key(*name))) {
        let (name, before, now) = (name.as_str(), was.get(name), is.get(name));
        let in_both = before.is_some() && now.is_some();
        if in_both || name == "limit" || (all && !IF_BOTH.contains(&name)) {
            let text = |value: Option<&Value>| value.map_or(String::new(), Value::to_string);
            differs(found, name, text(before), text(now));
        }
    }
}

/// How the loaders of a stage differ.
pub(super) fn compare(
    before: &[StageLoaderDescription],
    now: &[StageLoaderDescription],
    how: Compared,
    found: &mut Differences,
) {
    let names = |loaders: &[StageLoaderDescription], is_train: bool| -> String {
        let those = loaders.iter().filter(|loader| loader.is_train() == is_train);
        those.map(|loader| format!("{} ({})", loader.name, loader.mode)).collect::<Vec<_>>().join(", ")
    };
    for (is_train, what) in [(true, "the Train loaders"), (false, "the other loaders")] {
        let what = format!("{what} of stage `{}`", how.stage);
        let remedy = if is_train { Remedy::Allow("loaders".into()) } else { Remedy::None };
        found.add(remedy, &what, names(before, is_train), names(now, is_train));
    }
    for loader in now {
        if let Some(before) = before.iter().find(|before| before.name == loader.name) {
            compare_one(loader, before, how, found);
        }
    }
}

/// The place among the loaders of an epoch at which it goes on, by names: `at` is that of the snapshot, whose loader has begun if
/// `is_inside`. None if the Train loaders that the epoch has done are not those that come before that place now.
pub(super) fn place(
    before: &[StageLoaderDescription],
    at: usize,
    is_inside: bool,
    now: &[StageLoaderDescription],
) -> Option<usize> {
    let (done, left) = before.split_at_checked(at)?;
    let find = |loader: &StageLoaderDescription| now.iter().position(|other| other.name == loader.name);
    let next = if is_inside { left.get(..1)? } else { left };
    let place = match next.iter().find_map(find) {
        Some(place) => place,
        None if is_inside => return None,
        None => now.len(),
    };
    let trains = |loaders: &[StageLoaderDescription]| -> Vec<String> {
        loaders.iter().filter(|loader| loader.is_train()).map(|loader| loader.name.clone()).collect()
    };
    (trains(done) == trains(&now[..place])).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaders(names: &str) -> Vec<StageLoaderDescription> {
        let loader = |name: &str| StageLoaderDescription {
            name: name.into(),
            mode: if name.starts_with('t') { "train".into() } else { "eval".into() },
            batches: None,
            data: None,
        };
        names.split_whitespace().map(loader).collect()
    }

    #[test]
    fn an_epoch_goes_on_at_the_loader_of_the_same_name_or_nowhere() {
        for (before, at, is_inside, now, expected) in [
            ("t v", 0, true, "t v", Some(0)),
            // an evaluation that is new, before what has begun or is done
            ("t v", 0, true, "w t v", Some(1)),
            ("t v", 1, false, "w t v", Some(2)),
            ("t v", 1, false, "t", Some(1)),
            ("t v", 2, false, "t v w", Some(3)),
            ("t1 v t2", 1, false, "t1 t2", Some(1)),
            // what has been trained would be trained again, or never
            ("t1 t2", 1, true, "t2 t1", None),
            ("t1 t2", 0, true, "t2 t1", None),
            ("t v", 1, false, "v t", None),
            ("t1 v", 0, true, "t2 v", None),
            ("t1 v", 1, false, "t1 t2 v", None),
            ("t", 5, false, "t", None),
        ] {
            let found = place(&loaders(before), at, is_inside, &loaders(now));
            assert_eq!(found, expected, "{before} at {at}, now {now}");
        }
    }
}
