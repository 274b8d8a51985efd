//! The pickle in what `torch.save` writes: a program for a stack machine. This one runs what builds a dict of tensors, and refuses
//! all else by name: it calls nothing, imports nothing, and takes no more memory than a few times the pickle's bytes. (candle's
//! reader of pickles panics where arguments are missing, and copies what a pickle names twice, so that a few bytes can take all
//! memory.)

use candle_core::DType;
use std::collections::HashMap;
use std::rc::Rc;

/// Tuples within tuples; those of a tensor are two deep.
const DEEPEST: usize = 8;

/// A tensor that lies in a storage.
#[derive(Debug, PartialEq)]
pub(super) struct TorchTensor {
    pub shape: Vec<usize>,
    pub dtype: Option<DType>,
    /// The storage's type, as in `FloatStorage`.
    pub class: Rc<str>,
    /// The storage's name in the archive.
    pub storage: Rc<str>,
    /// First number within the storage.
    pub offset: usize,
}

/// A dict of tensors, in the order written.
pub(super) type Tensors = Vec<(Rc<str>, Rc<TorchTensor>)>;

/// The tensors of a pickle.
///
/// # Errors
/// When it holds anything else.
pub(super) fn tensors(pickle: &[u8]) -> Result<Tensors, String> {
    Machine { rest: pickle, stack: Vec::new(), memo: HashMap::new() }.run()
}

/// What the machine's stack holds.
#[derive(Debug, Clone)]
enum Value {
    Mark,
    Int(i64),
    Text(Rc<str>),
    /// `module name`
    Class(Rc<str>),
    /// And how many tuples deep it is.
    Tuple(Rc<[Value]>, usize),
    /// Of it, what is a tensor; a dict within a dict is forgotten.
    Dict(Tensors),
    Storage {
        class: Rc<str>,
        key: Rc<str>,
    },
    Tensor(Rc<TorchTensor>),
    /// Whatever matters to no tensor.
    Other,
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Tensors, String> {
        while self.step()? {}
        match self.pop()? {
            Value::Dict(tensors) => Ok(tensors),
            _ => Err("expected a dict of tensors, found another object".into()),
        }
    }

    /// One operation; false where it is the last. Names are those of Python's `pickletools`.
    fn step(&mut self) -> Result<bool, String> {
        let [code] = self.take()?;
        match code {
            b'.' => return Ok(false),                     // STOP
            0x80 => self.take::<1>().map(|_version| ())?, // PROTO
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                self.put(&[key, value])?;
            }
            b'u' => {
                let pairs = self.pop_to_mark()?; // SETITEMS
                self.put(&pairs)?;
            }
            b'a' | b'b' => self.pop().map(|_| ())?, // APPEND, BUILD: an item of a list, or an object's attributes; it stays
            b'e' => self.pop_to_mark().map(|_| ())?, // APPENDS
            b'q' | b'r' => self.remember(code == b'q')?, // BINPUT, LONG_BINPUT
            _ => {
                let value = self.value(code)?;
                self.stack.push(value);
            }
        }
        Ok(true)
    }

    /// The object that an operation puts on the stack.
    fn value(&mut self, code: u8) -> Result<Value, String> {
        Ok(match code {
            b'(' => Value::Mark,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                Value::Class(format!("{module} {name}").into())
            }
            b'X' => self.text()?,                                        // BINUNICODE
            b'K' => Value::Int(u8::from_le_bytes(self.take()?).into()),  // BININT1
            b'M' => Value::Int(u16::from_le_bytes(self.take()?).into()), // BININT2
            b'J' => Value::Int(i32::from_le_bytes(self.take()?).into()), // BININT
            0x8a => self.long()?,                                        // LONG1
            b'G' => self.take::<8>().map(|_float| Value::Other)?,        // BINFLOAT
            0x88 | 0x89 | b'N' | b']' => Value::Other,                   // NEWTRUE, NEWFALSE, NONE, EMPTY_LIST
            b')' => tuple(Vec::new())?,                                  // EMPTY_TUPLE
            b't' => tuple(self.pop_to_mark()?)?,                         // TUPLE
            0x85..=0x87 => {
                let first = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or(EMPTY)?; // TUPLE1 to TUPLE3
                tuple(self.stack.split_off(first))?
            }
            b'}' => Value::Dict(Vec::new()),           // EMPTY_DICT
            b'h' | b'j' => self.recall(code == b'h')?, // BINGET, LONG_BINGET
            b'Q' => storage(&self.pop()?)?,            // BINPERSID
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?); // REDUCE
                call(&callable, &arguments)?
            }
            other => return Err(format!("expected a pickle of tensors, found operation {other:#04x}")),
        })
    }

    /// Keeps the object on top of the stack under a number.
    fn remember(&mut self, short: bool) -> Result<(), String> {
        let index = self.index(short)?;
        let kept = match self.stack.last().ok_or(EMPTY)? {
            Value::Dict(_) => Value::Other, // nothing that is a tensor's names a dict twice
            other => other.clone(),
        };
        self.memo.insert(index, kept);
        Ok(())
    }

    fn recall(&mut self, short: bool) -> Result<Value, String> {
        let index = self.index(short)?;
        self.memo.get(&index).cloned().ok_or_else(|| format!("expected object {index} of the pickle, found none"))
    }

    fn text(&mut self) -> Result<Value, String> {
        let length = u32::from_le_bytes(self.take()?) as usize;
        let text = self.rest.split_off(..length).ok_or("expected more of the pickle, found its end")?;
        Ok(Value::Text(std::str::from_utf8(text).map_err(|_| "expected UTF-8 in the pickle")?.into()))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("expected more of the pickle, found its end")?;
        self.rest = rest;
        Ok(*taken)
    }

    fn line(&mut self) -> Result<String, String> {
        let end =
            self.rest.iter().take(256).position(|byte| *byte == b'\n').ok_or("expected a name in the pickle, found none")?;
        let line = String::from_utf8_lossy(&self.rest[..end]).trim_end_matches('\r').to_owned();
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    /// A whole number of up to eight bytes.
    fn long(&mut self) -> Result<Value, String> {
        let [length] = self.take()?;
        let bytes = self.rest.split_off(..usize::from(length)).filter(|bytes| bytes.len() <= 8);
        let bytes = bytes.ok_or("expected a whole number of at most eight bytes in the pickle")?;
        let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
        let mut whole = [fill; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }

    fn index(&mut self, short: bool) -> Result<u32, String> {
        Ok(if short { self.take::<1>()?[0].into() } else { u32::from_le_bytes(self.take()?) })
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(|| EMPTY.into())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark)).ok_or(EMPTY)?;
        let values = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(values)
    }

    /// Puts keys and values, in turn, into the dict on top of the stack.
    fn put(&mut self, pairs: &[Value]) -> Result<(), String> {
        match self.stack.last_mut() {
            Some(Value::Dict(dict)) => {
                for pair in pairs.chunks(2) {
                    if let [Value::Text(name), Value::Tensor(tensor)] = pair {
                        dict.push((name.clone(), tensor.clone()));
                    }
                }
                Ok(())
            }
            Some(Value::Other) => Ok(()),
            _ => Err("expected a dict in the pickle, found another object".into()),
        }
    }
}

const EMPTY: &str = "expected an object in the pickle, found none";

fn tuple(values: Vec<Value>) -> Result<Value, String> {
    let deep = |value: &Value| if let Value::Tuple(_, depth) = value { *depth } else { 0 };
    let depth = 1 + values.iter().map(deep).max().unwrap_or(0);
    if depth > DEEPEST {
        return Err(format!("expected tuples at most {DEEPEST} deep in the pickle"));
    }
    Ok(Value::Tuple(values.into(), depth))
}

/// Of `("storage", class, key, device, count)`.
fn storage(of: &Value) -> Result<Value, String> {
    match of {
        Value::Tuple(values, _) => match &values[..] {
            [_, Value::Class(class), Value::Text(key), ..] => Ok(Value::Storage { class: class.clone(), key: key.clone() }),
            _ => Err("expected the type and the name of a storage in the pickle".into()),
        },
        _ => Err("expected a storage in the pickle, found another object".into()),
    }
}

/// The few calls that make a tensor or a dict; they are known by name, and nothing is called.
fn call(callable: &Value, arguments: &Value) -> Result<Value, String> {
    let (Value::Class(name), Value::Tuple(arguments, _)) = (callable, arguments) else {
        return Err("expected a name and its arguments in the pickle, found another object".into());
    };
    match (&**name, &arguments[..]) {
        ("collections OrderedDict", []) => Ok(Value::Dict(Vec::new())),
        ("torch._utils _rebuild_parameter", [Value::Tensor(tensor), ..]) => Ok(Value::Tensor(tensor.clone())),
        ("torch._utils _rebuild_tensor_v2", [Value::Storage { class, key }, Value::Int(offset), shape, strides, ..]) => {
            let (shape, strides) = (sizes(shape)?, sizes(strides)?);
            if !contiguous(&shape, &strides) {
                return Err(format!(
                    "expected the numbers of a tensor one after the other, found strides {strides:?} of {shape:?}"
                ));
            }
            let offset = usize::try_from(*offset).map_err(|_| format!("expected an offset of 0 or more, found {offset}"))?;
            let class: Rc<str> = class.strip_prefix("torch ").unwrap_or(class).into();
            Ok(Value::Tensor(TorchTensor { shape, dtype: dtype(&class), class, storage: key.clone(), offset }.into()))
        }
        _ => Err(format!(
            "expected tensors alone, found a call of `{}`, which is not made: nothing in a checkpoint is run",
            name.escape_debug()
        )),
    }
}

fn sizes(of: &Value) -> Result<Vec<usize>, String> {
    let size = |value: &Value| if let Value::Int(size) = value { usize::try_from(*size).ok() } else { None };
    match of {
        Value::Tuple(values, _) if values.len() <= 8 => values.iter().map(size).collect(),
        _ => None,
    }
    .ok_or_else(|| "expected a tensor's shape and strides in the pickle".into())
}

fn contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1usize;
    let mut each = shape.iter().zip(strides).rev();
    shape.len() == strides.len()
        && each.all(|(&size, &stride)| {
            let fits = size <= 1 || stride == step;
            step = step.saturating_mul(size);
            fits
        })
}

fn dtype(class: &str) -> Option<DType> {
    match class {
        "FloatStorage" => Some(DType::F32),
        "HalfStorage" => Some(DType::F16),
        "BFloat16Storage" => Some(DType::BF16),
        "DoubleStorage" => Some(DType::F64),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
