//! TensorBoard event files, written without TensorFlow or protobuf libraries.
//!
//! A file is a sequence of TFRecords (little-endian length, masked CRC-32C of it, payload, masked CRC-32C of that);
//! each payload is a protobuf `tensorflow.Event`. Field numbers are those of TensorFlow's event.proto and
//! summary.proto.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use crc32c::crc32c;

use crate::append_file::AppendFile;
use crate::log::Record;

/// `SessionLog.SessionStatus.START`: TensorBoard drops the events of earlier files from this step on.
const SESSION_START: u64 = 1;
/// Added to a rotated CRC so that a CRC over data that contains CRCs stays meaningful (TFRecord's mask).
const MASK_DELTA: u32 = 0xa282_ead8;

/// Writes one event file.
#[derive(Debug)]
pub struct TensorBoardLog {
    file: AppendFile,
}

impl TensorBoardLog {
    /// Starts a new event file in `dir`; events that earlier files hold beyond `resumed_at` steps are declared void.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn create(dir: &Path, resumed_at: Option<u64>) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name =
            format!("events.out.tfevents.{:010}.{:09}.{}", now.as_secs(), now.subsec_nanos(), std::process::id());
        let mut log = Self { file: AppendFile::create(&dir.join(name))? };
        let mut event = Message::event(0);
        event.bytes(3, b"brain.Event:2");
        log.write(&[event])?;
        if let Some(steps) = resumed_at {
            let mut session = Message::default();
            session.varint(1, SESSION_START);
            let mut event = Message::event(steps + 1);
            event.bytes(7, &session.0);
            log.write(&[event])?;
        }
        Ok(log)
    }

    /// Appends the scalars of one iteration, at its number of environment steps. NaN is left out.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let mut summary = Message::default();
        let tagged = record.numbers().into_iter().filter_map(|number| Some((number.tag?, number.value)));
        for (tag, value) in tagged.filter(|(_, value)| !value.is_nan()) {
            let mut entry = Message::default();
            entry.bytes(1, tag.as_bytes());
            entry.float(2, value as f32);
            summary.bytes(1, &entry.0);
        }
        let mut event = Message::event(record.report.steps);
        event.bytes(5, &summary.0);
        self.write(&[event])
    }

    fn write(&mut self, events: &[Message]) -> Result<()> {
        let bytes: Vec<u8> = events.iter().flat_map(|event| record(&event.0)).collect();
        self.file.append(&bytes)
    }

    /// Flushes the events to the disk.
    ///
    /// # Errors
    /// When the file was removed or replaced, or the disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked(crc32c(&length)).to_le_bytes());
    bytes.extend(payload);
    bytes.extend(masked(crc32c(payload)).to_le_bytes());
    bytes
}

fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK_DELTA)
}

/// A protobuf message being written.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    /// An `Event` with the present time and a step.
    fn event(step: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut event = Self::default();
        event.key(1, 1);
        event.0.extend(now.as_secs_f64().to_le_bytes());
        event.varint(2, step);
        event
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.raw_varint(field << 3 | wire_type);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.raw_varint(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.raw_varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::fixture::{deployed_report, report};

    #[test]
    fn messages_are_protobuf() {
        let mut message = Message::default();
        message.varint(1, 150); // the example of protobuf's encoding page
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        let mut message = Message::default();
        message.bytes(2, b"testing");
        assert_eq!(message.0, [&[0x12, 0x07][..], b"testing"].concat());
        let mut message = Message::default();
        message.float(2, 1.0);
        assert_eq!(message.0, [0x15, 0, 0, 0x80, 0x3f]);
    }

    #[test]
    fn a_file_holds_its_scalars() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TensorBoardLog::create(dir.path(), Some(50)).unwrap();
        let first = report(1, vec![("Train/KL", 0.25)]);
        log.append(&Record { report: &first, samples: 100, wall_s: 1.0 }).unwrap();
        let events: Vec<Event> =
            payloads(&std::fs::read(log.file.path()).unwrap()).into_iter().map(Event::decode).collect();
        let [version, session, scalars] = &events[..] else { panic!("{events:?}") };
        assert_eq!((version.step, version.version.as_str()), (0, "brain.Event:2"));
        // The events of earlier files are void from the step after the one that was resumed.
        assert_eq!((session.step, session.session), (51, Some(SESSION_START)));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(events.iter().all(|event| (now - 60.0..=now).contains(&event.time)), "{events:?}");
        assert_eq!(scalars.step, 100);
        // There was no episode yet, so that nothing is said of any.
        let expected = [
            ("Time/Rollout", 0.25),
            ("Time/Deployed", 0.0),
            ("Time/Update", 0.75),
            ("Time/FPS", 100.0),
            ("Metrics/StepReturn", 2.0),
            ("Metrics/StepCost", 12.5),
            ("Metrics/SteeringCost", 12.5),
            ("Train/KL", 0.25),
        ];
        assert_eq!(scalars.scalars, expected.map(|(tag, value)| (tag.to_owned(), value)));
        log.append(&Record { report: &report(3, vec![]), samples: 100, wall_s: 1.0 }).unwrap();
        let last =
            payloads(&std::fs::read(log.file.path()).unwrap()).into_iter().map(Event::decode).next_back().unwrap();
        let value = |name: &str| last.scalars.iter().find(|(tag, _)| tag == name).map(|(_, value)| *value);
        assert_eq!((last.step, value("Metrics/EpRet"), value("Metrics/EpCost")), (300, Some(4.567), Some(31.04)));
        assert_eq!(value("Metrics/EpLen"), Some(1000.0));
        log.append(&Record { report: &deployed_report(3, vec![]), samples: 100, wall_s: 1.0 }).unwrap();
        let last =
            payloads(&std::fs::read(log.file.path()).unwrap()).into_iter().map(Event::decode).next_back().unwrap();
        let value = |name: &str| last.scalars.iter().find(|(tag, _)| tag == name).map(|(_, value)| *value);
        assert_eq!((value("Metrics/EpRet"), value("Metrics/EpCost")), (Some(4.567), Some(31.04)));
        let deployed = ["EpRet", "EpCost", "StepCost", "Steps"].map(|name| value(&format!("Deployed/{name}")));
        assert_eq!(deployed, [7.0, 20.0, 12.5, 384.0].map(Some));
    }

    /// The payloads of a file of records, their checksums verified.
    fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let payload_length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let (length_crc, rest) = rest.split_at(4);
            let (payload, rest) = rest.split_at(payload_length);
            let (payload_crc, rest) = rest.split_at(4);
            assert_eq!(length_crc, masked(crc32c(length)).to_le_bytes());
            assert_eq!(payload_crc, masked(crc32c(payload)).to_le_bytes());
            found.push(payload);
            bytes = rest;
        }
        found
    }

    /// What an event says, as a reader of protobuf sees it.
    #[derive(Debug, Default)]
    struct Event {
        time: f64,
        step: u64,
        version: String,
        session: Option<u64>,
        scalars: Vec<(String, f32)>,
    }

    /// One field of a message: its number and its value.
    enum Field<'a> {
        Varint(u64),
        Double(f64),
        Float(f32),
        Bytes(&'a [u8]),
    }

    impl Event {
        fn decode(payload: &[u8]) -> Self {
            let mut event = Self::default();
            for field in fields(payload) {
                match field {
                    (1, Field::Double(time)) => event.time = time,
                    (2, Field::Varint(step)) => event.step = step,
                    (3, Field::Bytes(text)) => event.version = String::from_utf8(text.to_vec()).unwrap(),
                    (5, Field::Bytes(summary)) => event.scalars = fields(summary).into_iter().map(scalar).collect(),
                    (7, Field::Bytes(session)) => {
                        let [(1, Field::Varint(status))] = fields(session)[..] else { panic!("a session's status") };
                        event.session = Some(status);
                    }
                    (number, _) => panic!("field {number} of an event"),
                }
            }
            event
        }
    }

    fn scalar((number, entry): (u64, Field)) -> (String, f32) {
        let Field::Bytes(entry) = entry else { panic!("an entry of a summary") };
        let [(1, Field::Bytes(tag)), (2, Field::Float(value))] = fields(entry)[..] else { panic!("a tag and a value") };
        assert_eq!(number, 1);
        (String::from_utf8(tag.to_vec()).unwrap(), value)
    }

    fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let mut take = |n: usize| {
                let (taken, rest) = bytes.split_at(n);
                bytes = rest;
                taken
            };
            let field = match key & 7 {
                1 => Field::Double(f64::from_le_bytes(take(8).try_into().unwrap())),
                5 => Field::Float(f32::from_le_bytes(take(4).try_into().unwrap())),
                0 => Field::Varint(varint(&mut bytes)),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    let (taken, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(taken)
                }
                other => panic!("wire type {other}"),
            };
            found.push((key >> 3, field));
        }
        found
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let length = 1 + bytes.iter().take_while(|byte| **byte >= 0x80).count();
        let (taken, rest) = bytes.split_at(length);
        *bytes = rest;
        taken.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
    }

    #[test]
    fn records_carry_masked_checksums() {
        let payload = b"payload";
        let bytes = record(payload);
        assert_eq!(bytes.len(), 8 + 4 + payload.len() + 4);
        assert_eq!(bytes[..8], 7u64.to_le_bytes());
        let unmask = |bytes: &[u8]| {
            let stored = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            stored.wrapping_sub(MASK_DELTA).rotate_left(15)
        };
        assert_eq!(unmask(&bytes[8..12]), crc32c(&bytes[..8]));
        assert_eq!(unmask(&bytes[19..]), crc32c(payload));
    }
}
