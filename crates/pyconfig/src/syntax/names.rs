//! Which names a function assigns: these are its own, everywhere in its body.

use std::rc::Rc;

use super::ast::{Comprehension, Expr, ExprKind, FormatPart, FunctionBody, Names, Stmt, StmtKind};

pub(super) fn assigned(body: &FunctionBody) -> Names {
    let mut names = Names::default();
    match body {
        FunctionBody::Statements(body) => statements(body, &mut names),
        FunctionBody::Expression(body) => named(body, &mut names),
    }
    let Names { locals, globals, nonlocals } = &mut names;
    locals.retain(|name| !globals.contains(name) && !nonlocals.contains(name));
    names
}

fn statements(body: &[Stmt], names: &mut Names) {
    for statement in body {
        match &statement.kind {
            StmtKind::Expr(value) | StmtKind::Return(Some(value)) | StmtKind::Raise(Some(value)) => named(value, names),
            StmtKind::Assign(targets, value) => {
                named(value, names);
                for target in targets {
                    bind(target, names);
                }
            }
            StmtKind::Annotated { target, value, .. } => {
                if let Some(value) = value {
                    named(value, names);
                }
                bind(target, names);
            }
            StmtKind::AugAssign(target, _, value) => {
                named(value, names);
                bind(target, names);
            }
            StmtKind::For { target, iterable, body, otherwise } => {
                bind(target, names);
                named(iterable, names);
                statements(body, names);
                statements(otherwise, names);
            }
            StmtKind::While { test, body, otherwise } | StmtKind::If { test, then: body, otherwise } => {
                named(test, names);
                statements(body, names);
                statements(otherwise, names);
            }
            StmtKind::Delete(targets) => {
                for target in targets {
                    bind(target, names);
                }
            }
            StmtKind::Assert(test, _) => named(test, names),
            StmtKind::Function(function, _) => add(&function.name, names),
            StmtKind::Import(aliases) => {
                for alias in aliases {
                    let bound = alias.bound();
                    add(&bound.split('.').next().unwrap_or(bound).into(), names);
                }
            }
            StmtKind::ImportFrom { names: aliases, .. } => {
                for alias in aliases {
                    add(alias.bound(), names);
                }
            }
            StmtKind::With { body, .. } => statements(body, names),
            StmtKind::Try(node) => {
                statements(&node.body, names);
                for handler in &node.handlers {
                    if let Some(name) = &handler.name {
                        add(name, names);
                    }
                    statements(&handler.body, names);
                }
                statements(&node.otherwise, names);
                statements(&node.finally, names);
            }
            StmtKind::Global(globals) => names.globals.extend_from_slice(globals),
            StmtKind::Nonlocal(nonlocals) => names.nonlocals.extend_from_slice(nonlocals),
            StmtKind::Return(None)
            | StmtKind::Raise(None)
            | StmtKind::Pass
            | StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Refused(_) => {}
        }
    }
}

fn add(name: &Rc<str>, names: &mut Names) {
    if !names.locals.contains(name) {
        names.locals.push(Rc::clone(name));
    }
}

/// The names that a target of an assignment binds.
pub(super) fn targets(target: &Expr) -> Vec<Rc<str>> {
    let mut names = Names::default();
    bind(target, &mut names);
    names.locals
}

/// The names that `:=` binds in an expression.
pub(super) fn named_in(expr: &Expr) -> Vec<Rc<str>> {
    let mut names = Names::default();
    named(expr, &mut names);
    names.locals
}

fn bind(target: &Expr, names: &mut Names) {
    match &target.kind {
        ExprKind::Name(name) => add(name, names),
        ExprKind::Tuple(items) | ExprKind::List(items) => {
            for item in items {
                bind(item, names);
            }
        }
        ExprKind::Starred(item) => bind(item, names),
        _ => {}
    }
}

/// The names that `:=` binds inside an expression. A lambda has its own; a comprehension leaves them to the function.
fn named(expr: &Expr, names: &mut Names) {
    match &expr.kind {
        ExprKind::Named(name, value) => {
            add(name, names);
            named(value, names);
        }
        ExprKind::List(items)
        | ExprKind::Tuple(items)
        | ExprKind::Set(items)
        | ExprKind::And(items)
        | ExprKind::Or(items) => all(items, names),
        ExprKind::Dict(items) => {
            for (key, value) in items {
                if let Some(key) = key {
                    named(key, names);
                }
                named(value, names);
            }
        }
        ExprKind::Starred(value) | ExprKind::Unary(_, value) | ExprKind::Attribute(value, _) => named(value, names),
        ExprKind::Binary(left, _, right) | ExprKind::Subscript(left, right) => {
            named(left, names);
            named(right, names);
        }
        ExprKind::Compare(left, pairs) => {
            named(left, names);
            for (_, right) in pairs {
                named(right, names);
            }
        }
        ExprKind::Conditional { test, then, otherwise } => {
            named(test, names);
            named(then, names);
            named(otherwise, names);
        }
        ExprKind::Call(call) => {
            named(&call.function, names);
            all(&call.arguments, names);
            for keyword in &call.keywords {
                named(&keyword.value, names);
            }
        }
        ExprKind::Slice(bounds) => {
            for bound in bounds.iter().flatten() {
                named(bound, names);
            }
        }
        ExprKind::Comprehension(comprehension) => in_comprehension(comprehension, names),
        ExprKind::Format(parts) => in_format(parts, names),
        ExprKind::None
        | ExprKind::Bool(_)
        | ExprKind::Ellipsis
        | ExprKind::Int(_)
        | ExprKind::Big(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Name(_)
        | ExprKind::Lambda(_)
        | ExprKind::Refused(_) => {}
    }
}

fn all(items: &[Expr], names: &mut Names) {
    for item in items {
        named(item, names);
    }
}

fn in_comprehension(comprehension: &Comprehension, names: &mut Names) {
    let Comprehension { element, value, clauses, .. } = comprehension;
    named(element, names);
    if let Some(value) = value {
        named(value, names);
    }
    for clause in clauses {
        named(&clause.iterable, names);
        all(&clause.conditions, names);
    }
}

fn in_format(parts: &[FormatPart], names: &mut Names) {
    for part in parts {
        if let FormatPart::Value { expr, spec, .. } = part {
            named(expr, names);
            in_format(spec, names);
        }
    }
}
