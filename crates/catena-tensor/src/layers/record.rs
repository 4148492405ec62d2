//! Layers tell whoever asks what they gave.
use std::cell::RefCell;

use tch::{Kind, Tensor};

/// What a layer gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerOutput {
    /// The layer's name.
    pub layer: String,
    /// torch's class of a typed layer, the type of a tch module, such as `Linear`; empty for a closure.
    pub kind: String,
    /// The output's shape, the batch's size included.
    pub shape: Vec<i64>,
    /// The output's dtype.
    pub dtype: Kind,
}

thread_local! {
    /// What this thread's layers gave since somebody asked.
    static RECORDED: RefCell<Option<Vec<LayerOutput>>> = const { RefCell::new(None) };
}

/// Tells a layer's output; it costs a look where nobody asks.
pub(super) fn tell(layer: &str, kind: &str, output: &Tensor) {
    RECORDED.with_borrow_mut(|recorded| {
        if let Some(recorded) = recorded {
            recorded.push(LayerOutput {
                layer: layer.to_owned(),
                kind: kind.to_owned(),
                shape: output.size(),
                dtype: output.kind(),
            });
        }
    });
}

/// While it lives, the layers of this thread tell what they give. One within another has its layers to itself.
#[derive(Debug)]
#[must_use = "it ends when dropped"]
pub struct Recording {
    before: Option<Vec<LayerOutput>>,
    // it is of the thread that began it
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Recording {
    /// From here on.
    pub fn start() -> Self {
        Self { before: RECORDED.replace(Some(Vec::new())), _not_send: std::marker::PhantomData }
    }

    /// What the layers gave, in the order in which they ended.
    pub fn outputs(self) -> Vec<LayerOutput> {
        RECORDED.replace(None).unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDED.set(self.before.take());
    }
}

/// Whether there is a [`Recording`] on this thread.
pub fn is_recording() -> bool {
    RECORDED.with_borrow(Option::is_some)
}

/// What the named layers gave while `forward` ran, in the order in which they ended.
pub fn record<T>(forward: impl FnOnce() -> T) -> (T, Vec<LayerOutput>) {
    let recording = Recording::start();
    let result = forward();
    (result, recording.outputs())
}
