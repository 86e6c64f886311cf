//! Safetensors files with text metadata: what checkpoints and exported policies are written in.
//!
//! Written here rather than by the `safetensors` crate because the same content must give the same bytes
//! (its metadata is a hash map, written in random order); read by that crate, which validates the header.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use compute::HostTensor;

/// Arrays by name and metadata strings by name.
pub type Content = (BTreeMap<String, HostTensor>, BTreeMap<String, String>);

/// Bytes of a safetensors file holding `tensors` (float32) and the `metadata` strings.
pub fn to_bytes(tensors: &BTreeMap<String, HostTensor>, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut header = Map::new();
    let strings = metadata.iter().map(|(key, text)| (key.clone(), json!(text)));
    header.insert("__metadata__".into(), Value::Object(strings.collect()));
    let mut offset = 0;
    for (name, tensor) in tensors {
        let end = offset + tensor.values.len() * size_of::<f32>();
        let entry = json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]});
        header.insert(name.clone(), entry);
        offset = end;
    }
    let mut header = Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' '); // the format aligns the data to eight bytes
    }
    let mut bytes = Vec::with_capacity(8 + header.len() + offset);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    for tensor in tensors.values() {
        tensor.append_le_bytes(&mut bytes);
    }
    bytes
}

/// Reads what [`to_bytes`] wrote, or any safetensors file of float32 arrays.
///
/// # Errors
///
/// When the bytes are no such file or an array is not float32.
pub fn from_bytes(bytes: &[u8]) -> Result<Content> {
    let (_, header) = SafeTensors::read_metadata(bytes).context("not a complete safetensors file")?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let file = SafeTensors::deserialize(bytes).context("not a complete safetensors file")?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        ensure!(view.dtype() == Dtype::F32, "array `{name}` is {:?}, not float32", view.dtype());
        tensors.insert(name, HostTensor::from_le_bytes(view.shape(), view.data())?);
    }
    Ok((tensors, metadata.into_iter().collect()))
}

/// The header's text: everything between the length and the data.
///
/// # Errors
///
/// When the bytes are too short for the length they state.
pub fn header_of(bytes: &[u8]) -> Result<&[u8]> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        bail!("too short for a safetensors file");
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    rest.get(..length).context("not a complete safetensors file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_back_bit_for_bit() {
        let odd = f32::from_bits(0x7fc0_1234); // a NaN with a payload
        let tensors = BTreeMap::from([
            ("a".to_owned(), HostTensor::new([2, 1], vec![odd, -0.0]).unwrap()),
            ("empty".to_owned(), HostTensor::new([0], vec![]).unwrap()),
            ("z".to_owned(), HostTensor::new([1], vec![0.1]).unwrap()),
        ]);
        let metadata = BTreeMap::from([("k".to_owned(), "line\n\"quoted\" \u{e9}".to_owned())]);
        let bytes = to_bytes(&tensors, &metadata);
        assert_eq!(bytes, to_bytes(&tensors, &metadata));
        let (back, back_metadata) = from_bytes(&bytes).unwrap();
        assert_eq!(back_metadata, metadata);
        assert_eq!(back.len(), 3);
        let bits = |t: &HostTensor| t.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back["a"]), bits(&tensors["a"]));
        assert_eq!(back["a"].shape, [2, 1]);
        assert_eq!(back["z"], tensors["z"]);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert!(from_bytes(b"").is_err());
        assert!(from_bytes(&[0xff; 64]).is_err());
        assert!(header_of(&[9, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }
}
