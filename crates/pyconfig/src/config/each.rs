//! [`load_each`]: several configs, on several threads.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};

use super::loader::Loader;
use super::{Config, LoadOptions, failed};
use crate::error::Error;
use crate::limits;

/// The files that a thread reads before it is the next one's turn: files beside each other have bases in common.
const BLOCK: usize = 16;

/// Reads several configs. A file that several of them inherit from is read once on each thread, of which there are up to 4.
///
/// `map` runs on these threads, which have a large stack; `visit` gets its results here, in the order of the files. Each
/// config has the limits of [`load`](super::load) for itself.
pub fn load_each<P: AsRef<Path> + Sync, T: Send>(
    files: &[P],
    options: &LoadOptions,
    map: impl Fn(&Path, Result<Config, Error>) -> T + Sync,
    mut visit: impl FnMut(T),
) {
    let blocks: Vec<&[P]> = files.chunks(BLOCK).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(limits::THREADS).min(blocks.len());
    let reader = Reader { blocks: &blocks, threads, options, map: &map };
    std::thread::scope(|scope| {
        let mut results = Vec::new();
        for first in 0..threads {
            results.push(reader.start(scope, first));
        }
        for (index, block) in blocks.iter().enumerate() {
            let result = results.get(index % threads.max(1)).and_then(|results| results.recv().ok());
            match result {
                Some(results) => results.into_iter().for_each(&mut visit),
                None => {
                    for file in *block {
                        visit(map(file.as_ref(), Err(failed())));
                    }
                }
            }
        }
    });
}

struct Reader<'a, P, M> {
    blocks: &'a [&'a [P]],
    threads: usize,
    options: &'a LoadOptions,
    map: &'a M,
}

impl<'a, P: AsRef<Path> + Sync, M: Sync> Reader<'a, P, M> {
    /// Starts a thread that reads every block whose number is `first` plus a multiple of the number of threads.
    fn start<'scope, T: Send + 'scope>(&self, scope: &'scope Scope<'scope, 'a>, first: usize) -> Receiver<Vec<T>>
    where
        M: Fn(&Path, Result<Config, Error>) -> T,
    {
        let (sender, receiver) = sync_channel(1);
        let Self { blocks, threads, options, map } = *self;
        let builder = Builder::new().name("config".to_owned()).stack_size(limits::STACK);
        let blocks = blocks.iter().skip(first).step_by(threads);
        // Without the thread, the receiver has no sender, and its files are errors.
        let _ = builder.spawn_scoped(scope, move || read_blocks(blocks, options, map, &sender));
        receiver
    }
}

fn read_blocks<'a, P: AsRef<Path> + 'a, T>(
    blocks: impl Iterator<Item = &'a &'a [P]>,
    options: &LoadOptions,
    map: impl Fn(&Path, Result<Config, Error>) -> T,
    results: &SyncSender<Vec<T>>,
) {
    let mut loader = Loader::new(options);
    for block in blocks {
        let mut read = Vec::with_capacity(block.len());
        for file in *block {
            read.push(map(file.as_ref(), loader.config(file.as_ref())));
        }
        if results.send(read).is_err() {
            return;
        }
    }
}
