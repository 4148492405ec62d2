//! The part of `parity` that is about metrics.
use std::collections::HashMap;

use catena::metrics::{self, Computed, Meter, Seen};
use catena::tch::{Kind, Tensor};
use serde_json::Value;

use super::loss::is_whole;
use super::{Result, finite, lists, tensor};

/// The metric's value over all batches.
pub(crate) fn measured(spec: &Value) -> Result<Value> {
    let batches = spec["batches"].as_array().ok_or("`batches` must be a list of objects")?;
    let mut settings = spec["metric"].clone();
    if settings["name"] == "dice" && settings.get("task").is_none() {
        add_task(&mut settings, batches)?;
    }
    let mut metric = Meter::new(metrics::from_value(settings)?);
    let name = metric.metric().name();
    let is_text = matches!(name, "bleu_score" | "word_error_rate");
    let needs_scores = ["auroc", "average_precision", "calibration_error", "log_loss", "perplexity"];
    let needs_scores = needs_scores.contains(&name);
    let mut words = HashMap::new();
    for batch in batches {
        let mut part = |name: &str, is_text: bool| {
            let value = batch.get(name).filter(|value| !value.is_null());
            value.map(|value| if is_text { ids(value, &mut words) } else { items(value) }).transpose()
        };
        let input = part("input", is_text)?.ok_or("each batch needs an `input`")?;
        let target = part("target", is_text)?;
        // scores of classes may be whole numbers: they have a dimension more than labels
        let is_wider = !is_text && target.as_ref().is_some_and(|target| input.dim() > target.dim());
        let input = if needs_scores || is_wider { input.f_to_kind(Kind::Double)? } else { input };
        let weight = part("weight", false)?;
        let indexes = part("indexes", false)?;
        metric.update(&Seen {
            input: &input,
            target: target.as_ref(),
            weight: weight.as_ref(),
            indexes: indexes.as_ref(),
        })?;
    }
    Ok(match metric.compute()? {
        Computed::Number(number) => finite(number),
        Computed::Numbers(numbers) => numbers.into_iter().map(|(_, number)| finite(number)).collect(),
        Computed::Tensor(tensor) => lists(&tensor)?,
    })
}

/// torchmetrics' `dice` was never told its task: it is seen from the shapes and dtypes of the first batch.
fn add_task(settings: &mut Value, batches: &[Value]) -> Result<()> {
    let Some(first) = batches.first() else { return Ok(()) };
    let (input, target) = (items(&first["input"])?, items(&first["target"])?);
    let classes = input.size().get(1).copied();
    let most = |name: &str| -> Result<i64> {
        let most = batches.iter().map(|batch| Ok(items(&batch[name])?.f_max()?.f_int64_value(&[])?));
        Ok(most.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(1))
    };
    let (task, number, of) = match (input.kind(), input.dim() > target.dim()) {
        (_, true) => ("multiclass", "num_classes", classes),
        (Kind::Double, false) if input.dim() == 1 => ("binary", "", None),
        (Kind::Double, false) => ("multilabel", "num_labels", classes),
        _ => ("multiclass", "num_classes", Some(most("input")?.max(most("target")?).max(1) + 1)),
    };
    settings["task"] = task.into();
    if let (Some(of), None) = (of, settings.get("num_classes").and_then(Value::as_i64)) {
        settings[number] = of.into();
    }
    Ok(())
}

/// Labels if all numbers are whole, else values.
fn items(value: &Value) -> Result<Tensor> {
    tensor(value, if is_whole(value) { Kind::Int64 } else { Kind::Double })
}

/// Sentences as rows of token ids, filled up with -100: `["a b", …]`, `[["a b", "a c"], …]`, or lists of ids.
fn ids(value: &Value, words: &mut HashMap<String, i64>) -> Result<Tensor> {
    type Sentences = Vec<Vec<i64>>;
    fn sentence(value: &Value, words: &mut HashMap<String, i64>) -> Result<Vec<i64>> {
        match value {
            Value::String(text) => Ok(text
                .split_whitespace()
                .map(|word| {
                    let next = words.len() as i64;
                    *words.entry(word.to_owned()).or_insert(next)
                })
                .collect()),
            ids => Ok(serde_json::from_value(ids.clone())?),
        }
    }
    let rows = match value {
        Value::Array(rows) => rows.clone(),
        one => vec![one.clone()],
    };
    let is_sentence = |value: &Value| match value {
        Value::Array(items) => items.iter().all(Value::is_i64),
        value => value.is_string(),
    };
    let several = rows.iter().any(|row| !is_sentence(row));
    let mut table: Vec<Sentences> = Vec::new();
    for row in &rows {
        let own = match (is_sentence(row), row) {
            (false, Value::Array(refs)) => {
                refs.iter().map(|reference| sentence(reference, words)).collect::<Result<_>>()?
            }
            _ => vec![sentence(row, words)?],
        };
        table.push(own);
    }
    let (refs, length) = (
        table.iter().map(Vec::len).max().unwrap_or(0),
        table.iter().flatten().map(Vec::len).max().unwrap_or(0).max(1),
    );
    let mut flat = Vec::new();
    for row in &table {
        // a reference that is missing is the first one again, which changes nothing
        for i in 0..refs {
            let ids = row.get(i).or(row.first()).ok_or("each row needs a reference")?;
            flat.extend(ids.iter().copied().chain(std::iter::repeat_n(-100, length - ids.len())));
        }
    }
    let all = Tensor::f_from_slice(&flat)?;
    let (rows, refs, length) = (table.len() as i64, refs as i64, length as i64);
    Ok(if several { all.f_view([rows, refs, length])? } else { all.f_view([rows, length])? })
}
