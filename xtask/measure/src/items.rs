//! What the syntax tree tells: functions, public items, their documentation.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItem, Item, ReturnType, TraitItem, Type, Visibility};

use crate::source::Source;

/// What was found in a file.
#[derive(Debug, Default)]
pub(crate) struct Items {
    /// The lines of each function that has a body.
    pub(crate) functions: Vec<usize>,
    pub(crate) public_items: usize,
    pub(crate) documented: usize,
    /// Public functions that return a `Result`.
    pub(crate) fallible: usize,
    pub(crate) with_errors_section: usize,
    /// Public structs, enums, unions and traits, and whether their own documentation has an example.
    pub(crate) types: BTreeMap<String, bool>,
    /// Types that implement `Module`.
    pub(crate) modules: BTreeSet<String>,
}

impl Items {
    pub(crate) fn of(source: &Source) -> Result<Self> {
        let file: File = syn::parse2(source.tokens.clone()).with_context(|| format!("cannot parse {}", source.path))?;
        let mut items = Self::default();
        items.visit_file(&file);
        if source.is_program {
            // What the programs of a package share is no API.
            return Ok(Self { functions: items.functions, ..Self::default() });
        }
        Ok(items)
    }

    /// Counts a public item.
    fn note(&mut self, attributes: &[Attribute]) {
        if is_hidden(attributes) {
            return;
        }
        self.public_items += 1;
        if !documentation(attributes).is_empty() || attributes.iter().any(|attribute| attribute.path().is_ident("doc"))
        {
            self.documented += 1;
        }
    }

    fn note_type(&mut self, name: String, attributes: &[Attribute]) {
        self.note(attributes);
        let has_example = count_examples(&documentation(attributes)) > 0;
        self.types.insert(name.clone(), has_example);
        if derives_module(attributes) {
            self.modules.insert(name);
        }
    }

    fn note_function(&mut self, attributes: &[Attribute], signature: &syn::Signature) {
        self.note(attributes);
        if !returns_result(&signature.output) || is_hidden(attributes) {
            return;
        }
        self.fallible += 1;
        if documentation(attributes).lines().any(|line| line.trim() == "# Errors") {
            self.with_errors_section += 1;
        }
    }

    /// Types that are declared in the body of a macro such as `elementwise!`.
    fn note_macro(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut documentation = String::new();
        let mut index = 0;
        while let Some(tree) = trees.get(index) {
            if let (TokenTree::Punct(hash), Some(TokenTree::Group(attribute))) = (tree, trees.get(index + 1))
                && hash.as_char() == '#'
            {
                documentation += &text_of(attribute.stream());
                index += 2;
                continue;
            }
            if let Some(names) = declared_names(&trees, index) {
                for name in names {
                    self.public_items += 1;
                    self.documented += usize::from(!documentation.is_empty());
                    self.types.insert(name.clone(), count_examples(&documentation) > 0);
                    if trees.get(index).is_some_and(|first| first.to_string() == name) {
                        self.modules.insert(name);
                    }
                }
            }
            documentation.clear();
            index += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Struct(item) if is_public(&item.vis) => self.note_type(item.ident.to_string(), &item.attrs),
            Item::Enum(item) if is_public(&item.vis) => self.note_type(item.ident.to_string(), &item.attrs),
            Item::Union(item) if is_public(&item.vis) => self.note_type(item.ident.to_string(), &item.attrs),
            Item::Trait(item) if is_public(&item.vis) => {
                self.note_type(item.ident.to_string(), &item.attrs);
                for member in &item.items {
                    match member {
                        TraitItem::Fn(function) => self.note_function(&function.attrs, &function.sig),
                        TraitItem::Type(member) => self.note(&member.attrs),
                        TraitItem::Const(member) => self.note(&member.attrs),
                        _ => {}
                    }
                }
            }
            Item::Fn(item) if is_public(&item.vis) => self.note_function(&item.attrs, &item.sig),
            Item::Type(item) if is_public(&item.vis) => self.note(&item.attrs),
            Item::Const(item) if is_public(&item.vis) => self.note(&item.attrs),
            Item::Static(item) if is_public(&item.vis) => self.note(&item.attrs),
            Item::Macro(item) if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) => {
                self.note(&item.attrs);
            }
            Item::Macro(item) if item.ident.is_none() => self.note_macro(item.mac.tokens.clone()),
            Item::Impl(item) => self.note_impl(item),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.functions.push(lines(function.sig.span(), function.block.span()));
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.functions.push(lines(function.sig.span(), function.block.span()));
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.functions.push(lines(function.sig.span(), body.span()));
        }
        visit::visit_trait_item_fn(self, function);
    }
}

impl Items {
    fn note_impl(&mut self, item: &syn::ItemImpl) {
        let Type::Path(of) = item.self_ty.as_ref() else { return };
        let Some(name) = of.path.segments.last() else { return };
        if let Some((implemented, _)) = &item.trait_ {
            if implemented.segments.last().is_some_and(|last| last.ident == "Module") {
                self.modules.insert(name.ident.to_string());
            }
            return;
        }
        for member in &item.items {
            match member {
                ImplItem::Fn(function) if is_public(&function.vis) => {
                    self.note_function(&function.attrs, &function.sig);
                }
                ImplItem::Const(member) if is_public(&member.vis) => self.note(&member.attrs),
                _ => {}
            }
        }
    }
}

fn lines(first: proc_macro2::Span, last: proc_macro2::Span) -> usize {
    last.end().line + 1 - first.start().line
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden")
    })
}

fn derives_module(attributes: &[Attribute]) -> bool {
    for attribute in attributes {
        if let syn::Meta::List(list) = &attribute.meta
            && list.path.is_ident("derive")
            && list.tokens.to_string().split([',', ' ']).any(|word| word == "Module")
        {
            return true;
        }
    }
    false
}

fn returns_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, returned) = output else { return false };
    let Type::Path(returned) = returned.as_ref() else { return false };
    returned.path.segments.last().is_some_and(|last| last.ident == "Result")
}

/// The doc comments, joined.
fn documentation(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let syn::Expr::Lit(literal) = &pair.value
            && let syn::Lit::Str(line) = &literal.lit
        {
            text.push_str(&line.value());
            text.push('\n');
        }
    }
    text
}

/// The text of `doc = ".."`, the inside of an attribute.
fn text_of(attribute: TokenStream) -> String {
    let parts: Vec<TokenTree> = attribute.into_iter().collect();
    let [TokenTree::Ident(name), _, TokenTree::Literal(text)] = parts.as_slice() else { return String::new() };
    match syn::parse_str::<syn::LitStr>(&text.to_string()) {
        Ok(text) if name == "doc" => text.value() + "\n",
        _ => String::new(),
    }
}

/// The types that `pub struct Name`, `Name(NameConfig)` or `Name("Word", NameConfig)` declares in a macro.
fn declared_names(trees: &[TokenTree], index: usize) -> Option<Vec<String>> {
    let TokenTree::Ident(first) = trees.get(index)? else { return None };
    if first == "pub" {
        let keyword = trees.get(index + 1)?.to_string();
        let TokenTree::Ident(name) = trees.get(index + 2)? else { return None };
        if ["struct", "enum"].contains(&keyword.as_str()) {
            return Some(vec![name.to_string()]);
        }
        return None;
    }
    let TokenTree::Group(names) = trees.get(index + 1)? else { return None };
    let name = first.to_string();
    let config = format!("{name}Config");
    for token in names.stream() {
        if token.to_string() == config {
            return Some(vec![name, config]);
        }
    }
    None
}

/// The number of Rust code blocks.
pub(crate) fn count_examples(documentation: &str) -> usize {
    let mut count = 0;
    let mut is_open = false;
    for line in documentation.lines() {
        let Some(language) = line.trim().strip_prefix("```") else { continue };
        if !is_open
            && ["", "rust", "no_run", "ignore", "should_panic", "compile_fail"]
                .contains(&language.split(',').next().unwrap_or_default())
        {
            count += 1;
        }
        is_open = !is_open;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Items {
        let mut items = Items::default();
        items.visit_file(&syn::parse_str(text).unwrap());
        items
    }

    #[test]
    fn public_items_and_their_documentation_are_counted() {
        let found = items(
            "/// A.\npub struct A;\npub enum B {}\nstruct C;\n#[doc(hidden)]\npub fn d() {}\n\
             impl A {\n /// E.\n ///\n /// # Errors\n /// F.\n pub fn e() -> io::Result<()> { Ok(()) }\n pub fn g() -> Result<()> {\n  Ok(())\n }\n}",
        );
        assert_eq!((found.public_items, found.documented), (4, 2));
        assert_eq!((found.fallible, found.with_errors_section), (2, 1));
        assert_eq!(found.functions, [1, 1, 3]);
    }

    #[test]
    fn layers_are_found_however_they_are_declared() {
        let found = items(
            "elementwise! {\n /// R.\n ///\n /// ```\n /// r();\n /// ```\n ReLU(ReLUConfig) { x: bool }\n}\n\
             config_struct! {\n /// S.\n pub struct SConfig {}\n}\n/// T.\n#[derive(Debug, Module)]\npub struct T;\n\
             impl crate::Module for S {}",
        );
        assert_eq!(found.modules.iter().map(String::as_str).collect::<Vec<_>>(), ["ReLU", "S", "T"]);
        assert_eq!(found.types.get("ReLU"), Some(&true));
        assert_eq!(found.types.get("SConfig"), Some(&false));
    }

    #[test]
    fn only_rust_blocks_are_examples() {
        assert_eq!(count_examples("```text\na\n```\n```rust,no_run\nb\n```\n```\nc\n```"), 2);
    }
}
