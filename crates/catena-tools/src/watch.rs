//! `catena watch`: a live picture of a run, drawn from its directory alone.
mod checkpoints;
mod draw;
mod guard;
mod keys;
mod look;
mod pace;
mod screen;
mod signals;
mod summary;
mod warnings;
mod watched_run;
mod words;

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use self::keys::View;
use self::look::Looker;
use self::watched_run::WatchedRun;
use crate::failure::{Failure, Result};
use crate::model::time::now;
use crate::report::Report;

/// Watch a run that is going on, or look at one that has ended: curves, progress, checkpoints, warnings.
///
/// It reads the run directory and takes no lock, so the training does not notice. `?` explains the keys.
#[derive(Args)]
pub(crate) struct Watch {
    /// The run directory.
    run: PathBuf,
    /// Print one picture as text and end.
    #[arg(long)]
    once: bool,
    /// Columns and rows of that picture [default: the terminal's, or 80x24].
    #[arg(long, value_name = "WxH", requires = "once", value_parser = size)]
    size: Option<(u16, u16)>,
    /// Draw with nothing but ASCII.
    #[arg(long)]
    ascii: bool,
    /// The metric that is drawn large at first [default: loss].
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Draw values by their logarithms at first.
    #[arg(long)]
    log: bool,
}

impl Watch {
    pub(crate) fn run(self, json: bool) -> Result<Report> {
        let Self { run, once, size, ascii, metric, log } = self;
        let mut looker = Looker::open(&run)?;
        if !once {
            can_draw(json)?;
        }
        let mut state = WatchedRun { name: run.display().to_string(), ..WatchedRun::default() };
        looker.look(&mut state, now());
        while once && state.behind {
            looker.look(&mut state, now());
        }
        let metric = metric.map_or(Ok(0), |name| find(&state, &name))?;
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        // the console of Linux itself has no braille
        let ascii = ascii || set("TERM").is_some_and(|term| term == "linux");
        let plain = set("NO_COLOR").is_some();
        let view = View { metric, log, ascii, plain, ..View::default() };
        if once {
            let at = now();
            let text = text(&state, &view, at, size.unwrap_or_else(default_size));
            return Ok(Report { text, json: summary::of(&state, at), good: true });
        }
        screen::live(&mut looker, &mut state, view)?;
        Ok(Report { text: String::new(), json: serde_json::Value::Null, good: true })
    }
}

/// Whether there is a terminal to draw on.
fn can_draw(json: bool) -> Result<()> {
    if json {
        return Err(Failure::Usage("a live picture is no JSON; add `--once` for what is known now".into()));
    }
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if !io::stdout().is_terminal() || is_dumb {
        let wrong = "a live picture needs a terminal, and standard output is none that can be drawn on; `--once` prints one picture as text";
        return Err(Failure::Usage(wrong.into()));
    }
    Ok(())
}

/// The number of a metric.
fn find(state: &WatchedRun, name: &str) -> Result<usize> {
    let curves = state.curves();
    let known: Vec<&str> = curves.iter().map(|curve| curve.name).collect();
    known.iter().position(|known| *known == name).ok_or_else(|| {
        let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
        Failure::Usage(format!("{} has no metric `{name}`; it has {known}", state.name))
    })
}

/// The picture as lines of text.
fn text(state: &WatchedRun, view: &View, at: f64, (columns, rows): (u16, u16)) -> String {
    let area = Rect::new(0, 0, columns, rows);
    let mut buffer = Buffer::empty(area);
    draw::picture(state, view, at, area, &mut buffer);
    let line = |cells: &[ratatui::buffer::Cell]| {
        let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned() + "\n"
    };
    buffer.content().chunks(usize::from(columns).max(1)).map(line).collect()
}

fn default_size() -> (u16, u16) {
    let is_terminal = io::stdout().is_terminal();
    let size = if is_terminal { ratatui::crossterm::terminal::size().ok() } else { None };
    // the last row is where the shell goes on
    size.map_or((80, 24), |(columns, rows)| (columns, rows.saturating_sub(1)))
}

/// `80x24`.
fn size(text: &str) -> std::result::Result<(u16, u16), String> {
    let parsed = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let fits = |(w, h): &(u16, u16)| (1..=1000).contains(w) && (1..=1000).contains(h);
    parsed.filter(fits).ok_or_else(|| "columns and rows are expected, such as 80x24".into())
}
