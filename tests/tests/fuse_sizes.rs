//! A fused form at sizes that it was not made for gives the module's numbers, or an error.

use std::path::{Path, PathBuf};

use mmcv::MODELS;
use mmcv::fuse::{FuseOptions, Fused, fuse, fuse_call};
use mmcv::layers::{Output, Parts, Result, run_child};
use mmcv::prelude::*;
use mmcv::registry::KeyPath;
use mmcv_tests::parity::{self, Case};
use tch::{Device, Kind, Tensor};

use crate::fuse_inputs::Written;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// The largest difference from the module at a size, or why there is none.
fn at(module: &dyn Module, fused: &Fused, shape: &[i64]) -> std::result::Result<f64, String> {
    let input = Tensor::randn(shape, FLOAT);
    let expected = tch::no_grad(|| module.forward(&input.copy())).unwrap();
    let found = fused.forward(&input).map_err(|error| error.to_string())?;
    assert_eq!(found.size(), expected.size(), "{shape:?}");
    Ok((found - expected).abs().max().double_value(&[]))
}

#[test]
fn padding_that_depends_on_the_size() {
    let cases = [
        (
            config! { type: "Conv2dAdaptivePadding", in_channels: 3, out_channels: 4, kernel_size: 3, stride: 2 },
            65,
            67,
            64,
        ),
        (
            config! { type: "Conv2dAdaptivePadding", in_channels: 3, out_channels: 4, kernel_size: 5, stride: 3 },
            30,
            33,
            31,
        ),
        (config! { type: "AdaptivePadding", kernel_size: 16, stride: 16 }, 32, 64, 33),
        (config! { type: "AdaptivePadding", kernel_size: 7, stride: 5, padding: "same" }, 24, 29, 54),
        (
            config! { type: "PatchEmbed", in_channels: 3, embed_dims: 8, kernel_size: 4, stride: 4, padding: "corner" },
            224,
            228,
            225,
        ),
        (
            config! { type: "PatchEmbed", in_channels: 3, embed_dims: 8, kernel_size: 4, stride: 4, padding: "corner" },
            225,
            229,
            257,
        ),
    ];
    for (config, example, same, other) in cases {
        let module = build_model(&config).unwrap();
        module.train(false);
        let fused = fuse(&*module, &[1, 3, example, example], &FuseOptions::default()).unwrap();
        for shape in [[1, 3, same, same], [3, 3, example, same], [1, 3, same, example]] {
            assert!(at(&*module, &fused, &shape).unwrap() < 1e-4, "{config}, {shape:?}");
        }
        if other != 257 && other != 54 {
            let error = at(&*module, &fused, &[1, 3, other, example]).unwrap_err();
            assert!(
                error.contains("asked for a size") && error.contains(&format!("[[1, 3, {other}, {example}]]")),
                "{error}"
            );
        } else {
            assert!(at(&*module, &fused, &[1, 3, other, example]).is_ok_and(|difference| difference < 1e-4));
        }
    }
}

/// Modules that decide by sizes, in ways of which no few tries tell.
#[test]
fn decisions_by_size() {
    type Forward = fn(&Tensor) -> Result<Tensor>;
    let modules: [Forward; 9] = [
        |x| Ok(if x.size()[2] > 100 { x.f_neg()? } else { x.f_relu()? }),
        |x| Ok(x.f_mul_scalar(x.numel() as f64)?),
        |x| Ok(x.f_upsample_nearest2d([x.size()[2] * 2, x.size()[3]], None, None)?),
        |x| Ok(x.f_adaptive_avg_pool2d([x.size()[2] / 3, 2])?),
        |x| Ok(x.f_narrow(3, 0, (x.size()[3] - 1) / 2)?),
        |x| Ok(x.f_add(&Tensor::f_arange(x.size()[3], FLOAT)?)?),
        |x| Ok(if x.f_max_pool2d(2, 2, 0, 1, false)?.size()[3] % 7 == 0 { x.f_exp()? } else { x.shallow_clone() }),
        // An error of libtorch decides.
        |x| x.f_view([-1, 3, 8, 8]).or_else(|_| x.f_neg()).map_err(Into::into),
        |x| Ok(if x.stride()[1] == 64 { x.f_neg()? } else { x.f_abs()? }),
    ];
    for (index, forward) in modules.into_iter().enumerate() {
        let module = Written(forward);
        let fused = fuse(&module, &[2, 3, 8, 9], &FuseOptions::default()).unwrap();
        assert!(at(&module, &fused, &[2, 3, 8, 9]).unwrap() < 1e-4, "module {index}");
        for shape in [[2, 3, 101, 9], [2, 3, 8, 14], [1, 3, 8, 8], [2, 3, 40, 41]] {
            let error = at(&module, &fused, &shape).unwrap_err();
            assert!(error.contains("alone, got"), "module {index}, {shape:?}: {error}");
        }
    }
    // Operators that take sizes from their inputs alone are right for every size.
    let free: [Forward; 5] = [
        |x| Ok(x.f_flatten(1, -1)?),
        |x| Ok(x.f_adaptive_avg_pool2d([3, 2])?),
        |x| Ok(x.f_upsample_nearest2d_vec(None::<&[i64]>, [2.0, 2.0])?),
        |x| Ok(x.f_mean_dim(&[2i64, 3][..], true, Kind::Float)?.f_expand_as(x)?.f_contiguous()?),
        |x| Ok(x.f_transpose(2, 3)?.f_contiguous()?.f_narrow(2, 1, 2)?.f_add(&x.f_sum(Kind::Float)?)?),
    ];
    for (index, forward) in free.into_iter().enumerate() {
        let module = Written(forward);
        let fused = fuse(&module, &[2, 3, 8, 9], &FuseOptions::default()).unwrap();
        for shape in [[2, 3, 8, 9], [1, 3, 101, 9], [3, 3, 7, 14], [1, 3, 4, 4]] {
            assert!(at(&module, &fused, &shape).unwrap() < 1e-2, "module {index}, {shape:?}");
        }
    }
}

#[test]
fn decisions_by_value_are_refused() {
    type Forward = fn(&Tensor) -> Result<Tensor>;
    let modules: [Forward; 3] = [
        |x| Ok(if x.f_mean(Kind::Float)?.f_double_value(&[])? > 0.0 { x.f_neg()? } else { x.f_relu()? }),
        |x| Ok(x.f_mul_scalar(f64::try_from(x.f_max()?)?)?),
        |x| Ok(if x.f_equal(&x.f_relu()?)? { x.f_neg()? } else { x.f_relu()? }),
    ];
    for forward in modules {
        let error = fuse(&Written(forward), &[1, 3, 4, 4], &FuseOptions::default()).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

/// Modules in a row, and what they are called with.
#[derive(Debug)]
struct Row(Vec<Box<dyn Module>>);

impl Forward for Row {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.shallow_clone();
        for (index, module) in self.0.iter().enumerate() {
            output = run_child(index, &**module, &output)?;
        }
        Ok(output)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        match (self.0.as_slice(), inputs) {
            ([only], _) => only.call(inputs, options),
            (_, inputs) => self.forward(inputs[0]).map(Output::Tensor),
        }
    }
}

impl Module for Row {
    fn class(&self) -> &'static [&'static str] {
        &["Row"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        for (index, module) in self.0.iter().enumerate() {
            parts.child(index.to_string(), &**module);
        }
    }
}

/// Steele et al., Fast Splittable Pseudorandom Number Generators (2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % limit.max(1) as u64) as usize
    }
}

/// The smallest cases of every registered type in evaluation mode; a type that is new has to have a case, and so is here.
fn cases() -> Vec<(&'static str, Vec<PathBuf>)> {
    const EACH: usize = 6;
    const LARGEST: u64 = 3_000_000;
    let mut found: std::collections::BTreeMap<&'static str, Vec<(u64, PathBuf)>> = std::collections::BTreeMap::new();
    for file in parity::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap() {
        let size = std::fs::metadata(file.with_extension("safetensors")).map_or(0, |beside| beside.len());
        let case = Case::read(&file).unwrap();
        let description = &case.description;
        let Some(name) = description.cfg.get("type").and_then(Config::as_str) else { continue };
        let Ok(spec) = MODELS.lookup(name, &KeyPath::root()) else { continue };
        let run = !description.forward.is_empty() && description.expect.error.is_none();
        if run && size < LARGEST {
            found.entry(spec.name).or_default().push((size, file));
        }
    }
    let smallest = |mut files: Vec<(u64, PathBuf)>| {
        files.sort();
        files.into_iter().take(EACH).map(|(_, file)| file).collect::<Vec<_>>()
    };
    found.into_iter().map(|(name, files)| (name, smallest(files))).collect()
}

/// A random network, and inputs for it: a case, with up to three others in front or behind that take what is given.
fn network(cases: &[(&'static str, Vec<PathBuf>)], random: &mut Random) -> Option<(Row, Vec<Tensor>, Dict, String)> {
    let pick = |random: &mut Random| -> Option<(Case, Box<dyn Module>, String)> {
        let (name, files) = &cases[random.below(cases.len())];
        let file = &files[random.below(files.len())];
        let case = Case::read(file).unwrap();
        tch::manual_seed(case.description.seed);
        let module = parity::module(&case).ok()?;
        module.train(false);
        Some((case, module, format!("{name} ({})", file.file_stem().unwrap_or_default().to_string_lossy())))
    };
    let (case, module, mut text) = pick(random)?;
    let inputs = parity::inputs(&case).ok()?;
    let options = parity::options(&case).ok()?;
    let mut row = Row(vec![module]);
    let alone = inputs.len() != 1 || !options.is_empty();
    for _ in 0..if alone { 0 } else { 12 } {
        if row.0.len() > 3 {
            break;
        }
        let Some((_, next, name)) = pick(random) else { continue };
        row.0.push(next);
        let runs = tch::no_grad(|| row.forward(&inputs[0].copy())).is_ok_and(|output| output.numel() < 200_000);
        if runs {
            text.push_str(&format!(" -> {name}"));
        } else {
            row.0.pop();
        }
    }
    Some((row, inputs, options, text))
}

/// Other sizes for a tensor: of one axis or several, smaller or larger.
fn resized(tensor: &Tensor, changes: &[i64]) -> Option<Tensor> {
    let shape: Vec<i64> = tensor.size().iter().zip(changes).map(|(size, change)| size + change).collect();
    if shape.iter().any(|size| *size < 1) || shape.iter().product::<i64>() > 200_000 {
        return None;
    }
    Some(match tensor.kind() {
        kind @ (Kind::Float | Kind::Double) => Tensor::randn(&shape, (kind, Device::Cpu)),
        kind => Tensor::zeros(&shape, (kind, Device::Cpu)),
    })
}

/// Tries a network of this seed; gives how many other sizes were computed, refused, and what was wrong.
fn try_network(cases: &[(&'static str, Vec<PathBuf>)], seed: u64) -> std::result::Result<(usize, usize), String> {
    let mut random = Random(seed);
    let Some((module, examples, options, text)) = network(cases, &mut random) else { return Ok((0, 0)) };
    let references: Vec<&Tensor> = examples.iter().collect();
    let Ok(fused) = fuse_call(&module, &references, &options, &FuseOptions::default()) else { return Ok((0, 0)) };
    let (mut computed, mut refused) = (0, 0);
    for _ in 0..6 {
        let axes = 1 + random.below(3);
        let mut changes = vec![0i64; 6];
        for _ in 0..axes {
            let axis = [0, 2, 3, 2, 3, 1, 4][random.below(7)];
            changes[axis] = [1, -1, 2, -2, 3, 5, -5, 7, 8, 16, 17, 32, 33][random.below(13)];
        }
        let inputs: Option<Vec<Tensor>> = examples.iter().map(|example| resized(example, &changes)).collect();
        let Some(inputs) = inputs else { continue };
        let references: Vec<&Tensor> = inputs.iter().collect();
        let Ok(found) = fused.call(&references, &Dict::new()) else {
            refused += 1;
            continue;
        };
        computed += 1;
        let copies: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
        let shapes: Vec<_> = inputs.iter().map(Tensor::size).collect();
        let wrong = |what: String| Err(format!("seed {seed}, {text}, inputs {shapes:?}: {what}"));
        let expected = tch::no_grad(|| module.call(&copies.iter().collect::<Vec<_>>(), &options));
        // An operator whose result nothing reads is not repeated, and the error neither that it gives for this size.
        let Ok(expected) = expected.map(Output::into_vec) else { continue };
        for (found, expected) in found.into_vec().iter().zip(&expected) {
            let mut scale = 1.0;
            if expected.numel() > 0 {
                scale += expected.nan_to_num(0.0, 0.0, 0.0).abs().max().double_value(&[]);
            }
            if found.size() != expected.size() || !found.allclose(expected, 1e-3, 1e-3 * scale, true) {
                return wrong(format!("{:?} and {:?}, or other numbers", found.size(), expected.size()));
            }
        }
    }
    Ok((computed, refused))
}

/// Seeds that once found something.
const KEPT: [u64; 0] = [];

/// `MMCV_FUSE_NETWORKS` is the number of networks (a million is more than an hour's), `MMCV_FUSE_SEED` the first of their seeds.
#[test]
fn random_networks_at_other_sizes() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let cases = cases();
    let missing: Vec<_> = MODELS
        .specs()
        .iter()
        .map(|spec| spec.name)
        .filter(|name| !cases.iter().any(|(known, _)| known == name))
        .collect();
    println!("{} types, without {missing:?}", cases.len());
    let first = number("MMCV_FUSE_SEED", 1);
    let seeds = KEPT.into_iter().chain(first..first + number("MMCV_FUSE_NETWORKS", 24));
    let (mut computed, mut refused) = (0, 0);
    for seed in seeds {
        match try_network(&cases, seed) {
            Ok(counts) => {
                computed += counts.0;
                refused += counts.1;
            }
            Err(wrong) => panic!("{wrong}"),
        }
    }
    println!("{computed} computed, {refused} refused");
    assert!(computed > 10, "{computed} computed, {refused} refused");
}
