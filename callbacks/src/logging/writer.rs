//! The thread that writes.
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use catena_chain::Result;
use catena_loggers::{Ending, Entry, Logger, Position};
use catena_tensor::panic_message;

/// Positions by the loggers' names.
pub(super) type Positions = BTreeMap<String, Position>;

/// How many messages wait before the training waits for the writer.
const WAITING: usize = 1024;

/// Loggers on a thread of their own.
#[derive(Debug)]
pub(super) struct Writer {
    messages: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Log(Vec<Entry>),
    Sync(Sender<Positions>),
    End(Ending, Sender<()>),
}

impl Writer {
    /// Gives `first` to the loggers of these numbers, before all else.
    pub(super) fn spawn(loggers: Vec<Box<dyn Logger>>, first: Option<(Entry, Vec<usize>)>) -> Result<Self> {
        let (messages, receiver) = sync_channel(WAITING);
        let thread =
            thread::Builder::new().name("loggers".into()).spawn(move || work(loggers, first, &receiver))?;
        Ok(Self { messages: Some(messages), thread: Some(thread) })
    }

    pub(super) fn log(&self, entries: Vec<Entry>) -> Result<()> {
        self.send(Message::Log(entries))
    }

    /// Waits until everything is on the disk; how far each logger went.
    pub(super) fn sync(&self) -> Result<Positions> {
        let (reply, answer) = channel();
        self.send(Message::Sync(reply))?;
        answer.recv().map_err(|_| GONE.into())
    }

    pub(super) fn end(&self, ending: Ending) -> Result<()> {
        let (reply, answer) = channel();
        self.send(Message::End(ending, reply))?;
        answer.recv().map_err(|_| GONE.into())
    }

    fn send(&self, message: Message) -> Result<()> {
        let sent = self.messages.as_ref().and_then(|messages| messages.send(message).ok());
        sent.ok_or_else(|| GONE.into())
    }
}

const GONE: &str = "the thread of the loggers is gone: a logger panicked; see its message above";

impl Drop for Writer {
    fn drop(&mut self) {
        // without a sender the thread ends when it has written what waits
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // its panic has been told already
            drop(thread.join());
        }
    }
}

struct RunningLogger {
    logger: Box<dyn Logger>,
    broken: bool,
}

impl RunningLogger {
    /// Asks the logger for something; after its first error it is not asked again.
    fn ask(&mut self, ask: impl FnOnce(&mut dyn Logger) -> Result<()>) {
        if self.broken {
            return;
        }
        let asked = catch_unwind(AssertUnwindSafe(|| ask(self.logger.as_mut())));
        let asked =
            asked.unwrap_or_else(|panic| Err(format!("panicked: {}", panic_message(panic.as_ref())).into()));
        if let Err(error) = asked {
            log::warn!("{} can't write and is silent from here on: {error}", self.logger.name());
            self.broken = true;
        }
    }
}

fn work(loggers: Vec<Box<dyn Logger>>, first: Option<(Entry, Vec<usize>)>, messages: &Receiver<Message>) {
    let mut members: Vec<RunningLogger> =
        loggers.into_iter().map(|logger| RunningLogger { logger, broken: false }).collect();
    if let Some((entry, numbers)) = first {
        for (n, member) in members.iter_mut().enumerate() {
            if numbers.contains(&n) {
                member.ask(|logger| logger.log(&entry).and_then(|()| logger.write()));
            }
        }
    }
    for message in messages {
        match message {
            Message::Log(entries) => {
                for member in &mut members {
                    member.ask(|logger| {
                        entries.iter().try_for_each(|entry| logger.log(entry))?;
                        logger.write()
                    });
                }
            }
            Message::Sync(reply) => {
                members.iter_mut().for_each(|member| member.ask(|logger| logger.sync()));
                let positions = members.iter().map(|m| (m.logger.name().to_owned(), m.logger.position()));
                // who asked may have gone
                let _ = reply.send(positions.collect());
            }
            Message::End(ending, reply) => {
                members.iter_mut().for_each(|member| member.ask(|logger| logger.end(ending)));
                let _ = reply.send(());
            }
        }
    }
}
