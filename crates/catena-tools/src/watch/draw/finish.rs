//! What is done to the cells of a picture: curves are joined, and terminals that can do less get less.
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Color;

/// The first of the braille patterns; the others add a bit for each dot.
const BRAILLE: u32 = 0x2800;

/// Adds the curve of a layer. Where it meets another in a cell of braille, the dots of both stay.
pub(super) fn add(layer: &Buffer, buffer: &mut Buffer) {
    let dots = |cell: &Cell| {
        let character = cell.symbol().chars().next().map_or(0, u32::from);
        character.checked_sub(BRAILLE).filter(|dots| (1..=0xff).contains(dots))
    };
    for (i, new) in layer.content.iter().enumerate() {
        let (x, y) = layer.pos_of(i);
        let Some(cell) = buffer.cell_mut((x, y)) else { continue };
        if let Some(drawn) = dots(new) {
            let both = char::from_u32(BRAILLE + (drawn | dots(cell).unwrap_or(0)));
            cell.set_char(both.unwrap_or(' ')).set_style(new.style());
        } else if new.symbol() != " " {
            cell.set_symbol(new.symbol()).set_style(new.style());
        }
    }
}

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
