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

/// The tensors that a pickle says there are.
///
/// # Errors
/// When it says anything else.
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

    /// One operation; false where it is the last.
    fn step(&mut self) -> Result<bool, String> {
        let [code] = self.take()?;
        let value = match code {
            0x80 => {
                let [_version] = self.take()?;
                return Ok(true);
            }
            b'.' => return Ok(false),
            b'(' => Value::Mark,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Class(format!("{module} {name}").into())
            }
            b'X' => {
                let length = u32::from_le_bytes(self.take()?) as usize;
                let text = self.rest.split_off(..length).ok_or("expected more of the pickle, found its end")?;
                Value::Text(std::str::from_utf8(text).map_err(|_| "expected UTF-8 in the pickle")?.into())
            }
            b'K' => Value::Int(u8::from_le_bytes(self.take()?).into()),
            b'M' => Value::Int(u16::from_le_bytes(self.take()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.take()?).into()),
            0x8a => self.long()?,
            b'G' => {
                let [_, _, _, _, _, _, _, _] = self.take()?;
                Value::Other
            }
            0x88 | 0x89 | b'N' | b']' => Value::Other,
            b')' => tuple(Vec::new())?,
            b't' => tuple(self.pop_to_mark()?)?,
            0x85..=0x87 => {
                let first = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or(EMPTY)?;
                tuple(self.stack.split_off(first))?
            }
            b'}' => Value::Dict(Vec::new()),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                return self.put(vec![key, value]);
            }
            b'u' => {
                let pairs = self.pop_to_mark()?;
                return self.put(pairs);
            }
            b'a' | b'b' => {
                self.pop()?; // an item of a list, or attributes of an object: the object stays
                return Ok(true);
            }
            b'e' => {
                self.pop_to_mark()?;
                return Ok(true);
            }
            b'q' | b'r' => {
                let index = self.index(code == b'q')?;
                let kept = match self.stack.last().ok_or(EMPTY)? {
                    Value::Dict(_) => Value::Other, // nothing that is a tensor's names a dict twice
                    other => other.clone(),
                };
                self.memo.insert(index, kept);
                return Ok(true);
            }
            b'h' | b'j' => {
                let index = self.index(code == b'h')?;
                self.memo.get(&index).cloned().ok_or_else(|| format!("expected object {index} of the pickle, found none"))?
            }
            b'Q' => storage(&self.pop()?)?,
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                call(&callable, &arguments)?
            }
            other => return Err(format!("expected a pickle of tensors, found operation {other:#04x}")),
        };
        self.stack.push(value);
        Ok(true)
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

    fn put(&mut self, pairs: Vec<Value>) -> Result<bool, String> {
        match self.stack.last_mut() {
            Some(Value::Dict(dict)) => {
                for pair in pairs.chunks(2) {
                    if let [Value::Text(name), Value::Tensor(tensor)] = pair {
                        dict.push((name.clone(), tensor.clone()));
                    }
                }
            }
            Some(Value::Other) => {}
            _ => return Err("expected a dict in the pickle, found another object".into()),
        }
        Ok(true)
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
pub(super) mod tests {
    use super::*;

    fn refused(pickle: &[u8], expected: &str) {
        let message = tensors(pickle).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    /// `{"w": tensor}` of shape (2, 3), as `torch.save` writes it; the parts after the storage are given.
    pub(in super::super) fn tensor(rest: &[u8]) -> Vec<u8> {
        let start = b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage\
                      ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ";
        [&start[..], rest].concat()
    }

    pub(in super::super) const PLAIN: &[u8] = b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtRs.";

    #[test]
    fn nothing_is_called_and_nothing_takes_more_than_its_bytes() {
        refused(b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "found a call of `os system`, which is not made");
        refused(b"cbuiltins\neval\n)\x81.", "operation 0x81");
        refused(&tensor(b"tR."), "found a call of `torch._utils _rebuild_tensor_v2`"); // arguments missing
        refused(&tensor(b"K\x00K\x02K\x03\x86K\x01K\x02\x86\x89NtRs."), "one after the other, found strides [1, 2] of [2, 3]");
        refused(&tensor(b"J\xff\xff\xff\xffK\x02K\x03\x86K\x03K\x01\x86\x89NtRs."), "found -1");
        refused(&tensor(b"K\x00J\xff\xff\xff\xff\x85K\x01\x85\x89NtRs."), "a tensor's shape and strides");
        refused(b"X\xff\xff\xff\xffa.", "found its end");
        refused(b"\x8a\x09123456789.", "at most eight bytes");
        refused(b"h\x05.", "expected object 5");
        refused(b"(t.", "found another object");
        refused(b"t.", "found none");
        refused(b"K\x01Q.", "expected a storage");
        refused(b"K\x01K\x02s.", "expected a dict");
        refused(b"", "found its end");
        // A tuple of two of itself, again and again, would be 2^200 objects if it were copied; it is too deep.
        let bomb: Vec<u8> = [&b")q\x00"[..], &b"h\x00h\x00\x86q\x00".repeat(200), b"."].concat();
        refused(&bomb, "tuples at most 8 deep");
        let deep: Vec<u8> = [&b")"[..], &b"\x85".repeat(1_000_000), b"."].concat();
        refused(&deep, "tuples at most 8 deep");
        assert_eq!(tensors(b"}X\x01\x00\x00\x00aK\x01s.").unwrap(), []);
    }
}
