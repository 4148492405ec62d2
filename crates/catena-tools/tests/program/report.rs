//! `report`.
use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::place::Place;

/// Batches an epoch of the runs that are made here, and their epochs.
const BATCHES: u64 = 10;
const EPOCHS: u64 = 3;

impl Place {
    /// A run of 3 epochs of 10 batches, with everything that a run may write.
    fn whole_run(&self, run: &str, lr: f64) {
        self.run(run);
        self.write(run, "run.json", &format!("{:#}\n", about(lr)));
        let mut metrics = String::new();
        for epoch in 1..=EPOCHS {
            let batch = epoch * BATCHES;
            for loader in ["train", "valid"] {
                let values = json!({ "loss": 1.0 / batch as f64, "f1/0": 0.5, "f1/1": 0.75 });
                metrics += &row("train", epoch, loader, batch, values);
            }
        }
        self.write(run, "metrics.jsonl", &metrics);
        let journal: String = (1..=EPOCHS * BATCHES).map(|batch| step(batch, lr)).collect();
        self.write(run, "journal.jsonl", &journal);
        let mut timing = String::new();
        for epoch in 1..=EPOCHS {
            let (batch, name) = (epoch * BATCHES, format!("{:012}-e", epoch * BATCHES));
            let time = format!("2026-01-02T03:0{epoch}:00.000Z");
            for row in [
                json!({ "time": time, "global_batch": batch, "loader": "train", "throughput": { "samples": 100.0 }, "data_wait": 0.25 }),
                json!({ "time": time, "global_batch": batch, "memory": { "resident": 3 << 20 } }),
                json!({ "time": time, "snapshot": name, "stall": 0.001, "wait": 0.0, "share": 0.01 }),
                json!({ "time": time, "snapshot": name, "bytes": 400, "write": 0.02 }),
            ] {
                timing += &format!("{row}\n");
            }
        }
        // at the end of a run, and of the part of it that went on
        for calls in [10, 20] {
            let row = |event: &str, callback: &str, loader: &str| json!({ "event": event, "callback": callback, "loader": loader, "calls": calls, "seconds": 0.5, "longest": 0.125 });
            let timings = [
                row("forward", "Forward", "train"),
                row("forward", "Forward", "valid"),
                row("data", "", "train"),
                row("evaluation", "", ""),
            ];
            let syncs = json!([{ "event": "batch_end", "callback": "Console", "scalars": 3, "copies": calls, "sizes": 1 }]);
            let end = json!({ "time": "2026-01-02T03:03:00.000Z", "global_batch": 30, "timings": timings, "syncs": syncs });
            timing += &format!("{end}\n");
        }
        self.write(run, "timing.jsonl", &timing);
    }

    fn write(&self, run: &str, file: &str, text: &str) {
        fs::create_dir_all(self.path(run)).unwrap();
        fs::write(self.path(run).join(file), text).unwrap();
    }

    fn page(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }
}

fn about(lr: f64) -> Value {
    let optimizer = json!({ "name": "sgd", "lr": lr });
    let loaders = json!([{ "name": "train", "mode": "train", "batches": BATCHES }, { "name": "valid", "mode": "eval", "batches": 2 }]);
    let stage = json!({ "name": "train", "epochs": EPOCHS, "loaders": loaders, "passes": [{ "name": "main", "params": "*", "optimizer": optimizer }] });
    let best = json!({ "k": 1, "metric": "valid/loss", "goal": "min" });
    let keep = json!({ "keep": { "keep_last": 2, "best": best, "every": null } });
    let checkpoint = json!({ "key": "Saves", "phase": "decide", "note": "every 1 epoch", "settings": keep });
    let params =
        json!({ "params": { "width": 128, "betas": [0.9, 0.99], "optimizer.lr": lr, "data": null } });
    let loggers = json!({ "key": "Loggers", "phase": "report", "note": "JsonLines", "settings": params });
    json!({
        "status": "completed", "started": "2026-01-02T03:00:00.000Z", "ended": "2026-01-02T03:03:30.000Z",
        "run": { "seed": 3, "stages": [stage], "chain": [checkpoint, loggers], "machine": { "device": "cpu" } },
    })
}

fn row(stage: &str, epoch: u64, loader: &str, batch: u64, metrics: Value) -> String {
    let row = json!({ "stage": stage, "epoch": epoch, "loader": loader, "global_step": batch, "global_batch": batch, "metrics": metrics });
    format!("{row}\n")
}

fn step(batch: u64, lr: f64) -> String {
    let epoch = (batch - 1) / BATCHES + 1;
    let loss = format!("{:016x}", (2.0 / batch as f64).to_bits());
    let row = json!({ "stage": "train", "epoch": epoch, "global_batch": batch, "global_step": batch, "ids": "0", "lr": lr, "loss": loss, "grad_norm": 1.5 });
    format!("{row}\n")
}

/// What a page says, a line for each piece of text, with cells apart.
fn outline(html: &str) -> String {
    let mut rest = html.split_once("<body>").unwrap().1.to_owned();
    for (from, to) in [("<script", "</script>"), ("<!--", "-->")] {
        while let Some(start) = rest.find(from) {
            let end = start + rest[start..].find(to).unwrap() + to.len();
            rest.replace_range(start..end, "");
        }
    }
    for end in [
        "</tr>",
        "</h1>",
        "</h2>",
        "</h3>",
        "</caption>",
        "</figcaption>",
        "</li>",
        "</p>",
        "</summary>",
        "</nav>",
    ] {
        rest = rest.replace(end, &format!("{end}\n"));
    }
    rest = rest.replace("</th>", " | ").replace("</td>", " | ").replace("</a>", " ").replace("</label>", " ");
    let mut text = String::new();
    let mut is_tag = false;
    for c in rest.chars() {
        match c {
            '<' => is_tag = true,
            '>' => is_tag = false,
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.trim_end_matches(" |").to_owned() + "\n").collect()
}

/// The charts of a page: titles, and what plotly is given.
fn charts(html: &str) -> Vec<(String, Value)> {
    let figures = html.split("<figure ").skip(1).map(|figure| figure.split("</figure>").next().unwrap());
    let between = |text: &str, start: &str, end: &str| {
        let rest = text.split_once(start).unwrap().1;
        rest.split_once(end).unwrap().0.to_owned()
    };
    let chart = |figure: &str| {
        let title = between(figure, "<figcaption", "</figcaption>").split_once('>').unwrap().1.to_owned();
        let json = between(figure, "<script type=\"application/json\">", "</script>");
        (title, serde_json::from_str(&json).unwrap())
    };
    figures.map(chart).collect()
}

fn chart(html: &str, title: &str) -> Value {
    charts(html).into_iter().find(|(known, _)| known == title).unwrap().1
}

#[test]
fn a_run_is_shown_with_all_that_it_wrote() {
    let place = Place::new();
    place.whole_run("run", 0.125);
    let before = place.content("run");
    let output = place.catena("report run");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    assert!(output.out.starts_with("Wrote report.html: 1 run, 10 charts, "), "{}", output.out);
    insta::assert_snapshot!("report", outline(&place.page("report.html")));
    assert_eq!(place.content("run"), before, "the run is left as it was");
}

#[test]
fn curves_lie_over_steps_epochs_and_time() {
    let place = Place::new();
    place.whole_run("run", 0.125);
    place.catena("report run");
    let html = place.page("report.html");
    let loss = chart(&html, "loss");
    assert_eq!(loss["data"][1]["name"], "train");
    assert_eq!(loss["data"][1]["x"], json!([10.0, 20.0, 30.0]));
    assert_eq!(loss["data"][1]["y"], json!([0.1, 0.05, 0.0333333]));
    assert_eq!(loss["axes"]["epoch"][1], json!([1.0, 2.0, 3.0]));
    assert_eq!(loss["axes"]["time"][1], json!([1.0, 2.0, 3.0]), "in minutes since the start");
    assert_eq!(loss["data"][0]["name"], "each step");
    assert_eq!(loss["data"][0]["y"][0], 2.0);
    assert_eq!(loss["axes"]["epoch"][0][4], 0.5);
    assert_eq!(loss["axes"]["time"][0][4], 0.5);
    assert_eq!(chart(&html, "f1")["data"].as_array().unwrap().len(), 4, "a curve for each loader and class");
    assert_eq!(chart(&html, "Learning rate")["data"][0]["y"][29], 0.125);
    assert_eq!(chart(&html, "Memory (MiB)")["data"][0]["y"][0], 3.0);
}

#[test]
fn runs_are_compared_and_their_differences_named() {
    let place = Place::new();
    place.whole_run("a", 0.125);
    place.whole_run("b/a", 0.25);
    let output = place.catena("report a b/a -o both.html");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    let html = place.page("both.html");
    let text = outline(&html);
    let start = text.find("Where the runs differ").unwrap();
    let differences: Vec<&str> = text[start..].lines().take_while(|line| *line != "All settings").collect();
    assert_eq!(
        differences[1..],
        [
            "setting | a | b/a",
            "params/optimizer.lr | 0.125 | 0.25",
            "stages/train/passes/main/optimizer/lr | 0.125 | 0.25",
        ]
    );
    let lr = chart(&html, "Learning rate");
    let names: Vec<&str> =
        lr["data"].as_array().unwrap().iter().map(|trace| trace["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a · each step", "b/a · each step"]);
    assert_ne!(lr["data"][0]["line"]["color"], lr["data"][1]["line"]["color"]);

    let (status, json) = place.json("report a a -o both.html");
    assert_eq!((status, &json["runs"][1]["name"]), (0, &json!("a")));
    assert!(outline(&place.page("both.html")).contains("The runs have the same settings."));
}

#[test]
fn a_run_without_anything_yet_is_shown_as_empty() {
    let place = Place::new();
    for file in ["metrics.jsonl", "journal.jsonl", "timing.jsonl"] {
        place.write("new", file, "");
    }
    let output = place.catena("report new");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    let html = place.page("report.html");
    insta::assert_snapshot!("report_empty", outline(&html));
    assert!(charts(&html).is_empty());
}

#[test]
fn damaged_rows_are_left_out_and_counted_on_the_page() {
    let place = Place::new();
    place.whole_run("run", 0.125);
    for file in ["metrics.jsonl", "journal.jsonl", "timing.jsonl"] {
        let text = place.page(&format!("run/{file}"));
        let mut lines: Vec<&str> = text.lines().collect();
        lines[1] = "{\"stage\": \u{0}";
        let too_long = " ".repeat(2 << 20);
        lines.insert(2, &too_long);
        place.write("run", file, &(lines.join("\n") + "\n{\"global_step\": 31, \"met"));
    }
    place.write("run", "run.json", "{\"status\": ");
    place.flip("run/checkpoints/000000000020-e/manifest.json");
    let output = place.catena("report run");
    assert_eq!((output.status, output.err.as_str()), (1, ""));
    let html = place.page("report.html");
    let text = outline(&html);
    let start = text.find("To be known").unwrap();
    let notes: Vec<&str> = text[start..].lines().take_while(|line| *line != "Metrics").collect();
    insta::assert_snapshot!("report_damaged", notes.join("\n"));
    assert!(text.contains("000000000020-e | damaged: "), "{text}");
    assert_eq!(chart(&html, "loss")["data"][1]["x"], json!([10.0, 20.0, 30.0]));
    assert_eq!(chart(&html, "loss")["data"][2]["x"], json!([20.0, 30.0]), "valid lacks the damaged row");
}

#[test]
fn a_run_that_is_being_written_to_is_no_damage() {
    let place = Place::new();
    place.whole_run("run", 0.125);
    let _locked = place.locked("run");
    for file in ["metrics.jsonl", "journal.jsonl", "timing.jsonl"] {
        let text = place.page(&format!("run/{file}"));
        place.write("run", file, &text[..text.len() - 20]);
    }
    assert_eq!(place.catena("report run").status, 0);
}

#[test]
fn a_run_that_was_killed_is_told_from_one_that_goes_on() {
    let place = Place::new();
    place.whole_run("run", 0.125);
    let mut running = about(0.125);
    (running["status"], running["ended"]) = (json!("running"), Value::Null);
    place.write("run", "run.json", &running.to_string());
    place.write("run", "lock", "");
    let status = || {
        assert_eq!(place.catena("report run").status, 0);
        let text = outline(&place.page("report.html"));
        let row = text.lines().find(|line| line.starts_with("run | ") && line.contains(" UTC")).unwrap();
        row.split(" | ").nth(1).unwrap().to_owned()
    };
    assert_eq!(status(), "running", "it was written to a moment ago");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_107);
    for name in ["run.json", "journal.jsonl", "metrics.jsonl", "timing.jsonl", "checkpoints"] {
        fs::File::open(place.path("run").join(name)).unwrap().set_modified(time).unwrap();
    }
    assert_eq!(
        status(),
        "killed or lost: last sign of life at 2026-01-02 03:05:07 UTC, no process here holds the lock"
    );
    let _locked = place.locked("run");
    assert_eq!(status(), "running", "a run that holds its lock may be silent");
}

#[test]
fn a_run_that_was_stopped_says_by_whom_and_why() {
    let place = Place::new();
    let mut stopped = about(0.5);
    stopped["status"] = json!("stopped");
    for (by, told) in [
        (json!({ "callback": "EarlyStopping", "why": "no better" }), "stopped by EarlyStopping: no better"),
        (json!({ "callback": "mine", "why": null }), "stopped by mine"),
        (Value::Null, "stopped"),
    ] {
        stopped["stopped_by"] = by;
        place.write("run", "run.json", &stopped.to_string());
        assert_eq!(place.catena("report run").status, 0);
        let text = outline(&place.page("report.html"));
        assert!(text.contains(&format!("run | {told} | 2026-01-02 03:00 UTC")), "{text}");
    }
}

#[test]
fn no_text_of_a_run_becomes_markup_or_a_script() {
    let place = Place::new();
    let evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;";
    let mut about = about(0.5);
    about["run"]["machine"]["device"] = json!(evil);
    about["run"][evil] = json!(evil);
    about["status"] = json!(evil);
    place.write("<b>run<%2fb>", "run.json", &about.to_string());
    let values = json!({ evil: 0.5, "confusion<i>": [[1, 2], [3, 4]] });
    place.write("<b>run<%2fb>", "metrics.jsonl", &row(evil, 1, evil, 10, values));
    let timing = json!({ "time": evil, "global_batch": 10, "timings": [{ "event": evil, "callback": evil, "seconds": 1.0 }], evil: { evil: 2.0 } });
    place.write("<b>run<%2fb>", "timing.jsonl", &format!("{timing}\n"));
    let output = place.catena("report <b>run<%2fb>");
    assert_eq!(output.status, 0, "{output:?}");
    let html = place.page("report.html");
    for markup in ["<script>alert", "<img", "<b>", "<i>"] {
        assert!(!html.contains(markup), "{markup}");
    }
    assert_eq!(html.matches("<script").count(), html.matches("</script>").count());
    for (title, chart) in charts(&html) {
        for trace in chart["data"].as_array().unwrap() {
            let name = trace["name"].as_str().unwrap_or_default();
            assert!(!name.contains('<'), "plotly reads tags: {title}: {name}");
        }
    }
}

#[test]
fn traces_are_added_up_where_no_table_of_times_is() {
    let place = Place::new();
    place.write("run", "metrics.jsonl", "");
    let event = |name: &str, ph: &str, dur: f64| json!({ "name": name, "cat": "forward", "ph": ph, "ts": 0, "dur": dur });
    let trace = json!({ "traceEvents": [event("Net", "X", 1000.0), event("Net", "M", 9.0)] });
    place.write("run", "trace.json", &trace.to_string());
    // of the part that went on
    let trace = json!({ "traceEvents": [event("Net", "X", 3000.0)] });
    place.write("run", "trace-2.json", &trace.to_string());
    place.write("run", "traces.json", "no trace");
    assert_eq!(place.catena("report run").status, 0);
    let html = place.page("report.html");
    assert!(
        outline(&html).contains("forward · Net | 4.00 ms | 100.0 % | 2 | 2.00 ms | 3.00 ms\n"),
        "{}",
        outline(&html)
    );
    assert_eq!(chart(&html, "Time by slice of the trace")["data"][0]["x"], json!([0.004]));

    place.write("run", "trace.json", "[{\"name\": ");
    assert_eq!(place.catena("report run").status, 0);
    assert!(
        outline(&place.page("report.html"))
            .contains("trace.json is no whole Chrome trace (yet) and left out")
    );
}

#[test]
fn nothing_is_asked_of_a_network() {
    let place = Place::new();
    place.whole_run("run", 0.125);
    place.catena("report run");
    let html = place.page("report.html");
    assert!(html.contains("content=\"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:\""));
    assert!(
        !html.contains("http://") && !html.contains("https://") && !html.contains("src="),
        "no address at all"
    );
}

#[test]
fn a_huge_run_makes_a_page_below_five_megabytes() {
    let place = Place::new();
    let mut journal = String::new();
    for batch in 1..=200_000 {
        journal += &step(batch, 1.0 / batch as f64);
    }
    place.write("run", "journal.jsonl", &journal);
    let mut metrics = String::new();
    for epoch in 1..=300 {
        let values: serde_json::Map<String, Value> =
            (0..600).map(|i| (format!("metric{i}"), json!(1.0 / (epoch * i + 7) as f64))).collect();
        metrics += &row("train", epoch, "valid", epoch * BATCHES, values.into());
    }
    place.write("run", "metrics.jsonl", &metrics);
    let output = place.catena("report run");
    assert_eq!(output.status, 0, "{output:?}");
    let html = place.page("report.html");
    assert!(html.len() < 5_000_000, "{}", html.len());
    assert!(outline(&html).contains("there are more than 400 names of values"));
}

#[test]
fn a_constant_small_number_is_drawn_at_its_value() {
    let place = Place::new();
    let rows: String = (1..=3)
        .map(|epoch| {
            row("train", epoch, "train", epoch * BATCHES, json!({ "loss": 1.0 / epoch as f64, "lr": 5e-4 }))
        })
        .collect();
    place.write("run", "metrics.jsonl", &rows);
    assert_eq!(place.catena("report run").status, 0);
    let html = place.page("report.html");
    let range = chart(&html, "Learning rate")["layout"]["yaxis"]["range"].clone();
    assert_eq!(range, json!([0.00025, 0.00075]));
    let title = charts(&html)
        .into_iter()
        .find(|(title, _)| title == "loss")
        .map(|(_, figure)| figure["layout"]["yaxis"]["range"].clone());
    assert_eq!(title, Some(Value::Null), "one that moves has the axis that plotly gives it");
}

#[test]
fn values_that_are_not_finite_are_gaps_and_said() {
    let place = Place::new();
    let rows: Vec<String> = [json!(1.5), json!("nan"), json!("inf"), json!(0.5)]
        .into_iter()
        .zip(1..)
        .map(|(loss, epoch)| row("train", epoch, "train", epoch * BATCHES, json!({ "loss": loss })))
        .collect();
    place.write("run", "metrics.jsonl", &rows.concat());
    place.catena("report run");
    let html = place.page("report.html");
    assert_eq!(chart(&html, "loss")["data"][0]["y"], json!([1.5, null, null, 0.5]));
    assert!(outline(&html).contains("loss (train): 2 of 4 values are not finite and are gaps in the curve"));
}

#[test]
fn a_run_that_wrote_only_csv_is_shown_too() {
    let place = Place::new();
    let text = "stage,epoch,global_step,global_batch,loss,later\nt,1,5,10,0.5,\nt,2,10,20,0.25,7\nt,3,x\nt,4,20,40,nan,8\n";
    place.write("run/metrics", "valid.csv", text);
    place.write(
        "run/metrics",
        "train.batches.csv",
        "stage,epoch,batch,global_step,global_batch,loss\nt,1,1,1,1,3.5\nt,1,2,",
    );
    let output = place.catena("report run");
    assert_eq!(output.status, 1, "a damaged row");
    let html = place.page("report.html");
    let loss = chart(&html, "loss");
    assert_eq!(
        (&loss["data"][0]["name"], &loss["data"][0]["y"]),
        (&json!("train, each batch"), &json!([3.5]))
    );
    assert_eq!(loss["data"][1]["y"], json!([0.5, 0.25, null]));
    assert_eq!(chart(&html, "later")["data"][0]["x"], json!([10.0, 20.0]));
    assert!(outline(&html).contains("metrics/valid.csv: 1 line left out that can't be read"));
    assert!(!outline(&html).contains("train.batches.csv"), "a last row in the making is no damage");
}

#[test]
fn a_confusion_matrix_is_a_heat_map_and_a_table() {
    let place = Place::new();
    let rows = [
        row("t", 1, "valid", 10, json!({ "confusion_matrix/0/0": 9, "confusion_matrix/0/1": 9 })),
        row(
            "t",
            2,
            "valid",
            20,
            json!({ "confusion_matrix/0/0": 3, "confusion_matrix/0/1": 1, "confusion_matrix/1/1": 2 }),
        ),
        row("t", 2, "test", 20, json!({ "confusion": [[0.75, 0.25], [0.0, 1.0]] })),
    ];
    place.write("run", "metrics.jsonl", &rows.concat());
    place.catena("report run");
    let html = place.page("report.html");
    let heat = chart(&html, "valid/confusion_matrix");
    assert_eq!(
        (&heat["data"][0]["type"], &heat["data"][0]["z"]),
        (&json!("heatmap"), &json!([[3.0, 1.0], [0.0, 2.0]]))
    );
    assert_eq!(heat["layout"]["yaxis"]["autorange"], "reversed", "the first class is on top");
    assert_eq!(heat["data"][0]["texttemplate"], "%{z}");
    assert_eq!(chart(&html, "test/confusion")["data"][0]["texttemplate"], "%{z:.2f}", "shares");
    let text = outline(&html);
    assert!(
        text.contains("valid/confusion_matrix\ntarget \\ decided | 0 | 1\n0 | 3 | 1\n1 | 0 | 2\n"),
        "{text}"
    );
    assert!(text.contains("0 | 0.75 | 0.25\n1 | 0 | 1\n"), "{text}");
}

#[test]
fn arrays_are_matrices_and_curves_and_what_is_too_large_is_told_of() {
    let place = Place::new();
    let many: Vec<Value> = (0..20).map(|i| json!([[i, 1], [0, "nan"]])).collect();
    let large = json!(vec![vec![1.0; 200]; 200]);
    let row = |epoch: u64| {
        let values = json!({ "labels": many, "confusion_matrix": large, "recall": [0.5, epoch, "inf"], "odd": [[1, 2]], "none": [] });
        row("t", epoch, "valid", 10 * epoch, values)
    };
    place.write("run", "metrics.jsonl", &[row(1), row(2)].concat());
    let output = place.catena("report run");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    let html = place.page("report.html");
    assert_eq!(chart(&html, "valid/labels/15")["data"][0]["z"], json!([[15.0, 1.0], [0.0, null]]));
    let recall = chart(&html, "recall");
    assert_eq!(
        (&recall["data"][1]["name"], &recall["data"][1]["y"]),
        (&json!("valid, 1"), &json!([1.0, 2.0]))
    );
    assert_eq!(recall["data"][2]["y"], json!([null, null]));
    let titles: Vec<String> = charts(&html).into_iter().map(|(title, _)| title).collect();
    assert_eq!(titles.len(), 17, "{titles:?}");
    let text = outline(&html);
    for note in [
        "valid/labels: of 20 matrices the first 16 are shown",
        "valid/confusion_matrix is no matrix of at most 128 × 128 and is not shown",
        "valid/odd is no matrix of at most 128 × 128 and is not shown",
    ] {
        assert_eq!(text.matches(note).count(), 1, "{text}");
    }
}

#[test]
fn only_a_report_is_replaced_unasked() {
    let place = Place::new();
    place.whole_run("run", 0.125);
    fs::write(place.path("mine.html"), "<p>mine</p>").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    for (args, expected) in [
        ("run -o mine.html", "error: mine.html is there already and is no report; --force replaces it\n"),
        ("run -o folder", "error: folder is there already and is no report; --force replaces it\n"),
        ("run -o nowhere/report.html", "error: can't write nowhere/report.html: "),
        ("run --force -o folder", "error: can't write folder: "),
        (
            "run -o run/checkpoints/000000000010-e/x.html",
            "error: run/checkpoints/000000000010-e/x.html would lie in a checkpoint's",
        ),
        ("nowhere", "error: there is no directory nowhere; "),
        ("folder", "error: folder is no run directory: it has none of run.json, "),
        ("run run/checkpoints/000000000010-e", "error: run/checkpoints/000000000010-e is a checkpoint, "),
    ] {
        let output = place.catena(&format!("report {args}"));
        assert_eq!((output.status, output.out.as_str()), (2, ""), "{args}");
        assert!(output.err.starts_with(expected), "{args}: {}", output.err);
    }
    assert_eq!(place.page("mine.html"), "<p>mine</p>");
    assert!(!place.path("report.html").exists());

    for args in ["run -o mine.html --force", "run -o mine.html"] {
        assert_eq!(place.catena(&format!("report {args}")).status, 0, "{args}");
        assert!(place.page("mine.html").ends_with("</html>\n"));
    }
    let program = env!("CARGO_BIN_EXE_catena");
    let script = format!("trap '' XFSZ; ulimit -f 0; exec '{program}' report run -o mine.html");
    let output = place.output(Command::new("sh").args(["-c", &script]));
    assert!(output.status == 2 && output.err.starts_with("error: can't write mine.html: "), "{output:?}");
    assert!(place.page("mine.html").ends_with("</html>\n"), "the report before is still there");
}

#[test]
fn steps_that_were_skipped_are_told_with_by_whom_and_where() {
    let place = Place::new();
    place.whole_run("run", 0.125);
    let mut journal = place.page("run/journal.jsonl");
    for (batch, outcome) in
        [(31, "skipped by NanGuard"), (33, "skipped by the loss scaler"), (36, "skipped by NanGuard")]
    {
        let row = json!({ "stage": "train", "epoch": 4, "global_batch": batch, "global_step": 30, "outcome": outcome, "ids": "0", "loss": null });
        journal += &format!("{row}\n");
    }
    place.write("run", "journal.jsonl", &journal);
    assert_eq!(place.catena("report run").status, 0);
    let text = outline(&place.page("report.html"));
    assert!(text.contains("| 30, 3 skipped | 36 |"), "{text}");
    let table: Vec<&str> = text.lines().skip_while(|line| *line != "Skipped steps").take(4).collect();
    assert_eq!(
        table[1..],
        [
            "what became of the step | steps | first at batch | last at batch",
            "skipped by NanGuard | 2 | 31 | 36",
            "skipped by the loss scaler | 1 | 33 | 33",
        ]
    );
    assert_eq!(place.catena("report run run -o two.html").status, 0);
    assert!(outline(&place.page("two.html")).contains("run | skipped by NanGuard | 2 | 31 | 36"));
}
