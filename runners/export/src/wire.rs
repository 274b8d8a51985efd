//! The wire format of protobuf: a message is a sequence of fields, each a tag (number and wire type) and a value.
//!
//! A field that has its type's default (0, empty text) is left out, as protobuf's own writers do.

/// A message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

/// How a value follows its tag.
#[derive(Clone, Copy)]
enum WireType {
    Varint = 0,
    Fixed64 = 1,
    LengthDelimited = 2,
    Fixed32 = 5,
}

impl Message {
    /// Fields of type int64, int32, bool and enums; negative numbers, which none of ours has, would take ten bytes.
    pub fn integer(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.tag(field, WireType::Varint);
            self.varint(value);
        }
        self
    }

    /// A field of type double.
    pub fn double(mut self, field: u32, value: f64) -> Self {
        if value.to_bits() != 0 {
            self.tag(field, WireType::Fixed64);
            self.0.extend(value.to_le_bytes());
        }
        self
    }

    /// A field of type float in a `oneof`, where the default is a value too and is written.
    pub fn chosen_float(mut self, field: u32, value: f32) -> Self {
        self.tag(field, WireType::Fixed32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field of type double in a `oneof`.
    pub fn chosen_double(mut self, field: u32, value: f64) -> Self {
        self.tag(field, WireType::Fixed64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field of type bool in a `oneof`.
    pub fn chosen_flag(mut self, field: u32, value: bool) -> Self {
        self.tag(field, WireType::Varint);
        self.varint(u64::from(value));
        self
    }

    /// A field of type string.
    pub fn text(self, field: u32, value: &str) -> Self {
        if value.is_empty() { self } else { self.bytes(field, value.as_bytes()) }
    }

    /// A field of type string in a `oneof`.
    pub fn chosen_text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// A field that is a message, or one more of a repeated field.
    pub fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// A field of type bytes, with its length first.
    pub fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.tag(field, WireType::LengthDelimited);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// The bytes of the message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn tag(&mut self, field: u32, wire: WireType) {
        self.varint(u64::from(field) << 3 | wire as u64);
    }

    /// Seven bits per byte, the lowest first; the highest bit is set where more bytes follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: Message, expected: &[u8]) {
        assert_eq!(message.as_bytes(), expected);
    }

    #[test]
    fn fields_have_the_bytes_of_protobufs_own_documentation() {
        check(Message::default().integer(1, 150), &[0x08, 0x96, 0x01]);
        check(Message::default().text(2, "testing"), b"\x12\x07testing");
        check(Message::default().message(3, &Message::default().integer(1, 150)), &[0x1a, 0x03, 0x08, 0x96, 0x01]);
    }

    #[test]
    fn numbers_are_little_endian() {
        check(Message::default().double(1, 1.0), &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        check(Message::default().chosen_float(2, 1.0), &[0x15, 0, 0, 0x80, 0x3f]);
        check(Message::default().chosen_flag(4, true), &[0x20, 1]);
        check(Message::default().integer(2, u64::MAX >> 1), &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    }

    #[test]
    fn defaults_are_left_out_where_a_reader_cannot_tell() {
        check(Message::default().integer(1, 0).double(2, 0.0).text(3, ""), &[]);
        check(Message::default().chosen_float(2, 0.0), &[0x15, 0, 0, 0, 0]);
        check(Message::default().chosen_text(3, ""), &[0x1a, 0]);
        check(Message::default().double(2, -0.0), &[0x11, 0, 0, 0, 0, 0, 0, 0, 0x80]);
    }
}
