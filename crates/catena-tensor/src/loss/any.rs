//! Losses by name, as a file has them.
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tch::Tensor;

use super::{
    Bce, BceWithLogits, Contrastive, CosineEmbedding, CrossEntropy, Ctc, Dice, Distillation, Focal,
    GaussianNll, HingeEmbedding, Huber, InfoNce, Iou, KlDiv, L1, Loss, LossFn, MarginRanking, Mse,
    MultiLabelMargin, MultiLabelSoftMargin, MultiMargin, Nll, NtXent, PoissonNll, SigmoidFocal, SmoothL1,
    SoftMargin, SoftTargetCrossEntropy, TripletMargin, Tversky,
};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Result};
use crate::settings::{self, Configured, Entry, Registry, write_named};

const fn entry<L: LossFn + Configured>() -> Entry<dyn LossFn> {
    Entry::new::<L>(|settings| Ok(Box::new(settings::read::<L>(L::NAME, settings)?)))
}

const LOSSES: Registry<dyn LossFn> = Registry::new(
    "loss",
    "cross_entropy",
    &[
        entry::<Bce>(),
        entry::<BceWithLogits>(),
        entry::<Contrastive>(),
        entry::<CosineEmbedding>(),
        entry::<CrossEntropy>(),
        entry::<Ctc>(),
        entry::<Dice>(),
        entry::<Distillation>(),
        entry::<Focal>(),
        entry::<GaussianNll>(),
        entry::<HingeEmbedding>(),
        entry::<Huber>(),
        entry::<InfoNce>(),
        entry::<Iou>(),
        entry::<KlDiv>(),
        entry::<L1>(),
        entry::<MarginRanking>(),
        entry::<Mse>(),
        entry::<MultiLabelMargin>(),
        entry::<MultiLabelSoftMargin>(),
        entry::<MultiMargin>(),
        entry::<Nll>(),
        entry::<NtXent>(),
        entry::<PoissonNll>(),
        entry::<SigmoidFocal>(),
        entry::<SmoothL1>(),
        entry::<SoftMargin>(),
        entry::<SoftTargetCrossEntropy>(),
        entry::<TripletMargin>(),
        entry::<Tversky>(),
    ],
)
.aliases(&[("CrossEntropy", "cross_entropy"), ("Mse", "mse")]);

/// catena's losses by name, with their fields.
///
/// ```
/// let registry = catena_tensor::loss::registry();
/// assert!(registry.names().any(|name| name == "mse"));
/// assert_eq!(registry.name_of("CrossEntropy"), "cross_entropy");
/// ```
pub fn registry() -> Registry<dyn LossFn> {
    LOSSES
}

/// Reads a loss and checks it: `{"name": …, …}`, torch's class in snake case without `Loss`, with torch's arguments and
/// `output` and `target`. An unknown name or setting is an error that lists the known ones.
///
/// ```
/// use catena_tensor::loss;
/// use serde_json::json;
///
/// let loss = loss::from_value(json!({"name": "cross_entropy", "label_smoothing": 0.1}))?;
/// # use loss::LossFn;
/// assert_eq!(loss.name(), "cross_entropy");
///
/// let error = loss::from_value(json!({"name": "cross_entropy", "smoothing": 0.1})).err().unwrap().to_string();
/// assert_eq!(
///     error,
///     "cross_entropy: unknown field `smoothing`, expected one of `output`, `target`, `weight`, `label_smoothing`, `ignore_index`, \
///      `class_dim`, `reduction`",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn from_value(value: Value) -> Result<Box<dyn LossFn>> {
    let loss = LOSSES.read(value)?;
    loss.check()?;
    Ok(loss)
}

/// The names that [`from_value`] knows.
///
/// ```
/// assert!(catena_tensor::loss::names().any(|name| name == "mse"));
/// ```
pub fn names() -> impl Iterator<Item = &'static str> {
    LOSSES.names()
}

/// Any loss as data: it serializes as its settings, and is read by [`from_value`]. A closure can't be written.
///
/// ```
/// use catena_tensor::loss::AnyLoss;
///
/// let text = r#"{"name":"mse","output":"output","target":"age"}"#;
/// let loss: AnyLoss = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&loss)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct AnyLoss(pub Box<dyn LossFn>);

impl std::fmt::Debug for AnyLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AnyLoss").field(&self.0.name()).finish()
    }
}

impl LossFn for AnyLoss {
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss, BoxError> {
        self.0.loss(outputs, batch)
    }

    fn unreduced(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self.0.unreduced(outputs, batch)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn settings(&self) -> Value {
        self.0.settings()
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl Serialize for AnyLoss {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        write_named("loss", self.0.name(), self.0.settings(), serializer)
    }
}

impl<'de> Deserialize<'de> for AnyLoss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        from_value(Value::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::loss;

    #[test]
    fn what_is_written_reads_as_the_same_loss() {
        let smooth = CrossEntropy::new().output("logits").label_smoothing(0.1).ignore_index(-7);
        let classes_last =
            CrossEntropy::new().class_dim(-1).weight([1.0, 2.0]).reduction(loss::Reduction::Sum);
        for settings in [
            CrossEntropy::new().settings(),
            classes_last.settings(),
            smooth.settings(),
            Mse::new().target("y").settings(),
        ] {
            assert_eq!(from_value(settings.clone()).unwrap().settings(), settings);
        }
        let written = json!({
            "name": "cross_entropy", "output": "logits", "target": "target", "label_smoothing": 0.1, "ignore_index": -7,
        });
        assert_eq!(smooth.settings(), written);
        let read: CrossEntropy = serde_json::from_value(serde_json::to_value(&smooth).unwrap()).unwrap();
        assert_eq!(read, smooth);
    }

    #[test]
    fn a_loss_that_lives_in_code_can_not_be_written() {
        let own = AnyLoss(Box::new(loss::from_fn("L1", |outputs, _| Ok(outputs.get("output")?.f_abs()?))));
        let error = serde_json::to_string(&own).unwrap_err().to_string();
        assert_eq!(error, "loss `L1` lives in code only, so it can't be written");
    }
}
