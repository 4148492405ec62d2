//! The part of `parity` that is about losses, with PyTorch's names of tensors.
use catena::tch::Kind;
use catena::tensor::batch::{Batch, NamedTensors};
use catena::tensor::loss;
use serde_json::{Map, Value, json};

use super::{Result, dtype, lists, tensor};

/// The loss's value, and the gradients of its sum with respect to all floating tensors but the target.
pub(crate) fn measured(spec: &Value) -> Result<Value> {
    let kind = dtype(spec)?;
    let given = spec["tensors"].as_object().ok_or("`tensors` must be an object of tensors")?;
    let mut settings = spec["loss"].clone();
    let is_unreduced = settings["reduction"] == "none";
    if let Some(settings) = settings.as_object_mut().filter(|_| is_unreduced) {
        settings.remove("reduction");
    }
    let name = settings["name"].as_str().unwrap_or_default().to_owned();
    let is_of_labels = is_of_labels(&name, given)?;
    if is_of_labels && matches!(&*name, "cross_entropy" | "nll") && settings.get("ignore_index").is_none() {
        // PyTorch's default
        settings["ignore_index"] = json!(-100);
    }
    let (mut outputs, mut others) = (NamedTensors::new(), NamedTensors::new());
    let mut leaves = Vec::new();
    for (torchs, value) in given {
        let own = catenas_name(torchs);
        if own == "target" || own.ends_with("_lengths") {
            let is_whole = own != "target" || (is_of_labels && is_whole(value));
            others.insert(own.to_owned(), tensor(value, if is_whole { Kind::Int64 } else { kind })?);
            continue;
        }
        let leaf = tensor(value, kind)?.f_set_requires_grad(true)?;
        leaves.push((torchs, leaf.shallow_clone()));
        outputs.insert(own.to_owned(), leaf);
    }
    let (mut loss, batch) = (loss::from_value(settings)?, Batch::new(others));
    let value = match is_unreduced {
        true => loss.unreduced(&outputs, &batch),
        false => loss.loss(&outputs, &batch).map(|loss| loss.value),
    };
    let value = value.map_err(|error| -> Box<dyn std::error::Error> { error })?;
    if value.requires_grad() {
        value.f_sum(kind)?.f_backward()?;
    }
    let grads = leaves.into_iter().map(|(name, leaf)| {
        let grad = leaf.f_grad()?;
        let grad = if grad.defined() { grad } else { leaf.f_detach()?.f_zeros_like()? };
        Ok((name.clone(), lists(&grad)?))
    });
    let grads = grads.collect::<Result<Map<_, _>>>()?;
    Ok(json!({ "value": lists(&value.f_detach()?)?, "grads": grads }))
}

fn catenas_name(torchs: &str) -> &str {
    match torchs {
        "input" | "log_probs" => "output",
        "targets" => "target",
        own => own,
    }
}

/// Whether whole numbers of the target are labels.
fn is_of_labels(name: &str, given: &Map<String, Value>) -> Result<bool> {
    let dims = |names: [&str; 2]| -> Result<usize> {
        let value = names.iter().find_map(|name| given.get(*name));
        value.map_or(Ok(0), |value| Ok(tensor(value, Kind::Double)?.dim()))
    };
    Ok(match name {
        "nll" | "multi_margin" | "multi_label_margin" | "ctc" | "focal" | "distillation" => true,
        "cross_entropy" | "dice" | "iou" | "tversky" => {
            dims(["target", "target"])? < dims(["input", "output"])?
        }
        _ => false,
    })
}

pub(crate) fn is_whole(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_whole),
        value => value.is_i64() || value.is_boolean(),
    }
}
