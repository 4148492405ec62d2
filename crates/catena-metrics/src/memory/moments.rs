//! The moments of pairs: their weight, means, and sums of products.

/// The moments of pairs, by output: how many items count, their weight, means, and mean-free sums of products.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "said above")]
pub struct Moments {
    pub items: Vec<f64>,
    pub weight: Vec<f64>,
    pub mean_x: Vec<f64>,
    pub mean_y: Vec<f64>,
    pub xx: Vec<f64>,
    pub yy: Vec<f64>,
    pub xy: Vec<f64>,
}

impl Moments {
    /// From sums around a point `shift` (x of each output, then y): weight, x, y, xx, yy, xy and the number of items, each of every output.
    pub(crate) fn around(shift: &[f64], sums: &[f64]) -> Self {
        let outputs = sums.len() / 7;
        let row = |i: usize| &sums[i * outputs..(i + 1) * outputs];
        let at = |f: &dyn Fn(usize) -> f64| (0..outputs).map(f).collect::<Vec<f64>>();
        let (w, sx, sy) = (row(0), row(1), row(2));
        // rounding must not make a square negative, and `max` would make a 0 of a NaN
        let square = |of: &[f64], s: &[f64], i: usize| match of[i] - s[i] * s[i] / w[i] {
            negative if negative < 0.0 => 0.0,
            square => square,
        };
        Self {
            items: row(6).to_vec(),
            weight: w.to_vec(),
            mean_x: at(&|i| shift[i] + sx[i] / w[i]),
            mean_y: at(&|i| shift[outputs + i] + sy[i] / w[i]),
            xx: at(&|i| square(row(3), sx, i)),
            yy: at(&|i| square(row(4), sy, i)),
            xy: at(&|i| row(5)[i] - sx[i] * sy[i] / w[i]),
        }
    }
}
