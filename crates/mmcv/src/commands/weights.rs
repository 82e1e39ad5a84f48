//! What the commands that use a trained network have in common: its config, its weights, its device.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use mmcv_checkpoint::{Difference, DtypePolicy, LoadReport, open_checkpoint_with};
use mmcv_layers::{InitCfg, Module, ModuleExt, Parts, init, join_path, memory, named_modules, observe};
use mmcv_models::{CheckpointConfig, Recipe, ZooEntry, zoo_entries, zoo_entry};
use mmcv_pth::UnknownClasses;
use mmcv_registry::Config;
use mmcv_zoo::{FetchOptions, Zoo};
use tch::{Device, Tensor};

use super::plural;
use super::zoo::Verification;
use crate::progress::Download;

/// The arguments for a network with weights.
#[derive(Debug, Args)]
pub(super) struct Weights {
    /// A config file with model, preprocess, checkpoint and classes; or a name of the zoo: torchvision://NAME,
    /// open-mmlab://NAME, mmcls://NAME.
    config: String,
    #[command(flatten)]
    given: GivenWeights,
    /// How the tensors are named in the file, such as torchvision; without it, what fits best.
    #[arg(long, value_name = "NAME")]
    dialect: Option<String>,
    /// Tensors of another type than the network's: cast converts them, exact refuses them.
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
    /// Where the network runs: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Changes the config: KEY.KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    cfg_options: Vec<String>,
}

/// Weights that are named on the command line.
#[derive(Debug, Args)]
pub(super) struct GivenWeights {
    /// The weights, in place of the config's: a path, a URL, or a name of the zoo. The preprocessing of published weights comes
    /// with them.
    #[arg(long, value_name = "SOURCE")]
    checkpoint: Option<String>,
    /// The entry of the file that holds the weights, such as state_dict_ema, or checkpoint.net for one inside another.
    #[arg(long, value_name = "ENTRY")]
    entry: Option<String>,
    /// Only the tensors are taken whose names begin with this, such as _orig_mod; it is removed.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// What happens to classes in the file that are on no list: refuse it, or keep their names in their place, call nothing, and
    /// read the tensors.
    #[arg(long, value_enum, value_name = "WAY", default_value = "refuse")]
    unknown_classes: Unknown,
    #[command(flatten)]
    verification: Verification,
}

/// What happens to classes that are on no list.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unknown {
    /// The file is refused.
    Refuse,
    /// Their names and arguments are kept.
    Opaque,
}

/// What happens to tensors of another type than the network's.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dtype {
    /// They are refused.
    Exact,
    /// They are converted.
    Cast,
}

/// Shapes of inputs for which the memory is there.
#[derive(Debug, Default)]
pub(super) struct CheckedShapes(RefCell<HashSet<Vec<i64>>>);

impl CheckedShapes {
    /// Checks that the network can run on an input of this shape, once for each.
    pub(super) fn check(&self, network: &dyn Module, input: &Tensor) -> Result<()> {
        let shape = input.size();
        if !self.0.borrow().contains(&shape) {
            memory::check_forward(network, std::slice::from_ref(&shape))?;
            self.0.borrow_mut().insert(shape);
        }
        Ok(())
    }
}

/// A device as it is written on the command line.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeviceName(Device);

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        // An index beyond a byte is cut off by libtorch.
        match (name, name.strip_prefix("cuda:").map(str::parse::<u8>)) {
            ("cpu", _) => Ok(Self(Device::Cpu)),
            ("cuda", _) => Ok(Self(Device::Cuda(0))),
            (_, Some(Ok(index))) => Ok(Self(Device::Cuda(usize::from(index)))),
            _ => Err("expected cpu, cuda or cuda:N".to_owned()),
        }
    }
}

/// The config of a file, or of a name of the zoo.
pub(super) fn read_config(name: &str) -> Result<Config> {
    let file = Path::new(name);
    let is_config = |extension: &std::ffi::OsStr| ["yaml", "yml", "json", "py"].iter().any(|known| extension == *known);
    if !name.contains("://") && (file.exists() || file.extension().is_some_and(is_config)) {
        return Ok(Config::from_file(file)?);
    }
    let entry = zoo_entry(name);
    let entry = if name.contains("://") { entry? } else { entry.context("there is no such file")? };
    Ok(entry.config)
}

/// What is known of weights: by their name in the zoo or their URL, or of a file by its own name, which has its digest.
/// `None` for files of other places.
fn known(source: &str) -> Option<ZooEntry> {
    if let Ok(entry) = zoo_entry(source) {
        return Some(entry);
    }
    let file = Path::new(source).file_name().filter(|_| !source.contains("://"))?;
    let zoo = Zoo::from_env().ok()?;
    let is_file = |entry: &ZooEntry| {
        let source = entry.config.get("checkpoint").and_then(|checkpoint| checkpoint.get("source"));
        let path = source.and_then(Config::as_str).and_then(|source| zoo.path(source).ok());
        path.is_some_and(|path| path.file_name() == Some(file))
    };
    let mut entry = zoo_entries().ok()?.into_iter().find(is_file)?;
    if let Config::Dict(config) = &mut entry.config
        && let Some(Config::Dict(checkpoint)) = config.get_mut("checkpoint")
    {
        checkpoint.insert("source", source);
    }
    Some(entry)
}

impl Weights {
    pub(super) fn device(&self) -> Device {
        self.device.0
    }

    /// The config, with the preprocessing that the weights want.
    pub(super) fn recipe(&self) -> Result<Recipe> {
        let read = || {
            let mut config = read_config(&self.config)?;
            let stated = config.get("preprocess").is_some();
            let given = config.get("checkpoint").and_then(|checkpoint| checkpoint.get("source"));
            let given = given.and_then(Config::as_str).map(str::to_owned);
            let entry = self.given.checkpoint.as_deref().or(given.as_deref()).and_then(known);
            if let (Some(entry), Config::Dict(dict)) = (&entry, &mut config)
                && (self.given.checkpoint.is_some() || !stated)
                && let Some(preprocess) = entry.config.get("preprocess")
            {
                // The weights do not say how pictures are stored.
                let own = dict.get("preprocess").and_then(|own| own.get("exif")).cloned();
                let mut preprocess = preprocess.clone();
                if let (Config::Dict(preprocess), Some(own)) = (&mut preprocess, own) {
                    preprocess.insert("exif", own);
                }
                dict.insert("preprocess", preprocess);
            }
            // What is changed on the command line is meant.
            if let Some(entry) = &entry {
                entry.check(&Recipe::read(&config)?)?;
            }
            config.set_options(&self.cfg_options)?;
            let mut recipe = Recipe::read(&config)?;
            recipe.checkpoint = self.given.of(entry.as_ref(), recipe.checkpoint.clone()).or(recipe.checkpoint);
            if let Some(checkpoint) = &mut recipe.checkpoint {
                self.given.adjust(checkpoint);
                checkpoint.dialect = self.dialect.clone().or(checkpoint.dialect.take());
                checkpoint.dtype = match self.dtype {
                    Some(Dtype::Exact) => DtypePolicy::Exact,
                    Some(Dtype::Cast) => DtypePolicy::Cast,
                    None => checkpoint.dtype,
                };
            }
            Ok::<_, anyhow::Error>(recipe)
        };
        read().with_context(|| mmcv_zoo::redact(&self.config))
    }

    /// Builds a network, loads its weights, and puts it into evaluation mode on the device. What was loaded is shown.
    ///
    /// Fails where a tensor keeps a random value: nothing that is computed with it means anything. `partial` says what to
    /// do then.
    pub(super) fn load(
        &self,
        checkpoint: Option<&CheckpointConfig>,
        build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>,
        partial: &str,
    ) -> Result<(Box<dyn Module>, LoadReport)> {
        let (network, mut report) = match checkpoint {
            Some(checkpoint) => self.given.load(checkpoint, build)?,
            None => pretrained(build)?,
        };
        let is_changed = !report.cast.is_empty() || report.wrapper.is_some();
        // An incomplete one is a warning of the library.
        if report.is_complete() && is_changed {
            let _ = writeln!(std::io::stderr(), "weights: {report}");
        }
        report.unset.sort();
        if let Some(first) = report.unset.first() {
            let of = report.mismatched.iter().find(|difference| difference.name == *first);
            let of = of.map_or_else(String::new, |Difference { expected, found, .. }| {
                format!(" ({expected} in the network, {found} in the file)")
            });
            bail!(
                "the weights have no value for {} of the network, such as {first}{of}, {partial}",
                plural(report.unset.len(), "tensor")
            );
        }
        let device = self.device();
        network.to_device(device).with_context(|| format!("cannot use the device {device:?}"))?;
        network.train(false);
        Ok((network, report))
    }

    /// The config or the name, for errors.
    pub(super) fn name(&self) -> &str {
        &self.config
    }
}

impl GivenWeights {
    /// Whether weights are named.
    pub(super) fn are_named(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// How the weights are loaded that are named, as the zoo says, or as the config says of its own; `None` where none are.
    pub(super) fn chosen(&self, own: Option<CheckpointConfig>) -> Option<CheckpointConfig> {
        self.of(known(self.checkpoint.as_ref()?).as_ref(), own)
    }

    /// The same, where `entry` is what is known of the weights.
    fn of(&self, entry: Option<&ZooEntry>, own: Option<CheckpointConfig>) -> Option<CheckpointConfig> {
        let source = self.checkpoint.clone()?;
        let entry = entry.and_then(|entry| Recipe::read(&entry.config).ok()?.checkpoint);
        let of_config = || CheckpointConfig { source, ..own.unwrap_or_else(|| CheckpointConfig::new(String::new())) };
        let mut chosen = entry.unwrap_or_else(of_config);
        self.adjust(&mut chosen);
        Some(chosen)
    }

    /// What the command line says of the file.
    fn adjust(&self, checkpoint: &mut CheckpointConfig) {
        checkpoint.entry = self.entry.clone().or(checkpoint.entry.take());
        checkpoint.prefix = self.prefix.clone().or(checkpoint.prefix.take());
    }

    /// Builds a network and loads weights into it, which are fetched, with a progress bar, where they are not there yet.
    pub(super) fn load(
        &self,
        checkpoint: &CheckpointConfig,
        build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>,
    ) -> Result<(Box<dyn Module>, LoadReport)> {
        // What is loaded as a whole needs no initial values.
        let (network, pretrained) = match checkpoint.strict {
            true => (init::without_draws(build)?, HashSet::new()),
            false => initialised(build)?,
        };
        let bar = Download::new();
        let show = |progress| bar.show(progress);
        let fetch = FetchOptions { progress: Some(&show), ..self.verification.options() };
        let unknown = match self.unknown_classes {
            Unknown::Refuse => UnknownClasses::Refuse,
            Unknown::Opaque => UnknownClasses::Opaque,
        };
        let file = open_checkpoint_with(&checkpoint.source, &fetch, unknown)?;
        drop(bar);
        let mut report = file.load_into(&*network, &checkpoint.options()?)?;
        report.unset.retain(|name| !pretrained.contains(name));
        Ok((network, report))
    }
}

/// Builds a network whose weights are those that its own `init_cfg` loads.
fn pretrained(build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>) -> Result<(Box<dyn Module>, LoadReport)> {
    // Mistakes in the network come first.
    let (network, loaded) = initialised(build)?;
    if loaded.is_empty() {
        bail!("there are no weights: give --checkpoint, or `checkpoint: {{source: ...}}` in the config");
    }
    let mut report = LoadReport { written: true, ..LoadReport::default() };
    for (path, module) in named_modules(&*network) {
        let parts = Parts::of(module);
        for (local, _) in parts.parameters.iter().chain(&parts.buffers) {
            let name = join_path(&path, local);
            match loaded.contains(&name) {
                true => report.loaded.push(name),
                false if module.may_be_absent(local) => {}
                false => report.unset.push(name),
            }
        }
        report.parameters +=
            parts.parameters.iter().filter(|(local, _)| loaded.contains(&join_path(&path, local))).count();
    }
    report.missing.clone_from(&report.unset);
    Ok((network, report))
}

/// Builds a network, and where rules of `Pretrained` are in it, initialises it; also returns the names of the tensors that
/// these rules loaded.
fn initialised(
    build: impl FnOnce() -> mmcv_layers::Result<Box<dyn Module>>,
) -> Result<(Box<dyn Module>, HashSet<String>)> {
    let network = build()?;
    let rules = named_modules(&*network).into_iter().filter_map(|(_, module)| module.init_cfg());
    if !rules.map(InitCfg::config).any(is_pretrained) {
        return Ok((network, HashSet::new()));
    }
    let (done, log) = observe::observe(|| network.init_weights());
    done?;
    let is_loaded = |tensor: &Tensor| log.initial(tensor).is_some_and(|initial| initial.values == observe::LOADED);
    let state = network.state_dict();
    let loaded = state.into_iter().filter(|(_, tensor)| is_loaded(tensor)).map(|(name, _)| name).collect();
    Ok((network, loaded))
}

/// Whether a rule of `init_cfg`, or one inside it, loads weights.
fn is_pretrained(rules: &Config) -> bool {
    match rules {
        Config::List(rules) => rules.iter().any(is_pretrained),
        Config::Dict(rule) => {
            let own = rule.get("type").and_then(Config::as_str);
            own.is_some_and(|name| name.contains("Pretrained")) || rule.get("override").is_some_and(is_pretrained)
        }
        _ => false,
    }
}
