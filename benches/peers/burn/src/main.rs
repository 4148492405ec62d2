//! One training step in burn's flex backend: `catena-peers-burn explicit|train NETWORK EPOCHS THREADS`.

#[path = "../../../shared/peak.rs"]
mod peak;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, ExecutionError, Int, Tensor};
use burn::train::logger::{EvaluationProgressLogger, InMemoryMetricLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{InferenceStep, ItemLazy, Learner, SupervisedTraining, TrainOutput, TrainStep};
use peak::peak_mib;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const LEARNING_RATE: f64 = 1e-3;

/// A network of linear layers with ReLU between them, and how many ready batches an epoch has.
struct Network {
    widths: Vec<usize>,
    batch: usize,
    steps: usize,
}

impl Network {
    /// The network of this name, if it is made of linear layers.
    fn named(name: &str) -> Option<Self> {
        let all: serde_json::Value = serde_json::from_str(include_str!("../../networks.json")).ok()?;
        let found = all.as_array()?.iter().find(|network| network["name"] == name)?;
        let number = |value: &serde_json::Value| value.as_u64().map(|number| number as usize);
        let widths = found["model"]["mlp"]["widths"].as_array()?;
        Some(Self {
            widths: widths.iter().map(number).collect::<Option<_>>()?,
            batch: number(&found["batch"])?,
            steps: number(&found["steps"])?,
        })
    }

    fn inputs(&self) -> usize {
        self.widths[0]
    }

    fn classes(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }
}

#[derive(Clone)]
struct Batch {
    x: Tensor<2>,
    y: Tensor<1, Int>,
}

impl Network {
    fn batches(&self, device: &Device) -> Vec<Batch> {
        device.seed(1);
        let labels = Distribution::Uniform(0.0, self.classes() as f64);
        let batch = || Batch {
            x: Tensor::random([self.batch, self.inputs()], Distribution::Default, device),
            y: Tensor::random([self.batch], labels, device),
        };
        (0..self.steps).map(|_| batch()).collect()
    }
}

#[derive(Module, Debug)]
struct Model {
    layers: Vec<Linear>,
    relu: Relu,
    criterion: CrossEntropyLoss,
}

impl Model {
    fn new(network: &Network, device: &Device) -> Self {
        device.seed(0);
        let pairs = network.widths.windows(2);
        Self {
            layers: pairs.map(|pair| LinearConfig::new(pair[0], pair[1]).init(device)).collect(),
            relu: Relu::new(),
            criterion: CrossEntropyLossConfig::new().init(device),
        }
    }

    fn loss(&self, Batch { mut x, y }: Batch) -> Tensor<1> {
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(if i == 0 { x } else { self.relu.forward(x) });
        }
        self.criterion.forward(x, y)
    }
}

fn adam() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

/// Ready batches that note when each pass over them starts.
#[derive(Clone)]
struct Ready {
    batches: Arc<Vec<Batch>>,
    starts: Arc<Mutex<Vec<Instant>>>,
}

impl Ready {
    fn new(batches: Vec<Batch>) -> Self {
        Self { batches: Arc::new(batches), starts: Arc::default() }
    }

    fn start(&self) -> Pass<'_> {
        self.starts.lock().expect("no panic").push(Instant::now());
        Pass { batches: &self.batches, next: 0 }
    }

    /// Microseconds a step from the second pass to the last one, which itself is not counted.
    fn us_per_step(&self, epochs: usize) -> f64 {
        let starts = self.starts.lock().expect("no panic");
        assert_eq!(starts.len(), epochs + 2, "passes");
        (starts[epochs + 1] - starts[1]).as_secs_f64() * 1e6 / (epochs * self.batches.len()) as f64
    }
}

struct Pass<'a> {
    batches: &'a [Batch],
    next: usize,
}

impl Iterator for Pass<'_> {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.get(self.next)?.clone();
        self.next += 1;
        Some(Ok(batch))
    }
}

impl DataLoaderIterator<Batch> for Pass<'_> {
    fn progress(&self) -> Progress {
        Progress::new(self.next, self.batches.len(), None)
    }
}

impl DataLoader<Batch> for Ready {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        Box::new(self.start())
    }

    fn num_items(&self) -> usize {
        self.batches.len()
    }

    /// The batches are on the device already.
    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(self.clone())
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(Self::new(self.batches[start..end].to_vec()))
    }
}

/// A loop written out.
fn explicit(mut model: Model, ready: &Ready, epochs: usize) {
    let mut optimizer = adam();
    for _ in 0..epochs {
        for batch in ready.start() {
            let loss = model.loss(batch.expect("a batch in memory"));
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(LEARNING_RATE, model, gradients);
        }
    }
}

/// What burn-train hands to metrics; none is registered.
struct Loss(Tensor<1>);

impl ItemLazy for Loss {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(Self(self.0.without_autodiff()))
    }
}

impl TrainStep for Model {
    type Input = Batch;
    type Output = Loss;

    fn step(&self, batch: Batch) -> TrainOutput<Loss> {
        let loss = self.loss(batch);
        TrainOutput::new(self, loss.backward(), Loss(loss))
    }
}

impl InferenceStep for Model {
    type Input = Batch;
    type Output = Loss;

    fn step(&self, batch: Batch) -> Loss {
        Loss(self.loss(batch))
    }
}

/// burn-train, with nothing to show and nothing written: no metrics, no checkpoints, no validation batches.
fn train(model: Model, ready: &Ready, epochs: usize) {
    let result = SupervisedTraining::new("", Arc::new(ready.clone()), Arc::new(Ready::new(Vec::new())))
        .num_epochs(epochs)
        .renderer(Box::new(Silent))
        .with_metric_logger(InMemoryMetricLogger::default())
        .with_application_logger(None)
        .launch(Learner::new(model, adam(), LEARNING_RATE));
    assert!(result.error.is_none() && result.interrupted.is_none(), "the training ends");
}

/// Renders nothing.
struct Silent;

impl MetricsRenderer for Silent {
    fn manual_close(&mut self) {}
    fn register_metric(&mut self, _: MetricDefinition) {}
}

impl MetricsRendererTraining for Silent {
    fn update_train(&mut self, _: MetricState) {}
    fn update_valid(&mut self, _: MetricState) {}
}

impl MetricsRendererEvaluation for Silent {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl TrainingProgressLogger for Silent {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, _: Option<&str>) {}
    fn update_epoch(&mut self, _: usize) {}
    fn start_split(&mut self, _: &str, _: usize) {}
    fn update_split(&mut self, _: usize) {}
    fn end_split(&mut self) {}
    fn end(&mut self) {}
    fn log_event_training(&mut self, _: String) {}
}

impl EvaluationProgressLogger for Silent {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, name, epochs, threads] = &arguments[..] else {
        eprintln!("usage: catena-peers-burn explicit|train NETWORK EPOCHS THREADS");
        std::process::exit(2);
    };
    assert_eq!(threads, "1", "burn is built without threads");
    let network = Network::named(name).expect("a network of linear layers");
    let epochs: usize = epochs.parse().expect("a number of epochs");
    let run = match mode.as_str() {
        "explicit" => explicit,
        "train" => train,
        other => panic!("{other} is neither explicit nor train"),
    };
    let device = Device::flex().autodiff();
    let ready = Ready::new(network.batches(&device));
    let model = Model::new(&network, &device);
    let parameters = model.num_params();
    run(model, &ready, 1 + epochs + 1);
    let us_per_step = ready.us_per_step(epochs);
    let told = serde_json::json!({
        "us_per_step": us_per_step,
        "parameters": parameters,
        "peak_mib": peak_mib(),
    });
    println!("{told}");
}
