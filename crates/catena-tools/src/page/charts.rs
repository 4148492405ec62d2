//! Charts: what plotly is to draw, as JSON in the page.
use std::collections::BTreeSet;

use maud::{Markup, html};
use plotly::common::{ColorScale, ColorScaleElement, DashType, Line, Mode, Orientation, Title, Visible};
use plotly::layout::{Axis, AxisType, HoverMode, Legend, Margin};
use plotly::{Bar, HeatMap, Layout, Plot, Scatter};
use serde_json::{Value, json};

use super::html::script_json;
use super::matrix::Matrix;
use super::ruler::Ruler;
use super::run_data::RunData;
use crate::model::curve::{Curve, Point};
use crate::model::name::{Name, Topic};

/// Colours that can be told apart and read on white and on black.
const COLORS: [&str; 10] = [
    "#3b82f6", "#e8710a", "#1f9d55", "#e0475b", "#9a66e0", "#0e9aa7", "#a9744f", "#d6559d", "#8b8f1a",
    "#7c8694",
];

/// The colour of what lies behind.
const QUIET: &str = "#7c8694";

/// The colour of a run, or of whatever has this number.
pub(crate) fn color(i: usize) -> &'static str {
    COLORS[i % COLORS.len()]
}

/// Up to how many classes a matrix has its numbers in its cells.
const FEW_CLASSES: usize = 16;

/// How many points all curves together may have, and each of them.
const ALL_POINTS: usize = 60_000;
const POINTS: std::ops::RangeInclusive<usize> = 40..=1500;

/// The unit of the axis of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    seconds: f64,
}

/// Makes charts of runs that are compared.
#[derive(Debug)]
pub(crate) struct Charts<'a> {
    runs: &'a [RunData],
    limit: usize,
    /// What time is told in; none if no run knows it.
    pub(crate) unit: Option<Unit>,
    /// How many there are so far.
    pub(crate) count: usize,
}

impl<'a> Charts<'a> {
    pub(crate) fn new(runs: &'a [RunData]) -> Self {
        let curves = runs.iter().map(|run| run.curves.len()).sum::<usize>().max(1);
        let limit = (ALL_POINTS / curves).clamp(*POINTS.start(), *POINTS.end());
        let times = runs.iter().filter(|run| run.clock.is_known()).filter_map(|run| run.clock.last());
        let longest = times.map(|(_, time)| time).reduce(f64::max);
        let unit = |time| match time {
            ..180.0 => Unit { name: "seconds", seconds: 1.0 },
            ..10_800.0 => Unit { name: "minutes", seconds: 60.0 },
            _ => Unit { name: "hours", seconds: 3600.0 },
        };
        Self { runs, limit, unit: longest.map(unit), count: 0 }
    }

    /// A chart for each name of a part of the page, the loss first.
    pub(crate) fn curves(&mut self, topic: Topic) -> Vec<Markup> {
        let names = self.runs.iter().flat_map(|run| run.curves.keys()).filter(|name| name.topic == topic);
        let charts: BTreeSet<(bool, &str)> =
            names.map(|name| (name.chart != "loss", name.chart.as_str())).collect();
        charts.into_iter().map(|(_, chart)| self.chart(topic, chart)).collect()
    }

    fn chart(&mut self, topic: Topic, chart: &str) -> Markup {
        let all: Vec<(usize, &Name, &Curve)> = self
            .runs
            .iter()
            .enumerate()
            .flat_map(|(i, run)| shown(run, topic, chart).map(move |(n, c)| (i, n, c)))
            .collect();
        let kinds: BTreeSet<(bool, &str)> = all.iter().map(|(_, name, _)| kind(name)).collect();
        let kinds: Vec<(bool, &str)> = kinds.into_iter().collect();
        let has_several = self.runs.len() > 1;
        let mut plot = Plot::new();
        let (mut epochs, mut times) = (Vec::new(), Vec::new());
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for (i, name, curve) in &all {
            let Some(run) = self.runs.get(*i) else { continue };
            let kind = kinds.iter().position(|known| *known == kind(name)).unwrap_or(0);
            let points = curve.points(self.limit);
            epochs.push(read_off(&run.epochs, &points, 1.0));
            times.push(read_off(&run.clock, &points, self.unit.map_or(1.0, |unit| unit.seconds)));
            let label = match (has_several, name.of.as_str()) {
                (true, "") => run.label.clone(),
                (true, of) => format!("{} · {of}", run.label),
                (false, "") => chart.to_owned(),
                (false, of) => of.to_owned(),
            };
            // steps lie behind epochs, and with several runs are shown on demand
            let is_quiet =
                name.is_fine && topic == Topic::Metric && kinds.iter().any(|(is_fine, _)| !is_fine);
            let (color, dash) = match (has_several, is_quiet) {
                (true, _) => (color(*i), dash(if is_quiet { 0 } else { kind })),
                (false, true) => (QUIET, dash(0)),
                (false, false) => (color(kind), dash(kind)),
            };
            let line = Line::new().color(color).width(if is_quiet { 1.0 } else { 2.0 }).dash(dash);
            let mode = if points.len() < 40 { Mode::LinesMarkers } else { Mode::Lines };
            let steps: Vec<f64> = points.iter().map(|point| point.step).collect();
            let values: Vec<Option<f64>> = points.iter().map(|point| rounded(point.value, 6)).collect();
            for value in values.iter().flatten() {
                (least, most) = (least.min(*value), most.max(*value));
            }
            let mut trace = Scatter::new(steps, values).name(label_text(&label)).mode(mode).line(line);
            if is_quiet {
                let visible = if has_several { Visible::LegendOnly } else { Visible::True };
                trace = trace.opacity(0.5).visible(visible);
            }
            plot.add_trace(trace);
        }
        // a legend takes a line for each two or three names
        plot.set_layout(
            layout(320 + 16 * all.len().saturating_sub(3).min(20))
                .hover_mode(HoverMode::XUnified)
                // a label such as 7.5×10³⁸ is wider than the margin
                .y_axis(Axis::new().auto_margin(true)),
        );
        let mut figure = json_of(&plot);
        figure["axes"] = json!({ "epoch": epochs, "time": times });
        // by itself plotly draws a constant in the middle of an axis that is 2 long, on which a small one is 0
        if least == most && least != 0.0 {
            let around = least.abs() * 0.5;
            figure["layout"]["yaxis"]["range"] = json!([least - around, least + around]);
        }
        self.figure(title_of(chart), &figure)
    }

    /// A matrix of counts or shares.
    pub(crate) fn matrix(&mut self, title: &str, matrix: &Matrix) -> Markup {
        let classes: Vec<String> = (0..matrix.rows.len()).map(|class| class.to_string()).collect();
        let z: Vec<Vec<Option<f64>>> =
            matrix.rows.iter().map(|row| row.iter().map(|x| rounded(*x, 6)).collect()).collect();
        let scale = [(0.0, "rgba(59,130,246,0.04)"), (1.0, "rgba(59,130,246,1)")];
        let scale = scale.map(|(at, color)| ColorScaleElement(at, color.into())).to_vec();
        let has_few = classes.len() <= FEW_CLASSES;
        let are_counts = matrix.rows.iter().flatten().all(|x| x.fract() == 0.0 || x.is_nan());
        let heat = HeatMap::new(classes.clone(), classes, z).color_scale(ColorScale::Vector(scale));
        let heat = heat.hover_template("target %{y}, decided %{x}: %{z}<extra></extra>");
        let mut plot = Plot::new();
        plot.add_trace(heat.show_scale(!has_few));
        // classes are names, not numbers, and the first is on top
        let axis =
            |title| Axis::new().title(Title::with_text(title)).type_(AxisType::Category).show_grid(false);
        plot.set_layout(layout(420).x_axis(axis("decided")).y_axis(axis("target")));
        let mut figure = json_of(&plot);
        figure["layout"]["yaxis"]["autorange"] = "reversed".into();
        if has_few {
            figure["data"][0]["texttemplate"] = if are_counts { "%{z}" } else { "%{z:.2f}" }.into();
        }
        self.figure(title, &figure)
    }

    /// Bars for names, the longest first.
    pub(crate) fn bars(&mut self, title: &str, bars: &[(&str, f64)], color: &'static str) -> Markup {
        let names: Vec<String> = bars.iter().rev().map(|(name, _)| label_text(name)).collect();
        let values: Vec<Option<f64>> = bars.iter().rev().map(|(_, value)| rounded(*value, 5)).collect();
        let marker = plotly::common::Marker::new().color(color);
        let bars = Bar::new(values, names).orientation(Orientation::Horizontal).marker(marker);
        let mut plot = Plot::new();
        plot.add_trace(bars);
        let across = Axis::new().title(Title::with_text("seconds"));
        plot.set_layout(layout(360).x_axis(across).y_axis(Axis::new().auto_margin(true)));
        self.figure(title, &json_of(&plot))
    }

    fn figure(&mut self, title: &str, figure: &Value) -> Markup {
        self.count += 1;
        let id = format!("title-{}", self.count);
        html! {
            figure.card aria-labelledby=(id) {
                figcaption id=(id) { (title) }
                div.plot role="img" aria-label={ "Chart: " (title) } {}
                script type="application/json" { (script_json(figure)) }
            }
        }
    }
}

/// What plotly is to draw.
fn json_of(plot: &Plot) -> Value {
    // numbers and texts are always JSON
    serde_json::to_value(plot).unwrap_or_default()
}

/// The curves of a chart. The learning rate of each step tells more than that of each epoch, which is left out then.
fn shown<'a>(run: &'a RunData, topic: Topic, chart: &str) -> impl Iterator<Item = (&'a Name, &'a Curve)> {
    let here: Vec<_> =
        run.curves.iter().filter(|(name, _)| name.topic == topic && name.chart == chart).collect();
    let has_fine = topic == Topic::Optimization && here.iter().any(|(name, _)| name.is_fine);
    here.into_iter().filter(move |(name, _)| name.is_fine || !has_fine)
}

/// Where points lie on another axis.
fn read_off(ruler: &Ruler, points: &[Point], unit: f64) -> Vec<Option<f64>> {
    points.iter().map(|point| ruler.at(point.batch).and_then(|value| rounded(value / unit, 7))).collect()
}

fn kind(name: &Name) -> (bool, &str) {
    (name.is_fine, &name.of)
}

fn layout(height: usize) -> Layout {
    let legend = Legend::new().orientation(Orientation::Horizontal).x(0.0).y(-0.22);
    let margin = Margin::new().left(52).right(14).top(30).bottom(44);
    Layout::new().height(height).auto_size(true).margin(margin).legend(legend).show_legend(true)
}

fn dash(i: usize) -> DashType {
    match i % 4 {
        0 => DashType::Solid,
        1 => DashType::Dash,
        2 => DashType::Dot,
        _ => DashType::DashDot,
    }
}

/// A number with so many digits: what more there are can't be seen. None if it is not finite.
fn rounded(number: f64, digits: usize) -> Option<f64> {
    number.is_finite().then(|| format!("{number:.*e}", digits - 1).parse().unwrap_or(number))
}

/// A text for plotly, which reads tags in it.
fn label_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What a name is in words, where it is an abbreviation.
fn title_of(chart: &str) -> &str {
    match chart {
        "lr" => "Learning rate",
        "grad_norm" => "Gradient norm",
        "checkpoint" => "Seconds of each checkpoint",
        "throughput/samples" => "Samples a second",
        "throughput/batches" => "Batches a second",
        "throughput/tokens" => "Tokens a second",
        "data_wait" => "Share of the time in which data was waited for",
        "memory" => "Memory (MiB)",
        chart => chart,
    }
}

/// The library that draws, as a script.
pub(crate) fn library() -> String {
    let scripts = Plot::offline_js_sources();
    // the first is plotly.js; the second, for formulas, is not needed
    let script = scripts.split_once('>').map_or("", |(_, rest)| rest);
    script.split_once("</script>").map_or("", |(script, _)| script).to_owned()
}
