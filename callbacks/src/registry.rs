//! Callbacks by name, as a file has them.
use catena_chain::{Callback, Every};
use catena_tensor::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Accumulate, Accuracy, AdaptiveClip, Autocast, Backward, ClipGradNorm, ClipGradValue, Console,
    DeadActivations, Ema, Forward, GradNorms, GradientNoise, Lookahead, LossScaler, LrFinder, MaxSteps,
    MemoryUse, ModelSummary, NanGuard, Optimize, Progress, ReduceLrOnPlateau, Sam, SoftUpdate, Swa,
    SyncAudit, Throughput, Timeline, ToDevice, ZeroGrad,
};

/// A callback from `{"name": …, settings}`: its type's name in snake case and the names of its setters, with
/// `"every": "100 steps"` for [`Callback::every`]. Settings that are left out have their defaults, and all are checked. An
/// unknown name or setting is an error that lists the known ones.
///
/// [`Criterion`](crate::Criterion) and [`LrSchedule`](crate::LrSchedule) hold parts that can be code; a stage makes them.
///
/// ```
/// use catena_callbacks::from_value;
/// use catena_chain::Callback;
/// use serde_json::json;
///
/// let clip = from_value(json!({"name": "clip_grad_norm", "max_norm": 1.0}))?;
/// assert_eq!((clip.name(), clip.note()), ("ClipGradNorm", "max_norm 1".into()));
/// let norms = from_value(json!({"name": "grad_norms", "every": "100 steps"}))?;
/// assert_eq!(norms.note(), "every 100 steps, *");
///
/// let error = from_value(json!({"name": "clip_grad_norm", "max": 1.0})).err().unwrap().to_string();
/// assert!(error.starts_with("clip_grad_norm: unknown field `max`, expected one of `max_norm`,"));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
pub fn from_value(value: Value) -> Result<Box<dyn Callback>> {
    let wrong = |of: &str, why: String| Error::Settings { of: of.into(), why };
    let Value::Object(mut settings) = value else {
        let text = "an object is needed, such as {\"name\": \"nan_guard\"}";
        return Err(wrong("callback", format!("{text}, but this is {value}")));
    };
    let known = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let name = match settings.remove("name") {
        Some(Value::String(name)) => name,
        None => return Err(wrong("callback", format!("missing field `name`, one of {}", known()))),
        Some(other) => {
            return Err(wrong("callback", format!("the name is {other}, expected one of {}", known())));
        }
    };
    let Some((_, read)) = CALLBACKS.into_iter().find(|(known, _)| *known == name) else {
        return Err(match name.as_str() {
            "criterion" => wrong(&name, "it holds a loss, which is code: name it with `.loss(…)`".into()),
            "lr_schedule" => wrong(&name, "the stage makes it: name its schedule with `.schedule(…)`".into()),
            _ => wrong("callback", format!("unknown name `{name}`, expected one of {}", known())),
        });
    };
    let every: Option<Every> = settings
        .remove("every")
        .map(serde_json::from_value)
        .transpose()
        .map_err(|why| wrong(&name, why.to_string()))?;
    let callback = read(Value::Object(settings)).map_err(|why| wrong(&name, why.to_string()))?;
    callback.check().map_err(|why| wrong(&name, why.to_string()))?;
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
    CALLBACKS.into_iter().map(|(name, _)| name)
}

type Read = fn(Value) -> serde_json::Result<Box<dyn Callback>>;

fn read<C: Callback + DeserializeOwned + 'static>(settings: Value) -> serde_json::Result<Box<dyn Callback>> {
    Ok(Box::new(serde_json::from_value::<C>(settings)?))
}

/// A callback that has nothing to set.
fn plain<C: Callback + Default + 'static>(settings: Value) -> serde_json::Result<Box<dyn Callback>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let Nothing {} = serde_json::from_value(settings)?;
    Ok(Box::new(C::default()))
}

const CALLBACKS: [(&str, Read); 31] = [
    ("accumulate", read::<Accumulate>),
    ("accuracy", read::<Accuracy>),
    ("adaptive_clip", read::<AdaptiveClip>),
    ("autocast", read::<Autocast>),
    ("backward", plain::<Backward>),
    ("clip_grad_norm", read::<ClipGradNorm>),
    ("clip_grad_value", read::<ClipGradValue>),
    ("console", read::<Console>),
    ("dead_activations", read::<DeadActivations>),
    ("ema", read::<Ema>),
    ("forward", plain::<Forward>),
    ("grad_norms", read::<GradNorms>),
    ("gradient_noise", read::<GradientNoise>),
    ("lookahead", read::<Lookahead>),
    ("loss_scaler", read::<LossScaler>),
    ("lr_finder", read::<LrFinder>),
    ("max_steps", read::<MaxSteps>),
    ("memory_use", read::<MemoryUse>),
    ("model_summary", read::<ModelSummary>),
    ("nan_guard", read::<NanGuard>),
    ("optimize", plain::<Optimize>),
    ("progress", read::<Progress>),
    ("reduce_lr_on_plateau", read::<ReduceLrOnPlateau>),
    ("sam", read::<Sam>),
    ("soft_update", read::<SoftUpdate>),
    ("swa", read::<Swa>),
    ("sync_audit", read::<SyncAudit>),
    ("throughput", read::<Throughput>),
    ("timeline", read::<Timeline>),
    ("to_device", plain::<ToDevice>),
    ("zero_grad", plain::<ZeroGrad>),
];

#[cfg(test)]
mod tests {
    use catena_tensor::schedule::Plateau;
    use serde::Serialize;
    use serde_json::json;

    use super::*;
    use crate::OnNan;

    /// The settings that a callback can't do without.
    fn required(name: &str) -> Value {
        match name {
            "accumulate" => json!({"n": 4}),
            "adaptive_clip" => json!({"clip_factor": 0.01}),
            "autocast" => json!({"dtype": "bf16"}),
            "clip_grad_norm" => json!({"max_norm": 1.0}),
            "clip_grad_value" => json!({"clip_value": 1.0}),
            "dead_activations" => json!({"outputs": ["hidden"]}),
            "ema" => json!({"decay": 0.999}),
            "gradient_noise" => json!({"eta": 0.01}),
            "max_steps" => json!({"steps": 10}),
            "reduce_lr_on_plateau" => json!({"metric": "valid/loss"}),
            "soft_update" => json!({"source": "a.", "target": "b.", "tau": 0.1}),
            "swa" => json!({"start_epoch": 5}),
            _ => json!({}),
        }
    }

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
            let settings = with(required(name), "name", name.into());
            let callback = from_value(settings.clone()).unwrap();
            let words = callback.name().chars().flat_map(|c| match c.is_uppercase() {
                true => vec!['_', c.to_ascii_lowercase()],
                false => vec![c],
            });
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
            Timeline::new().path("t.json").start_batch(9).max_slices(7),
            json!({"path": "t.json", "start_batch": 9, "max_slices": 7}),
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
        assert!(error(json!({"name": "lr_schedule"})).contains("`.schedule(…)`"));
    }
}
