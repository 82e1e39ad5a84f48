//! `mmcv layers`: the registered types and their arguments.

use clap::Args;
use mmcv_models::MODELS;
use mmcv_registry::{Field, KeyPath, Registry, Spec};
use serde::Serialize;

use mmcv_cli::Failure;
use mmcv_cli::output::{print, print_json};

/// Lists the registered types, or shows one with its arguments.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv layers
  mmcv layers ConvModule
  mmcv layers --json")]
pub(crate) struct Layers {
    /// A type, by its name or an alias.
    name: Option<String>,
    /// Prints JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Prints the page docs/layers.md.
    #[arg(long, conflicts_with = "name")]
    markdown: bool,
}

impl Layers {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let specs = match &self.name {
            Some(name) => vec![find(name)?],
            None => [specs(&MODELS), specs(&MODELS.initializers)].concat(),
        };
        if self.json {
            return print_json(&specs.iter().map(TypeReport::new).collect::<Vec<_>>());
        }
        if self.markdown {
            return print(&markdown(&specs));
        }
        if let (Some(_), [spec]) = (self.name, specs.as_slice()) {
            return print(&details(spec));
        }
        let mut text = String::new();
        for spec in &specs {
            text.push_str(&format!("{:<11} {:<30} {}\n", spec.group, spec.name, spec.doc));
        }
        print(&text)
    }
}

/// A registered type without its builder, so that layers and initializers have the same type.
type TypeSpec = Spec<()>;

fn specs<B: Clone>(registry: &Registry<B>) -> Vec<TypeSpec> {
    registry.specs().iter().map(|spec| without_builder(spec)).collect()
}

fn without_builder<B: Clone>(spec: &Spec<B>) -> TypeSpec {
    let Spec { name, aliases, group, doc, source, fields, abbreviation, .. } = spec.clone();
    Spec { aliases, group, doc, source, fields, abbreviation, ..Spec::new(name, ()) }
}

/// The layer with that name, or the initializer if there is no such layer.
fn find(name: &str) -> anyhow::Result<TypeSpec> {
    if MODELS.get(name).is_none()
        && let Some(spec) = MODELS.initializers.get(name)
    {
        return Ok(without_builder(&spec));
    }
    Ok(without_builder(&*MODELS.lookup(name, &KeyPath::root())?))
}

/// One type as text.
fn details(spec: &TypeSpec) -> String {
    let mut text = format!("{}: {}\n{}\n", spec.name, spec.doc, spec.source);
    if !spec.aliases.is_empty() {
        text.push_str(&format!("also: {}\n", spec.aliases.join(", ")));
    }
    for field in spec.fields {
        let (expected, default, doc) = ((field.expected)(), default_text(field), doc(field));
        text.push_str(&format!("\n  {} ({expected}): {default}\n    {doc}\n", field.name));
    }
    text
}

/// All types as a page, by group.
fn markdown(specs: &[TypeSpec]) -> String {
    let mut text =
        "# Registered types\n\nMade by `mmcv layers --markdown` from the registry; a test compares the two.\n"
            .to_owned();
    let mut group = "";
    for spec in specs {
        if spec.group != group {
            group = spec.group;
            text.push_str(&format!("\n## {group}\n"));
        }
        text.push_str(&format!("\n### `{}`", spec.name));
        for alias in spec.aliases {
            text.push_str(&format!(", `{alias}`"));
        }
        let stop = if spec.doc.ends_with('.') { "" } else { "." };
        text.push_str(&format!("\n\n{}{stop} Source: {}.\n", spec.doc, spec.source));
        if !spec.fields.is_empty() {
            text.push_str("\n| argument | takes | default | meaning |\n| --- | --- | --- | --- |\n");
        }
        for field in spec.fields {
            let cells = [format!("`{}`", field.name), (field.expected)(), default_text(field), doc(field)];
            text.push_str(&format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
        }
    }
    text
}

#[derive(Serialize)]
struct TypeReport<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    aliases: &'a [&'a str],
    group: &'a str,
    doc: &'a str,
    source: &'a str,
    arguments: Vec<ArgumentReport<'a>>,
}

#[derive(Serialize)]
struct ArgumentReport<'a> {
    name: &'a str,
    takes: String,
    required: bool,
    default: Option<String>,
    doc: String,
}

impl TypeReport<'_> {
    fn new(spec: &TypeSpec) -> Self {
        Self {
            name: spec.name,
            aliases: spec.aliases,
            group: spec.group,
            doc: spec.doc,
            source: spec.source,
            arguments: spec.fields.iter().map(ArgumentReport::new).collect(),
        }
    }
}

impl ArgumentReport<'_> {
    fn new(field: &'static Field) -> Self {
        Self {
            name: field.name,
            takes: (field.expected)(),
            required: field.default.is_none(),
            default: default_value(field),
            doc: doc(field),
        }
    }
}

fn default_value(field: &Field) -> Option<String> {
    let default = field.default?;
    Some(default().to_string())
}

fn default_text(field: &Field) -> String {
    match default_value(field) {
        Some(value) => format!("`{value}`"),
        None => "required".to_owned(),
    }
}

/// The documentation of an argument on one line.
fn doc(field: &Field) -> String {
    field.doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
