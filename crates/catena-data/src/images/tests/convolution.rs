//! A resized image has the same bytes with and without SIMD: what the processor's instructions give is held against the same sums in plain Rust.
use super::*;

/// The bits behind the point; and where the weights of each place begin, and these: as Pillow computes them.
fn weights(from: usize, to: usize) -> (u32, Vec<(usize, Vec<i32>)>) {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let all: Vec<(usize, Vec<f64>)> = (0..to)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            let first = (centre - support).floor().max(0.0) as usize;
            let end = ((centre + support).ceil() as usize).min(from);
            let raw: Vec<f64> = (first..end)
                .map(|place| (1.0 - ((place as f64 - (centre - 0.5)) / support).abs()).max(0.0))
                .collect();
            let sum: f64 = raw.iter().sum();
            (first, raw.iter().map(|weight| weight / sum).collect())
        })
        .collect();
    let greatest = all.iter().flat_map(|(_, weights)| weights).copied().fold(0.0, f64::max);
    let bits = precision(greatest);
    let fixed = all
        .into_iter()
        .map(|(first, weights)| {
            (first, weights.iter().map(|weight| (weight * f64::from(1 << bits)).round() as i32).collect())
        })
        .collect();
    (bits, fixed)
}

/// As many bits as keep a weight within 16.
fn precision(greatest: f64) -> u32 {
    let mut bits = 0;
    while bits < 21 && greatest * f64::from(1_u32 << (bits + 1)) + 0.5 < f64::from(1 << 15) {
        bits += 1;
    }
    bits
}

fn plain(row: &[u8], to: usize) -> Vec<u8> {
    let (bits, weights) = weights(row.len(), to);
    weights
        .iter()
        .map(|(first, weights)| {
            let sum: i32 =
                weights.iter().zip(&row[*first..]).map(|(weight, byte)| weight * i32::from(*byte)).sum();
            ((sum + (1 << (bits - 1))) >> bits).clamp(0, 255) as u8
        })
        .collect()
}

#[test]
fn rows_and_columns_have_the_bytes_of_plain_sums() {
    for (from, to) in [(500, 224), (375, 224), (37, 64), (224, 31), (16, 16), (1000, 7), (3, 2)] {
        let row = noise([1, from, 1], from as u32);
        let expected = plain(row.pixels(), to);
        let out = resized(&row, whole([1, from]), [1, to], Filter::Bilinear).unwrap();
        assert_eq!(out.pixels(), expected, "{from} to {to}, in a row");
        let column = Picture { height: from, width: 1, ..row.clone() };
        let out = resized(&column, whole([from, 1]), [to, 1], Filter::Bilinear).unwrap();
        assert_eq!(out.pixels(), expected, "{from} to {to}, in a column");
        // Many rows of three channels go through other instructions than one row of one.
        let colours: Vec<u8> = row.pixels().iter().flat_map(|byte| [*byte; 3]).collect();
        let picture = Picture::new(colours.repeat(9), [9, from, 3]).unwrap();
        let out = resized(&picture, whole([9, from]), [9, to], Filter::Bilinear).unwrap();
        let expected: Vec<u8> = expected.iter().flat_map(|byte| [*byte; 3]).collect();
        assert_eq!(out.pixels(), expected.repeat(9), "{from} to {to}, nine rows of colours");
    }
}
