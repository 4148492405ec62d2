//! Writes the logs of a made-up run with every logger: what the programs in `tests/interop` read back.
//!
//! `write_logs DIR STEPS [--mlflow ADDRESS] [--snapshot STEP] [--resume] [--pause MILLISECONDS]`
//!
//! A step logs `loss` = 1 / step and `accuracy@1` = step / 1000; each fifth ends an epoch. With `--snapshot` the state is kept in
//! `DIR/state.json` after that step, and the process is gone after the last one, as if it were killed; with `--resume` it goes
//! on from there.
use std::path::{Path, PathBuf};
use std::time::Duration;

use catena_callbacks::{
    Array, CsvFiles, Histogram, Image, JsonLines, Loggers, Mlflow, Outbox, Payload, TensorBoard,
};
use catena_chain::drive::{Driver, LoaderScope, PassScope, RunSettings, StageScope};
use catena_chain::tensor::model::Mode;
use catena_chain::tensor::tch::{Device, Tensor};
use catena_chain::{Callback, Context, Event, Every, Optimizers, Reduce, Result, State, testing};

const EPOCH: u64 = 5;

struct Arguments {
    dir: PathBuf,
    steps: u64,
    mlflow: Option<String>,
    snapshot: Option<u64>,
    resume: bool,
    pause: Duration,
}

impl Arguments {
    fn read() -> Result<Self> {
        let all: Vec<String> = std::env::args().skip(1).collect();
        let after =
            |name: &str| all.iter().position(|arg| arg == name).and_then(|at| all.get(at + 1)).cloned();
        let number = |name: &str| after(name).map(|text| text.parse::<u64>()).transpose();
        let [dir, steps, ..] = &all[..] else { return Err("which folder, and how many steps?".into()) };
        Ok(Self {
            dir: dir.into(),
            steps: steps.parse()?,
            mlflow: after("--mlflow"),
            snapshot: number("--snapshot")?,
            resume: all.iter().any(|arg| arg == "--resume"),
            pause: Duration::from_millis(number("--pause")?.unwrap_or(0)),
        })
    }
}

fn main() -> Result<()> {
    let Arguments { dir, steps, mlflow, snapshot, resume, pause } = Arguments::read()?;
    let settings = RunSettings { seed: 0, device: Device::Cpu, run_dir: Some(dir.clone()) };
    let mut driver = Driver::new(Box::new(testing::tiny_model()), Vec::new(), settings)?;
    let passes = vec![PassScope { name: "main".into(), optimizer: None }];
    driver.enter_stage(
        StageScope { index: 0, name: "main".into(), epochs: 100, passes, evaluations: Vec::new() },
        Optimizers::default(),
    );

    let mut loggers = Loggers::new()
        .with(JsonLines::new())
        .with(CsvFiles::new())
        .with(TensorBoard::new())
        .batches(Every::Batches(1))
        .params(&serde_json::json!({ "lr": 0.125, "optimizer": { "name": "sgd", "nesterov": true }, "layers": [64, 10] }));
    if let Some(address) = mlflow {
        let mlflow =
            Mlflow::new(address).experiment("interop").run_name("made up").patience(Duration::from_secs(60));
        loggers = loggers.with(mlflow);
    }
    let state = dir.join("state.json");
    let done = if resume {
        let (done, json) = serde_json::from_slice(&std::fs::read(&state)?)?;
        (0..done).try_for_each(|step| train(&mut driver, step + 1, &mut |_, _| Ok(())))?;
        driver.set_resuming(true);
        loggers.on_event(Event::RunStart, driver.context_mut())?;
        driver.set_resuming(false);
        loggers.load_state(State::json(json))?;
        done
    } else {
        loggers.on_event(Event::RunStart, driver.context_mut())?;
        0
    };
    for step in done + 1..=steps {
        std::thread::sleep(pause);
        train(&mut driver, step, &mut |event, cx| {
            if event == Event::LoaderEnd {
                hand_over(cx, step, &dir)?;
            }
            loggers.on_event(event, cx).map(drop)
        })?;
        if snapshot == Some(step) {
            loggers.flush(driver.context_mut())?;
            std::fs::write(&state, serde_json::to_vec(&(step, loggers.state().json))?)?;
        }
    }
    if snapshot.is_some() {
        loggers.flush(driver.context_mut())?;
        std::process::exit(9);
    }
    loggers.on_event(Event::RunEnd, driver.context_mut())?;
    Ok(())
}

/// A batch, the loader around it where one begins or ends, and an evaluation at an epoch's end.
fn train(
    driver: &mut Driver,
    step: u64,
    tell: &mut dyn FnMut(Event, &mut Context) -> Result<()>,
) -> Result<()> {
    if (step - 1).is_multiple_of(EPOCH) {
        driver.enter_epoch();
        driver.enter_loader(LoaderScope::new("train", Mode::Train, Some(EPOCH)));
    }
    driver.enter_batch(testing::tiny_batch(3));
    driver.enter_pass(0).unwrap();
    log(driver.context_mut(), step)?;
    driver.context_mut().mark_stepped();
    driver.close_window();
    tell(Event::BatchEnd, driver.context_mut())?;
    if step.is_multiple_of(EPOCH) {
        tell(Event::LoaderEnd, driver.context_mut())?;
        driver.leave_loader()?;
        driver.enter_loader(LoaderScope::new("valid", Mode::Eval, None));
        log(driver.context_mut(), step)?;
        tell(Event::LoaderEnd, driver.context_mut())?;
        driver.leave_loader()?;
    }
    Ok(())
}

fn log(cx: &mut Context, step: u64) -> Result<()> {
    cx.log("loss", Tensor::from(1.0 / step as f64), Reduce::Last)?;
    cx.log("accuracy@1", step as f64 / 1000.0, Reduce::Last)?;
    cx.log("strange", if step.is_multiple_of(2) { f64::NAN } else { f64::INFINITY }, Reduce::Last)
}

fn hand_over(cx: &mut Context, step: u64, dir: &Path) -> Result<()> {
    let numbers: Vec<f64> = (0..step * 10).map(|i| i as f64).collect();
    Outbox::put(
        cx,
        Payload::Histogram { name: "weights".into(), histogram: Histogram::of_numbers(&numbers) },
    );
    let array = |numbers: &[f64], shape: &[i64]| Array::of(&Tensor::from_slice(numbers).f_view(shape)?);
    let (x, shape) = (step as f64, &[2, 2]);
    Outbox::put(cx, Payload::Array { name: "matrix".into(), array: array(&[x, 0.0, 0.0, x], shape)? });
    Outbox::put(cx, Payload::Array { name: "recall".into(), array: array(&[0.5, x / 1000.0], &[2])? });
    let image = Image::heat_map(&[vec![step as f64, 0.0], vec![0.0, step as f64]])?;
    Outbox::put(cx, Payload::Image { name: "confusion".into(), image });
    Outbox::put(cx, Payload::Text { name: "remark".into(), text: format!("**step** {step}") });
    let path = dir.join("notes.txt");
    std::fs::write(&path, "some notes\n")?;
    Outbox::put(cx, Payload::Artifact { name: "notes/of the run.txt".into(), path });
    Ok(())
}
