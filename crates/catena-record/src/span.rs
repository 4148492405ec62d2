//! Spans of time, as people read them.

/// Seconds in the unit that suits them: three digits that count below a minute (`4.20 µs`, `358 ms`, `12.3 s`), from there on the two largest
/// units (`2 min 05 s`, `3 h 07 min`, `2 d 5 h`). What took any time is never 0; what is no number is `?`.
///
/// ```
/// use catena_record::span;
///
/// assert_eq!([4.2e-6, 0.0042, 4.2, 125.0].map(span::text), ["4.20 µs", "4.20 ms", "4.20 s", "2 min 05 s"]);
/// ```
pub fn text(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".into();
    }
    if seconds < 0.0 {
        return format!("-{}", text(-seconds));
    }
    if seconds == 0.0 {
        return "0 s".into();
    }
    for (unit, scale, end) in [("ns", 1e9, 1e3), ("µs", 1e6, 1e3), ("ms", 1e3, 1e3), ("s", 1.0, 60.0)] {
        if let Some(digits) = three_digits(seconds * scale, end) {
            return format!("{digits} {unit}");
        }
    }
    // a run of 30 000 years is as long as one can be
    let all = seconds.round().min(1e12) as u64;
    let (days, hours, minutes) = (all / 86_400, all / 3600 % 24, all / 60 % 60);
    match all {
        ..3600 => format!("{minutes} min {:02} s", all % 60),
        3600..86_400 => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The number with three digits that count, if it is below `end` so rounded. One below 0.01 has fewer: there is no smaller unit.
fn three_digits(number: f64, end: f64) -> Option<String> {
    for (decimals, below) in [(2, 9.995), (1, 99.95), (0, 999.5)] {
        if number < below {
            let text = format!("{number:.decimals$}");
            let is_below_end = text.parse::<f64>().is_ok_and(|rounded| rounded < end);
            return is_below_end.then(|| if text == "0.00" { "<0.01".into() } else { text });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_span_has_three_digits_and_its_unit() {
        for (seconds, expected) in [
            (0.0, "0 s"),
            (1e-13, "<0.01 ns"),
            (4e-8, "40.0 ns"),
            (9.994e-7, "999 ns"),
            (9.996e-7, "1.00 µs"),
            (1.234e-5, "12.3 µs"),
            (0.000_999_4, "999 µs"),
            (0.000_999_6, "1.00 ms"),
            (0.0042, "4.20 ms"),
            (0.009_994, "9.99 ms"),
            (0.009_996, "10.0 ms"),
            (0.05, "50.0 ms"),
            (0.9996, "1.00 s"),
            (1.0, "1.00 s"),
            (59.94, "59.9 s"),
            (59.96, "1 min 00 s"),
            (125.0, "2 min 05 s"),
            (3599.6, "1 h 00 min"),
            (7265.0, "2 h 01 min"),
            (200_000.0, "2 d 7 h"),
            (-0.5, "-500 ms"),
            (f64::NAN, "?"),
            (f64::INFINITY, "?"),
        ] {
            assert_eq!(text(seconds), expected, "{seconds:e}");
        }
    }

    proptest! {
        #[test]
        fn what_took_any_time_below_a_minute_is_told_to_half_a_percent(exponent in -9.0..1.77f64) {
            let seconds = 10f64.powf(exponent);
            let told = text(seconds);
            let (digits, unit) = told.split_once(' ').unwrap();
            let scale = match unit { "ns" => 1e-9, "µs" => 1e-6, "ms" => 1e-3, "s" => 1.0, _ => 60.0 };
            let read = digits.parse::<f64>().unwrap() * scale;
            prop_assert!((read / seconds - 1.0).abs() <= 0.006, "{seconds:e} is {told}");
        }
    }
}
