//! What a command answers, as text and as JSON.
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// What a command answers.
#[derive(Debug)]
pub(crate) struct Report {
    /// For people.
    pub(crate) text: String,
    /// For programs.
    pub(crate) json: Value,
    /// Whether nothing is damaged or different.
    pub(crate) good: bool,
}

/// A table with these heads. Its width is its content's, whatever the terminal's.
pub(crate) fn table<const N: usize>(heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// Text in which control characters are escaped, but for the ends of lines: names in files may hold anything.
pub(crate) fn printable(text: &str) -> String {
    let escape =
        |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// A number of bytes in the unit that suits it.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in units {
        // what would be rounded to 1024.0
        if size < 1023.95 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// A number with six digits.
pub(crate) fn short(number: f64) -> String {
    if number != 0.0 && number.is_finite() && !(1e-4..1e6).contains(&number.abs()) {
        return format!("{number:.5e}");
    }
    let text = format!("{number:.6}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Metrics with their names.
pub(crate) fn metrics<N: AsRef<str>>(measured: &BTreeMap<N, f64>) -> String {
    metrics_within(measured, usize::MAX).concat()
}

/// Metrics with their names, in lines of this width; a metric that alone is wider has a line of its own.
pub(crate) fn metrics_within<N: AsRef<str>>(measured: &BTreeMap<N, f64>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut left = measured.len();
    for (name, value) in measured {
        left -= 1;
        let comma = if left > 0 { "," } else { "" };
        let text = format!("{} {}{comma}", name.as_ref(), short(*value));
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + text.chars().count() <= width => {
                *line += " ";
                *line += &text;
            }
            _ => lines.push(text),
        }
    }
    lines
}

/// How many columns the terminal has that standard output goes to, if it is one.
pub(crate) fn columns() -> Option<usize> {
    let size = || ratatui::crossterm::terminal::size().ok();
    let (columns, _) = io::stdout().is_terminal().then(size)??;
    (columns > 0).then_some(usize::from(columns))
}

/// A count with its noun.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A float as catena writes it: those that are not finite as text.
pub(crate) fn float(number: f64) -> Value {
    catena_record::float::serialize(&number, serde_json::value::Serializer).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_short() {
        let sizes = [0, 1023, 1024, 1536, 1_048_575, 1 << 20, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "16384.0 PiB"]);
        let numbers =
            [0.0, 1.0, -0.25, 0.123456789, 1e-7, 123456789.0, f64::NAN, f64::NEG_INFINITY].map(short);
        assert_eq!(numbers, ["0", "1", "-0.25", "0.123457", "1.00000e-7", "1.23457e8", "NaN", "-inf"]);
    }

    #[test]
    fn metrics_stand_in_lines_that_are_no_wider_than_asked() {
        let measured = BTreeMap::from([("a", 1.0), ("bb", 2.0), ("c", 3.0)]);
        assert_eq!(metrics(&measured), "a 1, bb 2, c 3");
        assert_eq!(metrics_within(&measured, 10), ["a 1, bb 2,", "c 3"]);
        assert_eq!(metrics_within(&measured, 9), ["a 1,", "bb 2, c 3"]);
        assert_eq!(metrics_within(&measured, 1), ["a 1,", "bb 2,", "c 3"]);
    }

    #[test]
    fn a_name_can_not_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\rb\n"), "a\\u{1b}[2J\\rb\n");
    }
}
