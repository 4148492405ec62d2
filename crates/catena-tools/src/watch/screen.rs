//! The terminal: taken, drawn on until a key or a signal ends it, and given back as it was.
use std::io;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use super::draw;
use super::guard::Guard;
use super::keys::View;
use super::look::Looker;
use super::signals::Signals;
use super::watched_run::WatchedRun;
use crate::failure::{Failure, Result};
use crate::model::time::now;

/// How often the run directory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a signal may wait.
const TICK: Duration = Duration::from_millis(200);

/// Draws until a key or a signal ends it.
pub(crate) fn live(looker: &mut Looker, state: &mut WatchedRun, mut view: View) -> Result<()> {
    let signals = Signals::catch().map_err(failed)?;
    let guard = Guard::begin(signals.clone());
    let mut screen = Screen::take().map_err(failed)?;
    let ended = watch(&mut screen.0, looker, state, &mut view, &signals, &guard);
    drop(screen);
    guard.end();
    signals.pass_on().map_err(failed)?;
    ended.map_err(failed)
}

fn failed(source: io::Error) -> Failure {
    Failure::Io { what: "can't draw on", path: "the terminal".into(), source }
}

fn watch(
    terminal: &mut DefaultTerminal,
    looker: &mut Looker,
    state: &mut WatchedRun,
    view: &mut View,
    signals: &Signals,
    guard: &Guard,
) -> io::Result<()> {
    let mut looked = None::<Instant>;
    while signals.caught().is_none() {
        let is_due = looked.is_none_or(|looked| state.behind || looked.elapsed() >= LOOK);
        if is_due && !view.paused {
            looker.look(state, now());
            looked = Some(Instant::now());
        }
        let at = now();
        terminal.draw(|frame| {
            let area = frame.area();
            draw::picture(state, view, at, area, frame.buffer_mut());
        })?;
        let wait = if state.behind && !view.paused { Duration::ZERO } else { TICK };
        if let Some(Event::Key(key)) = guard.during(|| next_event(wait))?
            && !view.key(key, state.curves().len())
        {
            break;
        }
    }
    Ok(())
}

fn next_event(wait: Duration) -> io::Result<Option<Event>> {
    if event::poll(wait)? { event::read().map(Some) } else { Ok(None) }
}

/// The terminal while it is drawn on. Dropped, also by a panic, it is as it was.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> io::Result<Self> {
        // a panic's message comes after the terminal is given back
        let taken = ratatui::try_init();
        if taken.is_err() {
            // what was half done
            ratatui::restore();
        }
        taken.map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // nothing is left to tell of a terminal that is gone
        let _shown = self.0.show_cursor();
        let _given_back = ratatui::try_restore();
    }
}
