//! What the registries tell of losses, optimizers and schedules is what is read.
use std::collections::BTreeSet;

use catena_tensor::schedule::Plateau;
use catena_tensor::settings::{self, Configured, Field, FieldKind, Range, Registry};
use catena_tensor::{loss, optim, schedule};
use serde_json::{Map, Value, json};

/// The fields that `serde` names where there is one that it doesn't know.
fn read_fields(error: &str) -> Vec<&str> {
    let (_, expected) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
    expected.split('`').skip(1).step_by(2).collect()
}

fn in_range(range: Range, value: &Value) -> bool {
    value.is_null() || value.as_f64().is_some_and(|value| range.contains(value))
}

fn check_fields(of: &str, fields: &[Field], error: &str) {
    let told: BTreeSet<&str> = fields.iter().map(|field| field.name.as_ref()).collect();
    assert_eq!(told, read_fields(error).into_iter().collect(), "{of}: the table and the type differ");
    assert_eq!(told.len(), fields.len(), "{of}: a field comes twice");
    for Field { name, kind, default, doc, .. } in fields {
        assert!(!doc.is_empty() && doc.len() < 80 && !doc.ends_with('.'), "{of} {name}: {doc}");
        let Some(default) = default else { continue };
        let fits = match kind {
            FieldKind::Number(range) | FieldKind::Whole(range) => in_range(*range, default),
            FieldKind::Tuple(ranges) => {
                let all = default.as_array().unwrap();
                all.len() == ranges.len()
                    && ranges.iter().zip(all).all(|(range, value)| in_range(*range, value))
            }
            FieldKind::Numbers(range) => {
                default.as_array().unwrap().iter().all(|value| in_range(*range, value))
            }
            FieldKind::Switch => default.is_boolean(),
            FieldKind::Text => default.is_string(),
            FieldKind::OneOf(words) => default.is_null() || words.iter().any(|word| default == word),
            _ => true,
        };
        assert!(fits, "{of} {name}: the default {default} does not fit {kind:?}");
    }
}

fn check<T: ?Sized>(registry: &Registry<T>) {
    let names: Vec<&str> = registry.names().collect();
    assert!(names.is_sorted() && names.iter().collect::<BTreeSet<_>>().len() == names.len(), "{names:?}");
    let schema = registry.schema();
    for (i, entry) in registry.entries().iter().enumerate() {
        let name = entry.name();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
        let unknown = Map::from_iter([("?".to_owned(), json!(1))]);
        let error = entry.read(unknown).err().unwrap().to_string();
        let fields = entry.fields();
        check_fields(name, &fields, &error);
        let one = &schema["oneOf"][i];
        assert_eq!(one["properties"]["name"]["const"], name);
        assert_eq!(one["properties"].as_object().unwrap().len(), fields.len() + 1);
        let required = fields.iter().filter(|field| field.default.is_none()).count();
        assert_eq!(one["required"].as_array().unwrap().len(), required + 1);
    }
}

#[test]
fn the_tables_of_settings_are_those_of_the_types_and_their_defaults_are_in_range() {
    check(&optim::registry());
    check(&loss::registry());
    check(&schedule::registry());
    let error = settings::read::<Plateau>(Plateau::NAME, json!({"?": 1})).unwrap_err().to_string();
    check_fields(Plateau::NAME, &Field::all_of::<Plateau>(), &error);
}

/// Words of a choice are read, and another is refused with those words.
#[test]
fn a_choice_has_the_words_of_its_table() {
    let all = optim::registry().entries().iter().map(|entry| (entry.name(), entry.fields()));
    let all = all.chain(schedule::registry().entries().iter().map(|entry| (entry.name(), entry.fields())));
    let (mut tried, plateau) = (0, Field::all_of::<Plateau>());
    for (name, fields) in all.chain([(Plateau::NAME, plateau)]) {
        for field in &fields {
            let FieldKind::OneOf(words) = field.kind else { continue };
            let mut settings = json!({ "name": name, (field.name.as_ref()): "?" });
            for required in fields.iter().filter(|field| field.default.is_none()) {
                settings[required.name.as_ref()] = json!(1);
            }
            let error = match name {
                "reduce_on_plateau" => Plateau::from_value(settings).err(),
                "muon" => optim::OptimizerConfig::from_value(settings).err(),
                _ => schedule::from_value(settings).err(),
            };
            let error = error.unwrap().to_string();
            assert_eq!(read_fields(&error), words, "{name} {}", field.name);
            tried += 1;
        }
    }
    assert_eq!(tried, 7);
}

/// The table of losses, from the registry.
fn losses() -> String {
    let mut text = String::from("| name | tensors | settings |\n|---|---|---|\n");
    for entry in loss::registry().entries() {
        let (tensors, settings): (Vec<_>, Vec<_>) =
            entry.fields().into_iter().partition(|field| field.kind == FieldKind::Text);
        let tensors = tensors
            .iter()
            .map(|field| format!("`{}`: {}", field.name, field.doc.replace("The tensor that has ", "")));
        let settings = settings.iter().map(|field| {
            let default = field.default.as_ref().map(Value::to_string).unwrap_or_default();
            format!("`{}` ({default}): {}", field.name, field.doc)
        });
        let [tensors, settings] =
            [tensors.collect::<Vec<_>>(), settings.collect()].map(|cells| cells.join("<br>"));
        text += &format!("| `{}` | {tensors} | {settings} |\n", entry.name());
    }
    text
}

#[test]
fn the_table_of_losses_is_what_the_registry_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/losses.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (text, table) = page.split_at(page.find("| name |").unwrap_or(page.len()));
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::write(path, format!("{text}{}", losses())).unwrap();
        return;
    }
    assert_eq!(
        table,
        losses(),
        "`UPDATE_TABLE=1 cargo test -p catena-tensor --test registries` writes it anew"
    );
}

#[test]
fn old_spellings_are_read_and_never_written() {
    for (spelling, name) in [("CrossEntropy", "cross_entropy"), ("Mse", "mse")] {
        let old = loss::from_value(json!({ "name": spelling })).unwrap();
        assert_eq!((old.name(), &old.settings()["name"]), (name, &json!(name)));
    }
}

#[test]
fn what_a_field_is_is_told_as_json_schema() {
    let fields = Field::all_of::<optim::Adafactor>();
    let schema = |name: &str| fields.iter().find(|field| field.name == name).unwrap().schema();
    assert_eq!(
        schema("beta2_decay"),
        json!({
            "type": "number", "maximum": 0.0, "default": -0.8,
            "description": "The power of the mean's decay",
        })
    );
    assert_eq!(
        schema("eps"),
        json!({
            "type": "array", "minItems": 2, "maxItems": 2, "default": [null, 1e-3],
            "prefixItems": [
                {"anyOf": [{"type": "number", "minimum": 0.0}, {"type": "null"}]},
                {"type": "number", "minimum": 0.0},
            ],
            "description": "Bounds squared gradients; Bounds a parameter's scale",
        })
    );
    let step = schedule::registry().schema();
    let step =
        step["oneOf"].as_array().unwrap().iter().find(|one| one["properties"]["name"]["const"] == "step");
    assert_eq!(step.unwrap()["required"], json!(["name", "step_size"]));
}
