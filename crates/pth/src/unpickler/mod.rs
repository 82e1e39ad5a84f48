//! A restricted unpickler: it builds values, and knows a list of classes and functions by name only. Nothing is imported,
//! called or executed.

mod array_type;
mod call;
mod containers;
mod fault;
mod globals;
mod input;
mod interpreter;
mod literal;
mod memo;
mod numpy;
mod objects;
pub(crate) mod opcode;
mod persistent_id;
mod rebuild_tensor;
mod scalars;
mod stack;
mod unique_keys;
mod value;

pub(crate) use globals::AllowList;
pub(crate) use input::Input;
pub(crate) use interpreter::{Persistence, Unpickler};
pub(crate) use scalars::python_2_string;
pub(crate) use value::{Graph, Mapping, Node, Opaque, SetKind, Value};
