//! [`ProjectNetwork`]: the part of a project's model that can be built here.

use std::fmt;

use mmcv_registry::{Config, Dict, config};

use crate::MODELS;

/// Scopes whose networks have other defaults than those of the same name here.
const SCOPES: [&str; 2] = ["mmdet", "mmseg"];

/// The part of a project's model that can be built here.
///
/// A model whose type is registered is built as a whole. Of others, such as a detector or a segmentor, the backbone and the
/// neck are built as a feature extractor: an `ImageClassifier` without a head.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectNetwork {
    /// The dict of the network.
    pub model: Dict,
    /// The type of the model if it is not registered.
    pub unknown_type: Option<String>,
    /// The keys of a model with an unknown type that are left out, such as `rpn_head`.
    pub left_out: Vec<String>,
}

impl ProjectNetwork {
    pub(super) fn of(config: &Dict) -> Self {
        let mut model = config.get("model").and_then(Config::as_dict).cloned().unwrap_or_default();
        if let Some(Config::Str(scope)) = config.get("default_scope")
            && SCOPES.contains(&scope.as_str())
        {
            for part in ["backbone", "neck"] {
                set_scope(&mut model, part, scope);
            }
        }
        match model.get("type") {
            Some(Config::Str(name)) if MODELS.get(name).is_none() && model.contains_key("backbone") => {
                let name = name.clone();
                extractor(&model, name)
            }
            _ => Self { model, unknown_type: None, left_out: Vec::new() },
        }
    }

    /// Whether the network has a neck, whose outputs are the features.
    #[must_use]
    pub fn has_neck(&self) -> bool {
        self.model.get("neck").is_some_and(|neck| !neck.is_null())
    }

    /// Leaves the neck out.
    pub fn remove_neck(&mut self) {
        if self.model.remove("neck").is_some() {
            self.left_out.push("neck".to_owned());
        }
    }
}

/// `model.type: FasterRCNN is not built here, but backbone and neck, without rpn_head and roi_head`; empty for a model that is
/// built as a whole.
impl fmt::Display for ProjectNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = &self.unknown_type else { return Ok(()) };
        let parts = if self.has_neck() { "model.backbone and model.neck" } else { "model.backbone" };
        write!(f, "model.type: {name:?} has no network here; built as a feature extractor: {parts}")?;
        if !self.left_out.is_empty() {
            write!(f, "; left out: {}", self.left_out.join(", "))?;
        }
        Ok(())
    }
}

/// The scope of a part without one.
fn set_scope(model: &mut Dict, part: &str, scope: &str) {
    let Some(Config::Dict(part)) = model.get_mut(part) else { return };
    if part.get("type").and_then(Config::as_str).is_some_and(|name| !name.contains('.')) {
        part.set_default("_scope_", scope);
    }
}

/// The backbone and the neck of a model of another type.
fn extractor(model: &Dict, name: String) -> ProjectNetwork {
    let mut network = Dict::new();
    network.insert("type", "ImageClassifier");
    // Its own data preprocessor has no tensors; the type says so.
    network.insert("data_preprocessor", config! { type: "ImgDataPreprocessor" });
    let mut left_out = Vec::new();
    for (key, value) in model.iter() {
        match key {
            "type" | "data_preprocessor" | "pretrained" | "init_cfg" | "train_cfg" | "test_cfg" => {}
            "backbone" => {
                network.insert(key, with_pretrained(value, model.get("pretrained")));
            }
            "neck" if is_registered(value) => {
                network.insert(key, value);
            }
            _ if value.is_null() => {}
            _ => left_out.push(key.to_owned()),
        }
    }
    ProjectNetwork { model: network, unknown_type: Some(name), left_out }
}

/// The backbone, with the weights that the model names for it.
fn with_pretrained(backbone: &Config, pretrained: Option<&Config>) -> Config {
    let mut backbone = backbone.clone();
    if let (Config::Dict(backbone), Some(Config::Str(source))) = (&mut backbone, pretrained) {
        backbone.set_default("init_cfg", config! { type: "Pretrained", checkpoint: source.as_str() });
    }
    backbone
}

fn is_registered(part: &Config) -> bool {
    match part.get("type") {
        Some(Config::Str(name)) => MODELS.get(name).is_some(),
        _ => false,
    }
}
