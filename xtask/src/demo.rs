//! The demo: the digits by the chain, by the hand-written loop, and by a run that is killed and goes on, side by side.
mod killed;

use crate::workspace::Workspace;
use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// What must be equal for the two to be the same training, bit for bit.
const COMPARED: [&str; 3] = ["params_sha256", "optimizer_sha256", "train_loss"];

/// The order of the rows; what else there is follows.
const ROWS: [&str; 9] = [
    "params_sha256",
    "optimizer_sha256",
    "batches",
    "batches_run",
    "steps",
    "train_loss",
    "valid_loss",
    "valid_accuracy",
    "resumed_from",
];

/// The columns of the table: the two loops, and the chain again, killed and resumed.
const COLUMNS: [&str; 3] = ["chain", "explicit", "killed, resumed"];

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    eprintln!("building the digits; the first build compiles torch-sys and takes minutes");
    workspace.run(workspace.cargo(["build", "--example", "digits"]))?;
    let train = |name: &str| {
        eprintln!("training with --loop {name}");
        let mut command = workspace.cargo(["run", "--quiet", "--example", "digits", "--", "--loop", name]);
        command.args(args);
        last_line(name, &workspace.output(command)?)
    };
    let results = [train(COLUMNS[0])?, train(COLUMNS[1])?, killed::run(workspace, args)?];
    print!("{}", table(&results));
    let different = different(&results)?;
    if !different.is_empty() {
        bail!("the three are not bit-identical; what differs: {}", different.join(", "));
    }
    println!("The three are bit-identical: parameters, optimizer state and training loss are equal.");
    Ok(())
}

type Results = [Map<String, Value>; 3];

/// The result, which is the last line of standard output.
fn last_line(name: &str, stdout: &str) -> Result<Map<String, Value>> {
    match stdout.lines().last().map(serde_json::from_str) {
        Some(Ok(Value::Object(result))) => Ok(result),
        _ => bail!(
            "the last line of standard output of the digits with --loop {name} is not a JSON object; it printed {stdout:?}"
        ),
    }
}

fn different(results: &Results) -> Result<Vec<&'static str>> {
    let mut different = Vec::new();
    for key in COMPARED {
        match results.each_ref().map(|result| result.get(key)) {
            [Some(a), Some(b), Some(c)] if a == b && a == c => {}
            [Some(_), Some(_), Some(_)] => different.push(key),
            _ => bail!("a result of the digits has no {key}: see what the last line of its output holds"),
        }
    }
    Ok(different)
}

fn table(results: &Results) -> String {
    let [chain, explicit, killed] = COLUMNS;
    let mut rows = vec![["", chain, explicit, killed].map(str::to_owned)];
    let mut keys: Vec<&str> = ROWS.into();
    for key in results.iter().flat_map(Map::keys) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    for key in keys {
        let [a, b, c] = results.each_ref().map(|result| shown(result.get(key)));
        rows.push([key.to_owned(), a, b, c]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    rows.iter().map(|[key, a, b, c]| format!("{key:first$}  {a:second$}  {b:third$}  {c}\n")).collect()
}

/// A value in few characters.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "(missing)".to_owned(),
        Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.len() > 20 => {
            format!("{}…", text.chars().take(16).collect::<String>())
        }
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(loss: f64) -> Map<String, Value> {
        let text = format!(
            "a line before\n{{\"params_sha256\": \"{}\", \"optimizer_sha256\": \"ef\", \"train_loss\": {loss}, \"resumed_from\": null}}\n",
            "ab".repeat(32)
        );
        last_line("chain", &text).expect("an object")
    }

    #[test]
    fn equal_results_are_equal_and_one_bit_is_seen() -> Result<()> {
        assert!(different(&[result(0.1), result(0.1), result(0.1)])?.is_empty());
        let next = f64::from_bits(0.1_f64.to_bits() + 1);
        assert_eq!(different(&[result(0.1), result(next), result(0.1)])?, ["train_loss"]);
        assert_eq!(different(&[result(0.1), result(0.1), result(next)])?, ["train_loss"]);
        Ok(())
    }

    #[test]
    fn a_result_without_a_compared_value_is_an_error() {
        let mut without = result(0.1);
        without.remove("optimizer_sha256");
        let error = different(&[result(0.1), result(0.1), without]).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("has no optimizer_sha256")));
        assert!(last_line("chain", "{}\nnot json").is_err());
        assert!(last_line("chain", "").is_err());
    }

    #[test]
    fn the_table_is_aligned() {
        let table = table(&[result(0.5), result(0.25), result(1.0)]);
        let lines: Vec<_> = table.lines().collect();
        let hash = "abababababababab…";
        for line in [
            "                  chain              explicit           killed, resumed".to_owned(),
            format!("params_sha256     {hash}  {hash}  {hash}"),
            "steps             (missing)          (missing)          (missing)".to_owned(),
            "train_loss        0.5                0.25               1".to_owned(),
            "resumed_from      -                  -                  -".to_owned(),
        ] {
            assert!(lines.contains(&line.as_str()), "{table}");
        }
    }
}
