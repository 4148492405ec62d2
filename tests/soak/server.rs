//! A tracking server that is there, away, or answers nonsense.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Ordinary,
    Busy,
    /// A page to log in.
    Nonsense,
    Denies,
    /// It closes the connection.
    Away,
}

pub(crate) const MOODS: [Mood; 5] = [Mood::Ordinary, Mood::Busy, Mood::Nonsense, Mood::Denies, Mood::Away];

#[derive(Debug)]
struct State {
    mood: Mood,
    runs: u64,
    /// The values by run, key and step: the last one of each.
    values: BTreeMap<(String, String, u64), Value>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { mood: Mood::Ordinary, runs: 0, values: BTreeMap::new() }));
        let theirs = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = theirs.clone();
                // whoever was killed in the middle of a request is no concern
                std::thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).mood = mood;
    }

    /// The values that it took, by key and step, of all runs.
    pub(crate) fn values(&self) -> Vec<((String, u64), Value)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.values.iter().map(|((_, key, step), value)| ((key.clone(), *step), value.clone())).collect()
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, text) = match state.mood {
        Mood::Away => return Ok(()),
        Mood::Busy => (503, "{}".to_owned()),
        Mood::Denies => (401, "{}".to_owned()),
        Mood::Nonsense => (200, "<html>log in</html>".to_owned()),
        Mood::Ordinary => {
            let json: Value = serde_json::from_slice(&body).unwrap_or_default();
            (200, state.answer(&line, &json).to_string())
        }
    };
    drop(state);
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    (&mut &*stream).write_all((head + &text).as_bytes())
}

impl State {
    fn answer(&mut self, line: &str, json: &Value) -> Value {
        let run = |id: &str| json!({ "run": { "info": { "run_id": id, "artifact_uri": "mlflow-artifacts:/1", "lifecycle_stage": "active" } } });
        if line.contains("get-by-name") {
            return json!({ "experiment": { "experiment_id": "1" } });
        }
        if line.contains("runs/create") {
            self.runs += 1;
            return run(&format!("r{}", self.runs));
        }
        if line.contains("runs/get") {
            let id = line.split("run_id=").nth(1).and_then(|rest| rest.split([' ', '&']).next());
            return run(id.unwrap_or(""));
        }
        let id = json["run_id"].as_str().unwrap_or("").to_owned();
        for metric in json["metrics"].as_array().into_iter().flatten() {
            let key = metric["key"].as_str().unwrap_or("").to_owned();
            let step = metric["step"].as_u64().unwrap_or(0);
            self.values.insert((id.clone(), key, step), metric["value"].clone());
        }
        json!({})
    }
}
