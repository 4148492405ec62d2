//! What all losses of an output and a target write alike, once.

/// The setters `output` and `target`, each with what it holds.
macro_rules! output_and_target {
    ($output:literal, $target:literal) => {
        #[doc = concat!("Takes ", $output, " from another output (default `output`).")]
        #[must_use]
        pub fn output(mut self, name: impl Into<String>) -> Self {
            self.output = name.into();
            self
        }

        #[doc = concat!("Takes ", $target, " from another tensor of the batch (default `target`).")]
        #[must_use]
        pub fn target(mut self, name: impl Into<String>) -> Self {
            self.target = name.into();
            self
        }
    };
}

/// The methods of [`LossFn`](super::LossFn) that follow from the table of settings ([`Configured`](crate::settings::Configured)).
macro_rules! as_data {
    () => {
        fn name(&self) -> &str {
            Self::NAME
        }

        fn settings(&self) -> serde_json::Value {
            self.written()
        }

        fn check(&self) -> crate::error::Result<()> {
            self.check_settings()
        }
    };
}
