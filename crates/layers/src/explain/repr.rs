//! [`repr`]: the tree of modules. Reference: torch/nn/modules/module.py and container.py,
//! mmengine/model/base_module.py.

use mmcv_registry::Config;

use super::python;
use crate::{Module, Parts};

/// The tree of modules in the form of Python's `repr`.
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
    let mut children = Vec::new();
    for (name, child) in Parts::of(module).children {
        children.push((name.into_owned(), repr(child)));
    }
    let extra = module.extra_repr();
    let mut text = if children.is_empty() && !extra.contains('\n') {
        format!("{}({extra})", module.name())
    } else {
        let mut lines: Vec<String> = extra.lines().map(str::to_owned).collect();
        if module.class().contains(&"ModuleList") {
            lines.extend(folded(&children));
        } else {
            lines.extend(listed(&children));
        }
        format!("{}(\n  {}\n)", module.name(), lines.join("\n  "))
    };
    if let Some(rules) = module.init_cfg()
        && !is_empty(rules.config())
    {
        text.push_str(&format!("\ninit_cfg={}", python::value(rules.config())));
    }
    text
}

/// `(name): child` for each child.
fn listed(children: &[(String, String)]) -> Vec<String> {
    children.iter().map(|(name, child)| format!("({name}): {}", indent(child))).collect()
}

/// `(number): child` for each child; equal neighbors are combined: `(0-2): 3 x child`.
fn folded(children: &[(String, String)]) -> Vec<String> {
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

/// Indents all lines but the first.
fn indent(text: &str) -> String {
    text.replace('\n', "\n  ")
}

/// Whether the value is empty or null, hence false in Python.
fn is_empty(config: &Config) -> bool {
    match config {
        Config::Null => true,
        Config::List(items) | Config::Tuple(items) => items.is_empty(),
        Config::Dict(dict) => dict.is_empty(),
        _ => false,
    }
}
