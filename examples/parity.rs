//! `parity SPEC.json` computes what the spec asks for and prints one JSON answer, to hold against another program's numbers.
//!
//! * `{"dtype": "f64", "optimizer": {"name": "adamw", …}, "params": {"w": [[..]]}, "grads": [{"w": [[..]] or null}, …],
//!   "schedule": {…}, "clip": {"norm": 1.0}, "device": "cpu"}` gives `{"steps": [{"lr": x, "norm": y, "params": {…}}, …]}`: the lr used in each
//!   step, the gradients' norm before clipping, and the parameters after it
//! * `{"schedule": {…}, "base_lr": x, "steps": n}` gives `{"values": [..]}`, the lr in force at steps 0 to n-1; for
//!   `reduce_on_plateau`, `"metric": [..]` holds the value seen after each
//! * `{"metric": {"name": "f1_score", "task": "multiclass", …}, "batches": [{"input": [..], "target": [..], "weight": [..],
//!   "indexes": [..]}, …]}` gives `{"value": x or [..]}`. Lists of whole numbers are labels (i64), others f64; BLEU and word error
//!   rate take sentences, or lists of token ids. Numbers that are not finite are `"nan"`, `"inf"`, `"-inf"`
//! * `{"dtype": "f64", "loss": {"name": "triplet_margin", "margin": 0.5, …}, "tensors": {"anchor": [[..]], …}}` gives `{"value": x or [..],
//!   "grads": {"anchor": [[..]], …}}`, the gradients of the value's sum for all floating tensors but the target. Tensors and arguments have the
//!   names of PyTorch's `forward` and constructor, and its defaults; `reduction` may be `none`
//! * `{"transform": {"name": "resize", "size": [h, w], "filter": "bilinear"}, "pixels": [[[r, g, b], ..], ..]}` gives `{"pixels": [[[r, g, b], ..], ..]}`; `center_crop`
//!   with a `size` is the other
#[path = "parity/image.rs"]
mod image;
#[path = "parity/loss.rs"]
mod loss;
#[path = "parity/metric.rs"]
mod metric;

use catena::tch::{Device, Kind, Tensor};
use catena::tensor::device;
use catena::tensor::native::tensor::set_grad;
use catena::tensor::optim::{Optimizer, OptimizerConfig};
use catena::tensor::params::Parameter;
use catena::tensor::schedule::{AnySchedule, Plateau, Schedule};
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() {
    let answer = std::env::args().nth(1).ok_or("usage: parity SPEC.json".into()).and_then(|path| {
        let text =
            std::fs::read_to_string(&path).map_err(|error| format!("{path} can't be read: {error}"))?;
        answer(&serde_json::from_str(&text).map_err(|error| format!("{path} is not JSON: {error}"))?)
    });
    match answer {
        Ok(answer) => println!("{answer}"),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    }
}

fn answer(spec: &Value) -> Result<Value> {
    if spec.get("optimizer").is_some() {
        return Ok(json!({ "steps": steps(spec)? }));
    }
    if spec.get("schedule").is_some() {
        return Ok(json!({ "values": values(spec)? }));
    }
    if spec.get("metric").is_some() {
        return Ok(json!({ "value": metric::measured(spec)? }));
    }
    if spec.get("loss").is_some() {
        return loss::measured(spec);
    }
    if spec.get("transform").is_some() {
        let pixels = image::transformed(spec).map_err(|error| error.to_string())?;
        return Ok(json!({ "pixels": pixels }));
    }
    Err("the spec has neither `optimizer` nor `schedule` nor `metric` nor `loss` nor `transform`".into())
}

fn finite(number: f64) -> Value {
    catena::record::float::value(number)
}

fn number(spec: &Value, name: &str) -> Result<f64> {
    spec[name].as_f64().ok_or_else(|| format!("`{name}` must be a number, but is {}", spec[name]).into())
}

fn dtype(spec: &Value) -> Result<Kind> {
    match spec["dtype"].as_str() {
        Some("f32") => Ok(Kind::Float),
        Some("f64") | None => Ok(Kind::Double),
        Some(other) => Err(format!("`dtype` must be f32 or f64, but is {other}").into()),
    }
}

fn values(spec: &Value) -> Result<Vec<f64>> {
    let base_lr = number(spec, "base_lr")?;
    if spec["schedule"]["name"] == "reduce_on_plateau" {
        let mut plateau = Plateau::from_value(spec["schedule"].clone())?;
        let metric: Vec<f64> = serde_json::from_value(spec["metric"].clone())?;
        let next = |lr: &f64, seen: &f64| Some(plateau.step(*seen, *lr));
        let mut values = vec![base_lr];
        let mut next = next;
        for seen in &metric {
            values.extend(next(&values[values.len() - 1], seen));
        }
        let steps = spec["steps"].as_u64().map_or(metric.len(), |n| n as usize);
        values.truncate(steps);
        return Ok(values);
    }
    let schedule = AnySchedule::from_value(spec["schedule"].clone())?;
    Ok((0..number(spec, "steps")? as u64).map(|step| schedule.lr(base_lr, step)).collect())
}

/// Nested lists of numbers as a tensor.
fn tensor(value: &Value, kind: Kind) -> Result<Tensor> {
    let (mut shape, mut level) = (Vec::new(), value);
    while let Value::Array(items) = level {
        shape.push(items.len() as i64);
        match items.first() {
            Some(first) => level = first,
            None => break,
        }
    }
    fn flatten(value: &Value, into: &mut Vec<f64>) -> Result<()> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| flatten(item, into)),
            value => {
                let number = match value {
                    Value::Bool(yes) => Some(f64::from(*yes)),
                    // "nan", "inf", "-inf"
                    Value::String(text) => text.parse().ok(),
                    value => value.as_f64(),
                };
                into.push(number.ok_or_else(|| format!("{value} is not a number"))?);
                Ok(())
            }
        }
    }
    let mut numbers = Vec::new();
    flatten(value, &mut numbers)?;
    Ok(Tensor::f_from_slice(&numbers)?.f_to_kind(kind)?.f_view(&shape[..])?)
}

/// A tensor as nested lists of numbers.
fn lists(tensor: &Tensor) -> Result<Value> {
    if tensor.size().is_empty() {
        return Ok(finite(tensor.f_to_kind(Kind::Double)?.f_double_value(&[])?));
    }
    (0..tensor.size()[0]).map(|i| lists(&tensor.f_select(0, i)?)).collect::<Result<Vec<_>>>().map(Value::from)
}

fn steps(spec: &Value) -> Result<Vec<Value>> {
    let kind = dtype(spec)?;
    let device =
        spec.get("device").map_or(Ok("cpu"), |d| d.as_str().ok_or("`device` must be cpu, cuda or cuda:N"))?;
    let device = device::parse(device)?;
    let tensor = |value: &Value| -> Result<Tensor> { Ok(tensor(value, kind)?.f_to_device(device)?) };
    let given = spec["params"].as_object().ok_or("`params` must be an object of tensors")?;
    let params = given.iter().map(|(name, value)| {
        let tensor = tensor(value)?.f_set_requires_grad(true)?;
        Ok(Parameter::new(name.clone(), tensor))
    });
    let params = params.collect::<Result<Vec<_>>>()?;
    let config: OptimizerConfig = OptimizerConfig::from_value(spec["optimizer"].clone())?;
    let mut optimizer = Optimizer::new(config, &params)?;
    let schedule = spec
        .get("schedule")
        .filter(|s| !s.is_null())
        .map(|s| AnySchedule::from_value(s.clone()))
        .transpose()?;
    let clip =
        spec.get("clip").filter(|clip| !clip.is_null()).map(|clip| number(clip, "norm")).transpose()?;
    let grads = spec["grads"].as_array().ok_or("`grads` must be a list with an object for each step")?;
    let mut steps = Vec::new();
    for (step, grads) in (0u64..).zip(grads) {
        for param in &params {
            let grad = grads.get(&param.name).filter(|grad| !grad.is_null());
            let grad = grad.map(tensor).transpose()?;
            set_grad(&param.tensor, grad.as_ref())?;
        }
        if let Some(schedule) = &schedule {
            for group in optimizer.groups_mut() {
                group.set("lr", schedule.lr(group.initial_lr(), step))?;
                if let Some(momentum) = schedule.momentum(step) {
                    group
                        .set(if group.get("momentum").is_some() { "momentum" } else { "beta1" }, momentum)?;
                }
            }
        }
        let norm = match clip {
            Some(max_norm) => optimizer.clip_grad_norm(max_norm, 2.0)?,
            None => optimizer.gradient_norm(2.0)?,
        };
        optimizer.step()?;
        let after = params.iter().map(|param| {
            Ok((param.name.clone(), lists(&param.tensor.f_detach()?.f_to_device(Device::Cpu)?)?))
        });
        let after = after.collect::<Result<Map<_, _>>>()?;
        steps.push(json!({ "lr": optimizer.last_lr().map(finite), "norm": finite(norm.f_double_value(&[])?), "params": after }));
    }
    Ok(steps)
}
