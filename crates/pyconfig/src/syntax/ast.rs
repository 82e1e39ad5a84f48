//! The syntax tree of a config.

use std::rc::Rc;

use num_bigint::BigInt;

/// An expression, and the byte at which it starts.
#[derive(Debug)]
pub(crate) struct Expr {
    pub at: u32,
    pub kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    None,
    Bool(bool),
    Ellipsis,
    Int(i64),
    Big(Rc<BigInt>),
    Float(f64),
    Str(Rc<str>),
    /// An f-string.
    Format(Vec<FormatPart>),
    Name(Rc<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Set(Vec<Expr>),
    /// Pairs; without a key, the value is unpacked.
    Dict(Vec<(Option<Expr>, Expr)>),
    Starred(Box<Expr>),
    Unary(UnaryOp, Box<Expr>),
    Binary(Box<Expr>, BinaryOp, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Compare(Box<Expr>, Vec<(CompareOp, Expr)>),
    Conditional {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    Call(Box<Call>),
    Attribute(Box<Expr>, Rc<str>),
    Subscript(Box<Expr>, Box<Expr>),
    Slice([Option<Box<Expr>>; 3]),
    Lambda(Rc<FunctionDef>),
    Comprehension(Rc<Comprehension>),
    /// `name := value`.
    Named(Rc<str>, Box<Expr>),
    /// Syntax that configs cannot have; an error if it is evaluated.
    Refused(&'static str),
}

#[derive(Debug)]
pub(crate) struct Call {
    pub function: Expr,
    pub arguments: Vec<Expr>,
    pub keywords: Vec<Keyword>,
}

/// A keyword argument; without a name, the value is unpacked.
#[derive(Debug)]
pub(crate) struct Keyword {
    pub at: u32,
    pub name: Option<Rc<str>>,
    pub value: Expr,
}

#[derive(Debug)]
pub(crate) struct Comprehension {
    pub kind: ComprehensionKind,
    pub element: Expr,
    /// The value of a dict comprehension, whose key is the element.
    pub value: Option<Expr>,
    pub clauses: Vec<Clause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComprehensionKind {
    List,
    Set,
    Dict,
    Generator,
}

/// `for target in iterable if condition ...`.
#[derive(Debug)]
pub(crate) struct Clause {
    pub target: Expr,
    pub iterable: Expr,
    pub conditions: Vec<Expr>,
}

/// A part of an f-string.
#[derive(Debug)]
pub(crate) enum FormatPart {
    Literal(Rc<str>),
    Value {
        expr: Expr,
        /// `r`, `s` or `a`.
        conversion: Option<char>,
        spec: Vec<FormatPart>,
        /// The text before the value, of `{x=}`.
        label: Option<Rc<str>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Invert,
    Not,
    Plus,
    Minus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
    LeftShift,
    RightShift,
    Or,
    Xor,
    And,
    MatMul,
}

impl BinaryOp {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::FloorDiv => "//",
            Self::Mod => "%",
            Self::Pow => "** or pow()",
            Self::LeftShift => "<<",
            Self::RightShift => ">>",
            Self::Or => "|",
            Self::Xor => "^",
            Self::And => "&",
            Self::MatMul => "@",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompareOp {
    Eq,
    NotEq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    Is,
    IsNot,
    In,
    NotIn,
}

/// A function or a lambda.
#[derive(Debug)]
pub(crate) struct FunctionDef {
    pub name: Rc<str>,
    pub parameters: Vec<Parameter>,
    /// The name of `*args`.
    pub rest: Option<Rc<str>>,
    /// The name of `**kwargs`.
    pub keywords: Option<Rc<str>>,
    pub body: FunctionBody,
    pub names: Names,
}

/// The names that a function assigns.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Its own.
    pub locals: Vec<Rc<str>>,
    /// Those of the file, by `global`.
    pub globals: Vec<Rc<str>>,
    /// Those of the functions around it, by `nonlocal`.
    pub nonlocals: Vec<Rc<str>>,
}

#[derive(Debug)]
pub(crate) enum FunctionBody {
    Statements(Vec<Stmt>),
    Expression(Expr),
}

#[derive(Debug)]
pub(crate) struct Parameter {
    pub name: Rc<str>,
    pub default: Option<Expr>,
    pub kind: ParameterKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterKind {
    PositionOnly,
    Any,
    KeywordOnly,
}

/// A statement, and the byte at which it starts.
#[derive(Debug)]
pub(crate) struct Stmt {
    pub at: u32,
    pub kind: StmtKind,
}

#[derive(Debug)]
pub(crate) enum StmtKind {
    Expr(Expr),
    /// One or several targets, `a = b = value`.
    Assign(Vec<Expr>, Expr),
    /// `target: annotation = value`, or without a value.
    Annotated {
        target: Expr,
        annotation: Expr,
        value: Option<Expr>,
    },
    AugAssign(Expr, BinaryOp, Expr),
    For {
        target: Expr,
        iterable: Expr,
        body: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    While {
        test: Expr,
        body: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    If {
        test: Expr,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    Delete(Vec<Expr>),
    Assert(Expr, Option<Expr>),
    Raise(Option<Expr>),
    Return(Option<Expr>),
    /// A function, and its decorators.
    Function(Rc<FunctionDef>, Vec<Expr>),
    Import(Vec<Alias>),
    ImportFrom {
        module: Option<Rc<str>>,
        level: u32,
        names: Vec<Alias>,
    },
    With {
        context: Expr,
        has_several: bool,
        body: Vec<Stmt>,
    },
    Try(Box<Try>),
    Pass,
    Break,
    Continue,
    Global(Vec<Rc<str>>),
    Nonlocal(Vec<Rc<str>>),
    /// Syntax that configs cannot have; an error if it is executed.
    Refused(&'static str),
}

#[derive(Debug)]
pub(crate) struct Try {
    pub body: Vec<Stmt>,
    pub handlers: Vec<Handler>,
    pub otherwise: Vec<Stmt>,
    pub finally: Vec<Stmt>,
}

/// `except type as name:`; without a type, it catches every exception.
#[derive(Debug)]
pub(crate) struct Handler {
    pub at: u32,
    pub types: Option<Expr>,
    pub name: Option<Rc<str>>,
    pub body: Vec<Stmt>,
}

/// An imported name.
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    pub at: u32,
    pub name: Rc<str>,
    pub alias: Option<Rc<str>>,
}

impl Alias {
    /// The name that is bound.
    pub(crate) fn bound(&self) -> &Rc<str> {
        self.alias.as_ref().unwrap_or(&self.name)
    }
}
