//! Matching a state dict to a module: everything is checked, then everything is written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use mmcv_layers::{Module, ModuleExt, Parts, join_path, named_modules, observe};
use mmcv_pth::RawTensor;
use tch::{Kind, Tensor};

use crate::dtype::Cast;
use crate::error::ErrorKind;
use crate::in_place::{self, Pair};
use crate::key_match::Renamed;
use crate::naming::{NamedSource, Names};
use crate::report::{Difference, TensorType};
use crate::suggestion::{Place, suggestions};
use crate::tensor_source::TensorSource;
use crate::{DtypePolicy, Error, LoadOptions, LoadReport};

/// A state dict: names and tensors, in order.
pub(crate) type StateDict<'a> = Vec<(String, TensorSource<'a>)>;

/// Loads tensors in memory into `module`. `options.entry` is ignored.
///
/// Names, shapes and types are checked before the first tensor is written.
///
/// # Errors
/// Returns an error if the tensors do not fit `module`.
///
/// Reference: `mmengine.runner.load_state_dict`.
pub fn load_state_dict(
    module: &dyn Module,
    state_dict: &[(String, Tensor)],
    options: &LoadOptions,
) -> Result<LoadReport, Error> {
    let sources = state_dict.iter().map(|(name, tensor)| (name.clone(), TensorSource::Memory(tensor))).collect();
    load_sources(module, sources, options, &Vec::new).map_err(|kind| Error::new("", kind))
}

/// Matches, checks, and writes. `places` returns the entries of the file, which may be suggested if names do not fit.
pub(crate) fn load_sources<'v>(
    module: &dyn Module,
    sources: StateDict<'v>,
    options: &LoadOptions,
    places: &dyn Fn() -> Vec<Place<'v>>,
) -> Result<LoadReport, ErrorKind> {
    let names = Names::of(module, options);
    let mut matched = Matched::new(module, &names, &sources, options)?;
    if !matched.report.is_complete() {
        matched.report.suggestions = suggestions(&names, &sources, matched.report.loaded.len(), places());
    }
    if !matched.has_weights() || (options.strict && !matched.report.is_complete()) {
        return Err(ErrorKind::Mismatch(Box::new(matched.report)));
    }
    verify(&matched.pairs)?;
    if let Some(device) = options.device {
        // A missing device is found before anything is moved.
        let _ = Tensor::f_empty([0_i64], (Kind::Float, device))?;
        module.to_device(device)?;
    }
    matched.write()
}

/// Compares checksums with several threads, so that damage is found before anything is written.
fn verify(pairs: &[Pair<'_, '_>]) -> Result<(), ErrorKind> {
    let mut raws = Vec::new();
    for (_, source) in pairs {
        if let TensorSource::File(raw) = source {
            raws.push(raw.clone());
        }
    }
    let threads = match thread::available_parallelism() {
        Ok(processors) => processors.get().min(raws.len()),
        Err(_) => 1,
    };
    let queue = Mutex::new(raws);
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 1..threads {
            workers.push(scope.spawn(|| verify_queue(&queue)));
        }
        let mut result = verify_queue(&queue);
        for worker in workers {
            match worker.join() {
                Ok(other) => result = result.and(other),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

fn verify_queue(queue: &Mutex<Vec<RawTensor<'_>>>) -> Result<(), ErrorKind> {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(raw) = next else { return Ok(()) };
        raw.verify()?;
    }
}

/// The tensors of a module with their new values.
struct Matched<'a, 'v> {
    modules: Vec<(String, &'a dyn Module)>,
    pairs: Vec<Pair<'a, 'v>>,
    /// For each module, the optional tensors that the state dict lacks.
    absent: Vec<Vec<Cow<'a, str>>>,
    /// Whether the module has parameters at all.
    has_parameters: bool,
    report: LoadReport,
}

/// A tensor of the module.
struct Target<'a> {
    name: String,
    tensor: &'a Tensor,
    is_parameter: bool,
    /// Whether a state dict may lack it.
    is_optional: bool,
}

impl<'a, 'v> Matched<'a, 'v> {
    fn new(
        module: &'a dyn Module,
        names: &Names<'_>,
        sources: &'v StateDict<'v>,
        options: &LoadOptions,
    ) -> Result<Self, ErrorKind> {
        let mut report = LoadReport::default();
        let mut found = rename(sources, names, &mut report)?;
        let modules = named_modules(module);
        let mut matched =
            Self { modules: modules.clone(), pairs: Vec::new(), absent: Vec::new(), has_parameters: false, report };
        for (path, module) in modules {
            let parts = Parts::of(module);
            let parameter_count = parts.parameters.len();
            let mut absent = Vec::new();
            for (index, (local, tensor)) in parts.parameters.into_iter().chain(parts.buffers).enumerate() {
                let target = Target {
                    name: join_path(&path, &local),
                    tensor,
                    is_parameter: index < parameter_count,
                    is_optional: module.may_be_absent(&local),
                };
                matched.has_parameters |= target.is_parameter;
                match found.remove(&target.name) {
                    Some(source) => matched.add(target, source, options.dtype)?,
                    None if target.is_optional => absent.push(local),
                    None => {
                        matched.report.unset.push(target.name.clone());
                        matched.report.missing.push(target.name);
                    }
                }
            }
            matched.absent.push(absent);
        }
        matched.report.unexpected = found.into_keys().collect();
        matched.report.unexpected.sort();
        Ok(matched)
    }

    fn add(&mut self, target: Target<'a>, source: &'v TensorSource<'v>, policy: DtypePolicy) -> Result<(), ErrorKind> {
        match compare(&target.name, source, target.tensor, policy)? {
            Fit::Same => {}
            Fit::Cast(difference) => self.report.cast.push(difference),
            Fit::Mismatched(difference) => {
                if !target.is_optional {
                    self.report.unset.push(target.name);
                }
                self.report.mismatched.push(difference);
                return Ok(());
            }
        }
        self.report.loaded.push(target.name);
        self.report.parameters += usize::from(target.is_parameter);
        self.pairs.push((target.tensor, source));
        Ok(())
    }

    /// Whether a parameter fits: counters and other buffers alone are no weights.
    fn has_weights(&self) -> bool {
        if self.has_parameters { self.report.parameters > 0 } else { !self.pairs.is_empty() }
    }

    fn write(mut self) -> Result<LoadReport, ErrorKind> {
        self.write_tensors().map_err(|kind| ErrorKind::PartlyWritten(Box::new(kind)))?;
        for ((_, module), absent) in self.modules.iter().zip(&self.absent) {
            let absent: Vec<&str> = absent.iter().map(AsRef::as_ref).collect();
            module.after_load(&absent)?;
        }
        self.mark_loaded();
        self.report.written = true;
        if !self.report.is_complete() {
            log::warn!("{}", self.report);
        }
        Ok(self.report)
    }

    fn write_tensors(&self) -> Result<(), ErrorKind> {
        for (target, source) in in_place::read(&self.pairs)? {
            source.copy_into(target)?;
        }
        for (target, _) in &self.pairs {
            observe::initialized(target, || observe::LOADED.to_owned());
        }
        Ok(())
    }

    /// Modules that were loaded as a whole are not initialized again.
    fn mark_loaded(&self) {
        let mut lacking: Vec<&String> = self.report.missing.iter().collect();
        lacking.extend(self.report.mismatched.iter().map(|difference| &difference.name));
        for (path, module) in &self.modules {
            let prefix = with_dot(Some(path));
            if let Some(init_cfg) = module.init_cfg()
                && !lacking.iter().any(|name| name.starts_with(&prefix))
            {
                init_cfg.mark_loaded();
            }
        }
    }
}

/// The tensors by the names that the options and the best naming give them.
fn rename<'v>(
    sources: &'v StateDict<'v>,
    names: &Names<'_>,
    report: &mut LoadReport,
) -> Result<HashMap<String, &'v TensorSource<'v>>, ErrorKind> {
    let prefix = names.prefix();
    let mut keys = Vec::new();
    let mut named: Vec<NamedSource<'v>> = Vec::new();
    for (key, source) in sources {
        if let Some(name) = names.revised(key, &prefix) {
            keys.push(key);
            named.push((name, source));
        }
    }
    let (naming, _) = names.naming(&named)?;
    report.layout = naming.key_match.description();
    report.wrapper = naming.wrapper(&named);
    let mut first_keys: HashMap<String, &String> = HashMap::new();
    let mut renamed = HashMap::new();
    for (key, (revised, source)) in keys.into_iter().zip(named) {
        let plain = naming.unwrapped(&revised);
        let name = match naming.key_match.rename(&plain) {
            Renamed::To(name) => name,
            Renamed::OfHead => {
                report.of_head.push(key.clone());
                continue;
            }
        };
        report.rewritten += usize::from(name != plain);
        if let Some(first) = first_keys.insert(name.clone(), key) {
            return Err(ErrorKind::SameName { name, first: first.clone(), second: key.clone() });
        }
        renamed.insert(name, source);
    }
    report.of_head.sort();
    Ok(renamed)
}

/// A prefix with a trailing dot, so that `layer1` does not include `layer10`; an empty one stays empty.
pub(crate) fn with_dot(prefix: Option<&str>) -> String {
    match prefix.unwrap_or_default().trim_end_matches('.') {
        "" => String::new(),
        prefix => format!("{prefix}."),
    }
}

/// Whether and how a tensor fits a target.
enum Fit {
    Same,
    Cast(Difference),
    Mismatched(Difference),
}

fn compare(name: &str, source: &TensorSource<'_>, target: &Tensor, policy: DtypePolicy) -> Result<Fit, ErrorKind> {
    let (expected, found) = (TensorType::of(target), source.tensor_type());
    if expected == found {
        return Ok(Fit::Same);
    }
    let castable = is_castable(source, target)?;
    let difference = Difference { name: name.to_owned(), expected, found, castable };
    Ok(if castable && policy == DtypePolicy::Cast { Fit::Cast(difference) } else { Fit::Mismatched(difference) })
}

fn is_castable(source: &TensorSource<'_>, target: &Tensor) -> Result<bool, ErrorKind> {
    let (Some(from), Ok(to)) = (source.kind(), target.f_kind()) else { return Ok(false) };
    if !source.has_shape_of(target) {
        return Ok(false);
    }
    match Cast::between(from, to) {
        _ if from == to => Ok(true),
        Cast::Always => Ok(true),
        Cast::IfExact => source.is_exact_in(to),
        Cast::Never => Ok(false),
    }
}
