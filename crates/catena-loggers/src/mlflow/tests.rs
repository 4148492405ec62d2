use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use catena_tensor::tch::Tensor;
use serde_json::{Value as Json, json};

use super::*;
use crate::array::Array;
use crate::logger::{Ending, Entry, Logger, RunInfo, Scope};
use crate::payload::{Params, Payload};

/// A request, as a server sees it.
#[derive(Debug)]
struct Request {
    line: String,
    headers: String,
    body: Vec<u8>,
}

impl Request {
    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers as an MLflow server does, but `answer` may answer otherwise.
fn serve(answer: impl Fn(&Request) -> Option<(u16, Json)> + Send + 'static) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut headers, mut length) = (String::new(), String::new(), 0);
            reader.read_line(&mut line).unwrap();
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if header.trim().is_empty() {
                    break;
                }
                headers += &header;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let request = Request { line, headers, body };
            let (status, json) = answer(&request).unwrap_or_else(|| ordinary(&request));
            let json = json.to_string();
            let head =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", json.len());
            // told first, so that who has the answer can count on it
            if sender.send(request).is_err() {
                return;
            }
            (&stream).write_all((head + &json).as_bytes()).unwrap();
        }
    });
    (address, requests)
}

fn ordinary(request: &Request) -> (u16, Json) {
    let run =
        json!({ "run": { "info": { "run_id": "r1", "artifact_uri": "mlflow-artifacts:/7/r1/artifacts" } } });
    match &request.line {
        line if line.contains("get-by-name") => (404, json!({ "error_code": "RESOURCE_DOES_NOT_EXIST" })),
        line if line.contains("experiments/create") => (200, json!({ "experiment_id": "7" })),
        line if line.contains("runs/create") || line.contains("runs/get") => (200, run),
        _ => (200, json!({})),
    }
}

fn entry(step: u64, payload: Payload) -> Entry {
    let (stage, loader) = ("s".into(), "train".into());
    Entry {
        stage,
        epoch: 1,
        loader,
        scope: Scope::Loader,
        global_step: step,
        global_batch: step,
        time: SystemTime::now(),
        payload,
    }
}

fn scalars(step: u64, value: f64) -> Entry {
    entry(step, Payload::Scalars([("accuracy@1", value)].into_iter().collect()))
}

fn info(dir: &std::path::Path) -> RunInfo {
    RunInfo { dir: Some(dir.to_owned()) }
}

fn hash(name: &str) -> String {
    format!("{:08x}", crc32c::crc32c(name.as_bytes()))
}

#[test]
fn a_run_is_made_and_filled_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (server, requests) = serve(|_| None);
    let mut mlflow = Mlflow::new(server).experiment("a b").run_name("first").basic_auth("me", "secret");
    assert!(!format!("{mlflow:?}").contains("secret"));
    mlflow.start(&info(dir.path())).unwrap();
    mlflow.log(&entry(0, Payload::Params(Params::of(&json!({ "lr": 0.5 })).unwrap()))).unwrap();
    mlflow.log(&scalars(3, f64::NAN)).unwrap();
    mlflow.log(&entry(3, Payload::Text { name: "re: mark".into(), text: "hi".into() })).unwrap();
    let array = |values: &[f64], shape: &[i64]| Array::of(&Tensor::from_slice(values).view(shape)).unwrap();
    let (list, matrix) = (array(&[0.5], &[1]), array(&[3.0], &[1, 1]));
    mlflow.log(&entry(4, Payload::Array { name: "recall".into(), array: list })).unwrap();
    mlflow.log(&entry(4, Payload::Array { name: "matrix".into(), array: matrix })).unwrap();
    mlflow.end(Ending::Done).unwrap();
    drop(mlflow);
    let all: Vec<Request> = requests.try_iter().collect();
    let lines: Vec<&str> = all.iter().map(|r| r.line.trim().trim_end_matches(" HTTP/1.1")).collect();
    let api = "/api/2.0/mlflow";
    assert_eq!(
        lines,
        [
            format!("GET {api}/experiments/get-by-name?experiment_name=a%20b"),
            format!("POST {api}/experiments/create"),
            format!("POST {api}/runs/create"),
            format!("POST {api}/runs/update"),
            format!("POST {api}/runs/log-batch"),
            format!("POST {api}/runs/log-batch"),
            "PUT /api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/texts/train/re_%20mark_HASH/3.md"
                .replace("HASH", &hash("train/re: mark")),
            format!("POST {api}/runs/log-batch"),
            "PUT /api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/images/train/matrix/4.png".into(),
            format!("POST {api}/runs/update"),
        ]
    );
    assert!(all.iter().all(|request| request.headers.contains("Basic bWU6c2VjcmV0")));
    assert_eq!(all[2].json()["run_name"], "first");
    assert_eq!(all[2].json()["experiment_id"], "7");
    assert_eq!(all[4].json()["params"], json!([{ "key": "lr", "value": "0.5" }]));
    let metric = &all[5].json()["metrics"][0];
    assert_eq!(
        (&metric["key"], &metric["value"], &metric["step"]),
        (&json!(format!("train/accuracy_1_{}", hash("train/accuracy@1"))), &json!("NaN"), &json!(3))
    );
    assert_eq!(all[6].body, b"hi");
    let metric = &all[7].json()["metrics"][0];
    assert_eq!((&metric["key"], &metric["value"]), (&json!("train/recall/0"), &json!(0.5)));
    assert!(all[8].body.starts_with(b"\x89PNG"));
    assert_eq!(all[9].json()["status"], "FINISHED");
    assert!(fs::read_to_string(dir.path().join("mlflow.json")).unwrap().contains("\"run_id\":\"r1\""));
}

#[test]
fn what_a_busy_server_does_not_take_is_sent_again_and_what_it_refuses_is_left_out() {
    let busy = std::sync::atomic::AtomicU32::new(2);
    let (server, requests) = serve(move |request| {
        let one_less = |n: u32| n.checked_sub(1);
        let order = std::sync::atomic::Ordering::SeqCst;
        let is_batch = request.line.contains("log-batch");
        match is_batch && busy.try_update(order, order, one_less).is_ok() {
            true => Some((503, json!({}))),
            false if is_batch && String::from_utf8_lossy(&request.body).contains("\"step\":2,") => {
                Some((400, json!({})))
            }
            false => None,
        }
    });
    let mut mlflow = Mlflow::new(server);
    mlflow.start(&RunInfo { dir: None }).unwrap();
    (1..=3).for_each(|step| mlflow.log(&scalars(step, 0.5)).unwrap());
    mlflow.end(Ending::Done).unwrap();
    let mut taken = Vec::new();
    for request in requests.try_iter().filter(|request| request.line.contains("log-batch")) {
        let json = request.json();
        let steps = json["metrics"].as_array().unwrap().iter().map(|metric| metric["step"].as_u64().unwrap());
        taken.push(steps.collect::<Vec<u64>>());
    }
    // how many are sent at first is a question of timing; in the end each was sent
    assert!(taken.len() > 3, "{taken:?}");
    let last: std::collections::BTreeSet<u64> = taken.concat().into_iter().collect();
    assert_eq!(last.into_iter().collect::<Vec<u64>>(), [1, 2, 3]);
    assert_eq!(mlflow.waiting(), []);
}

#[test]
fn a_resumed_run_goes_on_with_what_the_server_had_not_got() {
    let dir = tempfile::tempdir().unwrap();
    // nobody listens there
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut first = Mlflow::new(format!("http://{nowhere}")).patience(Duration::ZERO);
    first.start(&info(dir.path())).unwrap();
    first.log(&scalars(1, 0.25)).unwrap();
    first.sync().unwrap();
    let mut position = first.position();
    // what is logged after the snapshot is logged again
    first.log(&scalars(2, 0.75)).unwrap();
    first.sync().unwrap();
    drop(first);
    assert_eq!(position.json["logged"], 2);
    position.json["run_id"] = "r1".into();

    let (server, requests) = serve(|_| None);
    let mut second = Mlflow::new(server);
    second.go_on(&info(dir.path()), position).unwrap();
    second.log(&scalars(2, 0.5)).unwrap();
    second.end(Ending::Done).unwrap();
    let all: Vec<Request> = requests.try_iter().collect();
    assert!(all[0].line.contains("runs/get?run_id=r1"), "{}", all[0].line);
    assert!(!all.iter().any(|request| request.line.contains("create")));
    let batches = all.iter().filter(|request| request.line.contains("log-batch")).map(Request::json);
    let values: Vec<Json> = batches.flat_map(|json| json["metrics"].as_array().unwrap().clone()).collect();
    assert_eq!(
        values.iter().map(|metric| metric["value"].clone()).collect::<Vec<_>>(),
        [json!(0.25), json!(0.5)]
    );
}

#[test]
fn a_server_that_never_comes_is_waited_for_no_longer_than_patience_allows() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut mlflow = Mlflow::new(format!("http://{nowhere}")).patience(Duration::from_millis(50));
    mlflow.start(&RunInfo { dir: None }).unwrap();
    (1..=3).for_each(|step| mlflow.log(&scalars(step, 0.5)).unwrap());
    let begun = std::time::Instant::now();
    mlflow.end(Ending::Done).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < Duration::from_secs(20));
    // the values and both statuses, for a run that goes on
    assert_eq!(mlflow.waiting().len(), 5);
}

#[test]
fn an_address_that_is_none_is_an_error_that_says_so() {
    let start = |server: &str| Mlflow::new(server).start(&RunInfo { dir: None });
    assert!(
        start("localhost:5000")
            .unwrap_err()
            .to_string()
            .contains("`localhost:5000` is no address of a server")
    );
    let https = start("https://example.org");
    assert_eq!(https.is_ok(), cfg!(feature = "https"));
}

/// The values that a server took.
fn values(requests: &Receiver<Request>) -> Vec<Json> {
    let all: Vec<Request> = requests.try_iter().collect();
    let batches = all.iter().filter(|request| request.line.contains("log-batch")).map(Request::json);
    let metrics = batches.flat_map(|json| json["metrics"].as_array().unwrap().clone());
    metrics.map(|metric| metric["value"].clone()).collect()
}

#[test]
fn what_is_no_mlflow_or_refuses_access_takes_nothing_and_what_waits_is_sent_later() {
    for (status, answer) in [
        (200, json!("<html>log in</html>")),
        (200, json!([])),
        (401, json!({ "error": "the token has expired" })),
        (403, json!({})),
    ] {
        let asked = std::sync::atomic::AtomicU32::new(0);
        let told = answer.clone();
        let (server, requests) = serve(move |request| {
            let is_batch = request.line.contains("log-batch");
            let first = is_batch && asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2;
            first.then(|| (status, answer.clone()))
        });
        let mut mlflow = Mlflow::new(server);
        mlflow.start(&RunInfo { dir: None }).unwrap();
        mlflow.log(&scalars(1, 0.25)).unwrap();
        mlflow.end(Ending::Done).unwrap();
        drop(mlflow);
        assert_eq!(values(&requests), [json!(0.25), json!(0.25), json!(0.25)], "{status} {told}");
    }
}

#[test]
fn a_run_that_was_deleted_keeps_what_waits_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (server, requests) = serve(|request| {
        let deleted = json!({ "run": { "info": { "run_id": "r1", "artifact_uri": "x", "lifecycle_stage": "deleted" } } });
        match () {
            () if request.line.contains("runs/get") => Some((200, deleted)),
            () if request.line.contains("log-batch") => {
                Some((400, json!({ "error_code": "INVALID_PARAMETER_VALUE" })))
            }
            () => None,
        }
    });
    let mut mlflow = Mlflow::new(server).patience(Duration::from_millis(300));
    mlflow.start(&info(dir.path())).unwrap();
    mlflow.log(&scalars(1, 0.25)).unwrap();
    mlflow.log(&scalars(2, 0.5)).unwrap();
    mlflow.end(Ending::Interrupted).unwrap();
    let position = mlflow.position();
    drop(mlflow);
    assert!(values(&requests).len() >= 2, "it was tried");
    // it was restored
    let (server, requests) = serve(|_| None);
    let mut mlflow = Mlflow::new(server);
    mlflow.go_on(&info(dir.path()), position).unwrap();
    mlflow.end(Ending::Done).unwrap();
    assert_eq!(values(&requests), [json!(0.25), json!(0.5)]);
    assert!(!dir.path().join("mlflow.backlog.jsonl").exists(), "nothing waits any more");
}

#[test]
fn a_copied_run_directory_gets_a_run_of_its_own_and_a_moved_one_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    let made = |request: &Request| request.line.contains("runs/create");
    let (server, _requests) = serve(|_| None);
    let mut mlflow = Mlflow::new(server);
    mlflow.start(&info(&first)).unwrap();
    mlflow.end(Ending::Interrupted).unwrap();
    let position = mlflow.position();
    drop(mlflow);
    let go_on = |dir: &std::path::Path| {
        let (server, requests) = serve(|_| None);
        let mut mlflow = Mlflow::new(server);
        mlflow.go_on(&info(dir), position.clone()).unwrap();
        mlflow.end(Ending::Interrupted).unwrap();
        drop(mlflow);
        requests.try_iter().filter(made).count()
    };
    fs::rename(&first, &second).unwrap();
    assert_eq!(go_on(&second), 0, "it was moved");
    fs::create_dir(&first).unwrap();
    fs::copy(second.join("mlflow.json"), first.join("mlflow.json")).unwrap();
    assert_eq!(go_on(&first), 1, "it is a copy");
    assert_eq!(go_on(&first), 0, "which has its own run from then on");
    assert_eq!(go_on(&second), 0);
    // an empty file ends nothing: the snapshot knows the run
    fs::write(second.join("mlflow.json"), "").unwrap();
    assert_eq!(go_on(&second), 0);
}

#[test]
fn a_picture_that_waits_is_in_the_backlog_and_not_in_the_position() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut mlflow = Mlflow::new(format!("http://{nowhere}")).patience(Duration::ZERO);
    mlflow.start(&info(dir.path())).unwrap();
    let text = "x".repeat(3_000_000);
    for step in 0..4 {
        mlflow.log(&entry(step, Payload::Text { name: "log".into(), text: text.clone() })).unwrap();
    }
    mlflow.sync().unwrap();
    assert!(mlflow.position().json.to_string().len() < 100);
    let backlog = fs::metadata(dir.path().join("mlflow.backlog.jsonl")).unwrap().len();
    assert!((4_000_000..8_000_000).contains(&backlog), "the oldest are dropped: {backlog}");
}
