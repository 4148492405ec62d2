//! What the page shows, from top to bottom.
use catena_record::span;

use super::charts::{Charts, color};
use super::html::{Table, details, escape};
use super::run_data::RunData;
use super::settings::{self, About};
use super::spans::DETAIL;
use crate::model::curve::Point;
use crate::model::name::Topic;
use crate::report::{self, short};

/// The page's body.
pub(crate) fn all(runs: &[RunData], charts: &mut Charts) -> String {
    let mut sections: Vec<(&str, &str, String)> = vec![("overview", "Overview", overview(runs))];
    let mut add = |id, title, content: String| {
        if !content.is_empty() {
            sections.push((id, title, content));
        }
    };
    add("metrics", "Metrics", cards(charts.curves(Topic::Metric)) + &values(runs));
    add("optimization", "Optimization", cards(charts.curves(Topic::Optimization)) + &skipped(runs));
    add("speed", "Speed", cards(charts.curves(Topic::Speed)) + &spans(runs, charts));
    add("confusion", "Confusion matrices", matrices(runs, charts));
    add("checkpoints", "Checkpoints", cards(charts.curves(Topic::Checkpoint)) + &checkpoints(runs));
    add("settings", "Settings", configuration(runs));

    let names: Vec<String> = runs.iter().map(|run| escape(&run.label)).collect();
    let links = sections.iter().map(|(id, title, _)| format!("<a href=\"#{id}\">{title}</a>"));
    let links: String = links.collect();
    let mut body = format!(
        "<header><p class=\"kind\">Training report</p><h1>{}</h1></header>\n<nav aria-label=\"Sections\"><div class=\"links\">{links}</div>{}</nav>\n<main>\n",
        names.join("<span class=\"and\">, </span>"),
        controls(runs, charts)
    );
    for (id, title, content) in sections {
        body += &format!(
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{content}</section>\n"
        );
    }
    body + "</main>\n<footer><p>Curves show the lowest and the highest of neighbouring points where there are too many. Drag in a chart to \
            zoom, double-click to go back, click in a legend to hide a curve.</p></footer>\n"
}

/// The switches of all charts.
fn controls(runs: &[RunData], charts: &Charts) -> String {
    if runs.iter().all(|run| run.curves.is_empty()) {
        return String::new();
    }
    let mut axes = vec![("step", "Step", "step".to_owned())];
    if runs.iter().any(|run| run.epochs.is_known()) {
        axes.push(("epoch", "Epoch", "epoch".into()));
    }
    if let Some(unit) = charts.unit {
        axes.push(("time", "Time", format!("{} since the start", unit.name)));
    }
    let mut html = String::from("<div class=\"controls\"><fieldset><legend>Across</legend>");
    for (i, (value, name, title)) in axes.into_iter().enumerate() {
        let checked = if i == 0 { " checked" } else { "" };
        html += &format!(
            "<label><input type=\"radio\" name=\"axis\" value=\"{value}\" data-title=\"{title}\"{checked}>{name}</label>"
        );
    }
    html + "</fieldset><label class=\"switch\"><input type=\"checkbox\" id=\"log\">Log scale</label></div>"
}

fn cards(charts: String) -> String {
    if charts.is_empty() { charts } else { format!("<div class=\"cards\">\n{charts}</div>\n") }
}

/// The runs in a few words each, and what is to be known of their reading.
fn overview(runs: &[RunData]) -> String {
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
        table.marked(cells, "", (runs.len() > 1).then(|| color(i)));
    }
    let mut html = table.html();
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
    if !notes.is_empty() {
        let items: String = notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
        html += &format!("<div class=\"notes\" role=\"note\"><h3>To be known</h3><ul>{items}</ul></div>\n");
    }
    html
}

fn is_epochs(path: &str) -> bool {
    path.starts_with("stages/") && path.ends_with("/epochs") && path.matches('/').count() == 2
}

/// The last, lowest and highest value of each metric.
fn values(runs: &[RunData]) -> String {
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
    table.html()
}

/// Which steps were skipped.
fn skipped(runs: &[RunData]) -> String {
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
    table.html()
}

/// How many names of a group are bars, and how many are in its table.
const BARS: usize = 15;
const ROWS: usize = 200;

/// What took how long.
fn spans(runs: &[RunData], charts: &mut Charts) -> String {
    let (mut bars, mut tables) = (String::new(), String::new());
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
                bars += &charts.bars(&title, &longest, color(i));
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
            tables += &if group == DETAIL { details(table.caption(), &table.html()) } else { table.html() };
        }
        tables += &syncs(run, runs.len() > 1);
    }
    cards(bars) + &tables
}

/// What waited for the device.
fn syncs(run: &RunData, has_several: bool) -> String {
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
    table.html()
}

fn matrices(runs: &[RunData], charts: &mut Charts) -> String {
    let (mut figures, mut tables) = (String::new(), String::new());
    for run in runs {
        for (name, matrix) in &run.matrices {
            let title = if runs.len() > 1 { format!("{name}: {}", run.label) } else { name.clone() };
            figures += &charts.matrix(&title, matrix);
            let heads = std::iter::once("target \\ decided".to_owned())
                .chain((0..matrix.rows.len()).map(|i| i.to_string()));
            let mut table = Table::new(title, heads).numbers_from(1);
            for (i, row) in matrix.rows.iter().enumerate() {
                table.row(std::iter::once(i.to_string()).chain(row.iter().map(|x| short(*x))).collect());
            }
            tables += &table.html();
        }
    }
    if figures.is_empty() { figures } else { cards(figures) + &details("As tables", &tables) }
}

/// How many checkpoints of a run are listed: the newest, and all that are kept.
const LISTED: usize = 200;

fn checkpoints(runs: &[RunData]) -> String {
    let mut html = String::new();
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
            let class = if checkpoint.is_best {
                "best"
            } else if checkpoint.state.is_none() {
                "gone"
            } else {
                ""
            };
            table.marked(cells, class, None);
        }
        let table = table.html();
        let n = run.checkpoints.len() - left_out;
        html += &if n > 12 { details(&format!("{n} checkpoints of {}", run.label), &table) } else { table };
        if left_out > 0 {
            html += &format!("<p>{left_out} older ones, which are not kept, are not listed.</p>\n");
        }
    }
    html
}

fn configuration(runs: &[RunData]) -> String {
    let abouts: Vec<&About> = runs.iter().map(|run| &run.about).collect();
    let all = settings::compared(&abouts);
    if all.is_empty() {
        return String::new();
    }
    let heads = || std::iter::once("setting".to_owned()).chain(runs.iter().map(|run| run.label.clone()));
    let cells = |path: &str, values: &[Option<&str>]| -> Vec<String> {
        let values = values.iter().map(|value| value.unwrap_or("—").to_owned());
        std::iter::once(path.to_owned()).chain(values).collect()
    };
    let (mut differing, mut table) =
        (Table::new("Where the runs differ", heads()), Table::new("All settings", heads()));
    for (path, values, differ) in &all {
        if *differ {
            differing.row(cells(path, values));
        }
        table.marked(cells(path, values), if *differ { "differs" } else { "" }, None);
    }
    let mut html = String::new();
    if runs.len() > 1 {
        html += &if differing.is_empty() {
            "<p>The runs have the same settings.</p>\n".into()
        } else {
            differing.html()
        };
    }
    html + &details("All settings", &table.html())
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
