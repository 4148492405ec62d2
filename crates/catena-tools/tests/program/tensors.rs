//! `ckpt diff`.
use serde_json::json;

use crate::place::{Place, model, save};

#[test]
fn equal_tensors_are_equal() {
    let place = Place::new();
    place.run("a");
    place.run("b");
    let output = place.catena("ckpt diff a/checkpoints/000000000010-e b/checkpoints/000000000010-e");
    assert_eq!((output.status, output.out.as_str()), (0, "All 3 tensors are equal.\n"));
    let (status, json) = place.json("ckpt diff a 20 000000000020-e");
    assert_eq!((status, &json["equal"], &json["tensors"]), (0, &json!(true), &json!(3)));
}

#[test]
fn the_first_tensor_that_differs_is_named_with_the_largest_difference() {
    let place = Place::new();
    let mut store = place.store("run");
    save(&mut store, "000000000001-b", &[], model([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    save(&mut store, "000000000002-b", &[], model([1.0, 2.5, 3.0, 4.0, 5.0, 8.0]));
    drop(store);
    let output = place.catena("ckpt diff run 1 2");
    assert_eq!((output.status, output.err.as_str()), (1, ""));
    insta::assert_snapshot!("diff", output.out);
    let (status, json) = place.json("ckpt diff run 1 2");
    assert_eq!(status, 1);
    let expected = json!([{
        "file": "model.safetensors", "tensor": "fc.weight", "kind": "values",
        "count": 2, "largest": 2.0, "a": 6.0, "b": 8.0, "at": [1, 2],
    }]);
    assert_eq!(json["differences"], expected);
}

#[test]
fn what_is_missing_or_of_another_shape_or_dtype_is_said() {
    let place = Place::new();
    let mut store = place.store("run");
    let file = "model.safetensors";
    let a = vec![
        (file, "step", "I64", vec![], 7i64.to_le_bytes().to_vec()),
        (file, "shape", "F32", vec![2, 1], vec![0; 8]),
        (file, "gone", "F32", vec![1], vec![0; 4]),
        (file, "nan", "F32", vec![1], f32::NAN.to_le_bytes().to_vec()),
        (file, "dtype", "F16", vec![1], vec![0; 2]),
        (file, "mask", "BOOL", vec![3], vec![0, 1, 1]),
        ("gradients.safetensors", "fc", "U8", vec![1], vec![0]),
    ];
    let b = vec![
        (file, "step", "I64", vec![], 9i64.to_le_bytes().to_vec()),
        (file, "shape", "F32", vec![1, 2], vec![0; 8]),
        (file, "nan", "F32", vec![1], vec![0; 4]),
        (file, "new", "F32", vec![1], vec![0; 4]),
        (file, "dtype", "BF16", vec![1], vec![0; 2]),
        (file, "mask", "BOOL", vec![3], vec![0, 0, 1]),
    ];
    save(&mut store, "000000000001-b", &[], a);
    save(&mut store, "000000000002-b", &[], b);
    drop(store);
    let output = place.catena("ckpt diff run 1 2");
    assert_eq!(output.status, 1);
    insta::assert_snapshot!("diff_kinds", output.out);
    let (_, json) = place.json("ckpt diff run 1 2");
    let kinds: Vec<_> = json["differences"].as_array().unwrap().iter().map(|d| d["kind"].clone()).collect();
    let expected = ["values", "shape", "only_in_a", "values", "dtype", "values", "only_in_b", "only_in_a"];
    assert_eq!(kinds, expected);
    assert_eq!(json["differences"][3]["largest"], "nan");
}

#[test]
fn a_damaged_checkpoint_is_not_compared() {
    let place = Place::new();
    place.run("run");
    place.flip("run/checkpoints/000000000020-e/model.safetensors");
    let output = place.catena("ckpt diff run 10 20");
    assert_eq!((output.status, output.out.as_str()), (1, ""));
    insta::assert_snapshot!("diff_damaged", output.err);
}
