//! Reading safetensors files, with sentences for those that can't be read.
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use catena_record::tensors::{Entry, parse};
use serde::Deserialize;
use tch::Tensor;

use crate::bytes::Bytes;
use crate::error::{Error, Result};

/// What is in a safetensors file.
#[derive(Debug)]
pub(crate) struct TensorFile {
    /// The tensors, in the order of their names. They share the file's memory: they are to copy from.
    pub(crate) tensors: Vec<(String, Tensor)>,
    /// The texts beside them.
    pub(crate) metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::Read { path: path.display().to_string(), why };
        let file = std::fs::read(path).map_err(|error| {
            wrong(match error.kind() {
                ErrorKind::NotFound => "there is no such file".into(),
                ErrorKind::IsADirectory => "it is a folder, where a safetensors file is needed".into(),
                _ => error.to_string(),
            })
        })?;
        let entries = parse(&file).map_err(|why| wrong(in_words(&file, &why)))?;
        let metadata = metadata(&file).map_err(|why| wrong(in_words(&file, &why)))?;
        let bytes = Bytes::new(file)?;
        let tensor = |Entry { name, dtype, shape, bytes: range }: Entry| {
            let shape: Vec<i64> = shape.iter().map(|n| n.cast_signed()).collect();
            match bytes.tensor(&dtype, &shape, range) {
                Err(Error::Dtype(dtype)) => Err(wrong(format!(
                    "tensor `{name}` is of dtype {dtype}, which is not known here; write the file anew with another one"
                ))),
                tensor => Ok((name, tensor?)),
            }
        };
        let mut tensors = entries.into_iter().map(tensor).collect::<Result<Vec<_>>>()?;
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { tensors, metadata })
    }
}

/// The head has been parsed before.
fn metadata(file: &[u8]) -> std::result::Result<BTreeMap<String, String>, String> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default, rename = "__metadata__")]
        metadata: BTreeMap<String, String>,
    }
    let (length, rest) = file.split_first_chunk::<8>().ok_or("it has no header")?;
    let head = rest.get(..u64::from_le_bytes(*length) as usize).unwrap_or_default();
    let head: Head =
        serde_json::from_slice(head).map_err(|error| format!("its header can't be read: {error}"))?;
    Ok(head.metadata)
}

/// What is wrong with a file, and what to do about it.
fn in_words(file: &[u8], why: &str) -> String {
    // what `torch.save` writes: a zip archive, and before version 1.6 a pickle
    if file.starts_with(b"PK\x03\x04") || file.starts_with(&[0x80, 0x02]) {
        return "it is what `torch.save` writes, and no safetensors file; write it anew in Python with \
                `safetensors.torch.save_file(state_dict, path)`"
            .into();
    }
    format!(
        "it is no whole safetensors file: {why}; perhaps it was not copied to its end, or is of another format"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        let path = std::env::temp_dir().join(format!("catena-{}-{}", std::process::id(), bytes.len()));
        std::fs::write(&path, bytes).unwrap();
        let error = TensorFile::read(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        error.strip_prefix(&format!("{} can't be read: ", path.display())).unwrap().to_owned()
    }

    fn file(head: &str, data: &[u8]) -> Vec<u8> {
        [&(head.len() as u64).to_le_bytes(), head.as_bytes(), data].concat()
    }

    #[test]
    fn a_file_that_can_not_be_read_is_told_in_a_sentence() {
        let no_such = TensorFile::read(Path::new("/nowhere/model.safetensors")).unwrap_err().to_string();
        assert_eq!(no_such, "/nowhere/model.safetensors can't be read: there is no such file");
        let folder = std::env::temp_dir();
        let folder = TensorFile::read(&folder).unwrap_err().to_string();
        assert!(folder.ends_with("it is a folder, where a safetensors file is needed"), "{folder}");
        let ends = "; perhaps it was not copied to its end, or is of another format";
        let head = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        for (bytes, why) in [
            (b"".to_vec(), "it has no header".to_owned()),
            (b"not a file of tensors".to_vec(), "its header claims 7594793423135338350 bytes".into()),
            (
                file("{", &[]),
                "its header can't be read: EOF while parsing an object at line 1 column 1".into(),
            ),
            (file(head, &[0; 5]), "tensor `x` of F32 and shape [2] can't have the bytes from 0 to 8".into()),
            (file(head, &[0; 9]), "bytes at its end belong to no tensor".into()),
        ] {
            assert_eq!(error(&bytes), format!("it is no whole safetensors file: {why}{ends}"));
        }
        let float8 = file(r#"{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#, &[0]);
        assert!(error(&float8).starts_with("tensor `x` is of dtype F8_E4M3, which is not known here"));
        for archive in [&b"PK\x03\x04and more"[..], b"\x80\x02\x8a\x0a"] {
            assert!(error(archive).starts_with("it is what `torch.save` writes, and no safetensors file"));
        }
    }
}
