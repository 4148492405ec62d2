//! TensorBoard's event files.
mod proto;

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use catena_record::logs::{LogFile, Marks};
use prost::Message as _;

use self::proto::{Event, SessionLog, Summary, Value, What};
use crate::array::Shown;
use crate::error::Result;
use crate::file::{at, make_folder};
use crate::logger::{Entry, Logger, Position, RunInfo};
use crate::payload::Payload;

/// Writes event files for TensorBoard into `RUN/tensorboard/`: scalars, histograms, images, texts and hyper-parameters. Look at
/// them with `tensorboard --logdir RUN`, or one level up to compare runs.
///
/// The axis is the global step. Tags are `<loader>/<metric>`, and `<loader>.batches/<metric>` for batches; the numbers of scalars
/// are `f32`, as the format has them. Of arrays, a matrix (up to 2048 × 2048) is an image, a list the scalars `<tag>/0`, `<tag>/1`,
/// …, and each part of what has more dimensions is one or the other; the first 128 of them are written. On resume the files are cut back to the snapshot, and a new one begins with a session
/// start, at which TensorBoard forgets what it may have read beyond it.
///
/// ```
/// use catena_loggers::{Logger, TensorBoard};
///
/// assert_eq!(TensorBoard::new().name(), "TensorBoard");
/// ```
#[derive(Debug, Default)]
pub struct TensorBoard {
    folder: PathBuf,
    current: Option<(String, LogFile)>,
    /// How far files of earlier lives went, by their paths.
    earlier: Marks,
    /// The last step in them.
    step: u64,
    position: Position,
}

/// The folder in the run directory.
const FOLDER: &str = "tensorboard";

const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".catena";

impl TensorBoard {
    /// Into the run directory.
    pub fn new() -> Self {
        Self::default()
    }

    fn found(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder).map_err(|error| at(&self.folder, &error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| number_of(name).is_some()).collect())
    }

    fn folder(&mut self, run: &RunInfo) -> Result<()> {
        self.folder = run.needs_dir("TensorBoard")?.join(FOLDER);
        make_folder(&self.folder)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::remove_file(&path).map_err(|error| at(&path, &error))
    }

    /// A new file; TensorBoard reads files in the order of their names.
    fn begin_file(&mut self) -> Result<()> {
        let last = self.found()?.iter().filter_map(|name| number_of(name)).max();
        let second = (wall_time(SystemTime::now()) as u64).max(last.map_or(0, |last: u64| last + 1));
        let name = format!("{PREFIX}{second:010}{SUFFIX}");
        let mut header = Vec::new();
        frame(&event(SystemTime::now(), 0, What::FileVersion("brain.Event:2".into())), &mut header);
        let file = LogFile::create(self.folder.join(&name), &header)?;
        self.current = Some((name, file));
        Ok(())
    }

    fn put(&mut self, time: SystemTime, step: u64, what: What) {
        if let Some((_, file)) = &mut self.current {
            frame(&event(time, step, what), file.buffer());
        }
    }
}

impl Logger for TensorBoard {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.folder(run)?;
        self.found()?.iter().try_for_each(|name| self.remove(name))?;
        self.begin_file()
    }

    fn go_on(&mut self, run: &RunInfo, position: Position) -> Result<()> {
        self.folder(run)?;
        let Position { json, files } = position;
        for name in self.found()? {
            if !files.contains_key(&path_of(&name)) {
                self.remove(&name)?;
            }
        }
        for (path, mark) in &files {
            let name = path.rsplit('/').next().unwrap_or_default();
            LogFile::go_on(self.folder.join(name), mark)?;
        }
        let step = json.as_u64().unwrap_or(0);
        (self.earlier, self.step) = (files, step);
        self.begin_file()?;
        // what has a later step was read from what is cut off now
        self.put(SystemTime::now(), step + 1, What::SessionLog(SessionLog { status: proto::START }));
        self.write()
    }

    fn log(&mut self, entry: &Entry) -> Result<()> {
        let tag = |name: &str| entry.tag(name);
        let values = match &entry.payload {
            Payload::Scalars(scalars) => {
                scalars.iter().map(|(name, x)| Value::scalar(tag(name), x as f32)).collect()
            }
            Payload::Array { name, array } => {
                let value = |(name, shown): (String, Shown)| match shown {
                    Shown::Number(x) => Ok(Value::scalar(tag(&name), x as f32)),
                    Shown::Picture(image) => Value::image(tag(&name), &image),
                };
                array.shown(name)?.into_iter().map(value).collect::<Result<_>>()?
            }
            Payload::Histogram { name, histogram } => vec![Value::histogram(tag(name), histogram)],
            Payload::Image { name, image } => vec![Value::image(tag(name), image)?],
            Payload::Text { name, text } => vec![Value::text(tag(name), text)],
            Payload::Params(params) => vec![Value::params(params, wall_time(entry.time))],
            Payload::Artifact { .. } => return Ok(()),
        };
        self.step = self.step.max(entry.global_step);
        self.put(entry.time, entry.global_step, What::Summary(Summary { value: values }));
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        if let Some((_, file)) = &mut self.current {
            file.write();
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        if let Some((name, file)) = &mut self.current {
            self.earlier.insert(path_of(name), file.sync()?);
        }
        self.position = Position { json: self.step.into(), files: self.earlier.clone() };
        Ok(())
    }

    fn position(&self) -> Position {
        self.position.clone()
    }
}

/// The path in the run directory of a file of this name.
fn path_of(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// The second in the name of a file that is catena's: other programs may write event files into the folder too.
fn number_of(name: &str) -> Option<u64> {
    let second = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let is_number = second.len() == 10 && second.bytes().all(|digit| digit.is_ascii_digit());
    second.parse().ok().filter(|_| is_number)
}

fn event(time: SystemTime, step: u64, what: What) -> Vec<u8> {
    Event { wall_time: wall_time(time), step: step as i64, what: Some(what) }.encode_to_vec()
}

fn wall_time(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A record: its length, a checksum of that, the data, a checksum of them.
fn frame(data: &[u8], out: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked(&length).to_le_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&masked(data).to_le_bytes());
}

/// CRC-32C, rotated and shifted, so that a checksum of data that holds checksums is sound.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use catena_tensor::tch::Tensor;

    use super::*;
    use crate::array::Array;
    use crate::image::Image;
    use crate::logger::Scope;

    /// The events of a file, each record's checksums checked.
    fn events(folder: &std::path::Path) -> Vec<Event> {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let mut events = Vec::new();
        for path in paths {
            let file = fs::read(path).unwrap();
            let mut rest = &file[..];
            while !rest.is_empty() {
                let (length, after) = rest.split_at(8);
                let (sum, after) = after.split_at(4);
                assert_eq!(masked(length).to_le_bytes(), sum);
                let (data, after) = after.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
                let (sum, after) = after.split_at(4);
                assert_eq!(masked(data).to_le_bytes(), sum);
                events.push(Event::decode(data).unwrap());
                rest = after;
            }
        }
        events
    }

    fn entry(step: u64, loss: f64) -> Entry {
        Entry {
            stage: "s".into(),
            epoch: 1,
            loader: "train".into(),
            scope: Scope::Loader,
            global_step: step,
            global_batch: step,
            time: SystemTime::now(),
            payload: Payload::Scalars([("loss", loss)].into_iter().collect()),
        }
    }

    #[test]
    fn checksums_are_those_of_tensorflow() {
        // the check value of CRC-32C, and two values of `tensorboard`'s own `masked_crc32c`
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(masked(&24u64.to_le_bytes()), 0x224B_7FA3);
        assert_eq!(masked(b"123456789"), 0xC78A_B0E5);
    }

    #[test]
    fn a_matrix_is_an_image_and_a_list_is_scalars() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TensorBoard::new();
        log.start(&RunInfo { dir: Some(dir.path().to_owned()) }).unwrap();
        for (name, shape) in [("matrix", &[2, 2][..]), ("recall", &[4])] {
            let numbers = Tensor::from_slice(&[0.5, 0.25, 0.0, 1.0]).view(shape);
            let payload = Payload::Array { name: name.into(), array: Array::of(&numbers).unwrap() };
            log.log(&Entry { payload, ..entry(7, 0.0) }).unwrap();
        }
        log.sync().unwrap();
        let written =
            events(&dir.path().join("tensorboard")).into_iter().filter_map(|event| match event.what {
                Some(What::Summary(summary)) => Some((event.step, summary.value)),
                _ => None,
            });
        let written: Vec<(i64, Vec<Value>)> = written.collect();
        let rows = [vec![0.5, 0.25], vec![0.0, 1.0]];
        let image = Value::image("train/matrix".into(), &Image::heat_map(&rows).unwrap()).unwrap();
        let scalars = [0.5, 0.25, 0.0, 1.0].into_iter().enumerate();
        let scalars = scalars.map(|(i, x)| Value::scalar(format!("train/recall/{i}"), x)).collect();
        assert_eq!(written, [(7, vec![image]), (7, scalars)]);
    }

    #[test]
    fn a_resumed_log_holds_each_step_once_and_tells_readers_to_forget_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let info = || RunInfo { dir: Some(dir.path().to_owned()) };
        let resumed = |position: &Position, step, loss| {
            let mut log = TensorBoard::new();
            log.go_on(&info(), position.clone()).unwrap();
            log.log(&entry(step, loss)).unwrap();
            log.sync().unwrap();
            log.position()
        };
        let texts = || -> Vec<String> {
            let what = |event: Event| match event.what.unwrap() {
                What::FileVersion(version) => version,
                What::SessionLog(session) => format!("session {} at {}", session.status, event.step),
                What::Summary(summary) => {
                    let value = &summary.value[0];
                    format!("{} {:?} at {}", value.tag, value.number(), event.step)
                }
            };
            events(&dir.path().join("tensorboard")).into_iter().map(what).collect()
        };

        let mut first = TensorBoard::new();
        first.start(&info()).unwrap();
        first.log(&entry(1, 0.5)).unwrap();
        first.log(&entry(2, 0.4)).unwrap();
        first.sync().unwrap();
        let snapshot = first.position();
        first.log(&entry(2, 0.3)).unwrap();
        first.log(&entry(3, 0.2)).unwrap();
        first.sync().unwrap();

        let start = ["brain.Event:2", "train/loss Some(0.5) at 1", "train/loss Some(0.4) at 2"];
        let second = ["brain.Event:2", "session 1 at 3", "train/loss Some(0.25) at 3"];
        let third = ["brain.Event:2", "session 1 at 4", "train/loss Some(0.125) at 4"];
        let later = resumed(&snapshot, 3, 0.25);
        assert_eq!(texts(), [start, second].concat());
        resumed(&later, 4, 0.125);
        assert_eq!(texts(), [start, second, third].concat());
        // from the older snapshot once more: what two files hold is gone
        resumed(&snapshot, 3, 0.25);
        assert_eq!(texts(), [start, second].concat());
    }
}
