//! The few messages of `onnx.proto` that a policy needs, in protobuf's encoding.

/// Element type float32 of a tensor.
const FLOAT: u64 = 1;

/// How a field is encoded.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A number of seven bits a byte, the lowest first.
    Varint = 0,
    /// A length, then bytes: text, messages, packed numbers.
    Bytes = 2,
}

/// A message while it is written, field after field.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// Without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number as field `field`.
    #[must_use]
    pub fn number(mut self, field: u64, number: u64) -> Self {
        self.tag(field, Kind::Varint);
        self.varint(number);
        self
    }

    /// Adds bytes as field `field`.
    #[must_use]
    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.tag(field, Kind::Bytes);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// Adds text as field `field`.
    #[must_use]
    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// Adds a message as field `field`.
    #[must_use]
    pub fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    /// The encoded message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u64, kind: Kind) {
        self.varint(field << 3 | kind as u64);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

/// A `NodeProto`: one operation, named after what it gives.
pub fn node(op: &str, inputs: &[&str], output: &str) -> Message {
    let node = inputs.iter().fold(Message::new(), |node, input| node.text(1, input));
    node.text(2, output).text(3, output).text(4, op)
}

/// A `TensorProto` of float32, row-major.
pub fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = shape.iter().fold(Message::new(), |tensor, size| tensor.number(1, *size as u64));
    tensor.number(2, FLOAT).text(8, name).bytes(9, &raw)
}

/// A `ValueInfoProto`: float32 `[batch, columns]`, the batch called by its name.
pub fn value(name: &str, batch: &str, columns: usize) -> Message {
    let rows = Message::new().text(2, batch);
    let shape = Message::new().message(1, rows).message(1, Message::new().number(1, columns as u64));
    let tensor = Message::new().number(1, FLOAT).message(2, shape);
    Message::new().text(1, name).message(2, Message::new().message(1, tensor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_encoded_as_protobufs_guide_has_them() {
        // The examples of https://protobuf.dev/programming-guides/encoding.
        assert_eq!(Message::new().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        let testing = Message::new().text(2, "testing").into_bytes();
        assert_eq!(testing, [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let nested = Message::new().message(3, Message::new().number(1, 150)).into_bytes();
        assert_eq!(nested, [0x1a, 0x03, 0x08, 0x96, 0x01]);
    }
}
