//! Callbacks by name, as a file has them.
use catena_chain::{Callback, CallbackExt, Every};
use catena_tensor::settings::{self, Entry, Field, Registry};
use catena_tensor::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::augmenting::GaussianNoise;
use crate::averaging::{Ema, Lookahead, SoftUpdate, Swa};
use crate::control::{EarlyStopping, FiniteModel, MaxSteps, NanGuard};
use crate::gradients::{
    Accumulate, AdaptiveClip, Autocast, ClipGradNorm, ClipGradValue, GradNorms, GradientNoise, LossScaler,
    Sam,
};
use crate::logging::{Console, Progress};
use crate::measuring::Accuracy;
use crate::profiling::{DeadActivations, MemoryUse, ModelSummary, SyncAudit, Throughput, Timeline};
use crate::schedules::{LrFinder, LrSchedule, ReduceLrOnPlateau};
use crate::step::{Backward, Criterion, Forward, LossSum, Optimize, ToDevice, ZeroGrad};

/// A callback from `{"name": …, settings}`: its type's name in snake case and the names of its setters, with
/// `"every": "100 steps"` for [`CallbackExt::every`]. Settings that are left out have their defaults, and all are checked. An
/// unknown name or setting is an error that lists the known ones.
///
/// Those that hold a loss or a schedule take it as [`loss::from_value`](catena_tensor::loss::from_value) and
/// [`schedule::from_value`](catena_tensor::schedule::from_value) do.
///
/// ```
/// use catena_callbacks::from_value;
/// use catena_chain::Callback;
/// use serde_json::json;
///
/// let clip = from_value(json!({"name": "clip_grad_norm", "max_norm": 1.0}))?;
/// assert_eq!(clip.about().text(), "max_norm 1, norm_type 2");
/// let norms = from_value(json!({"name": "grad_norms", "every": "100 steps"}))?;
/// assert!(norms.about().text().starts_with("every 100 steps, "));
///
/// let error = from_value(json!({"name": "clip_grad_norm", "max": 1.0})).err().unwrap().to_string();
/// assert!(error.starts_with("clip_grad_norm: unknown field `max`, expected one of `max_norm`,"));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
pub fn from_value(value: Value) -> Result<Box<dyn Callback>> {
    let (entry, mut settings) = CALLBACKS.find(value)?;
    let wrong = |why: String| Error::Settings { of: entry.name().into(), why };
    let every: Option<Every> = settings
        .remove("every")
        .map(serde_json::from_value)
        .transpose()
        .map_err(|why| wrong(why.to_string()))?;
    let callback = entry.read(settings)?;
    callback.check().map_err(|why| wrong(why.to_string()))?;
    Ok(match every {
        Some(every) => Box::new(callback.every(every)),
        None => callback,
    })
}

/// The names that [`from_value`] knows.
///
/// ```
/// assert!(catena_callbacks::names().any(|name| name == "ema"));
/// ```
pub fn names() -> impl Iterator<Item = &'static str> {
    CALLBACKS.names()
}

/// The least with which a callback of this name can be made, as [`from_value`] reads it: an example of its settings. None for a name that is not known.
///
/// ```
/// assert_eq!(catena_callbacks::example("clip_grad_norm").unwrap()["max_norm"], 1.0);
/// ```
pub fn example(name: &str) -> Option<Value> {
    CALLBACKS.example(name)
}

/// catena's callbacks by name, with their fields.
///
/// ```
/// let schema = catena_callbacks::registry().schema();
/// assert!(schema["oneOf"].as_array().unwrap().iter().any(|one| one["properties"]["name"]["const"] == "swa"));
/// ```
pub fn registry() -> Registry<dyn Callback> {
    CALLBACKS
}

/// A callback whose settings are a `serde` type, and those that it can't do without.
macro_rules! entry {
    ($name:literal, $callback:ty) => {
        entry!($name, $callback, "{}")
    };
    ($name:literal, $callback:ty, $needs:literal) => {
        Entry::<dyn Callback>::with(
            $name,
            |given| Ok(Box::new(settings::read::<$callback>($name, given)?)),
            || fields::<$callback>($name, $needs),
        )
        .example($needs)
    };
}

/// A callback that has nothing to set.
macro_rules! plain {
    ($name:literal, $callback:ident) => {
        Entry::<dyn Callback>::with(
            $name,
            |given| {
                settings::read::<Nothing>($name, given)
                    .map(|Nothing {}| -> Box<dyn Callback> { Box::new($callback) })
            },
            Vec::new,
        )
    };
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The fields of a callback, by what it writes of itself.
fn fields<C: Callback + Serialize + DeserializeOwned>(name: &str, needs: &str) -> Vec<Field> {
    let given: Value = serde_json::from_str(needs).unwrap_or_default();
    let made = settings::read::<C>(name, given.clone());
    let mut fields = made.map_or_else(
        |_| Vec::new(),
        |made| Field::written_by(&made, given.as_object().unwrap_or(&Map::new()), || drop(made.check())),
    );
    Field::say(&mut fields, name, include_str!("fields.tsv"));
    fields
}

const CALLBACKS: Registry<dyn Callback> = Registry::new("callback", "nan_guard", ENTRIES);

const ENTRIES: &[Entry<dyn Callback>] = &[
    entry!("accumulate", Accumulate, r#"{"n": 4}"#),
    entry!("accuracy", Accuracy),
    entry!("adaptive_clip", AdaptiveClip, r#"{"clip_factor": 0.01}"#),
    entry!("autocast", Autocast, r#"{"dtype": "bf16"}"#),
    plain!("backward", Backward),
    entry!("clip_grad_norm", ClipGradNorm, r#"{"max_norm": 1.0}"#),
    entry!("clip_grad_value", ClipGradValue, r#"{"clip_value": 1.0}"#),
    entry!("console", Console),
    entry!("criterion", Criterion, r#"{"loss": {"name": "cross_entropy"}}"#),
    entry!("dead_activations", DeadActivations, r#"{"outputs": ["hidden"]}"#),
    entry!("early_stopping", EarlyStopping, r#"{"metric": "valid/loss"}"#),
    entry!("ema", Ema, r#"{"decay": 0.999}"#),
    entry!("finite_model", FiniteModel),
    plain!("forward", Forward),
    entry!("gaussian_noise", GaussianNoise),
    entry!("grad_norms", GradNorms),
    entry!("gradient_noise", GradientNoise, r#"{"eta": 0.01}"#),
    entry!("lookahead", Lookahead),
    entry!("loss_scaler", LossScaler),
    entry!("loss_sum", LossSum, r#"{"parts": [{"name": "ce", "loss": {"name": "cross_entropy"}}]}"#),
    entry!("lr_finder", LrFinder),
    entry!(
        "lr_schedule",
        LrSchedule,
        r#"{"schedule": {"name": "cosine_annealing", "t_max": 9}, "by_epoch": true}"#
    ),
    entry!("max_steps", MaxSteps, r#"{"steps": 10}"#),
    entry!("memory_use", MemoryUse),
    entry!("model_summary", ModelSummary),
    entry!("nan_guard", NanGuard),
    plain!("optimize", Optimize),
    entry!("progress", Progress),
    entry!("reduce_lr_on_plateau", ReduceLrOnPlateau, r#"{"metric": "valid/loss"}"#),
    entry!("sam", Sam),
    entry!("soft_update", SoftUpdate, r#"{"source": "a.", "target": "b.", "tau": 0.1}"#),
    entry!("swa", Swa, r#"{"start_epoch": 1}"#),
    entry!("sync_audit", SyncAudit),
    entry!("throughput", Throughput),
    entry!("timeline", Timeline),
    plain!("to_device", ToDevice),
    plain!("zero_grad", ZeroGrad),
];

#[cfg(test)]
mod tests {
    use catena_tensor::loss::{CrossEntropy, LossFn, Mse};
    use catena_tensor::schedule::{Exponential, Plateau};
    use serde_json::json;

    use super::*;
    use crate::control::nan_guard::OnNan;

    fn with(mut settings: Value, name: &str, value: Value) -> Value {
        settings[name] = value;
        settings
    }

    fn error(settings: Value) -> String {
        from_value(settings).err().unwrap().to_string()
    }

    #[test]
    fn each_name_is_its_types_in_snake_case_and_refuses_what_it_does_not_know() {
        for name in names() {
            let settings = example(name).unwrap();
            let callback = from_value(settings.clone()).unwrap();
            let own_name = callback.about().name;
            let words = own_name.chars().flat_map(|c| match c.is_uppercase() {
                true => vec!['_', c.to_ascii_lowercase()],
                false => vec![c],
            });
            // it stands in the criterion's place
            assert_eq!(words.skip(1).collect::<String>(), name);
            assert!(from_value(with(settings.clone(), "every", "3 epochs".into())).is_ok());
            let text = error(with(settings, "nonsense", 1.into()));
            assert!(text.starts_with(&format!("{name}: unknown field `nonsense`")), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same_callback() {
        fn same<C: Serialize + DeserializeOwned>(callback: C, expected: Value) {
            let written = serde_json::to_value(&callback).unwrap();
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&written[name], value, "{name}");
            }
            let read: C = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), written);
        }
        same(Accuracy::new().top_k([1, 5]).output("scores"), json!({"top_k": [1, 5], "output": "scores"}));
        same(Autocast::f16(), json!({"dtype": "f16"}));
        same(
            ClipGradValue::new(2.0).on_nonfinite(OnNan::SkipStep),
            json!({"clip_value": 2.0, "on_nonfinite": "skip_step"}),
        );
        same(Console::new().without_times(), json!({"times": false}));
        same(Criterion::new(Mse::new().target("y")), json!({"loss": Mse::new().target("y").settings()}));
        let losses: [(String, Box<dyn LossFn>); 2] =
            [("d".into(), Box::new(CrossEntropy::new())), ("g".into(), Box::new(Mse::new()))];
        let expected = json!({"losses": {"d": CrossEntropy::new().settings(), "g": Mse::new().settings()}});
        same(Criterion::for_passes(losses), expected);
        same(
            EarlyStopping::new("valid/loss").patience(9).min_delta(0.5).stop_run(),
            json!({"metric": "valid/loss", "patience": 9, "min_delta": 0.5, "stops": "run"}),
        );
        same(GaussianNoise::new(0.5).input("x"), json!({"sigma": 0.5, "input": "x"}));
        let part = json!({"name": "ce", "weight": 0.5, "loss": CrossEntropy::new().settings()});
        same(
            LossSum::new().add("ce", 0.5, CrossEntropy::new()).mean(),
            json!({"parts": [part], "mean": true}),
        );
        same(
            LrSchedule::new(Exponential::new(0.5)),
            json!({"schedule": {"name": "exponential", "gamma": 0.5}, "of": "lr", "group": null, "by_epoch": false}),
        );
        same(
            LrSchedule::new(Exponential::new(0.5)).of("weight_decay").group("head.*").by_epoch(),
            json!({"of": "weight_decay", "group": "head.*", "by_epoch": true}),
        );
        same(Ema::new(0.9).warm_up().by_epoch(), json!({"decay": 0.9, "warm_up": true, "by_epoch": true}));
        same(
            GradNorms::new().matching("fc*"),
            json!({"pattern": "fc*", "norm_type": 2.0, "param_norms": false}),
        );
        same(Lookahead::new().k(6).alpha(0.2), json!({"k": 6, "alpha": 0.2}));
        same(LrFinder::new().num_steps(9), json!({"num_steps": 9, "end_lr": 10.0}));
        same(MaxSteps(7), json!({"steps": 7}));
        same(MemoryUse::new().seconds(1.5), json!({"seconds": 1.5}));
        same(
            DeadActivations::new(["h"]).unit_dim(-1),
            json!({"outputs": ["h"], "unit_dim": -1, "threshold": 0.0}),
        );
        same(Throughput::new().tokens("ids"), json!({"seconds": 5.0, "tokens": {"elements": "ids"}}));
        same(Throughput::new().weight_is_tokens(), json!({"tokens": "weight"}));
        same(
            Timeline::new().path("/tmp/t.json").start_batch(9).max_slices(7),
            json!({"path": "/tmp/t.json", "start_batch": 9, "max_slices": 7}),
        );
        same(Progress::new(), json!({}));
        let plateau = Plateau::new().patience(3);
        same(ReduceLrOnPlateau::new("valid/loss", plateau.clone()), json!({"plateau": plateau}));
        same(Sam::new(0.5).adaptive(), json!({"rho": 0.5, "adaptive": true}));
        same(SoftUpdate::new("a.", "b.", 0.5), json!({"source": "a.", "target": "b.", "tau": 0.5}));
        same(
            Swa::new(3).every_steps(9).update_bn("bn"),
            json!({"start_epoch": 3, "every_steps": 9, "update_bn": "bn"}),
        );
    }

    #[test]
    fn a_number_out_of_range_is_refused_by_name_whatever_the_callback() {
        let mut text = String::new();
        for name in names() {
            let settings = example(name).unwrap();
            // the names of its settings, by what it says of one that it does not have
            let known = error(with(settings.clone(), "nonsense", 1.into()));
            let known = known.split("expected ").nth(1).unwrap_or_default();
            for setting in known.split('`').skip(1).step_by(2) {
                for wrong in
                    [json!(-1), json!(0), json!(1e9), json!(1e300), json!(null), json!("much"), json!([])]
                {
                    let outcome = from_value(with(settings.clone(), setting, wrong.clone()));
                    match outcome.err().map(|error| error.to_string()) {
                        None => text += &format!("{name} {setting}: {wrong} is taken\n"),
                        Some(why) => {
                            assert!(why.starts_with(&format!("{name}: ")), "{why}");
                            let named = setting == "metric" || why.contains(&format!("`{setting}`"));
                            assert!(named, "{name} {setting} {wrong}: {why}");
                            // 1e300 in words has 301 digits
                            if wrong.is_number() && why.contains("must") && why.len() < 200 {
                                text += &format!("{why}\n");
                            }
                        }
                    }
                }
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_setting_made_in_code_that_is_not_finite_is_refused() {
        let check = |callback: &dyn Callback| callback.check().err().map(|why| why.to_string());
        let infinite = f64::INFINITY;
        for (callback, name) in [
            (Box::new(LossScaler::new().init_scale(infinite)) as Box<dyn Callback>, "init_scale"),
            (Box::new(LossScaler::new().growth_factor(infinite)), "growth_factor"),
            (Box::new(AdaptiveClip::new(infinite)), "clip_factor"),
            (Box::new(AdaptiveClip::new(0.1).eps(infinite)), "eps"),
            (Box::new(DeadActivations::new(["h"]).threshold(infinite)), "threshold"),
            (Box::new(LrFinder::new().range(1e-6, infinite)), "end_lr"),
            (Box::new(Sam::new(infinite)), "rho"),
            (Box::new(GradientNoise::new(infinite)), "eta"),
            (Box::new(EarlyStopping::new("valid/loss").min_delta(infinite)), "min_delta"),
            (Box::new(LossSum::new().add("mse", infinite, Mse::new())), "weight"),
        ] {
            let why = check(&callback).unwrap_or_default();
            assert!(why.contains(&format!("`{name}`")) && why.contains("inf, but must be"), "{name}: {why}");
        }
        // to measure the norm and clip nothing, as with torch's
        assert_eq!(check(&ClipGradNorm::new(infinite)), None);
        let smooth = Criterion::new(CrossEntropy::new().label_smoothing(f64::NAN));
        assert!(check(&smooth).unwrap().contains("`label_smoothing` is NaN, but must be in [0, 1]"));
        let nothing = LossSum::new().add("a", 1.0, Mse::new()).add("b", -1.0, Mse::new()).mean();
        assert_eq!(check(&nothing).unwrap(), "the weights add up to 0, so they have no mean");
    }

    #[test]
    fn a_name_or_a_value_that_makes_no_sense_is_an_error_that_says_what_does() {
        let text = error(json!({"name": "clip_norm"}));
        assert!(
            text.starts_with("callback: unknown name `clip_norm`, expected one of `accumulate`, `accuracy`,")
        );
        assert!(error(json!({})).starts_with("callback: missing field `name`, one of `accumulate`,"));
        assert!(error(json!("ema")).ends_with(r#"but this is "ema""#));
        assert_eq!(error(json!({"name": "ema"})), "ema: missing field `decay`");
        assert_eq!(error(json!({"name": "ema", "decay": 2})), "ema: `decay` is 2, but must be in [0, 1)");
        assert!(error(json!({"name": "sam", "every": "often"})).contains("`often` is not a frequency"));
    }
}
