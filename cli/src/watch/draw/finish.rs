//! What is done to a picture for terminals that can do less.
use ratatui::buffer::Buffer;
use ratatui::style::Color;

/// Leaves nothing but ASCII.
pub(super) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().is_ascii() && !cell.symbol().is_empty() {
            continue;
        }
        let ascii = match cell.symbol() {
            "" => " ",
            "─" | "━" | "·" => "-",
            "│" => "|",
            "┌" | "┐" | "└" | "┘" => "+",
            "█" => "#",
            "░" => ".",
            _ => "?",
        };
        cell.set_symbol(ascii);
    }
}

/// Leaves the terminal's own colours.
pub(super) fn without_colours(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        cell.set_fg(Color::Reset).set_bg(Color::Reset);
    }
}
