//! What ranks compare before a collective: gloo ends the process if shapes differ.

use tch::{Kind, Tensor};

use crate::group::ReduceOp;

/// How many numbers a fingerprint has; `shim/group.h` has it too.
const LENGTH: usize = 16;
/// Sizes of the dimensions come after the other numbers.
const SIZES: usize = 6;

/// The types that a tensor may have.
const KINDS: [Kind; 12] = [
    Kind::Uint8,
    Kind::Int8,
    Kind::Int16,
    Kind::Int,
    Kind::Int64,
    Kind::Half,
    Kind::Float,
    Kind::Double,
    Kind::ComplexFloat,
    Kind::ComplexDouble,
    Kind::Bool,
    Kind::BFloat16,
];

/// A call of a collective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    AllReduce = 1,
    Reduce,
    Broadcast,
    AllGather,
    Barrier,
    MonitoredBarrier,
    Bytes,
    Modules,
    Forward,
    /// The rank cannot take part.
    Refused,
    /// As in `shim/sync_bn.cpp`.
    SyncForward = 100,
    SyncBackward,
}

const CODES: [(Code, &str); 12] = [
    (Code::AllReduce, "all_reduce"),
    (Code::Reduce, "reduce"),
    (Code::Broadcast, "broadcast"),
    (Code::AllGather, "all_gather"),
    (Code::Barrier, "barrier"),
    (Code::MonitoredBarrier, "monitored_barrier"),
    (Code::Bytes, "an exchange of results"),
    (Code::Modules, "DataParallel::new"),
    (Code::Forward, "DataParallel::forward"),
    (Code::Refused, "a call with a tensor that cannot take part"),
    (Code::SyncForward, "the forward pass of a SyncBN"),
    (Code::SyncBackward, "the backward pass of a SyncBN"),
];

const OPS: [(ReduceOp, &str); 5] = [
    (ReduceOp::Sum, "sum"),
    (ReduceOp::Mean, "mean"),
    (ReduceOp::Min, "min"),
    (ReduceOp::Max, "max"),
    (ReduceOp::Product, "product"),
];

/// A call with all that has to be equal on all ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([i64; LENGTH]);

impl Fingerprint {
    pub(crate) fn new(code: Code) -> Self {
        let mut numbers = [0; LENGTH];
        numbers[0] = code as i64;
        numbers[1] = -1;
        numbers[2] = -1;
        numbers[3] = -1;
        Self(numbers)
    }

    pub(crate) fn op(mut self, op: ReduceOp) -> Self {
        self.0[1] = OPS.iter().position(|entry| entry.0 == op).map_or(-1, |position| position as i64);
        self
    }

    pub(crate) fn root(mut self, root: usize) -> Self {
        self.0[2] = i64::try_from(root).unwrap_or(-1);
        self
    }

    /// The tensor's type, device and shape.
    pub(crate) fn tensor(mut self, tensor: &Tensor) -> Self {
        let kind = tensor.f_kind().ok().and_then(|kind| KINDS.iter().position(|known| *known == kind));
        self.0[3] = kind.map_or(-2, |position| position as i64);
        self.0[4] = tensor.device().is_cuda().into();
        let sizes = tensor.size();
        self.0[5] = sizes.len() as i64;
        for (number, size) in self.0[SIZES..].iter_mut().zip(sizes) {
            *number = size;
        }
        self
    }

    pub(crate) fn numbers(&self) -> &[i64] {
        &self.0
    }

    /// The first rank whose numbers differ from these, and its call.
    pub(crate) fn first_difference(&self, all: &[i64]) -> Option<(usize, String)> {
        for (rank, numbers) in all.chunks(LENGTH).enumerate() {
            if numbers != self.0 {
                return Some((rank, describe(numbers)));
            }
        }
        None
    }

    pub(crate) fn text(&self) -> String {
        describe(&self.0)
    }
}

fn describe(numbers: &[i64]) -> String {
    let number = |position: usize| numbers.get(position).copied().unwrap_or_default();
    let code = CODES.iter().find(|entry| entry.0 as i64 == number(0)).map(|entry| entry.0);
    let Some(code) = code else { return format!("a call with code {}", number(0)) };
    let name = CODES.iter().find(|entry| entry.0 == code).map_or("", |entry| entry.1);
    if matches!(code, Code::SyncForward | Code::SyncBackward) {
        return format!("{name} of {} channels", number(1));
    }
    let mut details = Vec::new();
    if let Some((_, op)) = usize::try_from(number(1)).ok().and_then(|position| OPS.get(position)) {
        details.push((*op).to_owned());
    }
    if number(2) >= 0 {
        details.push(format!("rank {}", number(2)));
    }
    let mut text = name.to_owned();
    if !details.is_empty() {
        text = format!("{text}({})", details.join(", "));
    }
    if number(3) != -1 {
        let kind = usize::try_from(number(3)).ok().and_then(|position| KINDS.get(position));
        let kind = kind.map_or_else(|| "an unusual type".to_owned(), |kind| format!("{kind:?}"));
        let dims = usize::try_from(number(5)).unwrap_or_default();
        let sizes: Vec<i64> = numbers.iter().skip(SIZES).take(dims).copied().collect();
        let device = if number(4) == 0 { "" } else { " on CUDA" };
        text = format!("{text} of {kind} {sizes:?}{device}");
    }
    text
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn a_difference_names_rank_and_call() {
        let tensor = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let here = Fingerprint::new(Code::AllReduce).op(ReduceOp::Sum).tensor(&tensor);
        let there = Fingerprint::new(Code::Broadcast).root(1).tensor(&tensor.to_kind(Kind::Double).view([6]));
        let all = [here.numbers(), there.numbers()].concat();
        assert_eq!(here.text(), "all_reduce(sum) of Float [2, 3]");
        assert_eq!(here.first_difference(&all), Some((1, "broadcast(rank 1) of Double [6]".to_owned())));
        assert_eq!(there.first_difference(&all), Some((0, here.text())));
        assert_eq!(here.first_difference(&[here.numbers(), here.numbers()].concat()), None);
        assert_ne!(here, here.op(ReduceOp::Mean));
    }
}
