//! What a benchmark prints, as rows: `NAME MEDIAN (MIN to MAX)`, below the line that heads them.

/// A number of a benchmark: the median of what one process measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The line that the row stands below, such as `tiny on cpu: µs a step, …`.
    pub(super) heading: String,
    /// Unique below its heading.
    pub(super) name: String,
    pub(super) value: f64,
}

impl Row {
    /// Whether it is the same number, measured another time.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.heading, &self.name) == (&other.heading, &other.name)
    }
}

/// The rows, in the order in which they were printed.
///
/// A line may hold several numbers. The first has the words before it as its name; each other has that name, and its own words: those
/// before it or, if there are none, those after it.
pub(super) fn parse(printed: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut heading = String::new();
    for line in printed.lines() {
        let found = medians(line);
        if found.is_empty() {
            // an indented line is a remark on what stands above it
            if !line.trim().is_empty() && !line.starts_with(' ') {
                heading = line.trim().to_owned();
            }
            continue;
        }
        let mut first = String::new();
        for (i, median) in found.iter().enumerate() {
            let from = if i == 0 { 0 } else { found[i - 1].end };
            let until = found.get(i + 1).map_or(line.len(), |next| next.start);
            let words = words(&line[from..median.start]);
            let mut name = match (i, words) {
                (0, words) => words.to_owned(),
                (_, "") => format!("{first}, {}", self::words(&line[median.end..until])),
                (_, words) => format!("{first}; {words}"),
            };
            if i == 0 {
                first.clone_from(&name);
            }
            let same = |row: &&Row| row.heading == heading && row.name == name;
            let before = rows.iter().filter(same).count();
            if before > 0 {
                name += &format!(" ({})", before + 1);
            }
            rows.push(Row { heading: heading.clone(), name, value: median.value });
        }
    }
    rows
}

/// A number that is followed by its range, and where both stand in the line.
struct Median {
    value: f64,
    start: usize,
    end: usize,
}

fn medians(line: &str) -> Vec<Median> {
    let mut found = Vec::new();
    for (open, _) in line.match_indices(" (") {
        let number = line[..open].rsplit(' ').next().unwrap_or_default();
        let Some((range, _)) = line[open + 2..].split_once(')') else { continue };
        let Some((low, high)) = range.split_once(" to ") else { continue };
        let parsed = (number.parse(), low.parse::<f64>(), high.parse::<f64>());
        if let (Ok(value), Ok(_), Ok(_)) = parsed {
            found.push(Median { value, start: open - number.len(), end: open + 2 + range.len() + 1 });
        }
    }
    found
}

/// Without the punctuation that joins words to numbers.
fn words(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ":;,".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by `overhead` at commit 2f0514d, but for the numbers.
    const OVERHEAD: &str = "\
dispatch, 200000 batches, median of 9
   0 extra callbacks: 0.070 (0.068 to 0.075) µs a batch, 0 allocations a batch
  20 extra callbacks: 0.310 (0.300 to 0.330) µs a batch, 0 allocations a batch

tiny on cpu: µs a step, median of 15 interleaved rounds of 2000 steps, one thread
  the runner           49.912 (49.100 to 50.900)  0.590 (0.580 to 0.600) of tch's
  by hand, tch's Adam  84.700 (83.600 to 87.200)  1.000 (1.000 to 1.000) of tch's
  the runner to the loop 1.031 (1.010 to 1.040); the loop to itself 1.001 (0.980 to 1.020)

mlp on cpu: µs a step, median of 15 interleaved rounds of 400 steps, one thread
  the runner           391.000 (382.000 to 406.000)  0.550 (0.500 to 0.820) of tch's
";

    #[test]
    fn each_number_of_overhead_has_a_heading_and_a_name() {
        let rows = parse(OVERHEAD);
        let told: Vec<(&str, &str, f64)> =
            rows.iter().map(|row| (&row.heading[..4], row.name.as_str(), row.value)).collect();
        let expected = [
            ("disp", "0 extra callbacks", 0.07),
            ("disp", "20 extra callbacks", 0.31),
            ("tiny", "the runner", 49.912),
            ("tiny", "the runner, of tch's", 0.59),
            ("tiny", "by hand, tch's Adam", 84.7),
            ("tiny", "by hand, tch's Adam, of tch's", 1.0),
            ("tiny", "the runner to the loop", 1.031),
            ("tiny", "the runner to the loop; the loop to itself", 1.001),
            ("mlp ", "the runner", 391.0),
            ("mlp ", "the runner, of tch's", 0.55),
        ];
        assert_eq!(told, expected);
        assert_eq!(rows[0].heading, "dispatch, 200000 batches, median of 9");
    }

    #[test]
    fn all_digits_that_are_printed_count() {
        let rows = parse("  a 0.07012345678901234 (0.07 to 1e-1) µs\n  b inf (1 to inf)\n");
        let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
        assert_eq!(values, [0.070_123_456_789_012_34, f64::INFINITY]);
    }

    #[test]
    fn what_is_no_median_with_its_range_is_no_row() {
        let printed = "seconds: median (min to max) of 9 rounds\n  the first save 0.3\n  40 MB (of 50 MB)\nunended 1.0 (0.5 to 2";
        assert_eq!(parse(printed), []);
    }

    #[test]
    fn equal_names_below_one_heading_are_numbered_and_remarks_head_nothing() {
        let rows = parse("here\n  a 1 (1 to 1)\n  a remark\n  a 2 (2 to 2)\nthere\n  a 3 (3 to 3)\n");
        let names: Vec<(&str, &str)> = rows.iter().map(|row| (&row.heading[..], &row.name[..])).collect();
        assert_eq!(names, [("here", "a"), ("here", "a (2)"), ("there", "a")]);
    }
}
