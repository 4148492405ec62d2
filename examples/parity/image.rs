//! The part of `parity` that is about images.
use catena::data::images::{CenterCrop, Filter, ImageTransforms, Picture, Resize};
use catena::data::{Draws, Result};
use serde_json::{Value, json};

/// The image as rows of pixels, which are lists of numbers.
pub(crate) fn transformed(spec: &Value) -> Result<Value> {
    let transform = &spec["transform"];
    let size: [usize; 2] = serde_json::from_value(transform["size"].clone())
        .map_err(|error| format!("`size` must be [height, width]: {error}"))?;
    let chain = ImageTransforms::builder();
    let chain = match transform["name"].as_str() {
        Some("resize") => {
            let filter: Filter = transform["filter"].as_str().unwrap_or("bilinear").parse()?;
            chain.with(Resize::new(size[0], size[1]).filter(filter))
        }
        Some("center_crop") => chain.with(CenterCrop::new(size[0], size[1])),
        _ => {
            return Err(format!(
                "no transform is named {}; there are: resize, center_crop",
                transform["name"]
            )
            .into());
        }
    };
    let rows: Vec<Vec<Vec<u8>>> = serde_json::from_value(spec["pixels"].clone())
        .map_err(|error| format!("`pixels` must be rows of [r, g, b]: {error}"))?;
    let width = rows.first().map_or(0, Vec::len);
    let channels = rows.first().and_then(|row| row.first()).map_or(0, Vec::len);
    if rows.iter().any(|row| row.len() != width || row.iter().any(|pixel| pixel.len() != channels)) {
        return Err("`pixels` must be rows of equal length".into());
    }
    let shape = [rows.len(), width, channels];
    let picture = Picture::new(rows.into_iter().flatten().flatten().collect(), shape)?;
    let array = chain.bytes().build()?.apply(picture, &mut Draws::new(Default::default(), 0, 0))?;
    let (planes, [height, width]) = (array.as_slice::<u8>()?, size);
    let pixel = |at: usize| -> Value { planes.iter().skip(at).step_by(height * width).copied().collect() };
    let row = |row: usize| -> Value { (0..width).map(|column| pixel(row * width + column)).collect() };
    Ok(json!((0..height).map(row).collect::<Vec<_>>()))
}
