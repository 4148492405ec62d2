//! The last values of all metrics, as a table.
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Widget};

use crate::model::series::Series;
use crate::watch::watched_run::{Curve, WatchedRun};
use crate::watch::words::number;

/// How wide a value is, and the least that a name gets.
const VALUE: usize = 10;
const NAME: usize = 10;

/// The last values of the metrics: by step, by loader, and the lowest and highest of the last loader.
pub(super) fn table(state: &WatchedRun, curves: &[Curve<'_>], chosen: &str, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.width).saturating_sub(4);
    let columns = room.saturating_sub(NAME) / VALUE;
    let loaders = state.loaders();
    let mut heads: Vec<String> = vec!["steps".into()];
    heads.extend(loaders.iter().map(|loader| shortened(loader)));
    if let Some(last) = loaders.last() {
        let last = if loaders.len() == 1 { String::new() } else { format!("{last} ") };
        heads.extend(["min", "max"].map(|end| shortened(&format!("{last}{end}"))));
    }
    heads.truncate(columns);
    let name = room.saturating_sub(heads.len() * VALUE);
    let mut lines = vec![Line::from(row("", name, &heads)).dim()];
    for curve in curves {
        let of = |loader: &str| -> Option<&Series> {
            let line = curve.lines.iter().find(|line| !line.by_batch && line.loader == loader);
            line.map(|line| &line.series)
        };
        let last = |series: Option<&Series>| series.and_then(|series| series.last);
        let mut values = vec![last(curve.steps)];
        values.extend(loaders.iter().map(|loader| last(of(loader))));
        let ends = loaders.last().and_then(|loader| of(loader));
        values.extend([ends.and_then(Series::lowest), ends.and_then(Series::highest)]);
        let text = |value: Option<f64>| value.map_or_else(String::new, number);
        let texts: Vec<String> = values.into_iter().take(heads.len()).map(text).collect();
        let line = Line::from(row(curve.name, name, &texts));
        lines.push(if curve.name == chosen { line.add_modifier(Modifier::BOLD) } else { line });
    }
    Paragraph::new(lines).block(Block::bordered().title(" last values ")).render(area, buffer);
}

fn row(name: &str, width: usize, values: &[String]) -> String {
    let name: String = name.chars().take(width).collect();
    let mut text = format!(" {name:<width$}");
    for value in values {
        text += &format!("{value:>VALUE$}");
    }
    text
}

/// The end of a name that is too long for its column.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    name.chars().skip(count.saturating_sub(VALUE - 1)).collect()
}
