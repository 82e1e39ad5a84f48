//! [`Group`]: processes that work together, and what they exchange.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cxx::UniquePtr;
use mmcv_layers::NotSend;
use tch::{Kind, TchError, Tensor};

use crate::bridge::{self, Reduction, Store};
use crate::fingerprint::{Code, Fingerprint};
use crate::sync_bn;
use crate::watch::{self, Card, Watch};
use crate::{Error, ErrorKind, Launch, Result, rendezvous};

/// The library that moves tensors between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// Gloo: for tensors on the CPU, and, by way of the CPU, on CUDA devices.
    #[default]
    Gloo,
    /// NCCL for tensors on CUDA devices, and Gloo for those on the CPU. It needs the feature `nccl`.
    Nccl,
}

/// How numbers of all ranks become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReduceOp {
    /// Their sum.
    #[default]
    Sum,
    /// Their mean; for floating-point tensors.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Their product.
    Product,
}

/// Options of [`Group::init_with`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupOptions {
    /// How long a process waits for the others, at the beginning and in every call; 30 minutes, as in PyTorch.
    pub timeout: Duration,
    /// Whether the ranks compare call, shape and type before each collective: one more message of 128 bytes. Otherwise a
    /// difference ends the process (gloo), or gives wrong numbers. On by default; it is off where one of the ranks is a Python
    /// process, which does not take part in it. It has to be the same on all ranks.
    pub compares: bool,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30 * 60), compares: true }
    }
}

impl GroupOptions {
    /// The defaults with another time limit.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The defaults with or without comparing calls.
    #[must_use]
    pub fn with_compares(mut self, compares: bool) -> Self {
        self.compares = compares;
        self
    }
}

/// Processes that work together, of which this is one.
///
/// All ranks make the same calls in the same order. An error on one rank ends the work of all: when a call fails with
/// [`ErrorKind::Lost`] or [`ErrorKind::Timeout`], the group is of no more use, and the way on is to end the program and start
/// all ranks again. A group of one process needs no connection, and its calls return what they are given.
///
/// The names and meanings are those of `mmengine.dist`.
///
/// ```
/// use std::time::Duration;
///
/// use mmcv_distributed::{Backend, Group, Launch, ReduceOp};
/// use tch::Tensor;
///
/// let group = Group::init(&Launch::single(), Backend::Gloo, Duration::from_secs(60))?;
/// let mut loss = Tensor::from(2.0f32);
/// group.all_reduce(&mut loss, ReduceOp::Mean)?;
/// assert!(group.is_main_process());
/// # Ok::<(), mmcv_distributed::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Group {
    inner: Option<Arc<Inner>>,
    _not_send: NotSend,
}

/// A group of more than one process.
pub(crate) struct Inner {
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    pub(crate) native: UniquePtr<bridge::Group>,
    options: GroupOptions,
    cards: Vec<Option<Card>>,
    watch: Watch,
    failure: Mutex<Option<String>>,
    /// Rank 0 has the store for as long as others may look into it.
    _store: Mutex<UniquePtr<Store>>,
}

/// Whether this program has a group of more than one process.
static IN_USE: AtomicBool = AtomicBool::new(false);

impl Group {
    /// Meets the other processes of the launch, within the time limit, which holds for each later call too. Every `SyncBN` of
    /// this program then computes its statistics over the group.
    ///
    /// # Errors
    /// Returns an error if rank 0 cannot be reached or cannot listen at its port, a rank does not come or comes twice, ranks
    /// were started with different settings, or this program has another group of more than one process.
    pub fn init(launch: &Launch, backend: Backend, timeout: Duration) -> Result<Self> {
        Self::init_with(launch, backend, &GroupOptions::default().with_timeout(timeout))
    }

    /// As [`Self::init`], with more options.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub fn init_with(launch: &Launch, backend: Backend, options: &GroupOptions) -> Result<Self> {
        let rank = launch.rank;
        Self::meet(launch, backend, options).map_err(|error| error.on(rank))
    }

    fn meet(launch: &Launch, backend: Backend, options: &GroupOptions) -> Result<Self> {
        if launch.rank >= launch.world_size {
            return Err(Error::argument("rank", launch.rank, format!("less than {}", launch.world_size)));
        }
        if options.timeout < Duration::from_millis(1) {
            return Err(Error::argument("timeout", format!("{:?}", options.timeout), "at least 1 ms"));
        }
        if backend == Backend::Nccl && !cfg!(feature = "nccl") {
            return Err(Error::argument("backend", "Nccl", "Gloo, or a build with the feature nccl"));
        }
        if launch.world_size == 1 {
            return Ok(Self { inner: None, _not_send: NotSend::default() });
        }
        if IN_USE.swap(true, Ordering::AcqRel) {
            return Err(Error::argument("Group::init", "a second group of this program", "one at a time"));
        }
        let met = match rendezvous::meet(launch, backend, options) {
            Ok(met) => met,
            Err(error) => {
                IN_USE.store(false, Ordering::Release);
                return Err(error);
            }
        };
        let inner = Arc::new(Inner {
            rank: launch.rank,
            world_size: launch.world_size,
            native: met.group,
            options: options.clone(),
            cards: met.cards,
            watch: met.watch,
            failure: Mutex::default(),
            _store: Mutex::new(met.store),
        });
        sync_bn::connect(&inner);
        Ok(Self { inner: Some(inner), _not_send: NotSend::default() })
    }

    pub(crate) fn inner(&self) -> Option<&Arc<Inner>> {
        self.inner.as_ref()
    }

    /// The number of this process, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.rank)
    }

    /// The number of processes.
    #[must_use]
    pub fn world_size(&self) -> usize {
        self.inner.as_ref().map_or(1, |inner| inner.world_size)
    }

    /// Whether this is rank 0, which writes files and messages.
    #[must_use]
    pub fn is_main_process(&self) -> bool {
        self.rank() == 0
    }

    /// Replaces the tensor by the sum (or what `op` says) of those of all ranks. It may have any strides.
    ///
    /// # Errors
    /// Returns an error if the tensors of the ranks differ in shape, type or device, cannot be reduced, or another rank fails.
    pub fn all_reduce(&self, tensor: &mut Tensor, op: ReduceOp) -> Result<()> {
        let Some(inner) = &self.inner else { return check_op("all_reduce", tensor, op) };
        let call = Fingerprint::new(Code::AllReduce).op(op).tensor(tensor);
        let refused = bridge::refusal(tensor).or_else(|| op.refusal(tensor));
        inner.collective(call, refused, |group| group.all_reduce(bridge::native(tensor), op.native()))?;
        inner.finish(tensor, op)
    }

    /// Replaces the tensor of rank `dst` by the sum (or what `op` says) of those of all ranks; the others keep theirs.
    ///
    /// # Errors
    /// As [`Self::all_reduce`], and if there is no rank `dst`.
    pub fn reduce(&self, tensor: &mut Tensor, dst: usize, op: ReduceOp) -> Result<()> {
        self.check_rank("dst", dst)?;
        let Some(inner) = &self.inner else { return check_op("reduce", tensor, op) };
        let call = Fingerprint::new(Code::Reduce).op(op).root(dst).tensor(tensor);
        let refused = bridge::refusal(tensor).or_else(|| op.refusal(tensor));
        inner.collective(call, refused, |group| group.reduce(bridge::native(tensor), dst as i64, op.native()))?;
        if inner.rank == dst { inner.finish(tensor, op) } else { Ok(()) }
    }

    /// Replaces the tensor by that of rank `src`.
    ///
    /// # Errors
    /// As [`Self::all_reduce`], and if there is no rank `src`.
    pub fn broadcast(&self, tensor: &mut Tensor, src: usize) -> Result<()> {
        self.check_rank("src", src)?;
        let Some(inner) = &self.inner else { return Ok(()) };
        let call = Fingerprint::new(Code::Broadcast).root(src).tensor(tensor);
        inner.collective(call, bridge::refusal(tensor), |group| group.broadcast(bridge::native(tensor), src as i64))
    }

    /// The tensors of all ranks, in the order of the ranks.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>> {
        let Some(inner) = &self.inner else {
            let mut only = tensor.f_detach()?.f_empty_like()?;
            only.f_copy_(&tensor.f_detach()?)?;
            return Ok(vec![only]);
        };
        let call = Fingerprint::new(Code::AllGather).tensor(tensor);
        inner.gather(call, tensor)
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// Returns an error if another rank fails, makes another call, or does not come in time.
    pub fn barrier(&self) -> Result<()> {
        let Some(inner) = &self.inner else { return Ok(()) };
        inner.collective(Fingerprint::new(Code::Barrier), None, |group| group.barrier())
    }

    /// As [`Self::barrier`], with a time limit of its own; the error names the ranks that did not come. It takes longer than
    /// a barrier where there are many ranks.
    ///
    /// Reference: `torch.distributed.monitored_barrier`.
    ///
    /// # Errors
    /// As [`Self::barrier`].
    pub fn monitored_barrier(&self, timeout: Duration) -> Result<()> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX >> 16).max(1);
        inner.usable()?;
        // Nothing is compared before: that would wait as long as any other call.
        inner.watch.enter(&Fingerprint::new(Code::MonitoredBarrier).text());
        let done = inner.native.monitored_barrier(milliseconds);
        done.map_err(|error| inner.fail("monitored_barrier", error.what(), timeout))?;
        inner.watch.leave();
        Ok(())
    }

    /// The error of an operation of tch in which ranks communicate, such as a backward pass, as one of this crate: who ended, or
    /// who is late.
    #[must_use]
    pub fn explain(&self, call: &str, error: &TchError) -> Error {
        match &self.inner {
            Some(inner) => inner.fail(call, &error.to_string(), inner.options.timeout),
            None => Error::native("", error.to_string()),
        }
    }

    fn check_rank(&self, name: &'static str, rank: usize) -> Result<()> {
        if rank < self.world_size() {
            return Ok(());
        }
        Err(Error::argument(name, rank, format!("a rank below {}", self.world_size())).on(self.rank()))
    }
}

/// For a group of one.
fn check_op(call: &str, tensor: &Tensor, op: ReduceOp) -> Result<()> {
    match op.refusal(tensor) {
        Some(reason) => Err(ErrorKind::Tensor { call: call.to_owned(), reason }.into()),
        None => Ok(()),
    }
}

impl ReduceOp {
    fn native(self) -> Reduction {
        match self {
            Self::Sum | Self::Mean => Reduction::Sum,
            Self::Min => Reduction::Min,
            Self::Max => Reduction::Max,
            Self::Product => Reduction::Product,
        }
    }

    fn refusal(self, tensor: &Tensor) -> Option<String> {
        let kind = tensor.f_kind().ok()?;
        let is_real = matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double);
        if kind == Kind::Bool {
            return Some("booleans: convert them to integers".to_owned());
        }
        if self == Self::Mean && !is_real {
            return Some(format!("the mean of a tensor of type {kind:?}: convert it to a floating-point type"));
        }
        None
    }
}

impl Inner {
    pub(crate) fn compares(&self) -> bool {
        self.options.compares
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Makes a call together with all ranks, after they agreed that it is the same.
    pub(crate) fn collective<T>(
        &self,
        call: Fingerprint,
        refused: Option<String>,
        work: impl FnOnce(&bridge::Group) -> Result<T, cxx::Exception>,
    ) -> Result<T> {
        self.usable()?;
        let text = call.text();
        self.watch.enter(&text);
        let sent = if refused.is_some() { Fingerprint::new(Code::Refused) } else { call };
        let agreed = self.agree(&sent, &text);
        if let Some(reason) = refused {
            return Err(Error::from(ErrorKind::Tensor { call: text, reason }).on(self.rank));
        }
        agreed?;
        let group = self.native.as_ref().ok_or_else(|| Error::native("", "the group is gone"))?;
        let output = work(group).map_err(|error| self.fail(&text, error.what(), self.options.timeout))?;
        self.watch.leave();
        Ok(output)
    }

    fn agree(&self, sent: &Fingerprint, text: &str) -> Result<()> {
        if !self.options.compares {
            return Ok(());
        }
        let all = self.native.exchange(sent.numbers());
        let all = all.map_err(|error| self.fail(text, error.what(), self.options.timeout))?;
        match sent.first_difference(&all) {
            Some((other, there)) => {
                self.watch.leave();
                Err(Error::from(ErrorKind::Mismatch { here: text.to_owned(), other, there }).on(self.rank))
            }
            None => Ok(()),
        }
    }

    /// The tensors of all ranks.
    pub(crate) fn gather(&self, call: Fingerprint, tensor: &Tensor) -> Result<Vec<Tensor>> {
        let all = self.collective(call, bridge::refusal(tensor), |group| group.all_gather(bridge::native(tensor)))?;
        let all = bridge::adopt(all).ok_or_else(|| Error::native("all_gather: ", "no tensor"))?;
        Ok(all.f_unbind(0)?)
    }

    /// Notes that another kind of call begins, if the group can still be used.
    pub(crate) fn enter(&self, call: &str) -> Result<()> {
        self.usable()?;
        self.watch.enter(call);
        Ok(())
    }

    pub(crate) fn leave(&self) {
        self.watch.leave();
    }

    /// Makes the mean of a sum.
    fn finish(&self, tensor: &mut Tensor, op: ReduceOp) -> Result<()> {
        if op == ReduceOp::Mean {
            let mut values = tensor.f_detach()?;
            let _ = values.f_divide_scalar_(self.world_size as f64)?;
        }
        Ok(())
    }

    fn usable(&self) -> Result<()> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(first) => Err(Error::from(ErrorKind::Broken { first: first.clone() }).on(self.rank)),
            None => Ok(()),
        }
    }

    /// The error for a message of libtorch. After a lost connection the group is not used any more.
    pub(crate) fn fail(&self, call: &str, message: &str, timeout: Duration) -> Error {
        let message = mmcv_layers::torch_message(message);
        // Gloo adds general advice; the reports of the ranks say more.
        let message = message.split(" This is typically").next().unwrap_or_default().to_owned();
        let kind = if is_timeout(&message) {
            let ranks = watch::late(&self.cards, self.rank, &self.watch.place());
            ErrorKind::Timeout { call: call.to_owned(), seconds: timeout.as_secs_f64(), ranks, message }
        } else if is_lost(&message) {
            ErrorKind::Lost { call: call.to_owned(), ranks: watch::lost(&self.cards, self.rank), message }
        } else {
            return Error::native(format!("{call}: "), message).on(self.rank);
        };
        let error = Error::from(kind).on(self.rank);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.kind.to_string());
        error
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        mmcv_layers::norm::set_sync_group(None);
        IN_USE.store(false, Ordering::Release);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("rank", &self.rank).field("world_size", &self.world_size).finish_non_exhaustive()
    }
}

/// Messages of gloo, of c10d's store, and of NCCL's watchdog.
fn is_timeout(message: &str) -> bool {
    let parts = ["Timed out", "timed out", "Application timeout", "failed to pass monitoredBarrier", "Wait timeout"];
    parts.iter().any(|part| message.contains(part))
}

fn is_lost(message: &str) -> bool {
    let parts = [
        "Connection closed by peer",
        "Connection reset by peer",
        "Read error",
        "Write error",
        "writev",
        "Broken pipe",
        "Socket closed",
        "pair closure",
        "remote process exited",
    ];
    parts.iter().any(|part| message.contains(part))
}
