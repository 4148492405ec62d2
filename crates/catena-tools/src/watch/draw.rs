//! Draws what is known of a run into a buffer of any size.
mod chart;
mod finish;
mod values;

use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget};

use super::keys::{HELP, View};
use super::warnings::{self, Warning};
use super::watched_run::{Standing, WatchedRun};
use super::words::{grouped, number, rate, span};
use crate::holder::Holder;
use crate::report;

/// The smallest terminal that is drawn on.
const LEAST: (u16, u16) = (60, 16);

/// From this width on there is a column beside the chart.
const WIDE: u16 = 120;

/// Draws the picture of a moment.
pub(crate) fn picture(state: &WatchedRun, view: &View, now: f64, area: Rect, buffer: &mut Buffer) {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        too_small(area, buffer);
    } else {
        whole(state, view, now, area, buffer);
        if view.help {
            help(area, buffer);
        }
    }
    if view.ascii {
        finish::to_ascii(buffer);
    }
    if view.plain {
        finish::without_colours(buffer);
    }
}

fn whole(state: &WatchedRun, view: &View, now: f64, area: Rect, buffer: &mut Buffer) {
    let warnings = warnings::of(state, now);
    let room = if area.height < 24 { 2 } else { 4 };
    let stopped = state.plan.stopped();
    let rows = (warnings.len() + usize::from(stopped.is_some())).min(room) as u16;
    let heights = [1, 1, 1].map(Constraint::Length).into_iter();
    let heights = heights.chain([Constraint::Min(1)]).chain([1, rows, 1].map(Constraint::Length));
    let [title, gauge, facts, main, checkpoint, warned, keys] = Layout::vertical(heights).areas(area);
    head(state, view, now, title, buffer);
    progress(state, now, gauge, buffer);
    line_of(&numbers(state, now), facts, buffer);
    body(state, view, main, buffer);
    line_of(&checkpoints(state, now), checkpoint, buffer);
    warn(stopped, &warnings, warned, buffer);
    let keys_line = "q quit   tab metric   l log   p pause   ? help";
    Line::from(format!(" {keys_line}")).dim().render(keys, buffer);
}

fn head(state: &WatchedRun, view: &View, now: f64, area: Rect, buffer: &mut Buffer) {
    let (text, colour) = match state.standing(now) {
        _ if state.behind => ("reading".into(), Color::Cyan),
        Standing::Unknown => ("no run.json yet".into(), Color::Yellow),
        Standing::Gone => ("gone".into(), Color::Red),
        Standing::Ended => (state.plan.file.status.clone(), Color::Cyan),
        Standing::Running => match state.holder {
            Holder::Process(Some(process)) => (format!("running, process {process}"), Color::Green),
            _ => ("running".into(), Color::Green),
        },
    };
    let mut spans = vec![Span::from(text).fg(colour).bold()];
    if view.paused {
        spans.insert(0, Span::from(" PAUSED ").add_modifier(Modifier::REVERSED));
        spans.insert(1, " ".into());
    }
    spans.push(" ".into());
    let status = Line::from(spans);
    let width = (status.width() as u16).min(area.width);
    let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    status.alignment(Alignment::Right).render(right, buffer);
    let name = shortened(&state.name, usize::from(left.width).saturating_sub(17));
    Line::from(vec![" catena watch ".bold(), name.into()]).render(left, buffer);
}

/// The end of a path, if there is no room for all of it.
fn shortened(path: &str, room: usize) -> String {
    let count = path.chars().count();
    if count <= room {
        return path.to_owned();
    }
    let end: String = path.chars().skip(count.saturating_sub(room.saturating_sub(3))).collect();
    format!("...{end}")
}

fn progress(state: &WatchedRun, now: f64, area: Rect, buffer: &mut Buffer) {
    let place = state.place();
    let mut text = String::from(" ");
    if let Some(position) = state.position() {
        if let Some((stage, stages)) = place.stage {
            text += &format!("stage {stage}/{stages} {}, ", shortened(&position.stage, 12));
        }
        let of = place.epochs.map_or_else(String::new, |epochs| format!("/{epochs}"));
        text += &format!("epoch {}{of}", position.epoch);
    } else {
        text += "no step yet";
    }
    let mut after = String::new();
    if let Some(share) = place.share {
        // rounded down: 100 % is the end
        after += &format!(" {:.1} %", (share * 1000.0).floor() / 10.0);
    }
    if let Some(left) = state.left(now) {
        after += &format!("  {} left", span(left));
    }
    let room = usize::from(area.width).saturating_sub(text.chars().count() + after.chars().count() + 2);
    let filled = (place.share.unwrap_or(0.0).clamp(0.0, 1.0) * room as f64) as usize;
    let bar = ["█".repeat(filled), "░".repeat(room.saturating_sub(filled))];
    let colour = if state.standing(now) == Standing::Running { Color::Green } else { Color::Cyan };
    let [done, rest] = bar.map(|bar| Span::from(bar).fg(colour));
    Line::from(vec![Span::from(text).bold(), " ".into(), done, rest, after.into()]).render(area, buffer);
}

/// What is counted and timed, the most important first.
fn numbers(state: &WatchedRun, now: f64) -> Vec<String> {
    let (place, mut facts) = (state.place(), Vec::new());
    if let Some((batch, batches)) = place.in_epoch {
        facts.push(format!("batch {batch}/{batches}"));
    }
    if let Some(position) = state.position() {
        facts.push(format!("step {}", grouped(position.step)));
    }
    let throughput = state.timing.throughput.clone().unwrap_or_default();
    let rates = [
        (throughput.samples, "samples/s"),
        (throughput.tokens, "tokens/s"),
        (throughput.batches.or_else(|| state.pace()), "batches/s"),
    ];
    facts.extend(rates.into_iter().filter_map(|(value, unit)| Some(format!("{} {unit}", rate(value?)))));
    if let Some(elapsed) = state.elapsed(now) {
        facts.push(format!("{} so far", span(elapsed)));
    }
    if !state.plan.device().is_empty() {
        facts.push(format!("on {}", state.plan.device()));
    }
    facts
}

fn checkpoints(state: &WatchedRun, now: f64) -> Vec<String> {
    let Some((name, newest)) = state.kept.newest() else { return vec!["no checkpoint yet".into()] };
    let mut first = format!("saved {name}");
    if let Some(time) = newest.time {
        first += &format!(" {} ago", span(now - time));
    }
    if let Some(bytes) = newest.bytes {
        first += &format!(", {}", report::size(bytes));
    }
    let mut facts = vec![first];
    if let Some((name, metric, value)) = state.kept.best(state.plan.best()) {
        facts.push(format!("best {metric} {} at batch {}", number(value), name.global_batch));
    }
    facts.push(format!("{} kept", state.kept.count));
    facts.extend(state.kept.lost.iter().map(|lost| format!("{lost} that could not be written")));
    facts
}

/// As many of the facts as there is room for.
fn line_of(facts: &[String], area: Rect, buffer: &mut Buffer) {
    let mut text = String::new();
    for fact in facts {
        let parting = if text.is_empty() { " " } else { " · " };
        if text.chars().count() + parting.chars().count() + fact.chars().count() > usize::from(area.width) {
            break;
        }
        text += parting;
        text += fact;
    }
    Line::from(text).render(area, buffer);
}

/// Why the run was stopped, if somebody stopped it, and what is wrong.
fn warn(stopped: Option<String>, warnings: &[Warning], area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.height).saturating_sub(usize::from(stopped.is_some()));
    let shown = if warnings.len() > room { room.saturating_sub(1) } else { room };
    let stopped = stopped.map(|text| Line::from(format!(" {}", report::printable(&text))).fg(Color::Cyan));
    let mut lines: Vec<Line> = stopped.into_iter().collect();
    lines.extend(warnings.iter().take(shown).map(|warning| {
        let colour = if warning.is_grave { Color::Red } else { Color::Yellow };
        Line::from(vec![" ! ".fg(colour).bold(), Span::from(warning.text.as_str()).fg(colour)])
    }));
    if warnings.len() > shown {
        lines.push(format!(" ! and {} more warnings", warnings.len() - shown).fg(Color::Yellow).into());
    }
    Paragraph::new(lines).render(area, buffer);
}

fn body(state: &WatchedRun, view: &View, area: Rect, buffer: &mut Buffer) {
    let curves = state.curves();
    let table_height = (curves.len() as u16).saturating_add(3);
    let Some(chosen) = curves.get(view.metric.min(curves.len().saturating_sub(1))) else {
        let waiting = Paragraph::new("no step and no metric has been written yet").centered();
        waiting.block(Block::bordered()).render(area, buffer);
        return;
    };
    if area.width >= WIDE {
        let side = Constraint::Length((area.width / 2 - 2).min(72));
        let [left, right] = Layout::horizontal([Constraint::Min(1), side]).areas(area);
        chart::large(&curves, chosen, view, left, buffer);
        let table = table_height.min(right.height);
        let [table, rest] = Layout::vertical([Constraint::Length(table), Constraint::Min(0)]).areas(right);
        values::table(state, &curves, chosen.name, table, buffer);
        let others: Vec<_> = curves.iter().filter(|curve| curve.name != chosen.name).collect();
        let count = others.len().min(usize::from(rest.height) / 8).min(3);
        let places = Layout::vertical(vec![Constraint::Fill(1); count]).split(rest);
        for (curve, place) in others.iter().zip(places.iter()) {
            chart::small(curve, view, *place, buffer);
        }
    } else if area.height >= 16 {
        let table = table_height.min(area.height / 3 + 1);
        let [above, below] = Layout::vertical([Constraint::Min(1), Constraint::Length(table)]).areas(area);
        chart::large(&curves, chosen, view, above, buffer);
        values::table(state, &curves, chosen.name, below, buffer);
    } else {
        chart::large(&curves, chosen, view, area, buffer);
    }
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let (width, height) = LEAST;
    let text = vec![
        Line::from("terminal too small"),
        Line::from(format!("{}x{}, at least {width}x{height}", area.width, area.height)),
    ];
    Paragraph::new(text).centered().render(area, buffer);
}

fn help(area: Rect, buffer: &mut Buffer) {
    let keys = HELP.iter().map(|(key, what)| Line::from(vec![format!(" {key:<12}").bold(), (*what).into()]));
    let curves =
        ["", " Steps are means of neighbouring steps; other curves", " have a point for each epoch."];
    let lines: Vec<Line> = keys.chain(curves.into_iter().map(Line::from)).collect();
    let (width, height) = (56.min(area.width), (lines.len() as u16 + 2).min(area.height));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let place = Rect { x, y, width, height };
    Clear.render(place, buffer);
    let block = Block::bordered().title(" Keys ").border_style(Style::new().fg(Color::Cyan));
    Paragraph::new(lines).block(block).render(place, buffer);
}

#[cfg(test)]
mod tests;
