//! Parsing. This module alone knows the parser, whose interface changes from version to version.

pub(crate) mod ast;
mod lower;
mod names;

use std::rc::Rc;

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_text_size::Ranged;

use crate::error::{ErrorKind, Fault, Result, Source};
use crate::limits;
use ast::Stmt;

/// Parses a config.
///
/// # Errors
/// Returns an error at the first mistake in the syntax.
pub(crate) fn parse(source: &Rc<Source>) -> Result<Vec<Stmt>> {
    if let Some(offset) = source.text.find('\0') {
        return Err(syntax_error("source code cannot contain null bytes").at(source, offset_of(offset)));
    }
    let parsed = parse_unchecked(&source.text, ParseOptions::from(Mode::Module));
    if let Some(error) = parsed.errors().first() {
        let fault = syntax_error(error.error.to_string());
        return Err(fault.at(source, error.location.start().to_u32()));
    }
    for token in parsed.tokens() {
        if token.kind() == TokenKind::Name && token.range().len().to_usize() > limits::NAME_BYTES {
            let fault = Fault::limit(format!("a name may have {} bytes", limits::NAME_BYTES));
            return Err(fault.at(source, token.start().to_u32()));
        }
    }
    match parsed.try_into_module() {
        Some(module) => lower::Lower::new(source).statements(&module.syntax().body),
        None => Err(syntax_error("expected a module")),
    }
}

fn syntax_error(message: impl Into<String>) -> Fault {
    Fault::new(ErrorKind::Python("SyntaxError"), message)
}

fn offset_of(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
