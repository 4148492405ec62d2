//! Numbers and times as people read them, in little room.

/// A number with four digits.
pub(crate) fn number(number: f64) -> String {
    let size = number.abs();
    match size {
        0.0 => "0".into(),
        _ if !number.is_finite() => crate::report::short(number),
        1e6.. => format!("{number:.3e}"),
        1e3.. => format!("{number:.0}"),
        1e2.. => format!("{number:.1}"),
        1e1.. => format!("{number:.2}"),
        1.0.. => format!("{number:.3}"),
        1e-3.. => format!("{number:.4}"),
        _ => format!("{number:.2e}"),
    }
}

/// A rate with three digits.
pub(crate) fn rate(number: f64) -> String {
    match number {
        1e7.. => format!("{:.0} M", number / 1e6),
        1e6.. => format!("{:.2} M", number / 1e6),
        1e4.. => format!("{:.1} k", number / 1e3),
        1e2.. => format!("{number:.0}"),
        1e1.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A span of time to whole seconds: how long ago something was, or how long it will be.
pub(crate) fn span(seconds: f64) -> String {
    // what is no number, or beyond all runs, is as good as for ever
    let all = if seconds.is_finite() { seconds.round().clamp(0.0, 1e12) } else { 0.0 };
    if all < 60.0 { format!("{all} s") } else { catena_record::span::text(all) }
}

/// A count in groups of three digits.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        let numbers = [0.0, -1.0, 0.123_456, 12.3456, 123.456, 1234.5, 1.5e6, 1e-9, f64::NAN].map(number);
        assert_eq!(numbers, ["0", "-1.000", "0.1235", "12.35", "123.5", "1234", "1.500e6", "1.00e-9", "NaN"]);
        assert_eq!(
            [0.5, 12.0, 345.6, 12_345.0, 2.5e6, 3e7].map(rate),
            ["0.50", "12.0", "346", "12.3 k", "2.50 M", "30 M"]
        );
        let spans = [0.2, 59.4, 60.0, 3599.0, 7265.0, 200_000.0, f64::INFINITY].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min 00 s", "59 min 59 s", "2 h 01 min", "2 d 7 h", "0 s"]);
        assert_eq!([7, 999, 1000, 1_234_567].map(grouped), ["7", "999", "1 000", "1 234 567"]);
    }
}
