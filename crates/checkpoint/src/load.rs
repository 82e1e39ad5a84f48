//! Matching a state dict to a module: all is checked, then all is written.

use std::borrow::Cow;
use std::collections::HashMap;

use mmcv_layers::{KeyDialect, Module, ModuleExt, Parts, join, named_modules, observe};
use tch::{Kind, Tensor};

use crate::error::ErrorKind;
use crate::layout::{Layout, Renamed};
use crate::proposal::propose;
use crate::report::{Difference, TensorType};
use crate::tensor::can_cast;
use crate::value::Value;
use crate::{DtypePolicy, Error, LoadOptions, LoadReport};

/// A state dict: names and tensors, in order.
pub(crate) type Values<'a> = Vec<(String, Value<'a>)>;

/// Loads tensors that are in memory into `module`; `options.entry` has no meaning here.
///
/// Names, shapes and types are checked before the first tensor is written.
///
/// # Errors
/// Where the tensors do not fit `module`.
///
/// Reference: `mmengine.runner.load_state_dict`.
pub fn load_state_dict(
    module: &dyn Module,
    state_dict: &[(String, Tensor)],
    options: &LoadOptions,
) -> Result<LoadReport, Error> {
    let values = state_dict.iter().map(|(name, tensor)| (name.clone(), Value::Memory(tensor))).collect();
    load_values(module, values, options).map_err(|kind| Error::new("", kind))
}

/// Matches, checks, and writes.
pub(crate) fn load_values(
    module: &dyn Module,
    values: Values<'_>,
    options: &LoadOptions,
) -> Result<LoadReport, ErrorKind> {
    let matched = Matched::new(module, values, options)?;
    if matched.pairs.is_empty() || (options.strict && !matched.report.is_complete()) {
        return Err(ErrorKind::Mismatch(Box::new(matched.report)));
    }
    for (_, value) in &matched.pairs {
        value.verify()?;
    }
    if let Some(device) = options.device {
        // A device that is not there is found before anything is moved.
        let _ = Tensor::f_empty([0_i64], (Kind::Float, device))?;
        module.to_device(device)?;
    }
    matched.write()
}

/// The tensors of a module with those that go into them.
struct Matched<'a, 'v> {
    modules: Vec<(String, &'a dyn Module)>,
    pairs: Vec<(&'a Tensor, Value<'v>)>,
    /// For each module the names of its tensors that the state dict may lack, and lacks.
    absent: Vec<Vec<Cow<'a, str>>>,
    report: LoadReport,
}

impl<'a, 'v> Matched<'a, 'v> {
    fn new(module: &'a dyn Module, values: Values<'v>, options: &LoadOptions) -> Result<Self, ErrorKind> {
        let described: HashMap<String, TensorType> =
            values.iter().map(|(name, value)| (name.clone(), value.described())).collect();
        let modules = named_modules(module);
        let mut targets = HashMap::new();
        for (path, module) in &modules {
            let parts = Parts::of(*module);
            targets.extend(
                parts.parameters.into_iter().chain(parts.buffers).map(|(local, own)| (join(path, &local), own)),
            );
        }
        let mut report = LoadReport::default();
        let mut found = rename(values, module.key_dialects(), &targets, options, &mut report)?;
        let (mut pairs, mut absent) = (Vec::new(), Vec::new());
        for (path, module) in &modules {
            let parts = Parts::of(*module);
            let mut lacks = Vec::new();
            for (local, target) in parts.parameters.into_iter().chain(parts.buffers) {
                let name = join(path, &local);
                let Some(value) = found.remove(&name) else {
                    if module.may_be_absent(&local) {
                        lacks.push(local);
                    } else {
                        report.missing.push(name);
                    }
                    continue;
                };
                match compare(&name, &value, target, options.dtype) {
                    Fit::Mismatched(difference) => report.mismatched.push(difference),
                    fit => {
                        report.cast.extend(if let Fit::Cast(difference) = fit { Some(difference) } else { None });
                        report.loaded.push(name);
                        pairs.push((target, value));
                    }
                }
            }
            absent.push(lacks);
        }
        report.unexpected = found.into_keys().collect();
        report.unexpected.sort();
        if !report.is_complete() {
            let given: Vec<&str> = described.keys().map(String::as_str).collect();
            let wanted: Vec<&str> = targets.keys().map(String::as_str).collect();
            let same_shape = |name: &str, target: &str| {
                described.get(name).map(|found| found.shape.clone()) == targets.get(target).map(|own| own.size())
            };
            report.proposal = propose(&given, &wanted, report.loaded.len(), same_shape);
        }
        Ok(Self { modules, pairs, absent, report })
    }

    fn write(mut self) -> Result<LoadReport, ErrorKind> {
        for (target, value) in &self.pairs {
            value.copy_into(target)?;
            observe::initialised(target, || "loaded".to_owned());
        }
        for ((_, module), lacks) in self.modules.iter().zip(&self.absent) {
            let lacks: Vec<&str> = lacks.iter().map(AsRef::as_ref).collect();
            module.after_load(&lacks)?;
        }
        self.mark_loaded();
        self.report.written = true;
        if !self.report.is_complete() {
            log::warn!("{}", self.report);
        }
        Ok(self.report)
    }
}

impl Matched<'_, '_> {
    /// What was loaded as a whole is not initialised again.
    fn mark_loaded(&self) {
        let mismatched = self.report.mismatched.iter().map(|difference| &difference.name);
        let lacking: Vec<&String> = self.report.missing.iter().chain(mismatched).collect();
        for (path, module) in &self.modules {
            let prefix = with_dot(Some(path));
            if let (Some(init_cfg), false) = (module.init_cfg(), lacking.iter().any(|name| name.starts_with(&prefix))) {
                init_cfg.mark_loaded();
            }
        }
    }
}

/// The tensors by the names that the options and the layout that fits best give them.
fn rename<'v>(
    values: Values<'v>,
    dialects: Vec<KeyDialect>,
    targets: &HashMap<String, &Tensor>,
    options: &LoadOptions,
    report: &mut LoadReport,
) -> Result<HashMap<String, Value<'v>>, ErrorKind> {
    let prefix = with_dot(options.prefix.as_deref());
    let revised = values.into_iter().filter_map(|(key, value)| {
        let name = options.revise_keys.apply(key.strip_prefix(&prefix)?);
        Some((key, name, value))
    });
    let revised: Vec<(String, String, Value<'v>)> = revised.collect();
    let names: Vec<&str> = revised.iter().map(|(_, name, _)| name.as_str()).collect();
    let fits = |index: usize, name: &str| {
        let value = revised.get(index).map(|(_, _, value)| value);
        targets.get(name).zip(value).is_some_and(|(target, value)| value.has_shape_of(target))
    };
    let layout = Layout::choose(&names, dialects, options.dialect.as_deref(), fits)?;
    report.layout = layout.description();
    let mut renamed: HashMap<String, (String, Value<'v>)> = HashMap::new();
    for (key, revised, value) in revised {
        let name = match layout.rename(&revised) {
            Renamed::To(name) => name,
            Renamed::OfHead => {
                report.of_head.push(key);
                continue;
            }
        };
        report.rewritten += usize::from(name != revised);
        let second = key.clone();
        if let Some((first, _)) = renamed.insert(name.clone(), (key, value)) {
            return Err(ErrorKind::SameName { name, first, second });
        }
    }
    report.of_head.sort();
    Ok(renamed.into_iter().map(|(name, (_, value))| (name, value)).collect())
}

/// A prefix that ends with a dot, so that `layer1` does not take `layer10`; nothing stays nothing.
pub(crate) fn with_dot(prefix: Option<&str>) -> String {
    match prefix.map(|prefix| prefix.trim_end_matches('.')) {
        None | Some("") => String::new(),
        Some(prefix) => format!("{prefix}."),
    }
}

/// Whether and how a tensor goes into a target.
enum Fit {
    Same,
    Cast(Difference),
    Mismatched(Difference),
}

fn compare(name: &str, value: &Value<'_>, target: &Tensor, policy: DtypePolicy) -> Fit {
    let same_shape = value.has_shape_of(target);
    let types = value.kind().zip(target.f_kind().ok());
    if same_shape && types.is_some_and(|(found, own)| found == own) {
        return Fit::Same;
    }
    let castable = same_shape && types.is_some_and(|(found, own)| can_cast(found, own));
    let (expected, found) = (TensorType::of(target), value.described());
    let difference = Difference { name: name.to_owned(), expected, found, castable };
    if castable && policy == DtypePolicy::Cast { Fit::Cast(difference) } else { Fit::Mismatched(difference) }
}
