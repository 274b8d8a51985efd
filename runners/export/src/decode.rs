//! A reader of event files, for the tests: written from the formats, and of nothing that the writer uses.

use std::collections::BTreeMap;

/// A value of protobuf's wire format.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Fixed32([u8; 4]),
}

/// The fields of a message, by number, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(BTreeMap<u64, Vec<Value>>);

impl Fields {
    pub fn of(mut bytes: &[u8]) -> Self {
        let mut fields = BTreeMap::<u64, Vec<Value>>::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let value = match tag & 7 {
                0 => Value::Varint(varint(&mut bytes)),
                1 => Value::Fixed64(take(&mut bytes, 8).try_into().unwrap()),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    Value::Bytes(take(&mut bytes, length).to_vec())
                }
                5 => Value::Fixed32(take(&mut bytes, 4).try_into().unwrap()),
                other => panic!("wire type {other}"),
            };
            fields.entry(tag >> 3).or_default().push(value);
        }
        Self(fields)
    }

    pub fn has(&self, field: u64) -> bool {
        self.0.contains_key(&field)
    }

    pub fn all(&self, field: u64) -> &[Value] {
        self.0.get(&field).map_or(&[], Vec::as_slice)
    }

    pub fn messages(&self, field: u64) -> Vec<Self> {
        let message = |value: &Value| match value {
            Value::Bytes(bytes) => Self::of(bytes),
            other => panic!("expected a message in field {field}, found {other:?}"),
        };
        self.all(field).iter().map(message).collect()
    }

    pub fn message(&self, field: u64) -> Self {
        self.messages(field).into_iter().next().unwrap_or_default()
    }

    pub fn text(&self, field: u64) -> String {
        match self.all(field) {
            [] => String::new(),
            [Value::Bytes(bytes)] => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("expected text in field {field}, found {other:?}"),
        }
    }

    pub fn integer(&self, field: u64) -> u64 {
        match self.all(field) {
            [] => 0,
            [Value::Varint(integer)] => *integer,
            other => panic!("expected an integer in field {field}, found {other:?}"),
        }
    }

    pub fn double(&self, field: u64) -> f64 {
        match self.all(field) {
            [] => 0.0,
            [Value::Fixed64(bytes)] => f64::from_le_bytes(*bytes),
            other => panic!("expected a double in field {field}, found {other:?}"),
        }
    }

    pub fn float(&self, field: u64) -> f32 {
        match self.all(field) {
            [Value::Fixed32(bytes)] => f32::from_le_bytes(*bytes),
            other => panic!("expected a float in field {field}, found {other:?}"),
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a varint of more than ten bytes")
}

/// The records of a TFRecord file, whose checksums must hold.
pub fn records(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !file.is_empty() {
        let length = take(&mut file, 8);
        let check = u32::from_le_bytes(take(&mut file, 4).try_into().unwrap());
        assert_eq!(check, masked(crc32c(length)), "checksum of a length");
        let data = take(&mut file, u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let check = u32::from_le_bytes(take(&mut file, 4).try_into().unwrap());
        assert_eq!(check, masked(crc32c(data)), "checksum of data");
        records.push(data.to_vec());
    }
    records
}

/// The events of a file.
pub fn events(file: &[u8]) -> Vec<Fields> {
    records(file).iter().map(|record| Fields::of(record)).collect()
}

/// Bit by bit, with the reflected Castagnoli polynomial.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
