//! Opcodes for the memo, None, bools, numbers, strings and bytes.

use crate::error::PickleProblem;
use crate::limits::MAX_LINE_BYTES;
use crate::unpickler::Unpickler;
use crate::unpickler::fault::Fault;
use crate::unpickler::literal::{self, Integer};
use crate::unpickler::opcode::*;
use crate::unpickler::value::{Node, Value};

/// If arrays are read, strings of at least this many bytes stay in the file, because they usually are the elements of an
/// array.
const MIN_FILE_BYTES: u64 = 4096;
/// Bytes of memory charged per decimal digit, which costs time.
const BIG_INTEGER_FACTOR: usize = 8;

impl Unpickler<'_> {
    fn line(&mut self) -> Result<&[u8], Fault> {
        self.input.line(MAX_LINE_BYTES)
    }

    /// Reads or writes the memo.
    pub(super) fn step_memo(&mut self, opcode: u8) -> Result<(), Fault> {
        let index = match opcode {
            GET | PUT => literal::memo_line(self.line()?)?,
            BINGET | BINPUT => self.input.u8()?.into(),
            LONG_BINGET | LONG_BINPUT => self.input.u32()?,
            // MEMOIZE
            _ => self.memo.next(),
        };
        if matches!(opcode, GET | BINGET | LONG_BINGET) {
            let value = self.memo.get(index).ok_or(PickleProblem::NoMemo(index))?;
            return self.stack.push(value);
        }
        let value = self.stack.top()?;
        let bytes = self.memo.set(index, value);
        self.charge(bytes)
    }

    /// Pushes None, a bool or a number.
    pub(super) fn step_number(&mut self, opcode: u8) -> Result<(), Fault> {
        let integer = match opcode {
            NONE => return self.stack.push(Value::None),
            NEWTRUE => return self.stack.push(Value::Bool(true)),
            NEWFALSE => return self.stack.push(Value::Bool(false)),
            FLOAT => {
                let value = literal::float_line(self.line()?)?;
                return self.stack.push(Value::Float(value));
            }
            BINFLOAT => {
                let value = f64::from_be_bytes(self.input.array()?);
                return self.stack.push(Value::Float(value));
            }
            INT => match self.line()? {
                b"00" => return self.stack.push(Value::Bool(false)),
                b"01" => return self.stack.push(Value::Bool(true)),
                line => literal::integer_line(line)?,
            },
            LONG => literal::integer_line(self.line()?)?,
            BININT => Integer::Small(i32::from_le_bytes(self.input.array()?).into()),
            BININT1 => Integer::Small(self.input.u8()?.into()),
            BININT2 => Integer::Small(self.input.u16()?.into()),
            LONG1 => {
                let length = self.input.u8()?;
                literal::long(self.input.take(length.into())?)?
            }
            _ => {
                let length = self.input.u32()?;
                literal::long(self.input.take(length as usize)?)?
            }
        };
        match integer {
            Integer::Small(value) => self.stack.push(Value::Int(value)),
            Integer::Big(digits) => {
                let length = BIG_INTEGER_FACTOR * digits.len();
                self.push_node(Node::BigInt(digits.into()), length)
            }
        }
    }

    /// Pushes a string or bytes.
    pub(super) fn step_text(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            STRING => {
                let bytes = literal::string_line(self.line()?)?;
                let length = bytes.len();
                return self.push_node(python_2_string(bytes), length);
            }
            UNICODE => {
                let text = literal::unicode_line(self.line()?)?;
                let length = text.len();
                return self.push_node(Node::Text(text.into()), length);
            }
            _ => {}
        }
        let length = match opcode {
            SHORT_BINSTRING | SHORT_BINUNICODE | SHORT_BINBYTES => self.input.u8()?.into(),
            BINUNICODE8 | BINBYTES8 | BYTEARRAY8 => self.input.u64()?,
            _ => self.input.u32()?.into(),
        };
        if self.allowed.arrays && length >= MIN_FILE_BYTES && !matches!(opcode, BINUNICODE | BINUNICODE8) {
            let start = self.input.file_position();
            self.input.skip(length)?;
            return self.push_node(Node::FileBytes { start, length }, 0);
        }
        // The length fits usize, because the input is limited.
        self.input.check(length)?;
        self.charge(length)?;
        let bytes = self.input.take(length as usize)?.to_vec();
        match opcode {
            BINSTRING | SHORT_BINSTRING => self.push_node(python_2_string(bytes), 0),
            BINBYTES | SHORT_BINBYTES | BINBYTES8 => self.push_node(Node::Bytes(bytes.into()), 0),
            BYTEARRAY8 => self.push_node(Node::ByteArray(bytes.into()), 0),
            _ => {
                let Ok(text) = String::from_utf8(bytes) else {
                    return Err(PickleProblem::BadLiteral("UTF-8 text").into());
                };
                self.push_node(Node::Text(text.into()), 0)
            }
        }
    }
}

/// A `str` of Python 2: text if it is UTF-8, bytes otherwise.
pub(crate) fn python_2_string(bytes: Vec<u8>) -> Node {
    match String::from_utf8(bytes) {
        Ok(text) => Node::Text(text.into()),
        Err(error) => Node::Bytes(error.into_bytes().into()),
    }
}
