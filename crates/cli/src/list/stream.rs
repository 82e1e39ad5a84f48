//! [`Blocks`]: the entries of one shard, read by a thread of its own that is at most a few blocks ahead.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use super::lines::{LineError, Lines, MAX_LINE};
use super::{Earlier, Entry, Item, ListError, ListSource};
use crate::shard::Shard;

/// Blocks that wait for the threads that read images.
const WAITING: usize = 2;
/// How often a reader that waits for the list looks whether the work was given up.
const PATIENCE: Duration = Duration::from_millis(100);

/// The bytes of a list.
type Input = Box<dyn BufRead + Send>;

/// Blocks of entries of one shard. The memory that it takes does not depend on the length of the list.
pub struct Blocks {
    receiver: Receiver<Result<Vec<Entry>, ListError>>,
    progress: Arc<ListProgress>,
    ended: bool,
}

/// What is known about the list while it is read.
#[derive(Debug, Default)]
pub struct ListProgress {
    /// The bytes that were read.
    pub position: AtomicU64,
    /// The bytes of the list, if it is a file.
    pub size: Option<u64>,
    /// Set once the list has been read to its end.
    pub end: OnceLock<ListEnd>,
    /// Set if nobody wants more entries.
    pub stop: AtomicBool,
}

/// A list that has been read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEnd {
    /// The entries of all shards.
    pub entries: u64,
    /// The SHA-256 of the lines that are not blank.
    pub sha256: String,
}

impl Blocks {
    /// Reads the entries of `shard`, but for those that `earlier` has records of. Entries with consecutive indices make up a block,
    /// which is sent when it is complete.
    pub fn start(source: &ListSource, shard: Shard, block: u64, earlier: Earlier) -> Result<Self, ListError> {
        let (input, size) = open(source)?;
        Self::read(input, size, source.name(), Dealer { shard, block: block.max(1), earlier, next: 0 })
    }

    fn read(input: Input, size: Option<u64>, list: String, dealer: Dealer) -> Result<Self, ListError> {
        let (sender, receiver) = sync_channel(WAITING);
        let progress = Arc::new(ListProgress { size, ..ListProgress::default() });
        let reader = Reader { lines: Lines::new(input), list: list.clone(), dealer, progress: progress.clone() };
        // Nobody waits for this thread: reading stdin may take forever.
        thread::Builder::new()
            .name("mmcv-list".to_owned())
            .spawn(move || reader.run(&sender))
            .map_err(|source| ListError::Io { list, source })?;
        Ok(Self { receiver, progress, ended: false })
    }

    /// What is known about the list, also once this iterator is gone.
    #[must_use]
    pub fn progress(&self) -> Arc<ListProgress> {
        self.progress.clone()
    }
}

impl Iterator for Blocks {
    type Item = Result<Vec<Entry>, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended && !self.progress.stop.load(Ordering::Relaxed) {
            match self.receiver.recv_timeout(PATIENCE) {
                Ok(Ok(block)) => return Some(Ok(block)),
                Ok(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.ended = true;
                    if self.progress.end.get().is_none() {
                        return Some(Err(ListError::Ended));
                    }
                }
            }
        }
        None
    }
}

/// The digest of a list and the number of its entries.
pub(super) fn read_to_end(source: &ListSource) -> Result<ListEnd, ListError> {
    let mut lines = Lines::new(open(source)?.0);
    let mut entries = 0;
    while next_line(&mut lines, &source.name())?.is_some() {
        entries += 1;
    }
    Ok(ListEnd { entries, sha256: lines.digest() })
}

/// The input, and its size if it is a file.
fn open(source: &ListSource) -> Result<(Input, Option<u64>), ListError> {
    match source {
        ListSource::Stdin => Ok((Box::new(BufReader::new(io::stdin())), None)),
        ListSource::File(path) => open_file(path).map_err(|error| ListError::Io { list: source.name(), source: error }),
    }
}

fn open_file(path: &Path) -> io::Result<(Input, Option<u64>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let size = if metadata.is_file() { Some(metadata.len()) } else { None };
    Ok((Box::new(BufReader::with_capacity(1 << 16, file)), size))
}

fn next_line<'a>(lines: &'a mut Lines<Input>, list: &str) -> Result<Option<&'a [u8]>, ListError> {
    match lines.next() {
        Ok(text) => Ok(text),
        Err(LineError::Io(source)) => Err(ListError::Io { list: list.to_owned(), source }),
        Err(LineError::Long(line)) => Err(ListError::LongLine { list: list.to_owned(), line, limit: MAX_LINE }),
    }
}

/// Chooses the entries of a shard.
struct Dealer {
    shard: Shard,
    block: u64,
    earlier: Earlier,
    /// The index of the next entry of the list.
    next: u64,
}

/// The thread that reads the list.
struct Reader {
    lines: Lines<Input>,
    list: String,
    dealer: Dealer,
    progress: Arc<ListProgress>,
}

impl Reader {
    fn run(mut self, sender: &SyncSender<Result<Vec<Entry>, ListError>>) {
        // If the receiver is gone, nobody wants the error either.
        match self.send_all(sender) {
            Ok(Some(end)) => {
                let _ = self.progress.end.set(end);
            }
            Ok(None) => {}
            Err(error) => {
                let _ = sender.send(Err(error));
            }
        }
    }

    /// Returns `None` if nobody wants more.
    fn send_all(&mut self, sender: &SyncSender<Result<Vec<Entry>, ListError>>) -> Result<Option<ListEnd>, ListError> {
        let mut block = Vec::new();
        while let Some(entry) = self.next_entry()? {
            let is_last = (entry.index + 1).is_multiple_of(self.dealer.block);
            block.push(entry);
            if is_last && sender.send(Ok(std::mem::take(&mut block))).is_err() {
                return Ok(None);
            }
        }
        self.dealer.check_end()?;
        if !block.is_empty() && sender.send(Ok(block)).is_err() {
            return Ok(None);
        }
        Ok(Some(ListEnd { entries: self.dealer.next, sha256: self.lines.digest() }))
    }

    /// The next entry of the shard that has no record yet.
    fn next_entry(&mut self) -> Result<Option<Entry>, ListError> {
        loop {
            let line = next_line(&mut self.lines, &self.list)?.map(<[u8]>::to_vec);
            self.progress.position.store(self.lines.position, Ordering::Relaxed);
            let Some(line) = line else { return Ok(None) };
            if let Some(entry) = self.dealer.deal(&line, self.lines.number)? {
                return Ok(Some(entry));
            }
        }
    }
}

impl Dealer {
    fn deal(&mut self, line: &[u8], number: u64) -> Result<Option<Entry>, ListError> {
        let index = self.next;
        self.next += 1;
        if !self.shard.has(index, self.block) {
            return Ok(None);
        }
        let entry = Entry { index, item: Item::parse(line, number) };
        if self.earlier.has(&entry)? { Ok(None) } else { Ok(Some(entry)) }
    }

    fn check_end(&self) -> Result<(), ListError> {
        match self.earlier.next_index() {
            Some(index) => Err(ListError::Shorter { partial: self.earlier.name(), index, entries: self.next }),
            None => Ok(()),
        }
    }
}
