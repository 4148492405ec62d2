//! The numbers of one array while a table is read.
use std::collections::{BTreeMap, HashMap};

use crate::Result;
use crate::array::Array;

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Floats,
    Float,
    Integer,
    Class(Option<Vec<String>>),
}

impl Kind {
    pub(super) fn may_miss(&self) -> bool {
        !matches!(self, Self::Class(_))
    }
}

pub(super) struct Column {
    pub(super) array: String,
    /// The table's columns, by name and place.
    pub(super) places: Vec<(String, usize)>,
    kind: Kind,
    floats: Vec<f32>,
    integers: Vec<i64>,
    /// The classes so far, by number in the order of appearance; those that were given have theirs.
    numbers: HashMap<String, i64>,
}

impl Column {
    pub(super) fn new(array: String, kind: Kind, places: Vec<(String, usize)>) -> Result<Self> {
        if places.is_empty() {
            return Err(format!(": the array `{array}` has no column").into());
        }
        let mut numbers = HashMap::new();
        if let Kind::Class(Some(classes)) = &kind {
            for (number, class) in classes.iter().enumerate() {
                if numbers.insert(class.clone(), number as i64).is_some() {
                    return Err(format!(": the class `{class}` of `{array}` is given twice").into());
                }
            }
        }
        Ok(Self { array, places, kind, floats: Vec::new(), integers: Vec::new(), numbers })
    }

    pub(super) fn push(&mut self, text: &str) -> Result<()> {
        match &self.kind {
            Kind::Floats | Kind::Float => {
                let number: f32 = text.trim().parse().map_err(|_| format!("`{text}` is no number"))?;
                if !number.is_finite() {
                    return Err(format!("`{text}` is no finite number of 32 bits").into());
                }
                self.floats.push(number);
            }
            Kind::Integer => {
                let number =
                    text.trim().parse().map_err(|_| format!("`{text}` is no whole number of 64 bits"))?;
                self.integers.push(number);
            }
            Kind::Class(given) => {
                let number = match (self.numbers.get(text), given) {
                    (Some(number), _) => *number,
                    (None, None) => {
                        let number = self.numbers.len() as i64;
                        self.numbers.insert(text.to_owned(), number);
                        number
                    }
                    (None, Some(given)) => {
                        let known = given.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
                        let more = if given.len() > 20 { ", …" } else { "" };
                        return Err(format!("the class `{text}` is unknown; there are: {known}{more}").into());
                    }
                };
                self.integers.push(number);
            }
        }
        Ok(())
    }

    pub(super) fn push_missing(&mut self, number: f64) -> Result<()> {
        match self.kind {
            Kind::Floats | Kind::Float => self.floats.push(number as f32),
            Kind::Integer => self.integers.push(number as i64),
            Kind::Class(_) => return Err("the class is missing".into()),
        }
        Ok(())
    }

    /// The array of all rows, and its classes.
    pub(super) fn finish(self, rows: usize) -> Result<(Array, Option<Vec<String>>)> {
        Ok(match self.kind {
            Kind::Floats => (Array::from(self.floats).reshape([rows, self.places.len()])?, None),
            Kind::Float => (self.floats.into(), None),
            Kind::Integer => (self.integers.into(), None),
            Kind::Class(Some(classes)) => (self.integers.into(), Some(classes)),
            Kind::Class(None) => {
                let sorted: BTreeMap<String, i64> = self.numbers.into_iter().collect();
                let mut places = vec![0; sorted.len()];
                for (place, number) in sorted.values().enumerate() {
                    places[*number as usize] = place as i64;
                }
                let numbers: Array = self.integers.iter().map(|number| places[*number as usize]).collect();
                (numbers, Some(sorted.into_keys().collect()))
            }
        })
    }
}
