//! The page as a whole: one file that needs nothing else.
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::charts::{self, Charts};
use super::html::escape;
use super::run_data::RunData;
use super::sections;
use crate::failure::{Failure, Result};

/// The page, and how many charts are on it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) html: String,
    pub(crate) charts: usize,
}

/// By what a page of ours is known again.
pub(crate) const MARK: &str = "<meta name=\"generator\" content=\"catena report\">";

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// No address may be asked for anything.
const POLICY: &str =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

/// The page of these runs.
pub(crate) fn of(runs: &[RunData]) -> Result<Document> {
    let mut charts = Charts::new(runs);
    let body = sections::all(runs, &mut charts);
    let title: Vec<String> = runs.iter().map(|run| escape(&run.label)).collect();
    let title = title.join(", ");
    let library = packed(&charts::library())?;
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{MARK}
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title} · training report</title>
<style>
{STYLE}</style>
</head>
<body>
{body}
<!-- plotly.js, Copyright Plotly, Inc., MIT license: its text begins with the notice. Compressed with gzip. -->
<script type="application/gzip" id="library">{library}</script>
<script>
{SCRIPT}</script>
</body>
</html>
"#
    );
    Ok(Document { html, charts: charts.count })
}

/// A text in a third of the space, in letters that a page may hold.
fn packed(text: &str) -> Result<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let bytes = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    let bytes = bytes.map_err(Failure::io("can't compress for", std::path::Path::new("the page")))?;
    Ok(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_plotly_alone_and_whole() {
        let library = charts::library();
        assert!(library.contains("plotly.js v3") && library.contains("Licensed under the MIT license"));
        assert!(library.len() > 4_000_000 && !library.contains("</script"), "{}", library.len());
        let packed = packed(&library).unwrap();
        assert!(packed.len() < 2_500_000, "{}", packed.len());
    }
}
