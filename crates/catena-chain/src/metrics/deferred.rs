//! Values that wait to be read from the device, many at once.
use super::value::{Value, read_values};
use crate::error::Result;

/// Rows of values that wait for the device: reading many of them at once costs what reading one costs. Each row is something of yours, such as where its
/// values were logged, with as many values as it has.
///
/// ```
/// use catena_chain::{Deferred, Value};
/// use catena_chain::tensor::tch::Tensor;
///
/// let mut losses = Deferred::default();
/// losses.push("batch 1", [Value::from(&Tensor::from(0.5f32))]);
/// losses.push("batch 2", [Value::from(&Tensor::from(0.25f32)), Value::from(2.0)]);
/// assert_eq!((losses.rows(), losses.values()), (2, 3));
/// let mut read = Vec::new();
/// losses.read(|row, values| read.push((row, values.to_vec())))?;
/// assert_eq!(read, [("batch 1", vec![0.5]), ("batch 2", vec![0.25, 2.0])]);
/// assert_eq!(losses.rows(), 0);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Deferred<R> {
    /// Each with how many values it has.
    rows: Vec<(R, usize)>,
    values: Vec<Value>,
    numbers: Vec<f64>,
}

impl<R> Default for Deferred<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), values: Vec::new(), numbers: Vec::new() }
    }
}

impl<R> Deferred<R> {
    /// A row of these values waits.
    pub fn push(&mut self, row: R, values: impl IntoIterator<Item = Value>) {
        let before = self.values.len();
        self.values.extend(values);
        self.rows.push((row, self.values.len() - before));
    }

    /// How many rows wait.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many values wait.
    pub fn values(&self) -> usize {
        self.values.len()
    }

    /// A value that waits, by its place among them.
    pub(crate) fn value(&self, at: usize) -> Option<&Value> {
        self.values.get(at)
    }

    /// Makes room for so many rows and values.
    pub(crate) fn reserve_exact(&mut self, rows: usize, values: usize) {
        if self.rows.capacity() == 0 {
            self.rows.reserve_exact(rows);
            self.values.reserve_exact(values);
            self.numbers.reserve_exact(values);
        }
    }

    /// Reads all values at once, and hands over each row with its own, in the order in which they came.
    ///
    /// # Errors
    ///
    /// If they can't be read; then they still wait.
    pub fn read(&mut self, mut take: impl FnMut(R, &[f64])) -> Result<()> {
        read_values(&self.values, &mut self.numbers)?;
        self.values.clear();
        let mut rest = self.numbers.as_slice();
        for (row, n) in self.rows.drain(..) {
            let (own, others) = rest.split_at(n.min(rest.len()));
            take(row, own);
            rest = others;
        }
        Ok(())
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.values.clear();
    }
}
