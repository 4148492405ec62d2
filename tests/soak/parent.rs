//! The process that disturbs, and compares what comes of it.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::child::{IN_EPOCH, Life};
use crate::disturb::{self, KINDS, Kind, LOGS};
use crate::server::{MOODS, Mood, Server};

/// Loggers of which a run has some.
const LOGGERS: &str = "jctm";

/// What a life came to.
#[derive(Debug)]
struct Ended {
    /// Whether it was killed.
    killed: bool,
    ok: bool,
    out: String,
    err: String,
}

/// How a life is ended from outside.
#[derive(Clone, Copy, Debug)]
struct From {
    signal: &'static str,
    /// How long after its first batch.
    after: Duration,
}

fn live(life: &Life, from: Option<From>) -> Ended {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("train").arg(serde_json::to_string(life).unwrap());
    command.env("OMP_NUM_THREADS", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut err = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text).unwrap_or_default()
    });
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    if let Some(From { signal, after }) = from.filter(|_| text.starts_with("goes")) {
        std::thread::sleep(after);
        let _ended =
            Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
    }
    out.read_to_string(&mut text).unwrap();
    let status = child.wait().unwrap();
    let err = reader.join().unwrap();
    Ended { killed: status.code().is_none(), ok: status.success(), out: text, err }
}

/// The run that is disturbed.
struct Days {
    root: tempfile::TempDir,
    is_mounted: bool,
    life: Life,
    server: Server,
    chance: Chance,
    /// Logs that somebody let begin anew, or removed.
    touched: BTreeSet<&'static str>,
    /// Loggers that were left out at some time.
    absent: BTreeSet<char>,
    copies: u64,
}

pub(crate) fn run(interruptions: u64, seed: u64) {
    println!("days: {interruptions} interruptions, seed {seed}");
    let started = Instant::now();
    let epochs = interruptions.max(12);
    let mut days = Days::new(epochs, seed);
    let whole_dir = tempfile::tempdir().unwrap();
    let whole_server = Server::start();
    let whole = Life {
        dir: whole_dir.path().join("run"),
        server: whole_server.address.clone(),
        pause_ms: 0,
        ..days.life.clone()
    };
    let expected = live(&whole, None);
    assert!(expected.ok, "{expected:?}");

    let mut tally: BTreeMap<Kind, u64> = BTreeMap::new();
    for n in 0..interruptions {
        let mut kind =
            KINDS[if n < KINDS.len() as u64 { n as usize } else { days.chance.below(KINDS.len()) }];
        if !days.is_mounted && matches!(kind, Kind::Full | Kind::FullAndKill) {
            kind = Kind::Kill;
        }
        days.disturb(kind);
        *tally.entry(kind).or_default() += 1;
        if (n + 1) % 50 == 0 {
            println!("{} interruptions, {:.0} s", n + 1, started.elapsed().as_secs_f64());
        }
    }
    days.server.set(Mood::Ordinary);
    days.life.loggers = LOGGERS.into();
    let last = Life { batches: 0, pause_ms: 0, ..days.life.clone() };
    let ended = days.go_on(&last, None);
    let result = |ended: &Ended| ended.out.lines().last().unwrap_or("").to_owned();
    assert_eq!(result(&ended), result(&expected), "{ended:?}");
    days.compare(&whole.dir, &whole_server);
    println!("{tally:?}");
    println!(
        "begun anew by choice: {:?}; left out at some time: {:?}; full disks: {}; the same bits, rows and values as undisturbed: {:.0} s",
        days.touched,
        days.absent,
        if days.is_mounted { "tried" } else { "none, as nothing can be mounted here" },
        started.elapsed().as_secs_f64()
    );
}

impl Days {
    fn new(epochs: u64, seed: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let is_mounted = disturb::mount(root.path());
        let server = Server::start();
        let dir = root.path().join("run0");
        let life = Life {
            dir,
            epochs,
            loggers: LOGGERS.into(),
            server: server.address.clone(),
            pause_ms: 2,
            ..Life::default()
        };
        let (touched, absent, copies) = (BTreeSet::new(), BTreeSet::new(), 0);
        Self { root, is_mounted, life, server, chance: Chance::new(seed), touched, absent, copies }
    }

    /// A life that may be refused because of a log that was let begin anew, and is then allowed to.
    fn go_on(&mut self, life: &Life, from: Option<From>) -> Ended {
        let ended = live(life, from);
        if ended.err.contains("allow `logs`") {
            assert!(!self.touched.is_empty(), "no log was touched: {}", ended.err);
            let allowed = Life { allow: vec!["logs".into()], ..life.clone() };
            return self.expect_life(live(&allowed, from), from.is_some_and(|from| from.signal == "-KILL"));
        }
        self.expect_life(ended, from.is_some_and(|from| from.signal == "-KILL"))
    }

    fn expect_life(&self, ended: Ended, may_be_killed: bool) -> Ended {
        let is_full = ended.err.contains("No space left on device");
        assert!(ended.ok || is_full || ended.killed && may_be_killed, "{ended:?}");
        ended
    }

    fn kill(&mut self) -> Option<From> {
        Some(From { signal: "-KILL", after: self.chance.up_to(Duration::from_millis(40)) })
    }

    /// A life that ends by itself after some batches.
    fn some_batches(&mut self) -> Life {
        Life { batches: 2 + self.chance.below(IN_EPOCH as usize) as u64, ..self.life.clone() }
    }

    fn disturb(&mut self, kind: Kind) {
        let mut life = self.some_batches();
        let dir = self.life.dir.clone();
        let mut from = None;
        match kind {
            Kind::Kill => (life.batches, from) = (0, self.kill()),
            Kind::Signal => {
                let signal = if self.chance.below(2) == 0 { "-INT" } else { "-TERM" };
                let after = self.chance.up_to(Duration::from_millis(20));
                (life.batches, from) = (0, Some(From { signal, after }));
            }
            Kind::Stop => {}
            Kind::Full => (life.fill, life.batches) = (Some(self.root.path().join("fill")), 9),
            Kind::FullAndKill => {
                (life.fill, life.batches, from) = (Some(self.root.path().join("fill")), 9, self.kill());
            }
            Kind::Loggers => {
                let some = LOGGERS.chars().filter(|_| self.chance.below(2) == 0).collect::<String>();
                // none at all would bring the default ones
                self.life.loggers = if some.is_empty() { "j".into() } else { some };
                self.absent.extend(LOGGERS.chars().filter(|letter| !self.life.loggers.contains(*letter)));
                life.loggers.clone_from(&self.life.loggers);
            }
            Kind::EditAndPutBack => self.edit_and_put_back(&life),
            Kind::EditAndAllow => {
                if let Some(log) = disturb::some_log(&dir, &mut self.chance) {
                    disturb::edit(&dir.join(log), &mut self.chance);
                    self.touched.insert(log);
                }
            }
            Kind::LogRemoved => {
                if let Some(log) = disturb::some_log(&dir, &mut self.chance) {
                    life.remove = Some(dir.join(log));
                    self.touched.insert(log);
                }
            }
            Kind::CheckpointRemoved => self.remove_checkpoint(),
            Kind::CheckpointRemovedMeanwhile => life.remove = disturb::checkpoints(&dir).into_iter().next(),
            Kind::Moved => {
                let to = self.other_dir();
                fs::rename(&dir, &to).unwrap();
                self.move_to(to, &mut life);
            }
            Kind::Copied => {
                let to = self.other_dir();
                disturb::copy(&dir, &to);
                self.move_to(to, &mut life);
            }
            Kind::Server => {
                let mood = MOODS[self.chance.below(MOODS.len())];
                self.server.set(mood);
            }
            Kind::Refused => {
                let before = content(&dir);
                let refused = live(&Life { other_lr: true, ..life.clone() }, None);
                if !disturb::checkpoints(&dir).is_empty() {
                    assert!(!refused.ok && refused.err.contains("`lr` of the optimizer"), "{refused:?}");
                    assert_eq!(content(&dir), before, "a refusal changes nothing");
                }
            }
        }
        self.go_on(&life, from);
        let _there = fs::remove_file(self.root.path().join("fill"));
        // the copy goes on, and what it was copied from is given up later
        for entry in fs::read_dir(self.root.path()).unwrap().flatten() {
            if entry.path() != self.life.dir && entry.path().is_dir() {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
    }

    /// The refusal names the log; then it is as it was.
    fn edit_and_put_back(&mut self, life: &Life) {
        let dir = &self.life.dir;
        let Some(log) = disturb::some_log(dir, &mut self.chance) else { return };
        let path = dir.join(log);
        let text = fs::read(&path).unwrap();
        disturb::edit(&path, &mut self.chance);
        let before = content(dir);
        // an edit behind the snapshot, or of a logger that is left out, counts for nothing; it would begin to write
        let marks = newest_marks(dir);
        let is_other = marks.get(log).is_some_and(|mark| mark.check(&path).is_err());
        let owner = match log {
            "metrics.jsonl" => 'j',
            log if log.starts_with("metrics/") => 'c',
            _ => ' ',
        };
        if is_other && (owner == ' ' || life.loggers.contains(owner)) {
            let refused = live(life, None);
            assert!(
                !refused.ok && refused.err.contains(log) && refused.err.contains("allow `logs`"),
                "{refused:?}"
            );
            assert_eq!(content(dir), before, "a refusal changes nothing");
        }
        fs::write(&path, text).unwrap();
    }

    fn remove_checkpoint(&mut self) {
        let all = disturb::checkpoints(&self.life.dir);
        if all.len() > 1 {
            fs::remove_dir_all(&all[self.chance.below(all.len())]).unwrap();
        }
    }

    fn other_dir(&mut self) -> PathBuf {
        self.copies += 1;
        self.root.path().join(format!("run{}", self.copies))
    }

    fn move_to(&mut self, to: PathBuf, life: &mut Life) {
        life.dir.clone_from(&to);
        self.life.dir = to;
    }

    /// What the run left, beside what the undisturbed one did.
    fn compare(&self, whole: &Path, whole_server: &Server) {
        for log in LOGS {
            let owner = match log {
                "metrics.jsonl" => Some('j'),
                "journal.jsonl" => None,
                _ => Some('c'),
            };
            let read = |dir: &Path| fs::read_to_string(dir.join(log)).unwrap();
            let (now, expected) = (read(&self.life.dir), read(whole));
            if !self.touched.contains(log) && owner.is_none_or(|owner| !self.absent.contains(&owner)) {
                assert!(now == expected, "{log}:\n{now}\nin place of\n{expected}");
                continue;
            }
            let mut rows = expected.lines();
            for row in now.lines() {
                assert!(
                    rows.any(|other| other == row),
                    "{log}: this row is not the whole run's, or comes twice:\n{row}"
                );
            }
        }
        let expected: BTreeMap<_, _> = whole_server.values().into_iter().collect();
        let values = self.server.values();
        assert!(!values.is_empty());
        for (key, value) in values {
            assert_eq!(Some(&value), expected.get(&key), "{key:?}");
        }
    }
}

/// What the newest checkpoint says of the logs.
fn newest_marks(dir: &Path) -> catena::record::logs::Marks {
    let newest = disturb::checkpoints(dir).pop();
    newest.map_or_else(Default::default, |path| {
        catena::record::read_manifest(&catena::record::fs::Os, &path).unwrap().logs
    })
}

/// Every file but for the lock.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.ends_with("lock") => {}
                path => drop(files.insert(path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    files
}

impl Drop for Days {
    fn drop(&mut self) {
        if self.is_mounted {
            disturb::unmount(self.root.path());
        }
    }
}
