//! Matching a state dict to a module: all is checked, then all is written.

use std::borrow::Cow;
use std::collections::HashMap;

use mmcv_layers::{Module, ModuleExt, Parts, join_path, named_modules, observe};
use tch::{Kind, Tensor};

use crate::error::ErrorKind;
use crate::layout::Renamed;
use crate::naming::Names;
use crate::proposal::{Place, proposals};
use crate::report::{Difference, TensorType};
use crate::tensor::Cast;
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
    load_values(module, values, options, &Vec::new).map_err(|kind| Error::new("", kind))
}

/// Matches, checks, and writes. `places` are the entries of the file, for what is proposed where names do not fit.
pub(crate) fn load_values<'v>(
    module: &dyn Module,
    values: Values<'v>,
    options: &LoadOptions,
    places: &dyn Fn() -> Vec<Place<'v>>,
) -> Result<LoadReport, ErrorKind> {
    let names = Names::of(module, options);
    let mut matched = Matched::new(module, &names, &values, options)?;
    if !matched.report.is_complete() {
        matched.report.proposals = proposals(&names, &values, matched.report.loaded.len(), places());
    }
    if !matched.has_something() || (options.strict && !matched.report.is_complete()) {
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
    pairs: Vec<(&'a Tensor, &'v Value<'v>)>,
    /// For each module the names of its tensors that the state dict may lack, and lacks.
    absent: Vec<Vec<Cow<'a, str>>>,
    /// Whether the module has parameters at all.
    has_parameters: bool,
    report: LoadReport,
}

impl<'a, 'v> Matched<'a, 'v> {
    fn new(
        module: &'a dyn Module,
        names: &Names<'_>,
        values: &'v Values<'v>,
        options: &LoadOptions,
    ) -> Result<Self, ErrorKind> {
        let mut report = LoadReport::default();
        let mut found = rename(values, names, &mut report)?;
        let mut matched = Self {
            modules: named_modules(module),
            pairs: Vec::new(),
            absent: Vec::new(),
            has_parameters: false,
            report,
        };
        for (path, module) in matched.modules.clone() {
            let parts = Parts::of(module);
            let parameters = parts.parameters.into_iter().map(|own| (own, true));
            let mut lacks = Vec::new();
            for ((local, target), is_parameter) in parameters.chain(parts.buffers.into_iter().map(|own| (own, false))) {
                matched.has_parameters |= is_parameter;
                let name = join_path(&path, &local);
                let optional = module.may_be_absent(&local);
                match found.remove(&name) {
                    Some(value) => {
                        let fit = compare(&name, value, target, options.dtype)?;
                        matched.add(name, target, value, fit, (is_parameter, optional));
                    }
                    None if optional => lacks.push(local),
                    None => {
                        matched.report.unset.push(name.clone());
                        matched.report.missing.push(name);
                    }
                }
            }
            matched.absent.push(lacks);
        }
        matched.report.unexpected = found.into_keys().collect();
        matched.report.unexpected.sort();
        Ok(matched)
    }

    fn add(
        &mut self,
        name: String,
        target: &'a Tensor,
        value: &'v Value<'v>,
        fit: Fit,
        (is_parameter, optional): (bool, bool),
    ) {
        if let Fit::Mismatched(difference) = fit {
            if !optional {
                self.report.unset.push(name);
            }
            self.report.mismatched.push(difference);
            return;
        }
        self.report.cast.extend(if let Fit::Cast(difference) = fit { Some(difference) } else { None });
        self.report.loaded.push(name);
        self.report.parameters += usize::from(is_parameter);
        self.pairs.push((target, value));
    }

    /// Whether a parameter fits: counters and other buffers alone are no weights.
    fn has_something(&self) -> bool {
        if self.has_parameters { self.report.parameters > 0 } else { !self.pairs.is_empty() }
    }

    fn write(mut self) -> Result<LoadReport, ErrorKind> {
        for (target, value) in &self.pairs {
            value.copy_into(target)?;
            observe::initialized(target, || observe::LOADED.to_owned());
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

/// The tensors by the names that the options and the naming that fits best give them.
fn rename<'v>(
    values: &'v Values<'v>,
    names: &Names<'_>,
    report: &mut LoadReport,
) -> Result<HashMap<String, &'v Value<'v>>, ErrorKind> {
    let prefix = names.prefix();
    let taken = values.iter().filter_map(|(key, value)| Some((key, names.revised(key, &prefix)?, value)));
    let taken: Vec<(&String, String, &Value<'v>)> = taken.collect();
    let named: Vec<(String, &Value<'_>)> = taken.iter().map(|(_, name, value)| (name.clone(), *value)).collect();
    let (naming, _) = names.naming(&named)?;
    report.layout = naming.layout.description();
    report.wrapper = naming.wrapper(named.iter().map(|(name, _)| name.as_str()));
    let mut renamed: HashMap<String, (&String, &Value<'v>)> = HashMap::new();
    for (key, revised, value) in taken {
        let plain = naming.unwrapped(&revised);
        let name = match naming.layout.rename(&plain) {
            Renamed::To(name) => name,
            Renamed::OfHead => {
                report.of_head.push(key.clone());
                continue;
            }
        };
        report.rewritten += usize::from(name != plain);
        if let Some((first, _)) = renamed.insert(name.clone(), (key, value)) {
            return Err(ErrorKind::SameName { name, first: first.clone(), second: key.clone() });
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

fn compare(name: &str, value: &Value<'_>, target: &Tensor, policy: DtypePolicy) -> Result<Fit, ErrorKind> {
    let (expected, found) = (TensorType::of(target), value.described());
    if expected == found {
        return Ok(Fit::Same);
    }
    let castable = match value.kind().zip(target.f_kind().ok()) {
        Some((from, to)) if value.has_shape_of(target) => match Cast::between(from, to) {
            _ if from == to => true,
            Cast::Always => true,
            Cast::WhereExact => value.is_exact_in(to)?,
            Cast::Never => false,
        },
        _ => false,
    };
    let difference = Difference { name: name.to_owned(), expected, found, castable };
    Ok(if castable && policy == DtypePolicy::Cast { Fit::Cast(difference) } else { Fit::Mismatched(difference) })
}
