//! The few of TensorBoard's protocol buffers that are written; field numbers are those of `event.proto`, `summary.proto`,
//! `tensor.proto` and the plugins' own.
use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::Result;
use crate::histogram::Histogram;
use crate::image::Image;
use crate::payload::Params;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Event {
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub(super) what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

pub(super) const START: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
    #[prost(oneof = "Content", tags = "2, 4, 5, 8")]
    content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(ImageProto),
    #[prost(message, tag = "5")]
    Histogram(HistogramProto),
    #[prost(message, tag = "8")]
    Tensor(TensorProto),
}

#[derive(Clone, PartialEq, prost::Message)]
struct ImageProto {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes, tag = "4")]
    png: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HistogramProto {
    #[prost(double, tag = "1")]
    min: f64,
    #[prost(double, tag = "2")]
    max: f64,
    #[prost(double, tag = "3")]
    num: f64,
    #[prost(double, tag = "4")]
    sum: f64,
    #[prost(double, tag = "5")]
    sum_squares: f64,
    #[prost(double, repeated, tag = "6")]
    bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    bucket: Vec<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TensorProto {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
    #[prost(bytes, repeated, tag = "8")]
    strings: Vec<Vec<u8>>,
}

const STRING: i32 = 7;
const FLOAT: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct Shape {
    #[prost(message, repeated, tag = "2")]
    dims: Vec<Dim>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Dim {
    #[prost(int64, tag = "1")]
    size: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin: Option<Plugin>,
    #[prost(int32, tag = "4")]
    data_class: i32,
}

/// The data class of tensors that are shown as they are, such as texts.
const TENSOR: i32 = 2;

#[derive(Clone, PartialEq, prost::Message)]
struct Plugin {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes, tag = "2")]
    content: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HParams {
    #[prost(message, optional, tag = "3")]
    session_start: Option<SessionStart>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    hparams: BTreeMap<String, Param>,
    #[prost(double, tag = "5")]
    start_time: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Param {
    #[prost(oneof = "ParamKind", tags = "2, 3, 4")]
    kind: Option<ParamKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ParamKind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
}

impl Value {
    pub(super) fn scalar(tag: String, value: f32) -> Self {
        Self { tag, metadata: None, content: Some(Content::Scalar(value)) }
    }

    pub(super) fn histogram(tag: String, histogram: &Histogram) -> Self {
        let content = HistogramProto {
            min: histogram.min,
            max: histogram.max,
            num: histogram.count as f64,
            sum: histogram.sum,
            sum_squares: histogram.sum_of_squares,
            bucket_limit: histogram.ends().collect(),
            bucket: histogram.bins.iter().map(|&count| count as f64).collect(),
        };
        Self { tag, metadata: None, content: Some(Content::Histogram(content)) }
    }

    pub(super) fn image(tag: String, image: &Image) -> Result<Self> {
        let content = ImageProto {
            height: i32::try_from(image.height())?,
            width: i32::try_from(image.width())?,
            colorspace: i32::from(image.channels()),
            png: image.png()?,
        };
        Ok(Self { tag, metadata: None, content: Some(Content::Image(content)) })
    }

    pub(super) fn text(tag: String, text: &str) -> Self {
        let plugin = Plugin { name: "text".into(), content: Vec::new() };
        let shape = Some(Shape { dims: vec![Dim { size: 1 }] });
        let tensor = TensorProto { dtype: STRING, shape, strings: vec![text.as_bytes().to_vec()] };
        let metadata = Metadata { plugin: Some(plugin), data_class: TENSOR };
        Self { tag, metadata: Some(metadata), content: Some(Content::Tensor(tensor)) }
    }

    /// What the hparams plugin reads at a session's start.
    pub(super) fn params(params: &Params, start_time: f64) -> Self {
        let kind = |value: &Json| match value {
            Json::Bool(value) => ParamKind::Bool(*value),
            Json::String(text) => ParamKind::Text(text.clone()),
            Json::Number(number) => {
                number.as_f64().map_or_else(|| ParamKind::Text(number.to_string()), ParamKind::Number)
            }
            other => ParamKind::Text(other.to_string()),
        };
        let hparams =
            params.iter().map(|(name, value)| (name.to_owned(), Param { kind: Some(kind(value)) })).collect();
        let data = HParams { session_start: Some(SessionStart { hparams, start_time }) };
        let plugin = Plugin { name: "hparams".into(), content: prost::Message::encode_to_vec(&data) };
        let empty = TensorProto {
            dtype: FLOAT,
            shape: Some(Shape { dims: vec![Dim { size: 0 }] }),
            strings: Vec::new(),
        };
        Self {
            tag: "_hparams_/session_start_info".into(),
            metadata: Some(Metadata { plugin: Some(plugin), data_class: TENSOR }),
            content: Some(Content::Tensor(empty)),
        }
    }

    #[cfg(test)]
    pub(super) fn number(&self) -> Option<f32> {
        match self.content {
            Some(Content::Scalar(value)) => Some(value),
            _ => None,
        }
    }
}
