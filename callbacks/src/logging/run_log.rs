//! What the run says, kept beside it.
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};

/// Keeps what a program logs in `run.log` in the run directory. The library installs no logger: the program writes its log
/// through [`RunLog::tee`], which hands every line on to standard error as well.
///
/// What was logged before the run began (up to 64 KiB of it) comes first; a run that goes on goes on in the same file. The clock
/// may speak in it, so it is not compared. When it has 16 MiB it becomes `run.log.1`, in place of the one that had this name, and a new one begins. On resume:
/// nothing to keep.
///
/// ```no_run
/// use catena_callbacks::RunLog;
///
/// let run_log = RunLog::new();
/// let tee = env_logger::Target::Pipe(Box::new(run_log.tee()));
/// env_logger::Builder::from_default_env().target(tee).init();
/// // Runner::builder(model).run_dir("runs/1").callback(run_log)
/// # let _ = run_log;
/// ```
#[derive(Debug, Default)]
pub struct RunLog {
    sink: Arc<Mutex<Sink>>,
}

/// Where a program's log goes: standard error, and `run.log` once there is a run.
#[derive(Debug)]
pub struct Tee {
    sink: Arc<Mutex<Sink>>,
}

#[derive(Debug)]
enum Sink {
    /// The run has not begun: what was said so far.
    Waiting(Vec<u8>),
    Open(Rotating),
    /// There is no run directory, or the file can't be written: told once.
    Closed,
}

impl Default for Sink {
    fn default() -> Self {
        Self::Waiting(Vec::new())
    }
}

/// A file that is given another name when it is large.
#[derive(Debug)]
struct Rotating {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// How large it becomes.
const LARGEST: u64 = 16 << 20;

impl Rotating {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + bytes.len() as u64 > LARGEST {
            std::fs::rename(&self.path, self.path.with_added_extension("1"))?;
            *self = Self::open(std::mem::take(&mut self.path))?;
        }
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// How much of what is said before the run is kept.
const WAITING: usize = 64 << 10;

impl RunLog {
    /// `run.log`.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the program's logger writes to.
    pub fn tee(&self) -> Tee {
        Tee { sink: self.sink.clone() }
    }
}

impl Sink {
    fn open(&mut self, cx: &Context) -> io::Result<()> {
        let Self::Waiting(said) = std::mem::replace(self, Self::Closed) else { return Ok(()) };
        if let Some(dir) = cx.run_dir() {
            let mut file = Rotating::open(dir.join("run.log"))?;
            file.write_all(&said)?;
            *self = Self::Open(file);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Waiting(said) => {
                let room = WAITING.saturating_sub(said.len());
                said.extend_from_slice(&bytes[..bytes.len().min(room)]);
                Ok(())
            }
            Self::Open(file) => file.write_all(bytes).inspect_err(|_| *self = Self::Closed),
            Self::Closed => Ok(()),
        }
    }
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut err = io::stderr().lock();
        let shown = err.write_all(bytes);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // to log it here would come back here
        if let Err(error) = sink.write(bytes) {
            writeln!(err, "run.log can't be written any more: {error}")?;
        }
        match (shown, &*sink) {
            // whoever read standard error may have gone: the file goes on
            (Ok(()), _) | (Err(_), Sink::Open(_)) => Ok(bytes.len()),
            (Err(error), _) => Err(error),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl Callback for RunLog {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Report, [Event::RunStart]).looks().logs_nothing()
    }

    fn state(&self) -> State {
        let Self { sink: _ } = self;
        State::none()
    }

    fn on_run_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.checking() {
            return Ok(Flow::GO);
        }
        let opened = self.sink.lock().unwrap_or_else(PoisonError::into_inner).open(cx);
        if let Err(error) = opened {
            log::warn!("run.log can't be written: {error}");
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_the_run_comes_first_and_is_bounded() {
        let mut sink = Sink::default();
        sink.write(b"before\n").unwrap();
        sink.write(&vec![b'x'; 2 * WAITING]).unwrap();
        let Sink::Waiting(said) = &sink else { panic!("nothing has begun") };
        assert!(said.starts_with(b"before\n") && said.len() == WAITING);
        sink = Sink::Closed;
        sink.write(b"nobody hears").unwrap();
    }

    #[test]
    fn it_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Rotating::open(dir.path().join("run.log")).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            log.write_all(&line).unwrap();
        }
        let mut sizes: Vec<(String, u64)> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len() >> 20))
            .collect();
        sizes.sort();
        assert_eq!(sizes, [("run.log".to_owned(), 8), ("run.log.1".to_owned(), 16)]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_once() {
        let mut sink = Sink::Open(Rotating::open("/dev/full".into()).unwrap());
        assert_eq!(sink.write(b"one\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        sink.write(b"two\n").unwrap();
    }
}
