//! Tokens of a file in one flat list, and what can be counted in it. Code inside macros is counted like any other.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A token with the line on which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Its text; groups are there as their delimiters.
    pub(crate) text: String,
    pub(crate) line: usize,
    /// The last line of a literal of several lines.
    pub(crate) last_line: usize,
    pub(crate) is_literal: bool,
}

/// The tokens of a file, and its lines of documentation.
#[derive(Debug, Default)]
pub(crate) struct Flat {
    pub(crate) tokens: Vec<Token>,
    /// The text of each line of documentation, with its number.
    pub(crate) docs: Vec<(usize, String)>,
}

/// A closure with a name: `let name = |..| ..`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedClosure {
    pub(crate) line: usize,
    pub(crate) lines: usize,
    pub(crate) has_arguments: bool,
}

/// Calls at which a reader stops to work out which case is which.
#[rustfmt::skip]
const COMBINATORS: [&str; 27] = [
    "and_then", "map_or", "map_or_else", "ok_or", "ok_or_else", "then", "then_some", "filter", "filter_map", "find_map",
    "flat_map", "transpose", "unwrap_or_else", "or_else", "is_some_and", "is_none_or", "is_ok_and", "zip", "fold",
    "try_fold", "take_while", "skip_while", "map_while", "scan", "inspect", "xor", "then_with",
];

impl Flat {
    pub(crate) fn of(stream: &TokenStream) -> Self {
        let mut flat = Self::default();
        flat.add(stream.clone());
        flat
    }

    fn add(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut index = 0;
        while let Some(tree) = trees.get(index) {
            if let Some((length, line, text)) = doc_comment(&trees, index) {
                for (offset, text) in text.lines().enumerate() {
                    self.docs.push((line + offset, text.to_owned()));
                }
                if text.is_empty() {
                    self.docs.push((line, String::new()));
                }
                index += length;
                continue;
            }
            self.add_tree(tree);
            index += 1;
        }
    }

    fn add_tree(&mut self, tree: &TokenTree) {
        let TokenTree::Group(group) = tree else {
            let span = tree.span();
            self.tokens.push(Token {
                text: tree.to_string(),
                line: span.start().line,
                last_line: span.end().line,
                is_literal: matches!(tree, TokenTree::Literal(_)),
            });
            return;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::None => ("", ""),
        };
        let span = group.span();
        self.push_delimiter(open, span.start().line);
        self.add(group.stream());
        self.push_delimiter(close, span.end().line);
    }

    fn push_delimiter(&mut self, text: &str, line: usize) {
        self.tokens.push(Token { text: text.to_owned(), line, last_line: line, is_literal: false });
    }

    /// The number of lines that hold code.
    pub(crate) fn code_lines(&self) -> usize {
        let mut count = 0;
        let mut last = 0;
        for token in &self.tokens {
            let first = token.line.max(last + 1);
            if token.last_line >= first {
                count += token.last_line + 1 - first;
                last = token.last_line;
            }
        }
        count
    }

    fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map(|token| token.text.as_str()).unwrap_or_default()
    }

    /// The names of the methods that are called, in order.
    fn methods(&self) -> impl Iterator<Item = &str> {
        let is_call = |index: &usize| self.text(*index) == "." && ["(", ":"].contains(&self.text(index + 2));
        (0..self.tokens.len()).filter(is_call).map(|index| self.text(index + 1))
    }

    pub(crate) fn combinators(&self) -> usize {
        self.methods().filter(|name| COMBINATORS.contains(name)).count()
    }

    /// `then` and `then_some`, which are also among the combinators.
    pub(crate) fn thens(&self) -> usize {
        self.methods().filter(|name| ["then", "then_some"].contains(name)).count()
    }

    /// Calls and macros that panic.
    pub(crate) fn panics(&self) -> usize {
        let calls = self.methods().filter(|name| ["unwrap", "expect"].contains(name)).count();
        let macros = ["panic", "todo", "unimplemented", "unreachable"];
        let invoked = (0..self.tokens.len())
            .filter(|&index| macros.contains(&self.text(index)) && self.text(index + 1) == "!")
            .count();
        calls + invoked
    }

    /// The lines on which unsafe blocks begin.
    pub(crate) fn unsafe_blocks(&self) -> Vec<usize> {
        let mut lines = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            if token.text == "unsafe" && self.text(index + 1) == "{" {
                lines.push(token.line);
            }
        }
        lines
    }

    pub(crate) fn named_closures(&self) -> Vec<NamedClosure> {
        let mut closures = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            if token.text == "let"
                && let Some(start) = self.closure_of_let(index + 1)
            {
                let end = self.end_of_statement(start);
                closures.push(NamedClosure {
                    line: token.line,
                    lines: self.tokens.get(end).map_or(1, |last| last.line + 1 - token.line),
                    has_arguments: self.text(start + 1) != "|",
                });
            }
        }
        closures
    }

    /// The index of the first `|`, if a pattern of one name and a closure follow a `let`.
    fn closure_of_let(&self, mut index: usize) -> Option<usize> {
        if self.text(index) == "mut" {
            index += 1;
        }
        index += 1;
        if self.text(index) == ":" {
            while !["=", ";", ""].contains(&self.text(index)) {
                index += 1;
            }
        }
        if self.text(index) != "=" {
            return None;
        }
        index += 1;
        while ["move", "async"].contains(&self.text(index)) {
            index += 1;
        }
        if self.text(index) == "|" { Some(index) } else { None }
    }

    /// The index of the `;` that ends the statement.
    fn end_of_statement(&self, start: usize) -> usize {
        let mut depth = 0_usize;
        for index in start..self.tokens.len() {
            match self.text(index) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 0 => return index,
                ")" | "]" | "}" => depth -= 1,
                ";" if depth == 0 => return index,
                _ => {}
            }
        }
        self.tokens.len().saturating_sub(1)
    }
}

/// The number of tokens of a doc comment at `index`, its line and its text.
fn doc_comment(trees: &[TokenTree], index: usize) -> Option<(usize, usize, String)> {
    let TokenTree::Punct(hash) = trees.get(index)? else { return None };
    if hash.as_char() != '#' {
        return None;
    }
    let inner = matches!(trees.get(index + 1), Some(TokenTree::Punct(bang)) if bang.as_char() == '!');
    let length = if inner { 3 } else { 2 };
    let TokenTree::Group(attribute) = trees.get(index + length - 1)? else { return None };
    let parts: Vec<TokenTree> = attribute.stream().into_iter().collect();
    let [TokenTree::Ident(name), TokenTree::Punct(_), TokenTree::Literal(text)] = parts.as_slice() else {
        return None;
    };
    if name != "doc" {
        return None;
    }
    let text = syn::parse_str::<syn::LitStr>(&text.to_string()).ok()?.value();
    Some((length, hash.span().start().line, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Flat {
        Flat::of(&text.parse().unwrap())
    }

    #[test]
    fn closures_with_a_name_are_found() {
        let found = flat(
            "fn f() {\n let a = |x: i64| x + 1;\n let mut b: Box<dyn Fn()> = move || {\n g();\n };\n \
             let c = a | b;\n let Some(d) = e else { return };\n h(|x| x);\n}",
        )
        .named_closures();
        let expected = [(2, 1, true), (3, 3, false)];
        assert_eq!(found.iter().map(|c| (c.line, c.lines, c.has_arguments)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn calls_are_counted_in_macros_too() {
        let found = flat(
            "fn f() { println!(\"{}\", a.map_or(1, g)); b.then(h).filter::<X>(i); a.zip = 3; c.unwrap(); panic!() }",
        );
        assert_eq!((found.combinators(), found.thens(), found.panics()), (3, 1, 2));
    }

    #[test]
    fn code_and_documentation_are_told_apart() {
        let found = flat("//! A\n\n/// B\n///\n/// C\nfn f() {\n    // D\n    g(\"a\nb\");\n}\n");
        assert_eq!(found.code_lines(), 4);
        assert_eq!(found.docs.len(), 4);
        assert_eq!(flat("fn f() { unsafe { g() } }\nunsafe fn h() {}").unsafe_blocks(), [1]);
    }
}
