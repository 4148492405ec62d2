//! PyTorch's side of a bench, in a process that takes its turns: a line of JSON in, one out.
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) struct Python {
    child: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Python {
    /// Starts a program of `benches/peers` under `$CATENA_PYTHON` (default `python3`), asks it this first, and prints its greeting.
    pub(crate) fn start(program: &str, first: Option<&Value>) -> Result<Self, String> {
        let python = std::env::var("CATENA_PYTHON").unwrap_or_else(|_| "python3".into());
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(program);
        let mut command = Command::new(&python);
        command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{python}: {error}"))?;
        let (Some(mut ask), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".into());
        };
        if let Some(first) = first {
            writeln!(ask, "{first}").map_err(|error| error.to_string())?;
        }
        let mut answers = BufReader::new(out).lines();
        match answers.next() {
            Some(Ok(hello)) => println!("beside {hello}, {python}"),
            _ => return Err(format!("{python} has no torch")),
        }
        Ok(Self { child, ask, answers })
    }

    pub(crate) fn answer(&mut self, ask: &Value) -> Value {
        writeln!(self.ask, "{ask}").expect("PyTorch's process is there");
        let line = self.answers.next().expect("PyTorch's process is there").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
