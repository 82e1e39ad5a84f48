//! Builds and runs what a case describes, and compares.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use mmcv::fuse::{FuseOptions, WinogradUse, fuse_call};
use mmcv::layers::observe::{Trace, observe};
use mmcv::layers::{self, Builder, Forward, Module, ModuleExt, Output, named_modules};
use mmcv::registry::{Config, Dict};
use mmcv_onnx::OnnxOptions;
use tch::{Device, Kind, Tensor};

use super::case::{Case, Description, Expect, State, dict_or_empty};
use super::layout::Layout;
use super::tensors::{Tolerance, close, digest, same_bits};

const RTOL: f64 = 1.3e-6;
const ATOL: f64 = 1e-5;

/// Relative and absolute tolerance of fused forms.
const FUSED: f64 = 1e-4;
/// What other orders of summation cost, in units in the last place of the largest value.
const FUSED_UNITS: f64 = 800.0;

/// In which form a case's module is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is, with its inputs in this order in memory.
    Plain(Layout),
    /// Rewritten by [`mmcv::fuse::fuse_call`].
    Fused(WinogradUse),
    /// Not run, but written as an ONNX file with this name, and its inputs and outputs beside it.
    Onnx(PathBuf),
}

/// Why a case is not replayed in fused form; `None` where it is.
pub(super) fn not_fused(case: &Case) -> Option<&'static str> {
    if case.description.train { Some("training") } else { not_run(case) }
}

/// Why nothing of a case can be run in evaluation mode.
pub(super) fn not_run(case: &Case) -> Option<&'static str> {
    let Description { expect, forward, .. } = &case.description;
    match () {
        () if expect.error.is_some() => Some("an error is expected"),
        () if forward.is_empty() => Some("nothing is run"),
        () => None,
    }
}

/// Replays one case.
pub(super) fn replay(case: &Case, device: Device, form: Form) -> Result<()> {
    let outcome = run(case, device, form);
    match (&case.description.expect.error, outcome) {
        (None, outcome) => outcome,
        (Some(_), Ok(())) => bail!("succeeded, but an error was expected"),
        (Some(wanted), Err(error)) => {
            let Some(Refused(message)) = error.downcast_ref() else { return Err(error) };
            let missing: Vec<_> = wanted.iter().filter(|part| !message.contains(*part)).collect();
            ensure!(missing.is_empty(), "the error lacks {missing:?}: {message}");
            Ok(())
        }
    }
}

/// An error of the library itself, as opposed to a difference from the reference.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused: {}", self.0)
    }
}

impl std::error::Error for Refused {}

impl From<layers::Error> for Refused {
    fn from(error: layers::Error) -> Self {
        Self(error.to_string())
    }
}

fn run(case: &Case, device: Device, form: Form) -> Result<()> {
    let description = &case.description;
    tch::manual_seed(description.seed);
    let (name, module) = build(description).map_err(Refused::from)?;
    if description.init_weights {
        module.init_weights().map_err(Refused::from)?;
    }
    if let Some(expected) = &description.expect.abbr {
        ensure!(name.as_ref() == Some(expected), "the name is {name:?} instead of {expected:?}");
    }
    match description.state {
        State::Seeded => compare_state(&*module, case)?,
        State::Given if case.lacks_state() => {}
        State::Given => load_state(&*module, case)?,
    }
    module.to_device(device).map_err(Refused::from)?;
    module.train(description.train);
    if description.forward.is_empty() {
        return Ok(());
    }
    match form {
        Form::Plain(layout) => run_forward(&*module, case, device, layout),
        Form::Fused(winograd) => run_fused(&*module, case, device, winograd).or_else(|error| {
            let steady = is_steady(&*module, case, device)?;
            Err(if steady { error } else { anyhow!(IllConditioned) })
        }),
        Form::Onnx(file) => {
            module.train(false);
            export(&*module, case, device, &file)
        }
    }
}

pub(super) fn build(description: &Description) -> layers::Result<(Option<String>, Box<dyn Module>)> {
    let builder = Builder::new(&mmcv::MODELS);
    let cfg = &description.cfg;
    let mut arguments = dict_or_empty(description.kwargs.as_ref())
        .map_err(|error| layers::Error::argument("kwargs", error, "expected a dict"))?;
    let unnamed = |layer| (None, layer);
    let named = |(name, layer)| (Some(name), layer);
    let mut postfix = || match arguments.remove("postfix") {
        None => Ok(String::new()),
        Some(Config::Str(postfix)) => Ok(postfix),
        Some(Config::Int(postfix)) => Ok(postfix.to_string()),
        Some(other) => Err(layers::Error::argument("postfix", other, "expected an integer or a string")),
    };
    match description.builder.as_str() {
        "conv" => builder.conv(cfg, &arguments).map(unnamed),
        "norm" => {
            let postfix = postfix()?;
            let features = arguments.remove("num_features").unwrap_or_default();
            if let Some(key) = arguments.keys().next() {
                return Err(layers::Error::argument(key, "it", "norm takes num_features and postfix"));
            }
            builder.norm(cfg, features, postfix).map(named)
        }
        "activation" => builder.activation(cfg).map(unnamed),
        "upsample" => builder.upsample(cfg, &arguments).map(unnamed),
        "padding" => builder.padding(cfg, &arguments).map(unnamed),
        "plugin" => {
            let postfix = postfix()?;
            builder.plugin(cfg, postfix, &arguments).map(named)
        }
        "model" => builder.model(cfg).map(unnamed),
        other => Err(layers::Error::argument("builder", other, "expected one of the builders")),
    }
}

fn compare_state(module: &dyn Module, case: &Case) -> Result<()> {
    let found = module.state_dict();
    let expected: BTreeSet<&str> = match &case.description.digest {
        Some(digests) => digests.keys().map(String::as_str).collect(),
        None => case.tensors.with_prefix("state:").map(|(key, _)| key).collect(),
    };
    if case.lacks_state() {
        return Ok(());
    }
    same_keys(found.iter().map(|(key, _)| key.as_str()).collect(), expected)?;
    for (key, tensor) in &found {
        let same = match &case.description.digest {
            Some(digests) => digest(tensor).and_then(|found| {
                ensure!(digests.get(key) == Some(&found), "other bits (digest {found})");
                Ok(())
            }),
            None => same_bits(tensor, case.tensors.get(&format!("state:{key}")).context("missing")?),
        };
        same.with_context(|| format!("state {key}"))?;
    }
    Ok(())
}

fn load_state(module: &dyn Module, case: &Case) -> Result<()> {
    let own = module.state_dict();
    let given: BTreeSet<&str> = case.tensors.with_prefix("state:").map(|(key, _)| key).collect();
    same_keys(own.iter().map(|(key, _)| key.as_str()).collect(), given)?;
    let _guard = tch::no_grad_guard();
    for (key, mut tensor) in own {
        let given = case.tensors.get(&format!("state:{key}")).context("missing")?;
        ensure!(tensor.size() == given.size(), "state {key}: shape {:?} instead of {:?}", tensor.size(), given.size());
        tensor.f_set_data(&given.copy())?;
    }
    for (_, module) in layers::named_modules(module) {
        module.after_load(&[]).map_err(Refused::from)?;
    }
    Ok(())
}

fn same_keys(found: BTreeSet<&str>, expected: BTreeSet<&str>) -> Result<()> {
    let missing: Vec<_> = expected.difference(&found).collect();
    let unexpected: Vec<_> = found.difference(&expected).collect();
    ensure!(missing.is_empty() && unexpected.is_empty(), "state keys: missing {missing:?}, unexpected {unexpected:?}");
    Ok(())
}

fn run_forward(module: &dyn Module, case: &Case, device: Device, layout: Layout) -> Result<()> {
    let description = &case.description;
    if layout == Layout::ChannelsLastWeights {
        module.to_channels_last().map_err(Refused::from)?;
    }
    let mut inputs = Vec::new();
    for name in &description.forward {
        let input = case.tensors.get(&format!("in:{name}")).with_context(|| format!("no tensor in:{name}"))?;
        let input = input.copy().to_device(device);
        let wants_gradient = case.tensors.get(&format!("grad:in:{name}")).is_some();
        inputs.push(if wants_gradient { input.set_requires_grad(true) } else { input });
    }
    if let Some(seed) = description.forward_seed {
        tch::manual_seed(seed);
    }
    let options = dict_or_empty(description.forward_kwargs.as_ref())?;
    // Copies, since a layer that works in place cannot write into a tensor whose gradient is wanted.
    let copies = inputs.iter().map(|input| layout.copy(input)).collect::<Result<Vec<Tensor>>>()?;
    let references: Vec<&Tensor> = copies.iter().collect();
    let (output, trace) = observe(|| module.call(&references, &options));
    check_names(module, &trace)?;
    let output = output.map_err(Refused::from)?;
    if description.expect.error.is_some() {
        return Ok(());
    }
    let rtol = description.expect.rtol.unwrap_or(RTOL);
    let atol = description.expect.atol.unwrap_or(ATOL);
    let tolerance = Tolerance { rtol, atol, units: layout.units() };
    let outputs = compare_outputs(output, case, tolerance)?;
    let cotangents = case.tensors.numbered("cot");
    if !cotangents.is_empty() {
        backpropagate(&outputs, &cotangents, device)?;
    }
    let state = module.state_dict();
    let of_input =
        |name: &str| description.forward.iter().position(|input| input == name).and_then(|index| inputs.get(index));
    for (key, expected) in case.tensors.with_prefix("grad:") {
        let tensor = match key.strip_prefix("in:") {
            Some(name) => of_input(name),
            None => find(&state, key),
        };
        let gradient = tensor.with_context(|| format!("nothing is called {key}"))?.grad();
        ensure!(gradient.defined(), "gradient of {key}: none");
        close(&gradient, expected, tolerance).with_context(|| format!("gradient of {key}"))?;
    }
    for (key, expected) in case.tensors.with_prefix("after:") {
        let found = find(&state, key).with_context(|| format!("nothing is called {key}"))?;
        close(found, expected, tolerance).with_context(|| format!("{key} after the forward pass"))?;
    }
    Ok(())
}

/// The module as it is does not give the case's numbers either, once its input is changed by a millionth: no other order of
/// summation can.
#[derive(Debug)]
pub(super) struct IllConditioned;

impl std::fmt::Display for IllConditioned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("its numbers depend on the last bits of the input")
    }
}

impl std::error::Error for IllConditioned {}

/// Whether the module as it is gives the case's numbers for an input that differs by a millionth.
fn is_steady(module: &dyn Module, case: &Case, device: Device) -> Result<bool> {
    let inputs = fused_inputs(case, device)?.into_iter().map(|input| {
        let changes = matches!(input.kind(), Kind::Float | Kind::Double);
        Ok(if changes { input.f_add(&input.f_mul(&input.f_sign()?.f_mul_scalar(1e-6)?)?)? } else { input })
    });
    let inputs = inputs.collect::<Result<Vec<Tensor>>>()?;
    let options = dict_or_empty(case.description.forward_kwargs.as_ref())?;
    let references: Vec<&Tensor> = inputs.iter().collect();
    let output = tch::no_grad(|| module.call(&references, &options)).map_err(Refused::from)?;
    Ok(compare_outputs(output, case, fused_tolerance(case)).is_ok())
}

pub(super) fn fused_inputs(case: &Case, device: Device) -> Result<Vec<Tensor>> {
    let input = |name: &String| {
        let input = case.tensors.get(&format!("in:{name}")).with_context(|| format!("no tensor in:{name}"))?;
        Ok(input.copy().to_device(device))
    };
    case.description.forward.iter().map(input).collect()
}

fn fused_tolerance(case: &Case) -> Tolerance {
    let at_least = |given: Option<f64>| given.unwrap_or(0.0).max(FUSED);
    let Expect { rtol, atol, .. } = case.description.expect;
    Tolerance { rtol: at_least(rtol), atol: at_least(atol), units: FUSED_UNITS }
}

/// Whether the modules that ran have the names under which the network lists them.
fn check_names(module: &dyn Module, trace: &Trace) -> Result<()> {
    let names: HashSet<String> = named_modules(module).into_iter().map(|(name, _)| name).collect();
    for call in &trace.calls {
        ensure!(names.contains(&call.module), "{:?} ran, and is no name of a module", call.module);
    }
    Ok(())
}

/// Compares the outputs of the fused form with the reference's.
fn run_fused(module: &dyn Module, case: &Case, device: Device, winograd: WinogradUse) -> Result<()> {
    let description = &case.description;
    let inputs = fused_inputs(case, device)?;
    let references: Vec<&Tensor> = inputs.iter().collect();
    let options = dict_or_empty(description.forward_kwargs.as_ref())?;
    let mut fuse_options = FuseOptions::default();
    fuse_options.winograd = winograd;
    let fused = fuse_call(module, &references, &options, &fuse_options)?;
    let output = fused.call(&references, &Dict::new()).map_err(Refused::from)?;
    compare_outputs(output, case, fused_tolerance(case))?;
    Ok(())
}

/// Writes the module as an ONNX file, and its inputs and outputs.
fn export(module: &dyn Module, case: &Case, device: Device, file: &Path) -> Result<()> {
    let inputs = fused_inputs(case, device)?;
    let references: Vec<&Tensor> = inputs.iter().collect();
    let arguments = dict_or_empty(case.description.forward_kwargs.as_ref())?;
    let mut options = OnnxOptions::default();
    options.dynamic_batch = false;
    options.opset = 18;
    mmcv_onnx::export_call(module, &references, &arguments, &options)?.save(file)?;
    // Copies, since a module may work in place.
    let copies: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
    let copies: Vec<&Tensor> = copies.iter().collect();
    let outputs = tch::no_grad(|| module.call(&copies, &arguments)).map_err(Refused::from)?.into_vec();
    let mut tensors = Vec::new();
    for (word, list) in [("in", &inputs), ("out", &outputs)] {
        for (index, tensor) in list.iter().enumerate() {
            tensors.push((format!("{word}{index}"), tensor.f_contiguous()?));
        }
    }
    Ok(Tensor::write_safetensors(&tensors, file.with_extension("safetensors"))?)
}

/// Compares the outputs with the reference's, and gives them.
fn compare_outputs(output: Output, case: &Case, tolerance: Tolerance) -> Result<Vec<Tensor>> {
    let single = matches!(output, Output::Tensor(_));
    let outputs = output.into_vec();
    let expected = case.tensors.numbered("out");
    ensure!(single == case.tensors.get("out").is_some() || expected.is_empty(), "one tensor or several tensors");
    ensure!(outputs.len() == expected.len(), "{} outputs instead of {}", outputs.len(), expected.len());
    for (index, (found, expected)) in outputs.iter().zip(&expected).enumerate() {
        close(found, expected, tolerance).with_context(|| format!("output {index}"))?;
    }
    Ok(outputs)
}

fn backpropagate(outputs: &[Tensor], cotangents: &[&Tensor], device: Device) -> Result<()> {
    ensure!(outputs.len() == cotangents.len(), "{} outputs, {} cotangents", outputs.len(), cotangents.len());
    let products = outputs.iter().zip(cotangents);
    let terms = products.map(|(output, cotangent)| Ok(output.f_mul(&cotangent.to_device(device))?.f_sum(None)?));
    let sum = terms.reduce(|sum: Result<Tensor>, term| Ok(sum?.f_add(&term?)?));
    sum.ok_or_else(|| anyhow!("no outputs"))??.f_backward().map_err(|error| anyhow!("backward: {error}"))
}

fn find<'a>(state: &'a [(String, Tensor)], key: &str) -> Option<&'a Tensor> {
    state.iter().find(|(name, _)| name == key).map(|(_, tensor)| tensor)
}
