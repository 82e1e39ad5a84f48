//! What is done with a config, and programs made from random bytes.

use std::cell::RefCell;

use mmcv_pyconfig::{Error, LoadOptions, load};
use tempfile::TempDir;

/// A base that configs may inherit from.
const BASE: &str = "model = dict(type='ResNet', depth=50, stages=[dict(depth=3), dict(depth=4)], norm=(1, 2))\nx = [1, 2.5, 'a']\n";

thread_local! {
    static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Reads a Python config and writes it in every form.
pub fn read(text: &[u8]) -> Result<(), Error> {
    read_as("config.py", text)
}

/// Reads a config whose name, such as `config.yaml`, says what it is, and writes it in every form.
pub fn read_as(name: &str, text: &[u8]) -> Result<(), Error> {
    let file = FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            std::fs::write(folder.path().join("base.py"), BASE).expect("a temporary file");
            folder
        });
        folder.path().join(name)
    });
    std::fs::write(&file, text).expect("a temporary file");
    let config = load(&file, &LoadOptions::default())?;
    let _ = std::hint::black_box((config.to_json(), config.to_typed_json(), config.to_yaml(), config.to_python()));
    Ok(())
}

/// A program: each choice in it takes a byte.
pub fn program(bytes: &[u8]) -> String {
    let mut writer = Writer { bytes: bytes.iter(), text: String::new() };
    writer.text.push_str("import copy, functools, itertools, json, math\n");
    if writer.choice(4) == 0 {
        writer.text.push_str("_base_ = 'base.py'\n");
    }
    while writer.bytes.len() > 0 && writer.text.len() < 4_000 {
        writer.statement(0);
    }
    writer.text
}

const NAMES: [&str; 8] = ["a", "b", "c", "x", "model", "f", "_base_", "i"];
const KEYS: [&str; 6] = ["type", "depth", "a", "_delete_", "0", "stages"];
const NUMBERS: [&str; 14] = [
    "0", "1", "-1", "2", "3", "10", "0.5", "1e308", "float('inf')", "float('nan')", "9223372036854775807", "2 ** 70", "True", "1e-9",
];
const TEXTS: [&str; 12] = [
    "''", "'a'", "'a,b'", "'%s %5.2f'", "'{} {x!r:>10}'", "f'{a!r:>{b}} {x:,}'", "'äß𝄞'", "'  x '", "'0x1F'", "'1e5'", "'A' * 3", "r'\\n'",
];
const BINARY: [&str; 22] = [
    "+", "-", "*", "/", "//", "%", "**", "|", "&", "^", "<<", ">>", "==", "!=", "<", ">=", "in", "not in", "is", "is not", "and", "or",
];
const FUNCTIONS: [&str; 47] = [
    "len", "list", "tuple", "dict", "set", "sorted", "sum", "min", "max", "range", "zip", "enumerate", "str", "int", "float", "bool", "abs",
    "round", "any", "all", "reversed", "map", "filter", "repr", "divmod", "pow", "isinstance", "frozenset",
    "iter", "next", "getattr", "functools.partial", "functools.reduce", "itertools.chain", "itertools.product", "itertools.islice",
    "itertools.combinations", "itertools.permutations", "itertools.accumulate", "itertools.repeat", "itertools.starmap",
    "itertools.zip_longest", "json.dumps", "json.loads", "copy.deepcopy", "math.prod", "math.comb",
];
const METHODS: [&str; 38] = [
    "append", "extend", "insert", "pop", "remove", "index", "count", "sort", "reverse", "copy", "update", "get", "keys", "values", "items",
    "setdefault", "clear", "split", "join", "format", "replace", "strip", "upper", "title", "zfill", "startswith", "find", "partition", "add",
    "union", "difference", "merge", "popitem", "isdigit", "splitlines", "center",
    "translate", "maketrans",
];

struct Writer<'a> {
    bytes: std::slice::Iter<'a, u8>,
    text: String,
}

impl Writer<'_> {
    fn choice(&mut self, count: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or_default()) % count
    }

    fn one_of(&mut self, words: &[&'static str]) {
        let index = self.choice(words.len());
        self.text.push_str(words[index]);
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn indent(&mut self, depth: usize) {
        self.push(&"    ".repeat(depth));
    }

    fn block(&mut self, depth: usize) {
        self.push(":\n");
        for _ in 0..=self.choice(2) {
            self.statement(depth + 1);
        }
    }

    fn statement(&mut self, depth: usize) {
        self.indent(depth);
        let kind = if depth > 3 { self.choice(8) } else { self.choice(18) };
        match kind {
            0..=3 => {
                self.one_of(&NAMES);
                self.push(" = ");
                self.expression(0);
            }
            4 => {
                self.target(0);
                self.one_of(&[" += ", " -= ", " *= ", " //= ", " %= ", " |= ", " **= "]);
                self.expression(0);
            }
            5 => {
                self.target(0);
                self.push(", *");
                self.one_of(&NAMES);
                self.push(" = ");
                self.expression(0);
            }
            6 => {
                self.push("del ");
                self.target(0);
            }
            7 => self.expression(0),
            8 | 9 => {
                self.push("for ");
                self.one_of(&NAMES);
                self.push(" in ");
                self.expression(1);
                self.block(depth);
                return;
            }
            10 | 11 => {
                self.push("if ");
                self.expression(1);
                self.block(depth);
                self.indent(depth);
                self.push("else");
                self.block(depth);
                return;
            }
            12 => {
                self.push("while ");
                self.expression(1);
                self.block(depth);
                return;
            }
            13 => {
                self.push("def f(a, b=1, *c, **d)");
                self.block(depth);
                self.indent(depth + 1);
                self.push("return ");
                self.expression(1);
            }
            16 => {
                self.push("try");
                self.block(depth);
                self.indent(depth);
                self.one_of(&["except", "except (TypeError, KeyError)", "except Exception as a", "finally"]);
                self.block(depth);
                return;
            }
            17 => {
                self.one_of(&NAMES);
                self.push(" = (");
                self.expression(3);
                self.push(" for i in ");
                self.expression(3);
                self.push(")");
            }
            14 => {
                self.target(0);
                self.push(" = ");
                self.expression(0);
            }
            _ => {
                self.push("assert ");
                self.expression(0);
            }
        }
        self.push("\n");
    }

    fn target(&mut self, depth: usize) {
        self.one_of(&NAMES);
        match self.choice(4) {
            0 => self.subscript(depth),
            1 => {
                self.push(".");
                self.one_of(&KEYS[..3]);
            }
            _ => {}
        }
    }

    fn subscript(&mut self, depth: usize) {
        self.push("[");
        match self.choice(3) {
            0 => self.expression(depth + 1),
            1 => {
                self.expression(depth + 1);
                self.push(":");
                self.expression(depth + 1);
            }
            _ => self.push("::-1"),
        }
        self.push("]");
    }

    fn list(&mut self, depth: usize) {
        for _ in 0..self.choice(4) {
            self.expression(depth + 1);
            self.push(", ");
        }
    }

    fn expression(&mut self, depth: usize) {
        if depth > 5 {
            return self.atom();
        }
        match self.choice(16) {
            0..=3 => self.atom(),
            4 | 5 => {
                self.push("(");
                self.expression(depth + 1);
                self.push(" ");
                self.one_of(&BINARY);
                self.push(" ");
                self.expression(depth + 1);
                self.push(")");
            }
            6 => {
                self.push("[");
                self.list(depth);
                self.push("]");
            }
            7 => {
                self.push("(");
                self.list(depth);
                self.push(")");
            }
            8 => {
                self.push("dict(");
                for index in 0..self.choice(3) {
                    self.push(["a", "type", "depth"][index]);
                    self.push("=");
                    self.expression(depth + 1);
                    self.push(", ");
                }
                self.push(")");
            }
            9 => {
                self.push("{");
                for _ in 0..self.choice(3) {
                    self.expression(depth + 1);
                    self.push(": ");
                    self.expression(depth + 1);
                    self.push(", ");
                }
                self.push("}");
            }
            10 | 11 => {
                self.one_of(&FUNCTIONS);
                self.push("(");
                self.list(depth);
                self.push(")");
            }
            12 => {
                self.expression(depth + 1);
                self.push(".");
                self.one_of(&METHODS);
                self.push("(");
                self.list(depth);
                self.push(")");
            }
            13 => {
                self.expression(depth + 1);
                self.subscript(depth);
            }
            14 => {
                let brackets = [["[", "]"], ["{", "}"], ["sum(", ")"], ["list(", ")"]][self.choice(4)];
                self.push(brackets[0]);
                self.expression(depth + 1);
                self.push(" for i in ");
                self.expression(depth + 1);
                if self.choice(3) == 0 {
                    self.push(" if ");
                    self.expression(depth + 1);
                }
                self.push(brackets[1]);
            }
            _ => {
                self.push("(");
                match self.choice(4) {
                    0 => {
                        self.push("lambda a=1, *b: ");
                        self.expression(depth + 1);
                    }
                    1 => {
                        self.push("not ");
                        self.expression(depth + 1);
                    }
                    2 => {
                        self.push("-");
                        self.expression(depth + 1);
                    }
                    _ => {
                        self.expression(depth + 1);
                        self.push(" if ");
                        self.expression(depth + 1);
                        self.push(" else ");
                        self.expression(depth + 1);
                    }
                }
                self.push(")");
            }
        }
    }

    fn atom(&mut self) {
        match self.choice(6) {
            0 | 1 => self.one_of(&NAMES),
            2 | 3 => self.one_of(&NUMBERS),
            4 => self.one_of(&TEXTS),
            _ => {
                self.push("'");
                self.one_of(&KEYS);
                self.push("'");
            }
        }
    }
}
