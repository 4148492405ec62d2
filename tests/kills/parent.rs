//! The process that kills, and checks what is left.
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::chance::Chance;
use crate::child::Done;
use crate::places::{Places, Seen, Training, Writing};
use crate::resumable::{BATCHES, Ended};
use crate::snapshots::newest_that_verifies;
use crate::tally::{Place, Tally};

/// A child that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(120);
const SIGKILL: i32 = 9;

/// Kills so many children. A tenth of the kills must fall in each required place, but at least 3.
pub(crate) fn run(kills: usize, seed: u64) {
    println!("kills: at least {kills}, seed {seed}");
    let least = (kills / 10).max(3);
    let mut chance = Chance::new(seed);
    let whole = Work::new();
    let started = Instant::now();
    let expected = whole.finish(Some(chance.next()), None).ended;
    let longest = started.elapsed();

    let (mut tally, mut runs, mut ends) = (Tally::default(), 0, 0);
    while tally.kills() < kills || tally.of(tally.rarest()) < least {
        assert!(tally.kills() < 3 * kills, "some place is hardly ever hit:\n{tally}");
        let work = Work::new();
        runs += 1;
        for _ in 0..=chance.below(6) {
            let aim = Aim::choose(&tally, longest.mul_f64(work.left()), &mut chance);
            let Some(seen) = work.kill(&aim, &expected, &mut chance) else {
                ends += 1;
                break;
            };
            tally.add(seen.training, seen.writing);
            work.check(&seen, &expected);
            if tally.kills().is_multiple_of(50) {
                println!("{} kills, {:.0} s", tally.kills(), started.elapsed().as_secs_f64());
            }
        }
    }
    println!("{tally}");
    println!(
        "{runs} runs, {ends} of which ended before they were killed; after each kill the run was resumed to its end: each time from \
         the newest snapshot that verifies, and to the same bits; {:.0} s",
        started.elapsed().as_secs_f64()
    );
}

/// When to kill.
#[derive(Debug)]
struct Aim {
    /// Somewhere, or no matter where.
    place: Option<Place>,
    /// How often the place is entered before.
    pass: usize,
    /// How long after that.
    delay: Duration,
}

impl Aim {
    /// Half of the kills are aimed at the required place that has the fewest, a quarter at any place, a quarter at none.
    fn choose(tally: &Tally, longest: Duration, chance: &mut Chance) -> Self {
        let mut all = Place::REQUIRED.to_vec();
        all.extend(Place::OTHERS);
        let place = match chance.below(4) {
            0 => None,
            1 => Some(all[chance.below(all.len())]),
            _ => Some(tally.rarest()),
        };
        let delay = if place.is_some() { Duration::from_millis(2) } else { longest };
        let pass = if place == Some(Place::Training(Training::Starting)) { 0 } else { chance.below(4) };
        Self { place, pass, delay: chance.up_to(delay) }
    }

    fn is_at(&self, seen: &Seen) -> bool {
        match self.place {
            None => seen.training != Training::Loading,
            Some(Place::Training(place)) => seen.training == place,
            Some(Place::Writing(place)) => seen.writing == place,
        }
    }
}

/// A run directory, and what its children say of it.
struct Work {
    dir: TempDir,
    places: Places,
}

impl Work {
    fn new() -> Self {
        let mut dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // what fails can be looked at; what does not is removed by `drop`
        dir.disable_cleanup(true);
        let places = Places::open(&dir.path().join("places"));
        Self { dir, places }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self) -> PathBuf {
        self.path().join("run")
    }

    /// The share of the run that is still to be done.
    fn left(&self) -> f64 {
        1.0 - newest_that_verifies(&self.run()).map_or(0, |(_, batch)| batch) as f64 / BATCHES as f64
    }

    fn start(&self, pauses: Option<u64>) -> Child {
        self.places.reset();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.arg("train").arg(self.path()).args(pauses.map(|seed| seed.to_string()));
        // one thread computes: the machine is shared with other tests, and the others would spin
        child.env("OMP_NUM_THREADS", "1").spawn().unwrap()
    }

    /// Lets a child go on to the run's end, and checks that it went on from the newest snapshot.
    fn finish(&self, pauses: Option<u64>, expected: Option<&Ended>) -> Done {
        let newest = newest_that_verifies(&self.run());
        let mut child = self.start(pauses);
        let started = Instant::now();
        loop {
            match child.try_wait().unwrap() {
                Some(status) => assert!(status.success(), "{}: {status}", self.path().display()),
                None if started.elapsed() < LONGEST => {
                    sleep(Duration::from_millis(2));
                    continue;
                }
                None => self.hangs(&mut child),
            }
            return self.done(newest.map(|(_, batch)| batch), expected);
        }
    }

    /// Lets a child go on, and kills it. None if it came to its end before.
    fn kill(&self, aim: &Aim, expected: &Ended, chance: &mut Chance) -> Option<Seen> {
        let newest = newest_that_verifies(&self.run());
        let mut child = self.start(Some(chance.next()));
        let (started, mut pass, mut was_there) = (Instant::now(), aim.pass, false);
        loop {
            let is_there = aim.is_at(&self.places.seen());
            if is_there && !was_there {
                if pass == 0 || aim.place.is_none() {
                    break;
                }
                pass -= 1;
            }
            was_there = is_there;
            if child.try_wait().unwrap().is_some() {
                break;
            }
            if started.elapsed() > LONGEST {
                self.hangs(&mut child);
            }
            sleep(Duration::from_micros(100));
        }
        sleep(aim.delay);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if status.signal() == Some(SIGKILL) {
            return Some(self.places.seen());
        }
        assert!(status.success(), "{}: {status}", self.path().display());
        self.done(newest.map(|(_, batch)| batch), Some(expected));
        None
    }

    fn hangs(&self, child: &mut Child) -> ! {
        let seen = self.places.seen();
        child.kill().unwrap();
        panic!("{}: the child hangs: {seen:?}", self.path().display())
    }

    /// What is left of a kill: the newest snapshot is at least the one that was durable, and a copy goes on from it to the same end.
    fn check(&self, seen: &Seen, expected: &Ended) {
        let (at, newest) = (self.path().display(), newest_that_verifies(&self.run()));
        let newest = newest.map(|(name, _)| name);
        assert!(newest >= seen.durable, "{at}: {newest:?} is left of {seen:?}");
        if seen.writing == Writing::Renamed {
            assert!(newest > seen.durable, "{at}: {newest:?} is left of {seen:?}");
        }
        let copy = Self::new();
        copy_folder(&self.run(), &copy.run());
        copy.finish(None, Some(expected));
    }

    /// What a child says that has come to its end.
    fn done(&self, newest: Option<u64>, expected: Option<&Ended>) -> Done {
        let at = self.path().display();
        let done: Done = serde_json::from_slice(&fs::read(self.path().join("done.json")).unwrap()).unwrap();
        assert_eq!(done.resumed_from, newest, "{at}");
        let batches = BATCHES - newest.unwrap_or(0);
        assert_eq!((done.batches_run, done.batches_seen), (batches, batches), "{at}");
        if let Some(expected) = expected {
            assert_eq!(done.ended.differences(expected), [""; 0], "{at}");
        }
        done
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.dir.disable_cleanup(std::thread::panicking());
    }
}

/// Folders and files; a folder that is not there has been made by nobody yet.
fn copy_folder(from: &Path, to: &Path) {
    let Ok(entries) = fs::read_dir(from) else { return };
    fs::create_dir(to).unwrap();
    for entry in entries {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
