//! The table of callbacks in the crate's documentation is what the callbacks say of themselves, and what they say holds.
use std::collections::BTreeSet;
use std::path::Path;

use catena_callbacks::metrics::{Aggregate, ClassScore, Combine, LossSum, Measure, Task};
use catena_callbacks::*;
use catena_chain::drive::Member;
use catena_chain::{Callback, CallbackExt, Effect, Event, Events, Every, Lifetime, State, testing};
use catena_tensor::loss::{CrossEntropy, Mse};
use catena_tensor::schedule::{CosineAnnealing, Plateau};

/// One of each, in the order of the table's rows.
fn all() -> Vec<Box<dyn Callback>> {
    vec![
        Box::new(ToDevice),
        Box::new(GaussianNoise::new(0.1)),
        Box::new(Autocast::bf16()),
        Box::new(Forward),
        Box::new(Criterion::new(CrossEntropy::new())),
        Box::new(LossSum::new().add("mse", 1.0, Mse::new())),
        Box::new(Accumulate::new(4)),
        Box::new(Sam::new(0.05)),
        Box::new(Backward),
        Box::new(LossScaler::new()),
        Box::new(ClipGradNorm::new(1.0)),
        Box::new(ClipGradValue::new(1.0)),
        Box::new(AdaptiveClip::new(0.01)),
        Box::new(GradNorms::new()),
        Box::new(GradientNoise::new(0.01)),
        Box::new(Optimize),
        Box::new(ZeroGrad),
        Box::new(Ema::new(0.99)),
        Box::new(Swa::new(2)),
        Box::new(Lookahead::new()),
        Box::new(SoftUpdate::new("a.", "b.", 0.1)),
        Box::new(LrSchedule::new(CosineAnnealing::new(9))),
        Box::new(Accuracy::new()),
        Box::new(Measure::new(ClassScore::accuracy(Task::Multiclass(3)))),
        Box::new(Aggregate::new("worst", ["a", "b"], Combine::Mean)),
        Box::new(DeadActivations::new(["hidden"])),
        Box::new(NanGuard::new()),
        Box::new(FiniteModel::new()),
        Box::new(Checkpoint::new()),
        Box::new(EarlyStopping::new("valid/loss")),
        Box::new(Validate::every(Every::Epochs(2))),
        Box::new(Signals::new()),
        Box::new(ReduceLrOnPlateau::new("valid/loss", Plateau::new())),
        Box::new(LrFinder::new()),
        Box::new(MaxSteps(9)),
        Box::new(Loggers::new().with(JsonLines::new())),
        Box::new(Progress::new()),
        Box::new(Journal::new()),
        Box::new(Console::new()),
        Box::new(RunLog::new()),
        Box::new(ModelSummary::new()),
        Box::new(Throughput::new()),
        Box::new(MemoryUse::new()),
        Box::new(Timeline::new()),
        Box::new(SyncAudit::new()),
    ]
}

/// The type behind a name: that of a measured metric is its metric's.
fn type_name(name: &str) -> &str {
    match name {
        "accuracy" => "metrics::Measure",
        "worst" => "metrics::Aggregate",
        "LossSum" => "metrics::LossSum",
        name => name,
    }
}

fn table() -> String {
    let mut text =
        String::from("| callback | phase | effect | hears | logs | state |\n|---|---|---|---|---|---|\n");
    for callback in all() {
        let about = callback.about();
        let hears: Vec<String> = Event::ALL
            .iter()
            .filter(|event| about.hears.contains(**event))
            .map(|event| format!("`{event}`"))
            .collect();
        let hears = if about.hears == Events::ALL { "everything".into() } else { hears.join(", ") };
        let hears = if about.observes { format!("{hears}; all work") } else { hears };
        let logs = match &about.logs {
            Some(logs) => logs.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            None => "what it finds".into(),
        };
        let effect = match about.effect {
            Effect::Acts => "acts",
            Effect::Looks => "looks",
        };
        let state = match (about.lifetime, about.per_pass) {
            (Lifetime::Run, false) => "run",
            (Lifetime::Run, true) => "run, each pass",
            (Lifetime::Stage, false) => "stage",
            (Lifetime::Stage, true) => "stage, each pass",
        };
        let (name, phase) = (type_name(&about.name), about.phase);
        text += &format!("| [`{name}`](crate::{name}) | {phase} | {effect} | {hears} | {logs} | {state} |\n");
    }
    text
}

#[test]
fn the_table_is_what_the_callbacks_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/table.md");
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::write(&path, table()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        written,
        table(),
        "`UPDATE_TABLE=1 cargo test -p catena-callbacks --test table` writes it anew"
    );
}

#[test]
fn every_callback_of_the_crate_has_a_row() {
    fn found(at: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found(&path, names);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let here = text.lines().filter_map(|line| line.strip_prefix("impl Callback for "));
            names.extend(here.map(|rest| rest.trim_end_matches(" {").to_owned()));
        }
    }
    let mut names = BTreeSet::new();
    found(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    let rows: BTreeSet<String> =
        all().iter().map(|c| type_name(&c.about().name).replace("metrics::", "")).collect();
    assert_eq!(names, rows);
}

/// Those that hear epochs or batches, as they are set, and have hooks for both.
const HEARS_BY_SETTINGS: [&str; 2] = ["LrSchedule", "Validate"];

#[test]
fn each_holds_what_every_callback_has_to_hold() {
    for (i, callback) in all().iter().enumerate() {
        let name = callback.about().name;
        if HEARS_BY_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        testing::check_callback(|| all().swap_remove(i)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn an_adapter_changes_what_it_says_and_hands_on_all_else() {
    for callback in all() {
        let plain = callback.about();
        let adapted = callback.named("other").every(Every::Epochs(1)).about();
        assert_eq!((&adapted.name, adapted.phase), (&"other".to_owned(), plain.phase));
        assert_eq!(
            (adapted.effect, adapted.role, &adapted.writes),
            (plain.effect, plain.role, &plain.writes)
        );
        assert_eq!((&adapted.logs, &adapted.watches), (&plain.logs, &plain.watches));
        assert_eq!(
            (adapted.lifetime, adapted.per_pass, adapted.syncs, adapted.observes),
            (plain.lifetime, plain.per_pass, plain.syncs, plain.observes)
        );
        assert!(adapted.text().starts_with("every 1 epoch"));
        assert_eq!((adapted.adapters, adapted.settings), (vec!["every 1 epoch".to_owned()], plain.settings));
    }
}

#[test]
fn each_takes_its_first_state_back_as_a_stage_does() {
    for mut callback in all() {
        let name = callback.about().name;
        let first = callback.state();
        let shared = State::json(first.json.clone());
        assert!(first.tensors.is_empty(), "{name} begins without tensors");
        if callback.about().lifetime == Lifetime::Stage || !first.is_none() {
            callback.load_state(shared).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert_eq!(callback.state().json, first.json, "{name}");
    }
}

#[test]
fn a_callback_that_looks_writes_no_setting_and_a_chain_of_all_of_them_can_be_made() {
    let members: Vec<Member> = all().into_iter().map(Member::new).collect();
    for member in &members {
        let about = member.about();
        assert!(about.acts() || about.writes.is_empty(), "{}", about.name);
    }
    testing::driver(all()).unwrap();
}
