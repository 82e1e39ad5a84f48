//! A fused network that serves many callers at once.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use mmcv::fuse::{FuseOptions, StreamOptions, Streams, fuse};
use mmcv::prelude::*;
use tch::{Device, Kind, Tensor};

use crate::fuse_inputs::Written;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

fn network() -> Box<dyn Module> {
    tch::manual_seed(0);
    let config = config! { type: "ResNet", depth: 18, base_channels: 8, stem_channels: 8 };
    let network = build_model(&config).unwrap();
    network.train(false);
    network
}

fn options(streams: usize, max_batch: usize) -> StreamOptions {
    let mut options = StreamOptions::default();
    options.streams = NonZeroUsize::new(streams);
    options.max_batch = NonZeroUsize::new(max_batch).unwrap();
    options
}

fn assert_same(found: Vec<Tensor>, expected: Vec<Tensor>, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.size(), expected.size(), "{what}");
        assert!(found.allclose(expected, 1e-4, 1e-4, false), "{what}");
    }
}

#[test]
fn all_callers_get_their_own_outputs() {
    let network = network();
    let fused = fuse(&*network, &[1, 3, 64, 64], &FuseOptions::default()).unwrap();
    // Computed before, since a module is not for several threads.
    let shapes = [[1, 3, 64, 64], [2, 3, 64, 64], [1, 3, 50, 70], [1, 3, 64, 64], [3, 3, 64, 64]];
    let mut cases = Vec::new();
    for shape in shapes.iter().cycle().take(15) {
        let input = Tensor::randn(shape, FLOAT);
        let expected = tch::no_grad(|| network.call(&[&input], &dict! {})).unwrap().into_vec();
        cases.push((input, expected));
    }
    for (streams, max_batch) in [(1, 1), (3, 1), (2, 4)] {
        let mut options = options(streams, max_batch);
        options.max_delay = Duration::from_millis(5);
        let streams = Streams::new(&fused, &options).unwrap();
        assert_eq!(streams.count(), options.streams.unwrap().get());
        let mut given = Vec::new();
        for (input, expected) in &cases {
            given.push((input.copy(), expected.iter().map(Tensor::copy).collect::<Vec<_>>()));
        }
        let mut chunks = Vec::new();
        while !given.is_empty() {
            chunks.push(given.split_off(given.len().saturating_sub(4)));
        }
        thread::scope(|scope| {
            for chunk in chunks {
                let streams = &streams;
                scope.spawn(move || {
                    let mut pending = Vec::new();
                    for (input, expected) in chunk {
                        pending.push((streams.submit(&[&input]).unwrap(), expected));
                    }
                    for (output, expected) in pending {
                        let output = output.wait().unwrap().into_vec();
                        assert!(output.iter().all(|output| !output.requires_grad()));
                        assert_same(output, expected, &format!("{streams:?}, {max_batch}"));
                    }
                });
            }
        });
    }
}

#[test]
fn a_wrong_input_is_an_error_for_its_caller_alone() {
    let network = network();
    let fused = fuse(&*network, &[1, 3, 64, 64], &FuseOptions::default()).unwrap();
    for max_batch in [1, 4] {
        let streams = Streams::new(&fused, &options(1, max_batch)).unwrap();
        let [good, channels, kind] = [
            Tensor::randn([1, 3, 64, 64], FLOAT),
            Tensor::randn([1, 4, 64, 64], FLOAT),
            Tensor::randn([1, 3, 64, 64], (Kind::Double, Device::Cpu)),
        ];
        let pending = [&good, &channels, &kind, &good].map(|input| streams.submit(&[input]).unwrap());
        let [first, channels, kind, last] = pending.map(|output| output.wait());
        assert_same(last.unwrap().into_vec(), first.unwrap().into_vec(), "after errors");
        assert!(channels.unwrap_err().to_string().contains("3 channels"));
        assert!(kind.unwrap_err().to_string().contains("Double"));
        assert!(streams.forward(&Tensor::randn([3, 64, 64], FLOAT)).is_err());
        assert!(streams.call(&[&good], &dict! { return_all: true }).is_err());
    }
}

/// A network that mixes images cannot compute several requests together, and computes them one by one.
#[test]
fn requests_that_cannot_be_joined_are_computed_alone() {
    let module = Written(|input| Ok(input.f_reshape([3, 64])?.f_relu()?));
    let fused = fuse(&module, &[1, 3, 8, 8], &FuseOptions::default()).unwrap();
    let mut options = options(1, 2);
    options.max_delay = Duration::from_secs(1000);
    let streams = Streams::new(&fused, &options).unwrap();
    let inputs: Vec<Tensor> = (0..4).map(|_| Tensor::randn([1, 3, 8, 8], FLOAT)).collect();
    let pending: Vec<_> = inputs.iter().map(|input| streams.submit(&[input]).unwrap()).collect();
    for (output, input) in pending.into_iter().zip(&inputs) {
        assert_same(output.wait().unwrap().into_vec(), vec![input.reshape([3, 64]).relu()], "one image");
    }
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let network = network();
    let fused = fuse(&*network, &[1, 3, 64, 64], &FuseOptions::default()).unwrap();
    let streams = Streams::new(&fused, &options(2, 1)).unwrap();
    let input = Tensor::randn([1, 3, 64, 64], FLOAT);
    let pending: Vec<_> = (0..8).map(|_| streams.submit(&[&input]).unwrap()).collect();
    drop(streams);
    for output in pending {
        output.wait().unwrap();
    }
}
