//! What can go wrong with tensors, in sentences.
use tch::TchError;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error: what models, losses and loaders return, so that each error of yours goes by `?`. Who calls them adds the place, and keeps yours as the source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with tensors, models, data and optimizers. The texts say what was wrong and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch threw; the text ends before its stack frames.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The shim over libtorch returned an error.
    #[error("libtorch: {0}")]
    Native(#[from] catena_native::Error),
    /// A parameter or buffer, or a choice of them, that can't be used so.
    #[error("{0}")]
    Variables(String),
    /// A loader does not keep what it promises.
    #[error("the loader breaks a promise: {0}")]
    Loader(String),
    /// A batch or a model's outputs lack a tensor.
    #[error("no tensor is named `{name}`; there are: {}", list(known))]
    MissingTensor {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A label outside the classes that the model's output has.
    #[error("label {label} is out of range: the output has {classes} classes, so labels go from 0 to {}{}", classes - 1, hint(*label))]
    Label {
        /// The label found.
        label: i64,
        /// How many classes the output has.
        classes: i64,
    },
    /// A number of a batch (a label, a query's id, a gain) that can't be taken for what it stands for.
    #[error("{what} {value} in row {row} {why} (rows count from 0, in the order in which they came)")]
    InRow {
        /// What the number stands for: `label`, `query id`, ….
        what: String,
        /// The number found.
        value: f64,
        /// The first row that has such a number.
        row: u64,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Shapes that don't fit together.
    #[error("{what} of shape {got:?} doesn't fit: {expected}")]
    Shape {
        /// Which tensor.
        what: String,
        /// Its shape.
        got: Vec<i64>,
        /// What was expected.
        expected: String,
    },
    /// A dtype that can't be computed with.
    #[error("{what} of dtype {got:?} doesn't fit: {expected}")]
    Kind {
        /// Which tensor.
        what: String,
        /// Its dtype.
        got: tch::Kind,
        /// What was expected.
        expected: String,
    },
    /// A layer that can't be made, or an input that it can't take.
    #[error("layer `{layer}`{}: {why}", kind_in_brackets(kind))]
    Layer {
        /// The layer's name: its path in the `VarStore`.
        layer: String,
        /// What it is, such as `Conv2d`; empty for a closure.
        kind: String,
        /// What is wrong, what was expected, and what to do.
        why: String,
    },
    /// A setting outside its range.
    #[error("{of}: `{name}` is {got}, but must be {allowed}")]
    Setting {
        /// Whose setting.
        of: String,
        /// The setting's name.
        name: String,
        /// The value given.
        got: String,
        /// The values allowed.
        allowed: String,
    },
    /// Settings that can't be read.
    #[error("{of}: {why}")]
    Settings {
        /// Whose settings.
        of: String,
        /// What is wrong.
        why: String,
    },
    /// A setting that doesn't exist.
    #[error("{of} has no setting `{name}`; it has: {}", list(known))]
    UnknownSetting {
        /// Whose setting.
        of: String,
        /// The name given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A name pattern that matches no parameter.
    #[error("the pattern `{pattern}` matches no parameter; the parameters are: {}", list(known))]
    NoParameter {
        /// The pattern.
        pattern: String,
        /// The parameters' names.
        known: Vec<String>,
    },
    /// A group of parameters that earlier groups have taken.
    #[error(
        "the group {group} sets nothing: each of its parameters belongs to a group that stands before it, such as {before}; put the narrower \
         pattern first"
    )]
    ShadowedGroup {
        /// The group that gets none.
        group: String,
        /// One that has taken its parameters.
        before: String,
    },
    /// A name pattern that can't be read.
    #[error("`{pattern}` is not a name pattern: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two names of one tensor that don't fit together.
    #[error("`{}` and `{}` are names of one tensor, but {why}", names[0], names[1])]
    SharedNames {
        /// The names.
        names: [String; 2],
        /// What doesn't fit, and what to do.
        why: String,
    },
    /// Two tensors whose memory is the same, in whole or in part.
    #[error(
        "`{}` and `{}` are two tensors over the same memory (a view, or a transposed one): each would be stepped and averaged for \
         itself. Register one tensor under both names and make the view in the forward pass, or make a copy",
        names[0],
        names[1]
    )]
    SharedMemory {
        /// Their names.
        names: [String; 2],
    },
    /// A parameter that can't be trained, because it is computed from others.
    #[error(
        "`{0}` is computed from other tensors (it is no leaf of the graph), so it gets no gradient to step along; register it made \
         without gradients, or compute it in the forward pass"
    )]
    NoLeaf(String),
    /// Stored state that doesn't belong to this optimizer.
    #[error("optimizer state: {0}")]
    State(String),
    /// Weights to start from that do not fit.
    #[error("{0}")]
    Init(String),
    /// A dtype that no file has.
    #[error("tensors of dtype {0} can't be saved")]
    Dtype(String),
    /// A file that can't be read.
    #[error("{path} can't be read: {why}")]
    Read {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another run in this process holds torch's generators and thread count.
    #[error(
        "another run is going on in this process; torch's random generators and thread count are one a process, so runs \
         take turns: wait for it to end, or start this one in a process of its own"
    )]
    Busy,
    /// A device that can't be used here.
    #[error("device `{device}`: {why}")]
    Device {
        /// The device asked for.
        device: String,
        /// Why it can't be used.
        why: String,
    },
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(match &error {
            TchError::Torch(text) => without_frames(text).to_owned(),
            other => without_frames(&other.to_string()).to_owned(),
        })
    }
}

/// The part of libtorch's message before its C++ stack frames.
///
/// ```
/// let text = "size mismatch\nException raised from check at a.cpp:1\nframe #0: …";
/// assert_eq!(catena_tensor::without_frames(text), "size mismatch");
/// ```
pub fn without_frames(text: &str) -> &str {
    let end = ["\nException raised from", "\nframe #"].iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim_end()
}

/// A panic's message in one line: tch's `unwrap` of a libtorch error is shown as the error.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "a panic without a message",
    };
    // the Debug form of TchError::Torch, whose line breaks are escaped
    match text.split_once("value: Torch(\"") {
        Some((_, inner)) => {
            let end = inner.find("\\nException raised from").unwrap_or(inner.trim_end_matches("\")").len());
            format!("libtorch: {}", inner[..end].replace("\\n", " "))
        }
        None => without_frames(text).to_owned(),
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names if names.len() > 12 => format!("{}, … ({} in all)", names[..12].join(", "), names.len()),
        names => names.join(", "),
    }
}

fn kind_in_brackets(kind: &str) -> String {
    if kind.is_empty() { String::new() } else { format!(" ({kind})") }
}

/// torch's default leaves the label -100 out.
fn hint(label: i64) -> &'static str {
    if label < 0 { "; to leave a label out, name it with `ignore_index`" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_libtorch_error_ends_before_its_stack_frames() {
        let a = tch::Tensor::zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu));
        let text = Error::from(a.f_matmul(&a).unwrap_err()).to_string();
        assert_eq!(text, "libtorch: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
    }

    #[test]
    fn a_panic_of_tch_reads_as_the_error_it_is() {
        let a = tch::Tensor::zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| a.matmul(&a))).unwrap_err();
        let text = panic_message(panic.as_ref());
        assert_eq!(text, "libtorch: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
        let panic = std::panic::catch_unwind(|| panic!("plain {}", 1)).unwrap_err();
        assert_eq!(panic_message(panic.as_ref()), "plain 1");
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        assert_eq!(list(&names), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … (20 in all)");
    }
}
