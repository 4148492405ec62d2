//! What the page shows, from top to bottom.
use catena_record::span;
use maud::{Markup, Render, html};

use super::charts::{Charts, color};
use super::html::{Table, details};
use super::run_data::RunData;
use super::settings::{self, About};
use super::spans::DETAIL;
use crate::model::curve::Point;
use crate::model::name::Topic;
use crate::report::{self, short};

/// A part of the page, with a heading that links lead to.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) content: Markup,
}

/// The sections that have something to show.
pub(crate) fn all(runs: &[RunData], charts: &mut Charts) -> Vec<Section> {
    let metrics = html! { (cards(charts.curves(Topic::Metric))) (values(runs)) };
    let optimization = html! { (cards(charts.curves(Topic::Optimization))) (skipped(runs)) };
    let speed = html! { (cards(charts.curves(Topic::Speed))) (spans(runs, charts)) };
    let confusion = matrices(runs, charts);
    let checkpoints = html! { (cards(charts.curves(Topic::Checkpoint))) (checkpoints(runs)) };
    let sections = [
        ("overview", "Overview", overview(runs)),
        ("metrics", "Metrics", metrics),
        ("optimization", "Optimization", optimization),
        ("speed", "Speed", speed),
        ("confusion", "Confusion matrices", confusion),
        ("checkpoints", "Checkpoints", checkpoints),
        ("settings", "Settings", configuration(runs)),
    ];
    let sections = sections.map(|(id, title, content)| Section { id, title, content });
    sections.into_iter().filter(|section| !section.content.0.is_empty()).collect()
}

fn cards(charts: Vec<Markup>) -> Markup {
    html! {
        @if !charts.is_empty() {
            div.cards {
                @for chart in charts { (chart) }
            }
        }
    }
}

/// The runs in a few words each, and what is to be known of their reading.
fn overview(runs: &[RunData]) -> Markup {
    let heads = ["run", "status", "started", "took", "epochs", "steps", "batches", "device", "seed"];
    let mut table = Table::new("Runs", heads);
    for (i, run) in runs.iter().enumerate() {
        let about = &run.about;
        let setting = |path: &str| about.settings.get(path).cloned().unwrap_or_default();
        let (batches, steps) = run.steps.last().filter(|_| run.steps.is_known()).unwrap_or_default();
        let epochs = run.epochs.at(batches).filter(|_| run.epochs.is_known());
        let planned: u64 = about
            .settings
            .iter()
            .filter(|(path, _)| is_epochs(path))
            .filter_map(|(_, n)| n.parse::<u64>().ok())
            .fold(0, u64::saturating_add);
        let epochs = match (epochs, planned) {
            (None, _) => String::new(),
            (Some(done), 0) => tenths(done),
            (Some(done), planned) => format!("{} of {planned}", tenths(done)),
        };
        let cells = vec![
            run.label.clone(),
            about.status.clone().unwrap_or_else(|| "not known".into()),
            about.plan.file.started.as_deref().map(minute).unwrap_or_default(),
            run.clock
                .last()
                .filter(|_| run.clock.is_known())
                .map(|(_, time)| span::text(time))
                .unwrap_or_default(),
            epochs,
            match run.skipped.count() {
                0 => steps.to_string(),
                skipped => format!("{steps}, {skipped} skipped"),
            },
            batches.to_string(),
            setting("machine/device"),
            setting("seed"),
        ];
        table.marked(cells, None, (runs.len() > 1).then(|| color(i)));
    }
    let mut notes: Vec<String> = Vec::new();
    for run in runs {
        let of = if runs.len() > 1 { format!("{}: ", run.label) } else { String::new() };
        notes.extend(run.notes.texts.iter().map(|note| format!("{of}{note}")));
        if run.curves.is_empty() {
            notes.push(format!("{of}nothing was logged yet"));
        } else if !run.clock.is_known() {
            notes.push(format!("{of}no clock value says when its batches were, so it has no axis of time"));
        }
    }
    html! {
        (table)
        @if !notes.is_empty() {
            div.notes role="note" {
                h3 { "To be known" }
                ul {
                    @for note in &notes { li { (note) } }
                }
            }
        }
    }
}

fn is_epochs(path: &str) -> bool {
    path.starts_with("stages/") && path.ends_with("/epochs") && path.matches('/').count() == 2
}

/// The last, lowest and highest value of each metric.
fn values(runs: &[RunData]) -> Table {
    let has_several = runs.len() > 1;
    let heads = ["metric", "of", "run", "last", "lowest", "at step", "highest", "at step"];
    let heads = heads.into_iter().filter(|head| has_several || *head != "run");
    let mut table =
        Table::new("Values of whole loaders", heads).numbers_from(if has_several { 3 } else { 2 });
    let mut rows = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        for (name, curve) in
            run.curves.iter().filter(|(name, _)| name.topic == Topic::Metric && !name.is_fine)
        {
            let value = |point: Option<Point>| point.map(|point| short(point.value)).unwrap_or_default();
            let step = |point: Option<Point>| point.map(|point| point.step.to_string()).unwrap_or_default();
            let mut cells = vec![name.chart.clone(), name.of.clone()];
            cells.extend(has_several.then(|| run.label.clone()));
            cells.extend([value(curve.last), value(curve.lowest), step(curve.lowest)]);
            cells.extend([value(curve.highest), step(curve.highest)]);
            rows.push(((name.chart != "loss", name, i), cells));
        }
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows.into_iter().for_each(|(_, cells)| table.row(cells));
    table
}

/// Which steps were skipped.
fn skipped(runs: &[RunData]) -> Table {
    let has_several = runs.len() > 1;
    let heads = ["run", "what became of the step", "steps", "first at batch", "last at batch"];
    let heads = heads.into_iter().filter(|head| has_several || *head != "run");
    let mut table = Table::new("Skipped steps", heads).numbers_from(if has_several { 2 } else { 1 });
    for run in runs {
        for (who, steps) in run.skipped.iter() {
            let mut cells: Vec<String> = has_several.then(|| run.label.clone()).into_iter().collect();
            cells.push(who.to_owned());
            cells.extend([steps.count, steps.first, steps.last].map(|n| n.to_string()));
            table.row(cells);
        }
    }
    table
}

/// How many names of a group are bars, and how many are in its table.
const BARS: usize = 15;
const ROWS: usize = 200;

/// What took how long.
fn spans(runs: &[RunData], charts: &mut Charts) -> Markup {
    let (mut bars, mut tables) = (Vec::new(), Vec::new());
    for (i, run) in runs.iter().enumerate() {
        for (group, spans) in run.spans.groups() {
            let title = if runs.len() > 1 {
                format!("Time by {group}: {}", run.label)
            } else {
                format!("Time by {group}")
            };
            let longest: Vec<(&str, f64)> =
                spans.iter().take(BARS).map(|(name, span)| (*name, span.seconds)).collect();
            if group != DETAIL {
                bars.push(charts.bars(&title, &longest, color(i)));
            }
            let all: f64 = spans.iter().map(|(_, span)| span.seconds).sum();
            let mut table =
                Table::new(title, ["name", "time", "share", "calls", "mean", "longest"]).numbers_from(1);
            for (name, span) in spans.into_iter().take(ROWS) {
                let mean = span
                    .calls
                    .filter(|calls| *calls > 0)
                    .map(|calls| span::text(span.seconds / calls as f64));
                table.row(vec![
                    name.to_owned(),
                    span::text(span.seconds),
                    if all > 0.0 { format!("{:.1} %", 100.0 * span.seconds / all) } else { String::new() },
                    span.calls.map(|calls| calls.to_string()).unwrap_or_default(),
                    mean.unwrap_or_default(),
                    span.longest.map(span::text).unwrap_or_default(),
                ]);
            }
            tables.push(if group == DETAIL { table.folded() } else { table.render() });
        }
        tables.push(syncs(run, runs.len() > 1).render());
    }
    html! {
        (cards(bars))
        @for table in tables { (table) }
    }
}

/// What waited for the device.
fn syncs(run: &RunData, has_several: bool) -> Table {
    let of = if has_several { format!(": {}", run.label) } else { String::new() };
    let heads = ["event", "callback", "numbers", "copies", "sizes"];
    let mut table =
        Table::new(format!("What was handed from the device to the host{of}"), heads).numbers_from(2);
    let mut rows: Vec<_> = run.syncs.iter().collect();
    rows.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.iter().fold(0, |a: u64, b| a.saturating_add(*b))));
    for ((event, callback), sums) in rows {
        // of the runner's own work, and of what lies between events
        let names = [event, callback].map(|name| if name.is_empty() { "—".to_owned() } else { name.clone() });
        table.row(names.into_iter().chain(sums.map(|sum| sum.to_string())).collect());
    }
    table
}

fn matrices(runs: &[RunData], charts: &mut Charts) -> Markup {
    let (mut figures, mut tables) = (Vec::new(), Vec::new());
    for run in runs {
        for (name, matrix) in &run.matrices {
            let title = if runs.len() > 1 { format!("{name}: {}", run.label) } else { name.clone() };
            figures.push(charts.matrix(&title, matrix));
            let heads = std::iter::once("target \\ decided".to_owned())
                .chain((0..matrix.rows.len()).map(|i| i.to_string()));
            let mut table = Table::new(title, heads).numbers_from(1);
            for (i, row) in matrix.rows.iter().enumerate() {
                table.row(std::iter::once(i.to_string()).chain(row.iter().map(|x| short(*x))).collect());
            }
            tables.push(table);
        }
    }
    html! {
        (cards(figures))
        @if !tables.is_empty() {
            (details("As tables", html! { @for table in &tables { (table) } }))
        }
    }
}

/// How many checkpoints of a run are listed: the newest, and all that are kept.
const LISTED: usize = 200;

fn checkpoints(runs: &[RunData]) -> Markup {
    let mut lists = Vec::new();
    for run in runs.iter().filter(|run| !run.checkpoints.is_empty()) {
        let title =
            if runs.len() > 1 { format!("Checkpoints of {}", run.label) } else { "Checkpoints".into() };
        let heads = ["name", "kept", "measured", "asked for by", "size", "write", "stall", "wait"];
        let mut table = Table::new(title, heads).numbers_from(4);
        let old = run.checkpoints.len().saturating_sub(LISTED);
        let mut left_out = 0;
        for (i, (name, checkpoint)) in run.checkpoints.iter().enumerate() {
            if i < old && checkpoint.state.is_none() {
                left_out += 1;
                continue;
            }
            let kept = match checkpoint.state.as_deref() {
                None => "no".to_owned(),
                Some("ok") if checkpoint.is_best => "yes, best".into(),
                Some("ok") => "yes".into(),
                Some(state) => state.to_owned(),
            };
            let seconds = |seconds: Option<f64>| seconds.map(span::text).unwrap_or_default();
            let cells = vec![
                name.to_string(),
                kept,
                report::metrics(&checkpoint.measured),
                checkpoint.why.clone(),
                checkpoint.bytes.map(report::size).unwrap_or_default(),
                seconds(checkpoint.write),
                seconds(checkpoint.stall),
                seconds(checkpoint.wait),
            ];
            let class = match (checkpoint.is_best, &checkpoint.state) {
                (true, _) => Some("best"),
                (false, None) => Some("gone"),
                (false, Some(_)) => None,
            };
            table.marked(cells, class, None);
        }
        let n = run.checkpoints.len() - left_out;
        lists.push(html! {
            @if n > 12 {
                (details(&format!("{n} checkpoints of {}", run.label), table))
            } @else {
                (table)
            }
            @if left_out > 0 {
                p { (left_out) " older ones, which are not kept, are not listed." }
            }
        });
    }
    html! {
        @for list in lists { (list) }
    }
}

fn configuration(runs: &[RunData]) -> Markup {
    let abouts: Vec<&About> = runs.iter().map(|run| &run.about).collect();
    let heads = || std::iter::once("setting".to_owned()).chain(runs.iter().map(|run| run.label.clone()));
    let (mut differing, mut table) =
        (Table::new("Where the runs differ", heads()), Table::new("All settings", heads()));
    for (path, values, differ) in settings::compared(&abouts) {
        let values = values.iter().map(|value| value.unwrap_or("—").to_owned());
        let cells: Vec<String> = std::iter::once(path).chain(values).collect();
        if differ {
            differing.row(cells.clone());
        }
        table.marked(cells, differ.then_some("differs"), None);
    }
    html! {
        @if !table.is_empty() {
            @if runs.len() > 1 {
                @if differing.is_empty() { p { "The runs have the same settings." } }
                (differing)
            }
            (table.folded())
        }
    }
}

fn tenths(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A time as catena writes it, to the minute.
fn minute(time: &str) -> String {
    match (time.get(..10), time.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => time.to_owned(),
    }
}
