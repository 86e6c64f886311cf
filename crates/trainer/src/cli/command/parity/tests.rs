//! Archives as NumPy writes them, whole, damaged and hostile.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::*;

/// An array of 64-bit numbers as NumPy writes it.
fn npy(shape: &[usize], values: &[f64]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    npy_of("<f8", shape, &data)
}

fn npy_of(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n},")).collect();
    npy_with(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}"), data)
}

fn npy_with(header: &str, data: &[u8]) -> Vec<u8> {
    let padding = 63 - (10 + header.len()) % 64;
    let length = (header.len() + padding + 1) as u16;
    [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], header.as_bytes(), &vec![b' '; padding], b"\n", data].concat()
}

/// How an archive is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    /// `savez`: as it is.
    Stored,
    /// `savez_compressed`.
    Deflated,
    /// `savez_compressed` into a pipe: sizes follow the data.
    Piped,
    /// `savez_compressed` of Python before 3.11: sizes of 32 bits stand beside those of 64.
    Older,
}

/// An archive as NumPy writes it: sizes of 64 bits in the members' headers, none in the directory.
fn npz(style: Style, members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let name = format!("{name}.npy");
        let packed = if style == Style::Stored {
            data.clone()
        } else {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        };
        let (flags, method) = match style {
            Style::Stored => (0u16, 0u16),
            Style::Deflated | Style::Older => (0, 8),
            Style::Piped => (8, 8),
        };
        // Version needed, flags, method, time, date: midnight of the first day of 1980.
        let common = [45u16, flags, method, 0, 0x21].map(u16::to_le_bytes).concat();
        let crc = crc32fast::hash(data).to_le_bytes();
        let sizes = [data.len() as u64, packed.len() as u64];
        let offset = file.len() as u32;
        let (known, extra) = if style == Style::Piped { ([0; 4], [0, 0]) } else { (crc, sizes) };
        let short = if style == Style::Older { [sizes[1], sizes[0]].map(|size| size as u32) } else { [u32::MAX; 2] };
        let short = short.map(u32::to_le_bytes).concat();
        file.extend([b"PK\x03\x04", &common[..], &known, &short, &(name.len() as u16).to_le_bytes()].concat());
        file.extend([&[20, 0][..], name.as_bytes(), &[1, 0, 16, 0]].concat());
        file.extend([&extra.map(u64::to_le_bytes).concat()[..], &packed].concat());
        if style == Style::Piped {
            file.extend([b"PK\x07\x08", &crc[..], &[sizes[1], sizes[0]].map(u64::to_le_bytes).concat()].concat());
        }
        directory.extend([b"PK\x01\x02", &[45, 3][..], &common, &crc].concat());
        directory.extend([sizes[1] as u32, sizes[0] as u32].map(u32::to_le_bytes).concat());
        directory.extend([name.len() as u16, 0, 0, 0, 0].map(u16::to_le_bytes).concat());
        directory.extend([&0x0180_0000u32.to_le_bytes()[..], &offset.to_le_bytes(), name.as_bytes()].concat());
    }
    let (start, size) = (file.len() as u32, directory.len() as u32);
    let count = (members.len() as u16).to_le_bytes();
    file.extend(directory);
    file.extend(
        [b"PK\x05\x06\0\0\0\0", &count[..], &count, &size.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat(),
    );
    file
}

/// Three steps of an agent at rest that does nothing.
fn rest(with_meta: bool) -> Vec<(&'static str, Vec<u8>)> {
    let mut members = vec![("action", npy(&[3, 2], &[0.0; 6]))];
    members.extend(["agent_pos", "agent_linvel", "agent_angvel"].map(|name| (name, npy(&[4, 3], &[0.0; 12]))));
    members.push(("agent_yaw", npy(&[4], &[0.0; 4])));
    if with_meta {
        members.push(("meta", npy_of("|S19", &[1], b"SafetyPointGoal0-v0")));
    }
    members
}

fn read(name: &str, bytes: &[u8]) -> Result<Recording> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read_recording(&path)
}

#[test]
fn archives_are_read_with_what_they_have() {
    for style in [Style::Stored, Style::Deflated, Style::Piped, Style::Older] {
        for (name, with_meta) in [("any.npz", true), ("sub_SafetyPointGoal0-v0_s1.npz", false)] {
            let recording = read(name, &npz(style, &rest(with_meta))).unwrap();
            assert_eq!((recording.env.as_str(), recording.rows_per_step), ("SafetyPointGoal0-v0", 1));
            assert_eq!((recording.action.len(), recording.agent_pos.len()), (6, 12));
            assert!(recording.obs.is_empty() && recording.free_names.is_empty());
            let report = replay(&recording).unwrap();
            assert_eq!(report.steps, 3);
        }
        let nameless = read("nameless.npz", &npz(style, &rest(false))).unwrap_err();
        assert!(format!("{nameless:#}").contains("meta"));
    }
}

#[test]
fn other_files_are_refused_by_name() {
    assert!(format!("{:#}", read("x.npz", b"no archive").unwrap_err()).contains("x.npz"));
    assert!(
        format!("{:#}", read("x.npz", b"a text that is longer than the record at an archive's end").unwrap_err())
            .contains("x.npz")
    );
    let missing = read_recording(Path::new("missing.npz")).unwrap_err();
    assert!(missing.downcast_ref::<UsageError>().is_some());
}

/// Every bit of an archive, flipped: the file is refused. What a decoder cannot see are bits that fill up the last byte of a
/// compressed member; nothing is read from them.
#[test]
fn a_flipped_bit_is_refused() {
    for style in [Style::Stored, Style::Deflated, Style::Piped, Style::Older] {
        // Numbers that do not compress to nothing; few, since every bit is one more archive to read.
        let noise: Vec<f64> = (0..5).map(|i| f64::from(i * 7919 % 101).sin()).collect();
        let members = [("action", npy(&[2], &noise[..2])), ("agent_yaw", npy(&[3], &noise[2..]))];
        let whole = npz(style, &members);
        let original = Npz::new(&whole).unwrap();
        let mut unseen = 0;
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = Npz::new(&flipped) {
                for (name, data) in &members {
                    assert_eq!(read.get(name), original.get(name), "{style:?}, bit {bit}, {name}");
                    assert_eq!(read.get(name), Some(data.as_slice()));
                }
                unseen += 1;
            }
        }
        let filling = if style == Style::Stored { 0 } else { 7 * members.len() };
        assert!(unseen <= filling, "{style:?}: {unseen} flips of {} bits are not seen", 8 * whole.len());
    }
}

#[test]
fn an_archive_that_is_cut_off_or_added_to_is_refused() {
    let whole = npz(Style::Deflated, &rest(true));
    for length in 0..whole.len() {
        assert!(Npz::new(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
    }
    assert!(Npz::new(&[&whole[..], b"\0"].concat()).is_err());
    assert!(Npz::new(&[b"\0", &whole[..]].concat()).is_err());
}

#[test]
fn members_that_claim_too_much_are_refused_without_being_unpacked() {
    // 4 GB of zeros in 4 MB: more than an archive may hold, and the claim is made with the true size or a small one.
    let bomb = npz(Style::Deflated, &[("a", vec![0; MOST_BYTES as usize - 1]), ("b", vec![0; 2])]);
    assert!(bomb.len() < 200_000);
    assert!(format!("{:#}", Npz::new(&bomb).unwrap_err()).contains("bytes together"));
    let mut small = npz(Style::Deflated, &[("a", vec![0; 100_000])]);
    let (true_size, claimed) = (100_000u64.to_le_bytes(), 10u64.to_le_bytes());
    for at in 0..small.len() - 8 {
        let wide = if small[at..].starts_with(&true_size) { 8 } else { 4 };
        if small[at..].starts_with(&true_size[..wide]) {
            small[at..at + wide].copy_from_slice(&claimed[..wide]);
        }
    }
    assert!(format!("{:#}", Npz::new(&small).unwrap_err()).contains("does not unpack to the 10 bytes"));
    assert!(Npz::new(&npz(Style::Stored, &[("a", vec![1]), ("a", vec![2])])).is_err(), "one name twice");
}

#[test]
fn headers_of_arrays_are_held_against_their_data() {
    assert_eq!(Npy::new(&npy(&[3], &[1.0, 2.0, 3.0])).unwrap().numbers().unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(Npy::new(&npy(&[], &[4.5])).unwrap().numbers().unwrap(), [4.5]);
    assert!(Npy::new(&npy(&[0, 7], &[])).unwrap().numbers().unwrap().is_empty());
    let wide = npy_with("{'shape': (2,), \"descr\": '>i4', 'fortran_order': True}", &[0, 0, 1, 0, 255, 255, 255, 255]);
    assert_eq!(Npy::new(&wide).unwrap().numbers().unwrap(), [256.0, -1.0]);
    assert_eq!(Npy::new(&npy_of("|b1", &[3], &[0, 1, 1])).unwrap().numbers().unwrap(), [0.0, 1.0, 1.0]);
    let names = npy_of("<U2", &[2], &['a', 'b', '\u{e9}', '\0'].map(|c| (c as u32).to_le_bytes()).concat());
    assert_eq!(Npy::new(&names).unwrap().strings().unwrap(), ["ab", "\u{e9}"]);
    assert_eq!(Npy::new(&npy_of("|S3", &[2], b"abcx\0\0")).unwrap().strings().unwrap(), ["abc", "x"]);

    let huge = usize::MAX;
    for (what, wrong) in [
        ("more data than told", npy(&[2], &[1.0, 2.0, 3.0])),
        ("less data than told", npy(&[4], &[1.0, 2.0, 3.0])),
        ("a size that overflows", npy(&[huge, huge], &[1.0])),
        ("objects", npy_of("|O", &[1], &[0; 8])),
        ("records", npy_with("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", &[0; 8])),
        ("columns first", npy_with("{'descr': '<f8', 'fortran_order': True, 'shape': (1, 1)}", &[0; 8])),
        (
            "an entry twice",
            npy_with("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", &[0; 8]),
        ),
        ("no shape", npy_with("{'descr': '<f8', 'fortran_order': False}", &[0; 8])),
        ("nested brackets", npy_with(&format!("{{'descr': '<f8', 'shape': {}", "(".repeat(4000)), &[0; 8])),
        ("a header of 5000 bytes", npy_with(&" ".repeat(5000), &[0; 8])),
        ("many dimensions", npy_of("<f8", &[1; 65], &[0; 8])),
        ("nothing", vec![]),
    ] {
        assert!(Npy::new(&wrong).is_err(), "{what}");
    }
    assert!(Npy::new(&npy_of("<U1", &[1], &0xd800u32.to_le_bytes())).unwrap().strings().is_err(), "a half character");
    assert!(Npy::new(&npy_of("<f2", &[1], &[0; 2])).unwrap().numbers().is_err());
    assert!(Npy::new(&npy(&[1], &[0.0])).unwrap().strings().is_err());
}

#[test]
fn damaged_recordings_are_arrays_or_an_error() {
    let styles = [Style::Stored, Style::Deflated, Style::Piped, Style::Older];
    let archives: Vec<Vec<u8>> = styles.iter().map(|style| npz(*style, &rest(true))).collect();
    let headers = npy(&[3, 2], &[0.5; 6]);
    crate::fuzz::fuzz("recordings", |random| {
        let archive = crate::fuzz::damaged(&archives[random.below(archives.len())], random);
        if let Ok(archive) = Npz::new(&archive) {
            let _ = archive.get("action").map(|array| Npy::new(array).and_then(|array| array.numbers()));
        }
        if let Ok(array) = Npy::new(&crate::fuzz::damaged(&headers, random)) {
            let _ = (array.numbers(), array.strings());
        }
    });
}
