//! The page as a whole: one file that needs nothing else.
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts::{self, Charts};
use super::html::written;
use super::run_data::RunData;
use super::sections::{self, Section};
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

const NOTICE: &str = "<!-- plotly.js, Copyright Plotly, Inc., MIT license: its text begins with the notice. Compressed with gzip. -->";

/// The page of these runs.
pub(crate) fn of(runs: &[RunData]) -> Result<Document> {
    let mut charts = Charts::new(runs);
    let body = body(runs, &mut charts);
    let labels: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
    let library = packed(&charts::library())?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                (PreEscaped(MARK))
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (labels.join(", ")) " · training report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                (PreEscaped(NOTICE))
                script type="application/gzip" id="library" { (PreEscaped(library)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
        "\n"
    };
    Ok(Document { html: written(page), charts: charts.count })
}

/// What is seen of the page.
pub(crate) fn body(runs: &[RunData], charts: &mut Charts) -> Markup {
    let sections = sections::all(runs, charts);
    html! {
        header {
            p.kind { "Training report" }
            h1 {
                @for (i, run) in runs.iter().enumerate() {
                    @if i > 0 { span.and { ", " } }
                    (run.label)
                }
            }
        }
        nav aria-label="Sections" {
            div.links {
                @for Section { id, title, .. } in &sections { a href={ "#" (id) } { (title) } }
            }
            (controls(runs, charts))
        }
        main {
            @for Section { id, title, content } in &sections {
                section id=(id) aria-labelledby={ (id) "-title" } {
                    h2 id={ (id) "-title" } { (title) }
                    (content)
                }
            }
        }
        footer {
            p {
                "Curves show the lowest and the highest of neighbouring points where there are too many. Drag in a chart to \
                 zoom, double-click to go back, click in a legend to hide a curve."
            }
        }
    }
}

/// The switches of all charts.
fn controls(runs: &[RunData], charts: &Charts) -> Markup {
    let mut axes = vec![("step", "Step", "step".to_owned())];
    if runs.iter().any(|run| run.epochs.is_known()) {
        axes.push(("epoch", "Epoch", "epoch".into()));
    }
    if let Some(unit) = charts.unit {
        axes.push(("time", "Time", format!("{} since the start", unit.name)));
    }
    html! {
        @if runs.iter().any(|run| !run.curves.is_empty()) {
            div.controls {
                fieldset {
                    legend { "Across" }
                    @for (i, (value, name, title)) in axes.iter().enumerate() {
                        label {
                            input type="radio" name="axis" value=(value) data-title=(title) checked[i == 0];
                            (name)
                        }
                    }
                }
                label.switch { input type="checkbox" id="log"; "Log scale" }
            }
        }
    }
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
