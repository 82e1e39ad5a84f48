//! From the parser's tree to ours.

use std::rc::Rc;
use std::str::FromStr;

use num_bigint::BigInt;
use num_traits::Num;
use ruff_python_ast as py;
use ruff_text_size::Ranged;

use super::ast::{
    Alias, BinaryOp, Call, Clause, CompareOp, Comprehension, ComprehensionKind, Expr, ExprKind, FormatPart,
    FunctionBody, FunctionDef, Handler, Keyword, Parameter, ParameterKind, Stmt, StmtKind, Try, UnaryOp,
};
use super::{names, syntax_error};
use crate::error::{Fault, Result, Source};

/// The depth at which a tree is given up.
const DEPTH: u32 = crate::limits::DEPTH;

/// Lowers one file.
pub(super) struct Lower<'a> {
    source: &'a Rc<Source>,
    depth: u32,
    /// Loops around, in the same function.
    loops: u32,
    /// Functions around.
    functions: u32,
    /// Whether the character that the parser puts in place of lone surrogates is in the file itself.
    has_replacement: bool,
}

impl<'a> Lower<'a> {
    pub(super) fn new(source: &'a Rc<Source>) -> Self {
        let has_replacement = source.text.contains('\u{fffd}');
        Self { source, depth: 0, loops: 0, functions: 0, has_replacement }
    }

    fn syntax_error(&self, message: impl Into<String>, at: impl Ranged) -> Fault {
        syntax_error(message).at(self.source, at.start().to_u32())
    }

    pub(super) fn statements(&mut self, body: &[py::Stmt]) -> Result<Vec<Stmt>> {
        let mut lowered = Vec::with_capacity(body.len());
        for statement in body {
            lowered.push(Stmt { at: statement.start().to_u32(), kind: self.kind(statement)? });
        }
        Ok(lowered)
    }

    fn kind(&mut self, statement: &py::Stmt) -> Result<StmtKind> {
        Ok(match statement {
            py::Stmt::Expr(node) => StmtKind::Expr(self.expr(&node.value)?),
            py::Stmt::Assign(node) => {
                for target in &node.targets {
                    self.check_stars(target)?;
                }
                StmtKind::Assign(self.exprs(&node.targets)?, self.expr(&node.value)?)
            }
            py::Stmt::AugAssign(node) => {
                StmtKind::AugAssign(self.expr(&node.target)?, binary(node.op), self.expr(&node.value)?)
            }
            py::Stmt::AnnAssign(node) => StmtKind::Annotated {
                target: self.expr(&node.target)?,
                annotation: self.expr(&node.annotation)?,
                value: self.optional(node.value.as_deref())?,
            },
            py::Stmt::For(node) if !node.is_async => {
                self.check_stars(&node.target)?;
                StmtKind::For {
                    target: self.expr(&node.target)?,
                    iterable: self.expr(&node.iter)?,
                    body: self.loop_body(&node.body)?,
                    otherwise: self.statements(&node.orelse)?,
                }
            }
            py::Stmt::While(node) => StmtKind::While {
                test: self.expr(&node.test)?,
                body: self.loop_body(&node.body)?,
                otherwise: self.statements(&node.orelse)?,
            },
            py::Stmt::If(node) => StmtKind::If {
                test: self.expr(&node.test)?,
                then: self.statements(&node.body)?,
                otherwise: self.else_clauses(&node.elif_else_clauses)?,
            },
            py::Stmt::Delete(node) => StmtKind::Delete(self.exprs(&node.targets)?),
            py::Stmt::Assert(node) => StmtKind::Assert(self.expr(&node.test)?, self.optional(node.msg.as_deref())?),
            py::Stmt::Raise(node) => StmtKind::Raise(self.optional(node.exc.as_deref())?),
            py::Stmt::Return(node) if self.functions == 0 => {
                return Err(self.syntax_error("'return' outside function", node));
            }
            py::Stmt::Return(node) => StmtKind::Return(self.optional(node.value.as_deref())?),
            py::Stmt::FunctionDef(node) if node.is_async => StmtKind::Refused("async functions"),
            py::Stmt::FunctionDef(node) => {
                let loops = std::mem::take(&mut self.loops);
                self.functions += 1;
                let body = FunctionBody::Statements(self.statements(&node.body)?);
                self.functions -= 1;
                self.loops = loops;
                let mut decorators = Vec::new();
                for decorator in &node.decorator_list {
                    decorators.push(self.expr(&decorator.expression)?);
                }
                StmtKind::Function(self.function(node.name.as_str(), Some(&node.parameters), body)?, decorators)
            }
            py::Stmt::Import(node) => StmtKind::Import(aliases(&node.names)),
            py::Stmt::ImportFrom(node) => StmtKind::ImportFrom {
                module: node.module.as_ref().map(|module| module.as_str().into()),
                level: node.level,
                names: aliases(&node.names),
            },
            py::Stmt::With(node) => self.with(node)?,
            py::Stmt::Pass(_) => StmtKind::Pass,
            py::Stmt::Break(node) if self.loops == 0 => return Err(self.syntax_error("'break' outside loop", node)),
            py::Stmt::Continue(node) if self.loops == 0 => {
                return Err(self.syntax_error("'continue' not properly in loop", node));
            }
            py::Stmt::Break(_) => StmtKind::Break,
            py::Stmt::Continue(_) => StmtKind::Continue,
            py::Stmt::Global(node) => StmtKind::Global(identifiers(&node.names)),
            py::Stmt::Nonlocal(node) => StmtKind::Nonlocal(identifiers(&node.names)),
            py::Stmt::Try(node) if node.is_star => StmtKind::Refused("`except*`"),
            py::Stmt::Try(node) => StmtKind::Try(Box::new(self.try_statement(node)?)),
            py::Stmt::ClassDef(_) => StmtKind::Refused("classes; a dict holds values, too"),
            py::Stmt::Match(_) => StmtKind::Refused("match statements; write `if` and `elif`"),
            py::Stmt::For(_) => StmtKind::Refused("async loops"),
            py::Stmt::TypeAlias(_) => StmtKind::Refused("type aliases"),
            py::Stmt::IpyEscapeCommand(_) => StmtKind::Refused("commands"),
        })
    }

    fn loop_body(&mut self, body: &[py::Stmt]) -> Result<Vec<Stmt>> {
        self.loops += 1;
        let body = self.statements(body);
        self.loops -= 1;
        body
    }

    /// A pattern has one star at most.
    fn check_stars(&self, target: &py::Expr) -> Result<()> {
        let items = match target {
            py::Expr::Tuple(node) => &node.elts,
            py::Expr::List(node) => &node.elts,
            py::Expr::Starred(node) => {
                return Err(self.syntax_error("starred assignment target must be in a list or tuple", node));
            }
            _ => return Ok(()),
        };
        let mut has_star = false;
        for item in items {
            match item {
                py::Expr::Starred(node) if has_star => {
                    return Err(self.syntax_error("multiple starred expressions in assignment", node));
                }
                py::Expr::Starred(_) => has_star = true,
                item => self.check_stars(item)?,
            }
        }
        Ok(())
    }

    fn else_clauses(&mut self, clauses: &[py::ElifElseClause]) -> Result<Vec<Stmt>> {
        let Some((first, rest)) = clauses.split_first() else { return Ok(Vec::new()) };
        let body = self.statements(&first.body)?;
        match &first.test {
            None => Ok(body),
            Some(test) => {
                let kind = StmtKind::If { test: self.expr(test)?, then: body, otherwise: self.else_clauses(rest)? };
                Ok(vec![Stmt { at: first.start().to_u32(), kind }])
            }
        }
    }

    fn try_statement(&mut self, node: &py::StmtTry) -> Result<Try> {
        let mut handlers = Vec::with_capacity(node.handlers.len());
        for handler in &node.handlers {
            let py::ExceptHandler::ExceptHandler(handler) = handler;
            handlers.push(Handler {
                at: handler.start().to_u32(),
                types: self.optional(handler.type_.as_deref())?,
                name: handler.name.as_ref().map(|name| name.as_str().into()),
                body: self.statements(&handler.body)?,
            });
        }
        Ok(Try {
            body: self.statements(&node.body)?,
            handlers,
            otherwise: self.statements(&node.orelse)?,
            finally: self.statements(&node.finalbody)?,
        })
    }

    fn with(&mut self, node: &py::StmtWith) -> Result<StmtKind> {
        match node.items.first() {
            Some(item) if !node.is_async => Ok(StmtKind::With {
                context: self.expr(&item.context_expr)?,
                has_several: node.items.len() > 1,
                body: self.statements(&node.body)?,
            }),
            _ => Ok(StmtKind::Refused("async with statements")),
        }
    }

    fn function(
        &mut self,
        name: &str,
        parameters: Option<&py::Parameters>,
        body: FunctionBody,
    ) -> Result<Rc<FunctionDef>> {
        let (mut lowered, mut rest, mut keywords) = (Vec::new(), None, None);
        if let Some(parameters) = parameters {
            let groups = [
                (ParameterKind::PositionOnly, &parameters.posonlyargs),
                (ParameterKind::Any, &parameters.args),
                (ParameterKind::KeywordOnly, &parameters.kwonlyargs),
            ];
            for (kind, group) in groups {
                for parameter in group {
                    let name = parameter.parameter.name.as_str().into();
                    lowered.push(Parameter { name, default: self.optional(parameter.default.as_deref())?, kind });
                }
            }
            self.check_names(parameters)?;
            rest = parameters.vararg.as_ref().map(|parameter| parameter.name.as_str().into());
            keywords = parameters.kwarg.as_ref().map(|parameter| parameter.name.as_str().into());
        }
        let names = names::assigned(&body);
        Ok(Rc::new(FunctionDef { name: name.into(), parameters: lowered, rest, keywords, body, names }))
    }

    /// Each parameter has a name of its own.
    fn check_names(&self, parameters: &py::Parameters) -> Result<()> {
        let mut names: Vec<&str> = Vec::new();
        let others = [parameters.vararg.as_deref(), parameters.kwarg.as_deref()];
        let all = parameters.iter_non_variadic_params().map(|parameter| &parameter.parameter);
        for parameter in all.chain(others.into_iter().flatten()) {
            let name = parameter.name.as_str();
            if names.contains(&name) {
                let message = format!("duplicate argument '{name}' in function definition");
                return Err(self.syntax_error(message, parameter));
            }
            names.push(name);
        }
        Ok(())
    }

    fn optional(&mut self, node: Option<&py::Expr>) -> Result<Option<Expr>> {
        match node {
            Some(node) => Ok(Some(self.expr(node)?)),
            None => Ok(None),
        }
    }

    /// A bound of a slice.
    fn bound(&mut self, node: Option<&py::Expr>) -> Result<Option<Box<Expr>>> {
        match node {
            Some(node) => Ok(Some(self.boxed(node)?)),
            None => Ok(None),
        }
    }

    fn boxed(&mut self, node: &py::Expr) -> Result<Box<Expr>> {
        Ok(Box::new(self.expr(node)?))
    }

    fn exprs(&mut self, nodes: &[py::Expr]) -> Result<Vec<Expr>> {
        let mut lowered = Vec::with_capacity(nodes.len());
        for node in nodes {
            lowered.push(self.expr(node)?);
        }
        Ok(lowered)
    }

    fn expr(&mut self, node: &py::Expr) -> Result<Expr> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Fault::limit(format!("expressions are nested more than {DEPTH} deep")));
        }
        let kind = self.expr_kind(node)?;
        self.depth -= 1;
        Ok(Expr { at: node.start().to_u32(), kind })
    }

    fn expr_kind(&mut self, node: &py::Expr) -> Result<ExprKind> {
        Ok(match node {
            py::Expr::NoneLiteral(_) => ExprKind::None,
            py::Expr::BooleanLiteral(node) => ExprKind::Bool(node.value),
            py::Expr::EllipsisLiteral(_) => ExprKind::Ellipsis,
            py::Expr::NumberLiteral(node) => number(&node.value)?,
            py::Expr::StringLiteral(node) => {
                let text = node.value.to_str();
                if !self.has_replacement && text.contains('\u{fffd}') {
                    return Ok(ExprKind::Refused("texts with half of a surrogate pair"));
                }
                ExprKind::Str(text.into())
            }
            py::Expr::FString(node) => ExprKind::Format(self.format_parts(&node.value)?),
            py::Expr::Name(node) => ExprKind::Name(node.id.as_str().into()),
            py::Expr::List(node) => ExprKind::List(self.exprs(&node.elts)?),
            py::Expr::Tuple(node) => ExprKind::Tuple(self.exprs(&node.elts)?),
            py::Expr::Set(node) => ExprKind::Set(self.exprs(&node.elts)?),
            py::Expr::Dict(node) => {
                let mut items = Vec::with_capacity(node.items.len());
                for item in &node.items {
                    items.push((self.optional(item.key.as_ref())?, self.expr(&item.value)?));
                }
                ExprKind::Dict(items)
            }
            py::Expr::Starred(node) => ExprKind::Starred(self.boxed(&node.value)?),
            py::Expr::UnaryOp(node) => ExprKind::Unary(unary(node.op), self.boxed(&node.operand)?),
            py::Expr::BinOp(node) => {
                ExprKind::Binary(self.boxed(&node.left)?, binary(node.op), self.boxed(&node.right)?)
            }
            py::Expr::BoolOp(node) => match node.op {
                py::BoolOp::And => ExprKind::And(self.exprs(&node.values)?),
                py::BoolOp::Or => ExprKind::Or(self.exprs(&node.values)?),
            },
            py::Expr::Compare(node) => {
                let mut pairs = Vec::with_capacity(node.ops.len());
                for (op, right) in node.ops.iter().zip(&node.comparators) {
                    pairs.push((compare(*op), self.expr(right)?));
                }
                ExprKind::Compare(self.boxed(&node.left)?, pairs)
            }
            py::Expr::If(node) => ExprKind::Conditional {
                test: self.boxed(&node.test)?,
                then: self.boxed(&node.body)?,
                otherwise: self.boxed(&node.orelse)?,
            },
            py::Expr::Call(node) => ExprKind::Call(Box::new(self.call(node)?)),
            py::Expr::Attribute(node) => ExprKind::Attribute(self.boxed(&node.value)?, node.attr.as_str().into()),
            py::Expr::Subscript(node) => ExprKind::Subscript(self.boxed(&node.value)?, self.boxed(&node.slice)?),
            py::Expr::Slice(node) => ExprKind::Slice([
                self.bound(node.lower.as_deref())?,
                self.bound(node.upper.as_deref())?,
                self.bound(node.step.as_deref())?,
            ]),
            py::Expr::Lambda(node) => {
                let body = FunctionBody::Expression(self.expr(&node.body)?);
                ExprKind::Lambda(self.function("<lambda>", node.parameters.as_deref(), body)?)
            }
            py::Expr::ListComp(node) => {
                self.comprehension(ComprehensionKind::List, &node.elt, None, &node.generators)?
            }
            py::Expr::SetComp(node) => self.comprehension(ComprehensionKind::Set, &node.elt, None, &node.generators)?,
            py::Expr::DictComp(node) => match &node.key {
                Some(key) => self.comprehension(ComprehensionKind::Dict, key, Some(&node.value), &node.generators)?,
                None => ExprKind::Refused("unpacking in a dict comprehension"),
            },
            py::Expr::Generator(node) => {
                self.comprehension(ComprehensionKind::Generator, &node.elt, None, &node.generators)?
            }
            py::Expr::Named(node) => match node.target.as_ref() {
                py::Expr::Name(name) => ExprKind::Named(name.id.as_str().into(), self.boxed(&node.value)?),
                _ => ExprKind::Refused("`:=` on something else than a name"),
            },
            py::Expr::BytesLiteral(_) => ExprKind::Refused("bytes; write a text, without the `b`"),
            py::Expr::TString(_) => ExprKind::Refused("t-strings"),
            py::Expr::Await(_) => ExprKind::Refused("await"),
            py::Expr::Yield(_) | py::Expr::YieldFrom(_) => ExprKind::Refused("yield; return a list"),
            py::Expr::IpyEscapeCommand(_) => ExprKind::Refused("commands"),
        })
    }

    fn call(&mut self, node: &py::ExprCall) -> Result<Call> {
        let mut keywords = Vec::with_capacity(node.arguments.keywords.len());
        for keyword in &node.arguments.keywords {
            keywords.push(Keyword {
                at: keyword.start().to_u32(),
                name: keyword.arg.as_ref().map(|name| name.as_str().into()),
                value: self.expr(&keyword.value)?,
            });
        }
        Ok(Call { function: self.expr(&node.func)?, arguments: self.exprs(&node.arguments.args)?, keywords })
    }

    fn comprehension(
        &mut self,
        kind: ComprehensionKind,
        element: &py::Expr,
        value: Option<&py::Expr>,
        generators: &[py::Comprehension],
    ) -> Result<ExprKind> {
        let mut clauses = Vec::with_capacity(generators.len());
        for generator in generators {
            if generator.is_async {
                return Ok(ExprKind::Refused("async comprehensions"));
            }
            clauses.push(Clause {
                target: self.expr(&generator.target)?,
                iterable: self.expr(&generator.iter)?,
                conditions: self.exprs(&generator.ifs)?,
            });
        }
        let (element, value) = (self.expr(element)?, self.optional(value)?);
        let mut named = names::named_in(&element);
        for clause in &clauses {
            named.extend(clause.conditions.iter().flat_map(names::named_in));
        }
        for clause in &clauses {
            if let Some(name) = names::targets(&clause.target).into_iter().find(|name| named.contains(name)) {
                let message = format!("assignment expression cannot rebind comprehension iteration variable '{name}'");
                return Err(syntax_error(message).at(self.source, clause.target.at));
            }
        }
        Ok(ExprKind::Comprehension(Rc::new(Comprehension { kind, element, value, clauses })))
    }

    fn format_parts(&mut self, value: &py::FStringValue) -> Result<Vec<FormatPart>> {
        let mut parts = Vec::new();
        for part in value {
            match part {
                py::FStringPart::Literal(literal) => parts.push(FormatPart::Literal((**literal).into())),
                py::FStringPart::FString(text) => self.add_elements(&text.elements, &mut parts)?,
            }
        }
        Ok(parts)
    }

    fn add_elements(&mut self, elements: &py::InterpolatedStringElements, parts: &mut Vec<FormatPart>) -> Result<()> {
        for element in elements {
            match element {
                py::InterpolatedStringElement::Literal(literal) => {
                    parts.push(FormatPart::Literal((*literal.value).into()))
                }
                py::InterpolatedStringElement::Interpolation(element) => {
                    let mut spec = Vec::new();
                    if let Some(elements) = &element.format_spec {
                        self.add_elements(&elements.elements, &mut spec)?;
                    }
                    parts.push(FormatPart::Value {
                        expr: self.expr(&element.expression)?,
                        conversion: element.conversion.to_char(),
                        spec,
                        label: element.debug_text.as_ref().map(|text| text.as_str().into()),
                    });
                }
            }
        }
        Ok(())
    }
}

fn aliases(names: &[py::Alias]) -> Vec<Alias> {
    let mut aliases = Vec::with_capacity(names.len());
    for name in names {
        aliases.push(Alias {
            at: name.start().to_u32(),
            name: name.name.as_str().into(),
            alias: name.asname.as_ref().map(|alias| alias.as_str().into()),
        });
    }
    aliases
}

fn identifiers(names: &[py::Identifier]) -> Vec<Rc<str>> {
    names.iter().map(|name| name.as_str().into()).collect()
}

fn number(number: &py::Number) -> Result<ExprKind> {
    Ok(match number {
        py::Number::Float(value) => ExprKind::Float(*value),
        py::Number::Complex { .. } => ExprKind::Refused("complex numbers"),
        py::Number::Int(int) => match int.as_i64() {
            Some(value) => ExprKind::Int(value),
            None => ExprKind::Big(Rc::new(big(&int.to_string())?)),
        },
    })
}

/// A whole number that does not fit 64 bits, from its digits as they were written.
fn big(digits: &str) -> Result<BigInt> {
    let digits = digits.replace('_', "").to_ascii_lowercase();
    let parsed = match digits.get(..2) {
        Some("0x") => BigInt::from_str_radix(&digits[2..], 16),
        Some("0o") => BigInt::from_str_radix(&digits[2..], 8),
        Some("0b") => BigInt::from_str_radix(&digits[2..], 2),
        _ if digits.len() > crate::limits::INTEGER_DIGITS => {
            return Err(syntax_error(crate::error::too_many_digits()));
        }
        _ => BigInt::from_str(&digits),
    };
    parsed.map_err(|error| syntax_error(error.to_string()))
}

fn unary(op: py::UnaryOp) -> UnaryOp {
    match op {
        py::UnaryOp::Invert => UnaryOp::Invert,
        py::UnaryOp::Not => UnaryOp::Not,
        py::UnaryOp::UAdd => UnaryOp::Plus,
        py::UnaryOp::USub => UnaryOp::Minus,
    }
}

fn binary(op: py::Operator) -> BinaryOp {
    match op {
        py::Operator::Add => BinaryOp::Add,
        py::Operator::Sub => BinaryOp::Sub,
        py::Operator::Mult => BinaryOp::Mul,
        py::Operator::MatMult => BinaryOp::MatMul,
        py::Operator::Div => BinaryOp::Div,
        py::Operator::Mod => BinaryOp::Mod,
        py::Operator::Pow => BinaryOp::Pow,
        py::Operator::LShift => BinaryOp::LeftShift,
        py::Operator::RShift => BinaryOp::RightShift,
        py::Operator::BitOr => BinaryOp::Or,
        py::Operator::BitXor => BinaryOp::Xor,
        py::Operator::BitAnd => BinaryOp::And,
        py::Operator::FloorDiv => BinaryOp::FloorDiv,
    }
}

fn compare(op: py::CmpOp) -> CompareOp {
    match op {
        py::CmpOp::Eq => CompareOp::Eq,
        py::CmpOp::NotEq => CompareOp::NotEq,
        py::CmpOp::Lt => CompareOp::Less,
        py::CmpOp::LtE => CompareOp::LessEq,
        py::CmpOp::Gt => CompareOp::Greater,
        py::CmpOp::GtE => CompareOp::GreaterEq,
        py::CmpOp::Is => CompareOp::Is,
        py::CmpOp::IsNot => CompareOp::IsNot,
        py::CmpOp::In => CompareOp::In,
        py::CmpOp::NotIn => CompareOp::NotIn,
    }
}
