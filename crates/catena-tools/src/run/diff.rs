//! `catena run diff`: the first step at which two runs diverged, by their journals.
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use catena_record::formats::journal::of_bits;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Result;
use crate::report::{self, Report, count};
use crate::run::journal::{Journal, Line, place};

/// Compare two runs step by step, and name the first step that diverged.
///
/// What the journals say of each step is compared: batches, learning rate, loss (bit by bit), and, where both have them, the gradient
/// norm and the hash of the parameters. Lines are found by their batches: of those that one journal lacks, as after a full disk, it is told how many. Exit status 1
/// when steps differ, or one journal ends before the other.
#[derive(Args)]
pub(crate) struct Diff {
    /// A run directory, or its journal.jsonl.
    a: PathBuf,
    /// Another.
    b: PathBuf,
}

/// What is written only if a run computes it: a run that does has not diverged from one that doesn't.
const OPTIONAL: [&str; 2] = ["grad_norm", "params"];

/// A field, and its values in A and in B.
type Field = (String, Option<Value>, Option<Value>);

/// How far two journals agree.
#[derive(Default)]
struct Agreement {
    /// The lines that agree.
    lines: usize,
    /// The last of them.
    last: Option<Line>,
    /// The first that don't: A's and what differs.
    first: Option<(Line, Vec<Field>)>,
    /// The one that is shorter, and the last line of the other.
    shorter: Option<(&'static str, Line)>,
    /// Lines that only the other journal has, by the one that lacks them: how many, the first and the last.
    gaps: BTreeMap<&'static str, (usize, Line, Line)>,
    /// In how many lines a field is only in one.
    skipped: BTreeMap<(&'static str, &'static str), usize>,
}

impl Diff {
    pub(crate) fn run(self) -> Result<Report> {
        let (mut a, mut b) = (Journal::open(&self.a)?, Journal::open(&self.b)?);
        let agreement = compare(&mut a, &mut b)?;
        let torn: Vec<&str> = [("A", a.torn), ("B", b.torn)]
            .into_iter()
            .filter(|(_, torn)| *torn)
            .map(|(name, _)| name)
            .collect();
        let good = agreement.first.is_none() && agreement.shorter.is_none();
        let mut text = agreement.text();
        for name in &torn {
            text += &format!("The last line of {name}'s journal was cut short and is left out.\n");
        }
        let Agreement { lines, last, first, shorter, gaps, skipped } = agreement;
        let fields = |fields: Vec<Field>| -> Vec<Value> {
            fields.into_iter().map(|(name, a, b)| json!({ "name": name, "a": a, "b": b })).collect()
        };
        let skip = |((name, field), lines): (&(&str, &str), &usize)| json!({ "field": field, "only_in": name, "lines": lines });
        let json = json!({
            "a": self.a.display().to_string(),
            "b": self.b.display().to_string(),
            "equal": good,
            "lines_agree": lines,
            "last_that_agrees": last.as_ref().map(where_is),
            "first_that_differs": first.map(|(at, differing)| json!({ "at": where_is(&at), "fields": fields(differing) })),
            "shorter": shorter.map(|(name, end)| json!({ "run": name, "other_ends": where_is(&end) })),
            "gaps": gaps.iter().map(|(name, (lines, first, last))| json!({ "run": name, "lines": lines, "first": where_is(first), "last": where_is(last) })).collect::<Vec<_>>(),
            "not_compared": skipped.iter().map(skip).collect::<Vec<_>>(),
            "cut_short": torn,
        });
        Ok(Report { text, json, good })
    }
}

/// Compares lines of the same batch: one journal may lack some, or have more.
fn compare(a: &mut Journal, b: &mut Journal) -> Result<Agreement> {
    let mut agreement = Agreement::default();
    let (mut one, mut other) = (a.next()?, b.next()?);
    loop {
        (one, other) = match (one, other) {
            (None, None) => return Ok(agreement),
            (Some(line), None) => {
                agreement.shorter = Some(("B", a.last()?.unwrap_or(line)));
                return Ok(agreement);
            }
            (None, Some(line)) => {
                agreement.shorter = Some(("A", b.last()?.unwrap_or(line)));
                return Ok(agreement);
            }
            (Some(one), Some(other)) => match order(&one, &other) {
                Ordering::Less => {
                    agreement.lacks("B", one);
                    (a.next()?, Some(other))
                }
                Ordering::Greater => {
                    agreement.lacks("A", other);
                    (Some(one), b.next()?)
                }
                Ordering::Equal => {
                    let fields = differing(&one, &other, &mut agreement.skipped);
                    if !fields.is_empty() {
                        agreement.first = Some((one, fields));
                        return Ok(agreement);
                    }
                    agreement.lines += 1;
                    agreement.last = Some(one);
                    (a.next()?, b.next()?)
                }
            },
        };
    }
}

/// Which of two lines comes first: by the batch, which counts on through a run. Two that made the same step are the same line, whatever else they say.
fn order(one: &Line, other: &Line) -> Ordering {
    let number = |line: &Line, key: &str| line.get(key).and_then(Value::as_u64);
    let step = |line: &Line| number(line, "global_step").filter(|_| !line.contains_key("outcome"));
    match (step(one), step(other)) {
        (Some(step), Some(same)) if step == same => Ordering::Equal,
        _ => match (number(one, "global_batch"), number(other, "global_batch")) {
            (Some(batch), Some(its)) => batch.cmp(&its),
            _ => Ordering::Equal, // what is no number differs
        },
    }
}

fn differing(a: &Line, b: &Line, skipped: &mut BTreeMap<(&'static str, &'static str), usize>) -> Vec<Field> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let mut fields = Vec::new();
    for name in names {
        let (one, other) = (a.get(name), b.get(name));
        let optional = OPTIONAL.into_iter().find(|optional| optional == name);
        match (one, other, optional) {
            (Some(_), None, Some(field)) => *skipped.entry(("A", field)).or_default() += 1,
            (None, Some(_), Some(field)) => *skipped.entry(("B", field)).or_default() += 1,
            _ if one != other => fields.push((name.clone(), one.cloned(), other.cloned())),
            _ => {}
        }
    }
    fields
}

impl Agreement {
    fn lacks(&mut self, name: &'static str, line: Line) {
        let (lines, _, last) = self.gaps.entry(name).or_insert_with(|| (0, line.clone(), line.clone()));
        *lines += 1;
        *last = line;
    }

    fn text(&self) -> String {
        let mut text = match &self.last {
            None if self.first.is_none() && self.shorter.is_none() => "Both journals are empty.\n".into(),
            None => "The journals agree in no line.\n".into(),
            Some(last) => {
                format!("The journals agree in {}, up to {}.\n", count(self.lines, "line"), place(last))
            }
        };
        if let Some((line, fields)) = &self.first {
            let names: Vec<&str> = fields.iter().map(|(name, ..)| name.as_str()).collect();
            text += &format!(
                "The first that diverged is {}; it differs in {}.\n\n",
                place(line),
                names.join(", ")
            );
            let row = |(name, a, b): &Field| [name.clone(), value(name, a.as_ref()), value(name, b.as_ref())];
            text += &report::table(["field", "A", "B"], fields.iter().map(row));
        }
        for (name, (lines, first, last)) in &self.gaps {
            let other = if *name == "A" { "B" } else { "A" };
            let between = if *lines == 1 {
                format!("of {}", place(first))
            } else {
                format!("between {} and {}", place(first), place(last))
            };
            text += &format!(
                "{name}'s journal lacks {} {between} that {other}'s has: not compared.\n",
                count(*lines, "line")
            );
        }
        if let Some((name, end)) = &self.shorter {
            let other = if *name == "A" { "B" } else { "A" };
            text += &format!("{name} has no further step; {other} goes on to {}.\n", place(end));
        }
        for ((name, field), lines) in &self.skipped {
            text += &format!("Only {name} has `{field}` in {}: not compared there.\n", count(*lines, "line"));
        }
        text
    }
}

/// A value as people read it: a loss is its bits.
fn value(name: &str, value: Option<&Value>) -> String {
    match value {
        None => "(not there)".into(),
        Some(Value::String(text)) if name == "loss" => match of_bits(text) {
            Some(loss) => format!("{loss} ({text})"),
            None => text.clone(),
        },
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn where_is(line: &Line) -> Map<String, Value> {
    let known = ["stage", "epoch", "global_batch", "global_step"];
    known.iter().filter_map(|key| Some(((*key).to_owned(), line.get(*key)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use catena_record::formats::journal::JournalRow;

    use super::*;

    #[test]
    fn the_names_that_are_read_here_are_fields_of_the_journal() {
        let row = JournalRow {
            outcome: Some("skipped".into()),
            loss: Some(0.5),
            grad_norm: Some(1.0),
            params: Some("".into()),
            ..JournalRow::default()
        };
        let row = serde_json::to_value(row).unwrap();
        let read = ["stage", "epoch", "global_batch", "global_step", "outcome", "loss"];
        for name in read.into_iter().chain(OPTIONAL) {
            assert!(row.get(name).is_some(), "{name}");
        }
    }
}
