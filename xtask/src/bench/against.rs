//! This tree's benchmarks and another commit's, in turns.

use super::bootstrap::{Quotient, RESAMPLES, SEED, median};
use super::revision::{self, EXACT, Revision};
use super::rows::{self, Row};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// With fewer, a median's interval is too wide to tell 1.00 from 1.04.
const LEAST_ROUNDS: usize = 15;

/// What is measured against what, and how.
#[derive(Debug, Default)]
pub(crate) struct Against {
    /// The other tree's commit, as git is asked for it.
    pub(crate) rev: String,
    pub(crate) rounds: Option<usize>,
    pub(crate) quick: bool,
    /// The CPU on which both trees' processes run.
    pub(crate) pin: Option<usize>,
    /// Arguments for the benchmark.
    pub(crate) args: Vec<String>,
}

impl Against {
    /// Builds both trees, lets their benchmarks take turns, and prints how they compare.
    pub(super) fn run(&self, workspace: &Workspace, names: &[String]) -> Result<()> {
        let rounds = self.rounds()?;
        let other = Revision::check_out(workspace, &self.rev)?;
        let this = revision::this_tree(workspace)?;
        for name in names {
            let ours = Program::build(workspace, &workspace.path(""), &workspace.target(), name)?;
            let theirs = Program::build(workspace, &other.folder, &other.folder.join("target"), name)?;
            let before = load();
            let mut printed = Printed::default();
            for round in 1..=rounds {
                let begin = Instant::now();
                // the first turn is each one's in turn: a machine that becomes slower or faster favours nobody
                if round % 2 == 1 {
                    printed.ours.push(self.measure(workspace, &ours)?);
                    printed.theirs.push(self.measure(workspace, &theirs)?);
                } else {
                    printed.theirs.push(self.measure(workspace, &theirs)?);
                    printed.ours.push(self.measure(workspace, &ours)?);
                }
                eprintln!("{name}: round {round} of {rounds}, {:.1} s", begin.elapsed().as_secs_f64());
            }
            let table = printed.table();
            if table.is_empty() {
                bail!(
                    "the benchmark {name} printed no number under the same name in this tree and in {}: compare another one",
                    other.name
                );
            }
            println!("\n{name}: this tree ({this}) to {}, {rounds} rounds of both in turns", other.name);
            println!("{}{}, load {before} before and {} after", machine(), self.pinned(), load());
            println!(
                "quotients of medians [95 % interval: percentile bootstrap over rounds, {RESAMPLES} resamples, seed {SEED}]; medians \
                 (ranges) of this tree and of {}",
                other.name
            );
            print!("{table}");
        }
        Ok(())
    }

    fn rounds(&self) -> Result<usize> {
        match (self.rounds, self.quick) {
            (Some(0), _) => bail!("--rounds 0 measures nothing: ask for {LEAST_ROUNDS} or more"),
            (Some(rounds), false) if rounds < LEAST_ROUNDS => bail!(
                "--rounds {rounds} is too few to tell a difference of some percent: ask for {LEAST_ROUNDS} or more, or add --quick to \
                 only try it"
            ),
            (None, true) => Ok(3),
            (rounds, _) => Ok(rounds.unwrap_or(LEAST_ROUNDS)),
        }
    }

    /// One process.
    fn measure(&self, workspace: &Workspace, program: &Program) -> Result<Vec<Row>> {
        let mut command = match self.pin {
            Some(cpu) => {
                let mut command = workspace.command("taskset");
                command.arg("--cpu-list").arg(cpu.to_string()).arg(&program.path);
                command
            }
            None => workspace.command(&program.path),
        };
        command.current_dir(&program.folder).arg("--bench").args(&self.args).env(EXACT, "1");
        Ok(rows::parse(&workspace.output(command)?))
    }

    fn pinned(&self) -> String {
        self.pin.map(|cpu| format!(", all on CPU {cpu}")).unwrap_or_default()
    }
}

/// A benchmark that is built, and the tree that it belongs to.
struct Program {
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    fn build(workspace: &Workspace, folder: &Path, target: &Path, name: &str) -> Result<Self> {
        eprintln!("\n=== building {name} in {}", folder.display());
        let mut cargo = workspace.cargo(["bench", "--no-run", "--package", "catena", "--bench", name]);
        cargo.arg("--message-format=json-render-diagnostics");
        cargo.current_dir(folder).env("CARGO_TARGET_DIR", target);
        share_libtorch(&mut cargo, &workspace.libtorch());
        let printed = workspace.output(cargo)?;
        let path = executable(&printed, name)
            .with_context(|| format!("cargo built no benchmark {name} in {}", folder.display()))?;
        Ok(Self { path, folder: folder.to_owned() })
    }
}

/// Where this tree takes libtorch from its own `.cargo/config.toml`, the other takes it from there too.
fn share_libtorch(cargo: &mut Command, configured: &Path) {
    let is_left_to_cargo = cargo.get_envs().any(|(name, value)| name == "LIBTORCH" && value.is_none());
    if is_left_to_cargo && std::env::var_os("LIBTORCH_USE_PYTORCH").is_none() {
        cargo.env("LIBTORCH", configured);
    }
}

/// The path that cargo's messages name for a benchmark.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut built = messages.filter(|message| {
        let target = &message["target"];
        let is_bench =
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bench"));
        is_bench && target["name"] == name
    });
    built.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// What all processes printed, round by round.
#[derive(Default)]
struct Printed {
    ours: Vec<Vec<Row>>,
    theirs: Vec<Vec<Row>>,
}

impl Printed {
    /// A line for each row that both trees printed in every round, below its heading; then the names of the others. Empty if there is none.
    fn table(&self) -> String {
        let known = |of: &[Vec<Row>]| of.first().cloned().unwrap_or_default();
        let (mut shared, mut apart) = (Vec::new(), Vec::new());
        for row in known(&self.ours) {
            match values(&self.ours, &row).zip(values(&self.theirs, &row)) {
                Some(values) => shared.push((row, values)),
                None => apart.push(("this tree", row)),
            }
        }
        let is_theirs_alone =
            |row: &Row| values(&self.ours, row).is_none() || values(&self.theirs, row).is_none();
        let is_told = |row: &Row| known(&self.ours).iter().any(|ours| ours.is_same(row));
        let theirs = known(&self.theirs).into_iter().filter(|row| is_theirs_alone(row) && !is_told(row));
        apart.extend(theirs.map(|row| ("the other tree", row)));
        if shared.is_empty() {
            return String::new();
        }
        let width = shared.iter().map(|(row, _)| row.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        let mut heading = None;
        for (row, (ours, theirs)) in &shared {
            if heading != Some(&row.heading) {
                // a String takes all that is written to it
                let _ = writeln!(text, "\n{}", row.heading);
                heading = Some(&row.heading);
            }
            let Quotient { value, low, high } = Quotient::of(ours, theirs);
            let _ = writeln!(
                text,
                "  {:<width$}  {value:.4} [{low:.4} to {high:.4}]  {}  {}",
                row.name,
                range(ours),
                range(theirs)
            );
        }
        if !apart.is_empty() {
            let _ = writeln!(text, "\nnot compared, because one tree did not print it in every round:");
        }
        for (tree, row) in &apart {
            let _ = writeln!(text, "  {} ({tree}, below \"{}\")", row.name, row.heading);
        }
        text
    }
}

/// A row's numbers, if it was printed in every round.
fn values(rounds: &[Vec<Row>], row: &Row) -> Option<Vec<f64>> {
    let of_round = |rows: &Vec<Row>| rows.iter().find(|other| other.is_same(row)).map(|other| other.value);
    rounds.iter().map(of_round).collect()
}

/// `49.91 (49.10 to 50.90)`: four digits that count.
fn range(values: &[f64]) -> String {
    let middle = median(values);
    let digits = if middle.is_finite() && middle != 0.0 {
        (3 - middle.abs().log10().floor() as i32).clamp(0, 12) as usize
    } else {
        0
    };
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{middle:.digits$} ({low:.digits$} to {high:.digits$})")
}

/// The processor and how many there are, where `/proc` tells.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("a processor that is not known", |(_, name)| name.trim());
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {count} CPUs")
}

/// How many processes wanted to run in the last minute, where `/proc` tells.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("not known").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(heading: &str, name: &str, value: f64) -> Row {
        Row { heading: heading.into(), name: name.into(), value }
    }

    #[test]
    fn fewer_than_15_rounds_are_refused_unless_it_is_a_try() {
        let rounds = |rounds, quick| Against { rounds, quick, ..Against::default() }.rounds();
        assert_eq!(rounds(None, false).ok(), Some(15));
        assert_eq!(rounds(Some(40), false).ok(), Some(40));
        assert_eq!(rounds(None, true).ok(), Some(3));
        assert_eq!(rounds(Some(5), true).ok(), Some(5));
        assert!(
            rounds(Some(14), false).is_err_and(|error| error.to_string().contains("--rounds 14 is too few"))
        );
        assert!(rounds(Some(0), true).is_err());
    }

    #[test]
    fn the_table_has_the_quotient_of_each_shared_row_and_names_the_others() {
        let round = |ours: f64| vec![row("steps", "runner", ours), row("steps", "new", 1.0)];
        let printed = Printed {
            ours: vec![round(3.0), round(1.5), round(3.0)],
            theirs: vec![
                vec![row("steps", "runner", 1.0), row("steps", "old", 1.0)],
                vec![row("steps", "runner", 1.5), row("steps", "old", 1.0)],
                vec![row("steps", "runner", 2.0)],
            ],
        };
        let expected = "
steps
  runner  2.0000 [1.0000 to 3.0000]  3.000 (1.500 to 3.000)  1.500 (1.000 to 2.000)

not compared, because one tree did not print it in every round:
  new (this tree, below \"steps\")
  old (the other tree, below \"steps\")
";
        assert_eq!(printed.table(), expected);
        let apart = Printed { ours: vec![vec![row("a", "x", 1.0)]], theirs: vec![vec![row("b", "x", 1.0)]] };
        assert_eq!(apart.table(), "");
    }

    #[test]
    fn cargo_says_where_a_benchmark_is() {
        let messages = r#"
not JSON
{"reason":"compiler-artifact","target":{"name":"overhead","kind":["lib"]},"executable":"/wrong"}
{"reason":"compiler-artifact","target":{"name":"optim","kind":["bench"]},"executable":"/wrong"}
{"reason":"compiler-artifact","target":{"name":"overhead","kind":["bench"]},"executable":"/t/overhead-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "overhead"), Some("/t/overhead-1".into()));
        assert_eq!(executable(messages, "step"), None);
    }
}
