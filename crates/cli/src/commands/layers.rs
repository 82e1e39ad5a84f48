//! `mmcv layers`: the registered types and their arguments.

use clap::Args;
use mmcv_layers::init::INITIALIZERS;
use mmcv_models::MODELS;
use mmcv_registry::{Field, KeyPath, Registry, Spec};
use serde_json::{Value, json};

use super::{Failure, print};

/// Lists the registered types, or shows one with its arguments.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv layers
  mmcv layers ConvModule
  mmcv layers --json")]
pub(crate) struct Layers {
    /// The type: a name or an alias.
    name: Option<String>,
    /// Prints JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Prints all types as docs/layers.md has them.
    #[arg(long, conflicts_with = "name")]
    markdown: bool,
}

impl Layers {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let entries = match &self.name {
            Some(name) => vec![find(name)?],
            None => entries(&MODELS).chain(entries(&INITIALIZERS)).collect(),
        };
        if self.json {
            return print(&format!("{:#}\n", entries.iter().map(to_json).collect::<Value>()));
        }
        if self.markdown {
            return print(&markdown(&entries));
        }
        print(&match (self.name, entries.as_slice()) {
            (Some(_), [entry]) => details(entry),
            _ => {
                entries.iter().map(|entry| format!("{:<11} {:<30} {}\n", entry.group, entry.name, entry.doc)).collect()
            }
        })
    }
}

/// What is told about a type, whatever builds it.
type Entry = Spec<()>;

fn entries<B: Clone>(registry: &Registry<B>) -> impl Iterator<Item = Entry> {
    registry.specs().into_iter().map(|spec| entry(&spec))
}

fn entry<B: Clone>(spec: &Spec<B>) -> Entry {
    let Spec { name, aliases, group, doc, source, fields, abbreviation, .. } = spec.clone();
    Spec { name, aliases, group, doc, source, fields, abbreviation, build: () }
}

/// A layer, or else an initializer of that name.
fn find(name: &str) -> anyhow::Result<Entry> {
    match INITIALIZERS.get(name) {
        Some(spec) if MODELS.get(name).is_none() => Ok(entry(&spec)),
        _ => Ok(entry(&*MODELS.lookup(name, &KeyPath::root())?)),
    }
}

/// One type for people.
fn details(spec: &Entry) -> String {
    let mut text = format!("{}: {}\n{}\n", spec.name, spec.doc, spec.source);
    if !spec.aliases.is_empty() {
        text.push_str(&format!("also: {}\n", spec.aliases.join(", ")));
    }
    for field in spec.fields {
        text.push_str(&format!(
            "\n  {} ({}): {}\n    {}\n",
            field.name,
            (field.expected)(),
            default(field),
            doc(field)
        ));
    }
    text
}

/// All types as a page, by group.
fn markdown(specs: &[Entry]) -> String {
    let mut text =
        "# Registered types\n\nMade by `mmcv layers --markdown` from the registry; a test compares the two.\n"
            .to_owned();
    let mut group = "";
    for spec in specs {
        if spec.group != group {
            group = spec.group;
            text.push_str(&format!("\n## {group}\n"));
        }
        let aliases = spec.aliases.iter().map(|alias| format!(", `{alias}`")).collect::<String>();
        text.push_str(&format!("\n### `{}`{aliases}\n\n{} Source: {}.\n", spec.name, sentence(spec.doc), spec.source));
        if !spec.fields.is_empty() {
            text.push_str("\n| argument | takes | default | meaning |\n| --- | --- | --- | --- |\n");
        }
        for field in spec.fields {
            let cells = [format!("`{}`", field.name), (field.expected)(), default(field), doc(field)];
            text.push_str(&format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
        }
    }
    text
}

fn to_json(spec: &Entry) -> Value {
    let fields: Vec<Value> = spec.fields.iter().map(field_to_json).collect();
    json!({
        "type": spec.name,
        "aliases": spec.aliases,
        "group": spec.group,
        "doc": spec.doc,
        "source": spec.source,
        "arguments": fields,
    })
}

fn field_to_json(field: &Field) -> Value {
    json!({
        "name": field.name,
        "takes": (field.expected)(),
        "required": field.default.is_none(),
        "default": field.default.map(|default| default().to_string()),
        "doc": doc(field),
    })
}

fn default(field: &Field) -> String {
    field.default.map_or_else(|| "required".to_owned(), |default| format!("`{}`", default()))
}

fn doc(field: &Field) -> String {
    field.doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sentence(doc: &str) -> String {
    if doc.ends_with('.') { doc.to_owned() } else { format!("{doc}.") }
}
