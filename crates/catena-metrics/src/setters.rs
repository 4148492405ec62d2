//! Setters that several metrics have.

/// Setters of these settings, each with the field that it sets.
macro_rules! setters {
    ($($setting:ident($($field:ident).+))+) => { $(setters!(@$setting $($field).+);)+ };
    (@ignore_index $($field:ident).+) => {
        /// A target that counts for nothing (default none).
        #[must_use]
        pub fn ignore_index(mut self, label: i64) -> Self {
            self.$($field).+ = Some(label);
            self
        }
    };
    (@threshold $($field:ident).+) => {
        /// Above which probability binary and multilabel scores say yes (default 0.5).
        #[must_use]
        pub fn threshold(mut self, threshold: f64) -> Self {
            self.$($field).+ = threshold;
            self
        }
    };
    (@logits $($field:ident).+) => {
        /// Whether scores are logits (default: they are if any is outside [0, 1]).
        #[must_use]
        pub fn logits(mut self, logits: bool) -> Self {
            self.$($field).+ = Some(logits);
            self
        }
    };
    (@average $($field:ident).+) => {
        /// How scores of classes become one.
        #[must_use]
        pub fn average(mut self, average: $crate::average::Average) -> Self {
            self.$($field).+ = average;
            self
        }
    };
    (@padding $($field:ident).+) => {
        /// The id that fills rows up (default -100).
        #[must_use]
        pub fn ignore_index(mut self, id: i64) -> Self {
            self.$($field).+ = id;
            self
        }
    };
}

pub(crate) use setters;
