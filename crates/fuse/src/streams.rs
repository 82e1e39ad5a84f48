//! [`Streams`]: a fused network that serves many callers at the same time.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, thread};

use mmcv_layers::{Forward, Output, no_options};
use mmcv_registry::Dict;
use tch::Tensor;

use crate::bridge::use_threads;
use crate::error::{Error, ErrorKind, Result};
use crate::fused::Fused;
use crate::sample;
use crate::state::State;

/// How many streams there are, and what each of them does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// How many inputs are computed at the same time; by default as many as the machine has cores for streams of `threads` threads.
    pub streams: Option<NonZeroUsize>,
    /// Threads of each stream: 1, the default, for the most images a second; more for a shorter time of each.
    pub threads: NonZeroUsize,
    /// Up to how many images (the sizes of the first axis) of requests of one size are computed in one forward pass; 1 by default.
    /// With more, the network has to take any number of images, and to treat each alone.
    pub max_batch: NonZeroUsize,
    /// How long a request waits for others, if there are less than `max_batch` images; not at all by default.
    pub max_delay: Duration,
    /// How many requests may wait, by default four for each stream and image of a batch. [`Streams::submit`] waits while there are more.
    pub max_waiting: Option<NonZeroUsize>,
}

/// A fused network that serves many callers at the same time: threads of its own, the streams, each of which has its own plans and
/// memory, over weights that exist once. It is `Send` and `Sync`; no gradients flow through it. Dropped, it finishes what was asked of it.
///
/// The outputs are those of the [`Fused`] that it was made from, up to rounding: the kernels depend on the number of threads and of
/// images.
///
/// ```
/// use mmcv_fuse::{FuseOptions, StreamOptions, Streams, fuse};
/// use mmcv_layers::{Builder, MODELS, Module};
/// use mmcv_registry::{Config, config};
/// use tch::{Device, Kind, Tensor};
///
/// let conv = config! { type: "Conv2d", in_channels: 3, out_channels: 8, kernel_size: 3 };
/// let network = Builder::new(&MODELS).model(&Config::List(vec![conv, config! { type: "ReLU" }]))?;
/// network.train(false);
/// let fused = fuse(&*network, &[1, 3, 16, 16], &FuseOptions::default())?;
/// let streams = Streams::new(&fused, &StreamOptions::default())?;
/// let mut pending = Vec::new();
/// for _ in 0..10 {
///     let image = Tensor::zeros([1, 3, 16, 16], (Kind::Float, Device::Cpu));
///     pending.push(streams.submit(&[&image])?);
/// }
/// for output in pending {
///     assert_eq!(output.wait()?.single()?.size(), [1, 8, 14, 14]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Streams {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

/// An output that is being computed.
#[derive(Debug)]
pub struct Pending {
    receiver: Receiver<Result<Output>>,
}

/// What is asked of a network.
struct Request {
    inputs: Vec<Tensor>,
    /// The images in each input; `None` if these are not all the same, so that it cannot share a forward pass.
    images: Option<i64>,
    arrival: Instant,
    sender: SyncSender<Result<Output>>,
}

/// The requests that wait.
struct Queue {
    waiting: Mutex<Waiting>,
    /// A request has arrived, or none will.
    arrived: Condvar,
    /// A request was taken.
    taken: Condvar,
    max_batch: i64,
    max_delay: Duration,
    max_waiting: usize,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    closed: bool,
    /// The streams that take requests.
    streams: usize,
}

/// Notes the end of a stream, even of one that panics, so that nobody waits for it.
struct Working<'a>(&'a Queue);

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            streams: None,
            threads: NonZeroUsize::MIN,
            max_batch: NonZeroUsize::MIN,
            max_delay: Duration::ZERO,
            max_waiting: None,
        }
    }
}

impl StreamOptions {
    /// The number of streams.
    fn count(&self) -> usize {
        match self.streams {
            Some(count) => count.get(),
            None => (thread::available_parallelism().map_or(1, NonZeroUsize::get) / self.threads).max(1),
        }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("streams", &self.threads.len()).finish_non_exhaustive()
    }
}

impl Streams {
    /// Starts the threads, and prepares each for inputs like the example that `fused` was made for.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started, or its plan not be made.
    pub fn new(fused: &Fused, options: &StreamOptions) -> Result<Self> {
        let (count, max_batch) = (options.count(), options.max_batch.get());
        let max_waiting = match options.max_waiting {
            Some(number) => number.get(),
            None => count.saturating_mul(max_batch).saturating_mul(4),
        };
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            taken: Condvar::new(),
            max_batch: i64::try_from(max_batch).unwrap_or(i64::MAX),
            max_delay: options.max_delay,
            max_waiting,
        });
        let mut streams = Self { queue, threads: Vec::with_capacity(count) };
        for index in 0..count {
            let (queue, state, threads) = (streams.queue.clone(), fused.stream(), options.threads.get());
            let (sender, receiver) = sync_channel(1);
            let thread = thread::Builder::new().name(format!("mmcv-stream-{index}"));
            streams.queue.lock().streams += 1;
            let thread = thread.spawn(move || stream(&queue, state, threads, &sender));
            streams.threads.push(thread.map_err(|error| ErrorKind::Stream(error.to_string()))?);
            // One after the other, since each needs more memory for a moment.
            receiver.recv().map_err(|_| ended())??;
        }
        Ok(streams)
    }

    /// How many inputs are computed at the same time.
    #[must_use]
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Asks for the outputs for these inputs, which must not be changed until they are there. Waits while too many requests wait.
    ///
    /// # Errors
    /// Returns an error if the streams have ended.
    pub fn submit(&self, inputs: &[&Tensor]) -> Result<Pending> {
        let mut waiting = self.queue.lock();
        while waiting.streams > 0 && waiting.requests.len() >= self.queue.max_waiting {
            waiting = self.queue.taken.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        self.push(waiting, inputs)
    }

    /// As [`Self::submit`], but returns `None` if too many requests wait.
    ///
    /// # Errors
    /// Returns an error if the streams have ended.
    pub fn try_submit(&self, inputs: &[&Tensor]) -> Result<Option<Pending>> {
        let waiting = self.queue.lock();
        if waiting.requests.len() >= self.queue.max_waiting {
            return Ok(None);
        }
        self.push(waiting, inputs).map(Some)
    }

    fn push(&self, mut waiting: MutexGuard<'_, Waiting>, inputs: &[&Tensor]) -> Result<Pending> {
        if waiting.streams == 0 {
            return Err(ended());
        }
        let (sender, receiver) = sync_channel(1);
        let inputs: Vec<Tensor> = inputs.iter().map(|input| input.shallow_clone()).collect();
        waiting.requests.push_back(Request { images: images(&inputs), inputs, arrival: Instant::now(), sender });
        drop(waiting);
        self.queue.arrived.notify_all();
        Ok(Pending { receiver })
    }
}

impl Forward for Streams {
    fn forward(&self, input: &Tensor) -> mmcv_layers::Result<Tensor> {
        self.call(&[input], &Dict::new())?.single()
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> mmcv_layers::Result<Output> {
        no_options(options)?;
        Ok(self.submit(inputs)?.wait()?)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.arrived.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a stream of a network ended with a panic");
            }
        }
    }
}

impl Pending {
    /// Waits for the output.
    ///
    /// # Errors
    /// As for the forward pass of [`Fused`].
    pub fn wait(self) -> Result<Output> {
        self.receiver.recv().map_err(|_| ended())?
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.streams -= 1;
        if waiting.streams == 0 {
            waiting.requests.clear();
        }
        drop(waiting);
        self.0.taken.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests for the next forward pass, in the order of their arrival; `None` if there will be no more.
    fn take(&self) -> Option<Vec<Request>> {
        let mut waiting = self.lock();
        let first = loop {
            if let Some(request) = waiting.requests.pop_front() {
                break request;
            }
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        };
        self.taken.notify_all();
        let deadline = first.arrival + self.max_delay;
        let mut images = first.images.unwrap_or(self.max_batch);
        let mut taken = vec![first];
        loop {
            images = self.take_alike(&mut waiting, &mut taken, images);
            let left = deadline.saturating_duration_since(Instant::now());
            if images >= self.max_batch || waiting.closed || left.is_zero() {
                return Some(taken);
            }
            (waiting, _) = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the requests that fit in a forward pass with those that are taken, which have this many images; returns how many they
    /// have then.
    fn take_alike(&self, waiting: &mut Waiting, taken: &mut Vec<Request>, mut images: i64) -> i64 {
        let mut index = 0;
        while images < self.max_batch
            && let Some(request) = waiting.requests.get(index)
        {
            let fits = match (request.images, taken.first()) {
                (Some(more), Some(first)) => more <= self.max_batch - images && is_alike(first, request),
                _ => false,
            };
            if !fits {
                index += 1;
            } else if let Some(request) = waiting.requests.remove(index) {
                images += request.images.unwrap_or_default();
                taken.push(request);
                self.taken.notify_all();
            }
        }
        images
    }
}

/// The size of the first axis, if it is the same for all inputs.
fn images(inputs: &[Tensor]) -> Option<i64> {
    let mut sizes = inputs.iter().map(|input| input.size().first().copied());
    let first = sizes.next()??;
    sizes.all(|size| size == Some(first)).then_some(first)
}

/// Whether the inputs differ in nothing but the number of images.
fn is_alike(left: &Request, right: &Request) -> bool {
    left.inputs.len() == right.inputs.len()
        && left.inputs.iter().zip(&right.inputs).all(|(left, right)| {
            left.kind() == right.kind()
                && left.device() == right.device()
                && left.size().get(1..) == right.size().get(1..)
        })
}

/// What the thread of a stream does.
fn stream(queue: &Queue, mut state: State, threads: usize, ready: &SyncSender<Result<()>>) {
    let _working = Working(queue);
    let _guard = tch::no_grad_guard();
    use_threads(threads);
    // There may be nobody any more who waits for what is sent, here and below.
    let is_ready = state.prepare_example();
    let failed = is_ready.is_err();
    let _ = ready.send(is_ready);
    if failed {
        return;
    }
    let mut joins = true;
    while let Some(requests) = queue.take() {
        if joins && requests.len() > 1 {
            match run_together(&mut state, &requests) {
                Ok(outputs) => {
                    for (request, output) in requests.into_iter().zip(outputs) {
                        let _ = request.sender.send(Ok(output));
                    }
                    continue;
                }
                Err(error) => {
                    log::warn!("requests are computed one by one, because several images at once are refused: {error}");
                    joins = false;
                }
            }
        }
        for Request { inputs, sender, .. } in requests {
            let _ = sender.send(state.run_checked(&inputs.iter().collect::<Vec<_>>()));
        }
    }
}

/// The outputs for several requests, from one forward pass. The number of images is made a power of two, for which a plan is likely to
/// exist.
fn run_together(state: &mut State, requests: &[Request]) -> Result<Vec<Output>> {
    let counts: Vec<i64> = requests.iter().map(|request| request.images.unwrap_or_default()).collect();
    let count: i64 = counts.iter().sum();
    let more = i64::try_from(count.unsigned_abs().next_power_of_two()).unwrap_or(count) - count;
    let mut inputs = Vec::new();
    for position in 0..requests.first().map_or(0, |request| request.inputs.len()) {
        let mut parts: Vec<&Tensor> = requests.iter().filter_map(|request| request.inputs.get(position)).collect();
        let padding;
        if let (Some(first), true) = (parts.first(), more > 0) {
            let mut shape = first.size();
            if let Some(images) = shape.first_mut() {
                *images = more;
            }
            padding = Tensor::f_zeros(shape, (first.kind(), first.device()))?;
            parts.push(&padding);
        }
        inputs.push(Tensor::f_cat(&parts, 0)?);
    }
    let output = state.run_checked(&inputs.iter().collect::<Vec<_>>())?;
    let mut outputs = Vec::with_capacity(requests.len());
    let mut start = 0;
    for images in counts {
        outputs.push(match &output {
            Output::Tensor(tensor) => Output::Tensor(part(tensor, start, (images, count + more))?),
            Output::Tensors(tensors) => {
                let parts = tensors.iter().map(|tensor| part(tensor, start, (images, count + more)));
                Output::Tensors(parts.collect::<Result<_>>()?)
            }
        });
        start += images;
    }
    Ok(outputs)
}

/// The outputs for some of all images, in their own memory.
fn part(output: &Tensor, start: i64, (images, all): (i64, i64)) -> Result<Tensor> {
    if output.size().first() != Some(&all) {
        return Err(Error::unsupported("", "an output has not one row for each image"));
    }
    Ok(sample::copy(&output.f_narrow(0, start, images)?)?)
}

fn ended() -> Error {
    ErrorKind::Stream("it ended before".to_owned()).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::bridge::thread_count;

    fn request(images: i64, size: i64) -> (Request, Receiver<Result<Output>>) {
        let (sender, receiver) = sync_channel(1);
        let inputs = vec![Tensor::zeros([images, 3, size, size], (Kind::Float, Device::Cpu))];
        (Request { images: super::images(&inputs), inputs, arrival: Instant::now(), sender }, receiver)
    }

    fn queue(max_batch: i64, max_delay: Duration, closed: bool, requests: &[(i64, i64)]) -> Queue {
        let requests = requests.iter().map(|(images, size)| request(*images, *size).0).collect();
        Queue {
            waiting: Mutex::new(Waiting { requests, closed, streams: 1 }),
            arrived: Condvar::new(),
            taken: Condvar::new(),
            max_batch,
            max_delay,
            max_waiting: 100,
        }
    }

    fn sizes(queue: &Queue) -> Vec<(i64, i64)> {
        let taken = queue.take().unwrap();
        taken.iter().map(|request| (request.images.unwrap(), request.inputs[0].size()[2])).collect()
    }

    #[test]
    fn requests_of_one_size_are_taken_together() {
        let requests = [(1, 8), (1, 9), (2, 8), (4, 8), (1, 8), (1, 9), (5, 8)];
        let queue = queue(4, Duration::ZERO, true, &requests);
        assert_eq!(sizes(&queue), [(1, 8), (2, 8), (1, 8)]);
        assert_eq!(sizes(&queue), [(1, 9), (1, 9)]);
        assert_eq!(sizes(&queue), [(4, 8)]);
        assert_eq!(sizes(&queue), [(5, 8)]);
        assert!(queue.take().is_none());
    }

    #[test]
    fn without_batches_requests_are_taken_one_by_one() {
        let queue = queue(1, Duration::from_secs(1000), false, &[(1, 8), (3, 8)]);
        assert_eq!(sizes(&queue), [(1, 8)]);
        assert_eq!(sizes(&queue), [(3, 8)]);
    }

    #[test]
    fn a_request_waits_for_others() {
        let queue = queue(3, Duration::from_secs(1000), false, &[(1, 8)]);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    queue.lock().requests.push_back(request(1, 8).0);
                    queue.arrived.notify_all();
                }
            });
            assert_eq!(sizes(&queue), [(1, 8), (1, 8), (1, 8)]);
        });
    }

    #[test]
    fn requests_end_with_the_last_stream() {
        let queue = Arc::new(queue(1, Duration::ZERO, false, &[]));
        let streams = Streams { queue: Arc::clone(&queue), threads: Vec::new() };
        let input = Tensor::zeros([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        let pending = streams.submit(&[&input]).unwrap();
        drop(Working(&queue));
        assert!(pending.wait().unwrap_err().to_string().contains("ended"));
        assert!(streams.submit(&[&input]).is_err() && streams.try_submit(&[&input]).is_err());
    }

    #[test]
    fn back_pressure_begins_with_the_most_requests_that_may_wait() {
        let queue = Arc::new(Queue { max_waiting: 2, ..queue(1, Duration::ZERO, false, &[]) });
        let streams = Streams { queue: Arc::clone(&queue), threads: Vec::new() };
        let input = Tensor::zeros([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        let pending = [(); 3].map(|()| streams.try_submit(&[&input]).unwrap().is_some());
        assert_eq!(pending, [true, true, false]);
        thread::scope(|scope| {
            let (streams, input) = (&streams, input.shallow_clone());
            let waits = scope.spawn(move || streams.submit(&[&input]).map(drop));
            assert_eq!(queue.take().unwrap().len(), 1);
            waits.join().unwrap().unwrap();
        });
        assert!(streams.try_submit(&[&input]).unwrap().is_none());
    }

    #[test]
    fn the_number_of_threads_is_that_of_one_thread() {
        let before = thread_count();
        let counts = [1, 3].map(|count| {
            let work = move || {
                use_threads(count);
                thread_count()
            };
            thread::spawn(work).join().unwrap()
        });
        assert_eq!(counts, [1, 3]);
        assert_eq!(thread_count(), before);
        assert_eq!(thread::spawn(thread_count).join().unwrap(), before);
    }
}
