//! What keys do.
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What the person who looks has chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The number of the metric that is drawn large.
    pub(crate) metric: usize,
    /// Whether the picture stands still.
    pub(crate) paused: bool,
    /// Whether the keys are explained.
    pub(crate) help: bool,
    /// Whether values are drawn by their logarithms.
    pub(crate) log: bool,
    /// Whether nothing but ASCII is drawn.
    pub(crate) ascii: bool,
    /// Whether colours are left out.
    pub(crate) plain: bool,
}

/// Keys, and what they do.
pub(crate) const HELP: [(&str, &str); 6] = [
    ("q, Esc", "quit; the run is not touched"),
    ("Tab, arrows", "the next metric, or the one before"),
    ("1 to 9", "the metric of this number"),
    ("l", "values by their logarithms, and back"),
    ("p, space", "let the picture stand still, and go on"),
    ("?, h", "this help, and back"),
];

impl View {
    /// Does what a key asks for, with so many metrics to choose from. False to quit.
    pub(crate) fn key(&mut self, key: KeyEvent, metrics: usize) -> bool {
        if key.kind == KeyEventKind::Release {
            return true;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return !matches!(key.code, KeyCode::Char('c' | 'd'));
        }
        let metrics = metrics.max(1);
        match key.code {
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => return false,
            KeyCode::Tab | KeyCode::Right | KeyCode::Down => self.metric = (self.metric + 1) % metrics,
            KeyCode::BackTab | KeyCode::Left | KeyCode::Up => {
                self.metric = (self.metric + metrics - 1) % metrics;
            }
            KeyCode::Char(digit @ '1'..='9') => {
                let chosen = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                if chosen < metrics {
                    self.metric = chosen;
                }
            }
            KeyCode::Char('l') => self.log = !self.log,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, code: KeyCode) -> bool {
        view.key(KeyEvent::new(code, KeyModifiers::NONE), 3)
    }

    #[test]
    fn metrics_are_chosen_round_and_round() {
        let mut view = View::default();
        for (code, metric) in [
            (KeyCode::Tab, 1),
            (KeyCode::Right, 2),
            (KeyCode::Tab, 0),
            (KeyCode::Left, 2),
            (KeyCode::BackTab, 1),
            (KeyCode::Char('3'), 2),
            (KeyCode::Char('4'), 2),
        ] {
            assert!(press(&mut view, code));
            assert_eq!(view.metric, metric, "{code:?}");
        }
        assert!(view.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE), 0));
        assert_eq!(view.metric, 0);
    }

    #[test]
    fn q_escape_and_control_c_quit() {
        let mut view = View::default();
        assert!(!press(&mut view, KeyCode::Char('q')));
        assert!(!press(&mut view, KeyCode::Esc));
        assert!(!view.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL), 3));
        assert!(press(&mut view, KeyCode::Char('?')) && view.help);
        assert!(press(&mut view, KeyCode::Esc) && !view.help, "the help is left first");
        assert!(press(&mut view, KeyCode::Char('p')) && view.paused);
        assert!(press(&mut view, KeyCode::Char('l')) && view.log);
        assert!(press(&mut view, KeyCode::Char('x')));
    }
}
