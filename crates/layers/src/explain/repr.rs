//! [`repr`]: the tree of modules. Reference: torch/nn/modules/module.py and container.py, mmengine/model/base_module.py.

use mmcv_registry::Config;

use super::python;
use crate::{InitCfg, Module, Parts};

/// The module and all that is in it, as Python's `repr` shows them.
///
/// ```no_run
/// use mmcv_layers::{build_norm_layer, explain};
/// use mmcv_registry::config;
///
/// let (_, norm) = build_norm_layer(&config! { type: "GN", num_groups: 2 }, 8, "")?;
/// assert_eq!(explain::repr(&*norm), "GroupNorm(2, 8, eps=1e-05, affine=True, bias=True)");
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[must_use]
pub fn repr(module: &dyn Module) -> String {
    let children = Parts::of(module).children.into_iter().map(|(name, child)| (name.into_owned(), repr(child)));
    let children: Vec<(String, String)> = children.collect();
    let extra = module.extra_repr();
    let mut text = match (children.as_slice(), extra.as_str()) {
        ([], extra) if !extra.contains('\n') => format!("{}({extra})", module.name()),
        (children, extra) => {
            let lines = extra.lines().map(str::to_owned);
            let children = if module.class().contains(&"ModuleList") { fold(children) } else { list(children) };
            let lines: Vec<String> = lines.chain(children).collect();
            format!("{}(\n  {}\n)", module.name(), lines.join("\n  "))
        }
    };
    if let Some(config) = module.init_cfg().map(InitCfg::config).filter(|config| !is_empty(config)) {
        text.push_str(&format!("\ninit_cfg={}", python::value(config)));
    }
    text
}

/// `(name): child` for each child.
fn list(children: &[(String, String)]) -> Vec<String> {
    children.iter().map(|(name, child)| format!("({name}): {}", indent(child))).collect()
}

/// By number, and neighbours that look the same as one: `(0-2): 3 x child`.
fn fold(children: &[(String, String)]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut first = 0;
    for same in children.chunk_by(|(_, left), (_, right)| left == right) {
        if let [(_, child), ..] = same {
            let child = indent(child);
            lines.push(match same.len() {
                1 => format!("({first}): {child}"),
                count => format!("({first}-{}): {count} x {child}", first + count - 1),
            });
        }
        first += same.len();
    }
    lines
}

/// Moves all lines but the first to the right.
fn indent(text: &str) -> String {
    text.replace('\n', "\n  ")
}

/// Whether Python takes the value for false.
fn is_empty(config: &Config) -> bool {
    match config {
        Config::Null => true,
        Config::List(items) => items.is_empty(),
        Config::Dict(dict) => dict.is_empty(),
        _ => false,
    }
}
