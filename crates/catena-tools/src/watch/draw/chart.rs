//! The curves of a metric.
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Widget};

use super::finish;
use crate::model::series::Series;
use crate::watch::keys::View;
use crate::watch::watched_run::Curve;
use crate::watch::words::{grouped, number};

/// How the loaders' curves look, in the order of the loaders, by colour and in ASCII; and those of single steps.
const LOOKS: [(Color, char); 4] =
    [(Color::Cyan, 'o'), (Color::Yellow, '*'), (Color::Magenta, '+'), (Color::Green, 'x')];
const STEPS: (Color, char) = (Color::Blue, '.');

/// A curve to draw.
struct Drawn {
    label: String,
    look: (Color, char),
    last: Option<f64>,
    points: Vec<(f64, f64)>,
}

/// The chosen metric, with the names of all.
pub(super) fn large(curves: &[Curve<'_>], chosen: &Curve<'_>, view: &View, area: Rect, buffer: &mut Buffer) {
    // the names up to the chosen one must fit; those before it go first
    let room = usize::from(area.width).saturating_sub(4);
    let at = curves.iter().position(|curve| curve.name == chosen.name).unwrap_or(0);
    let width = |curve: &Curve<'_>| curve.name.chars().count() + 3;
    let mut first = 0;
    while first < at && curves.iter().take(at + 1).skip(first).map(width).sum::<usize>() > room {
        first += 1;
    }
    let names = curves.iter().enumerate().skip(first).flat_map(|(i, curve)| {
        let name = Span::from(format!(" {} ", curve.name));
        let name = if i == at { name.bold().add_modifier(Modifier::REVERSED) } else { name };
        [name, Span::from(" ")]
    });
    draw(chosen, Line::from(names.collect::<Vec<_>>()), view, area, buffer);
}

/// A metric beside the chosen one.
pub(super) fn small(curve: &Curve<'_>, view: &View, area: Rect, buffer: &mut Buffer) {
    draw(curve, Line::from(format!(" {} ", curve.name)), view, area, buffer);
}

fn draw(curve: &Curve<'_>, title: Line<'_>, view: &View, area: Rect, buffer: &mut Buffer) {
    let mut drawn = drawn(curve, view, usize::from(area.width) * 2);
    let mut block = Block::bordered().title(title).title_bottom(legend(&drawn, view));
    if view.log {
        block = block.title_top(Line::from(" log ").right_aligned());
    }
    let bounds = |axis: fn(&(f64, f64)) -> f64| {
        let values = || drawn.iter().flat_map(|drawn| &drawn.points).map(axis);
        padded(values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    };
    let (Some(mut x), Some(y)) = (bounds(|point| point.0), bounds(|point| point.1)) else {
        block.render(area, buffer);
        return;
    };
    // a curve that has hardly begun after the start begins there
    if x[0] * 10.0 < x[1] {
        x[0] = 0.0;
    }
    let shown = |value: f64| number(if view.log { 10_f64.powf(value) } else { value });
    let y_labels = [y[0], f64::midpoint(y[0], y[1]), y[1]].map(|value| Span::from(shown(value)));
    let [first, half, last] =
        [x[0], f64::midpoint(x[0], x[1]), x[1]].map(|step| grouped(step.max(0.0) as u64));
    let x_labels = [first, half, format!("step {last}")].map(Span::from);
    for point in drawn.iter_mut().flat_map(|drawn| &mut drawn.points) {
        *point = (share(point.0, x), share(point.1, y));
    }
    let axes = |datasets| {
        let (x, y) = (Axis::default().bounds([0.0, 1.0]), Axis::default().bounds([0.0, 1.0]));
        let chart = Chart::new(datasets).block(block.clone()).legend_position(None);
        chart.x_axis(x.labels(x_labels.clone())).y_axis(y.labels(y_labels.clone()))
    };
    axes(Vec::new()).render(area, buffer);
    for Drawn { look: (colour, character), points, .. } in &drawn {
        let (marker, graph) = match view.ascii {
            true => (Marker::Custom(*character), GraphType::Scatter),
            false => (Marker::Braille, GraphType::Line),
        };
        let dataset = Dataset::default().marker(marker).graph_type(graph).style(*colour).data(points);
        let mut layer = Buffer::empty(area);
        axes(vec![dataset]).render(area, &mut layer);
        finish::add(&layer, buffer);
    }
}

fn drawn(curve: &Curve<'_>, view: &View, most: usize) -> Vec<Drawn> {
    let points = |series: &Series| {
        let scale = |value: f64| if view.log { value.log10() } else { value };
        let points = series.points(most).into_iter().map(|(step, value)| (step, scale(value)));
        points.filter(|(_, value)| value.is_finite()).collect()
    };
    let draw = |label: String, look, series: &Series| Drawn {
        label,
        look,
        last: series.last,
        points: points(series),
    };
    let mut all = Vec::new();
    if let Some(series) = curve.steps {
        all.push(draw("steps".into(), STEPS, series));
    }
    // the journal has all that single batches say, and of lr and the like more than the epochs do
    let by_batch = curve.lines.iter().filter(|line| line.by_batch && curve.steps.is_none());
    all.extend(by_batch.map(|line| draw(format!("{} batches", line.loader), STEPS, &line.series)));
    let whole =
        curve.lines.iter().filter(|line| !line.by_batch && (curve.steps.is_none() || curve.name == "loss"));
    all.extend(
        whole
            .zip(LOOKS.into_iter().cycle())
            .map(|(line, look)| draw(line.loader.clone(), look, &line.series)),
    );
    all
}

fn legend<'a>(drawn: &[Drawn], view: &View) -> Line<'a> {
    let mut spans = Vec::new();
    for Drawn { label, look: (colour, character), last, .. } in drawn {
        let last = last.map_or_else(String::new, number);
        let mark = if view.ascii { format!("{character} ") } else { "━ ".into() };
        spans.push(Span::from(format!(" {mark}{label} {last} ")).fg(*colour));
    }
    Line::from(spans)
}

/// The bounds of what is drawn, never of no width; none if there is nothing.
fn padded(low: f64, high: f64) -> Option<[f64; 2]> {
    if !low.is_finite() || !high.is_finite() {
        return None;
    }
    let room = (low.abs() * 0.1).min(1e300);
    Some(match high > low {
        true => [low, high],
        false if low == 0.0 => [-1.0, 1.0],
        false => [low - room, low + room],
    })
}

/// How far a value is between bounds, from 0 to 1: what draws lines does not end with numbers near the largest.
fn share(value: f64, [low, high]: [f64; 2]) -> f64 {
    // or differences were infinite
    let scale = if low.abs().max(high.abs()) > 1e300 { 0.25 } else { 1.0 };
    let share = (value * scale - low * scale) / (high * scale - low * scale);
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
}
