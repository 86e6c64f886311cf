//! NumPy's `.npz` archives, read whole and strictly: ZIP files as `numpy.savez` and `savez_compressed` write them.
//!
//! A recording decides whether the simulator is believed, so that nothing damaged may pass. Every member's CRC-32 is
//! checked, also of those that nobody asks for, and everything the format says twice must be said alike: a name that
//! differs by a bit would otherwise be an array that is simply not there.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use flate2::bufread::DeflateDecoder;

/// Largest archive, and most bytes that its arrays may have together; a recording of 1,000 steps has some 0.6 MB.
pub const MOST_BYTES: u64 = 64 << 20;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
/// Length of the end record without a comment.
const END_SIZE: usize = 22;
/// Of the flags: sizes and CRC-32 follow the data, since the file was written without going back.
const SIZES_FOLLOW: u16 = 1 << 3;
/// Of the flags: the name is UTF-8.
const UTF8: u16 = 1 << 11;
/// A size that stands in the extra field instead.
const IN_EXTRA: u32 = u32::MAX;
/// The extra field that holds sizes of 64 bits.
const ZIP64: u16 = 1;

/// The arrays of an archive as they stand in it, by name without `.npy`.
#[derive(Debug)]
pub struct Npz {
    members: BTreeMap<String, Vec<u8>>,
}

impl Npz {
    /// Reads an archive and checks all of it.
    ///
    /// # Errors
    ///
    /// When it is no archive as NumPy writes it, damaged, or larger than [`MOST_BYTES`].
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let entries = directory(bytes)?;
        let mut members = BTreeMap::new();
        // Members follow one another from the first byte on, and the directory follows the last one.
        let mut end = 0;
        let mut left = MOST_BYTES;
        for entry in &entries {
            ensure!(entry.offset == end, "`{}` does not begin where the member before it ends", entry.name);
            let (data, next) = member(bytes, entry, left).with_context(|| format!("member `{}`", entry.name))?;
            (end, left) = (next, left - data.len() as u64);
            let name = entry.name.strip_suffix(".npy").unwrap_or(&entry.name).to_owned();
            ensure!(members.insert(name, data).is_none(), "`{}` is there twice", entry.name);
        }
        let directory = entries.first().map(|entry| entry.directory);
        ensure!(directory == Some(end), "its directory does not begin where its last member ends");
        Ok(Self { members })
    }

    /// The bytes of an array's `.npy` file, if it is there.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.members.get(name).map(Vec::as_slice)
    }
}

/// What the directory says of a member.
struct Entry {
    name: String,
    /// Version needed, flags, method, time and date, which the member's own header repeats.
    common: [u8; 10],
    crc: u32,
    compressed: u32,
    size: u32,
    /// Where the member's header begins.
    offset: usize,
    /// Where the directory begins.
    directory: usize,
}

impl Entry {
    fn flags(&self) -> u16 {
        u16::from_le_bytes([self.common[2], self.common[3]])
    }

    fn method(&self) -> u16 {
        u16::from_le_bytes([self.common[4], self.common[5]])
    }
}

/// Reads little-endian numbers one after another.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.context("it ends in the middle of a header")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The entries of the directory at the end of the file, in the order of their members.
fn directory(bytes: &[u8]) -> Result<Vec<Entry>> {
    ensure!(bytes.len() as u64 <= MOST_BYTES, "an archive of {} bytes is too large", bytes.len());
    let end = bytes.len().checked_sub(END_SIZE).context("it is too short for a ZIP archive")?;
    let mut record = Fields { bytes, at: end };
    ensure!(record.u32()? == END, "it does not end as a ZIP archive of NumPy does");
    let disks = [record.u16()?, record.u16()?];
    let counts = [record.u16()?, record.u16()?];
    let (size, start) = (record.u32()? as usize, record.u32()? as usize);
    let comment = record.u16()?;
    ensure!(disks == [0, 0] && counts[0] == counts[1] && comment == 0, "its end record contradicts itself");
    ensure!(start.checked_add(size) == Some(end), "its directory does not end where its end record begins");

    let mut fields = Fields { bytes: &bytes[..end], at: start };
    let mut entries = Vec::new();
    let mut origins = Vec::new();
    for _ in 0..counts[0] {
        ensure!(fields.u32()? == CENTRAL, "its directory is damaged");
        let writer = fields.u16()?;
        let common = fields.array()?;
        let (crc, compressed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let [name_length, extra_length, comment_length] = [fields.u16()?, fields.u16()?, fields.u16()?];
        let attributes: [u8; 8] = fields.array()?;
        let offset = fields.u32()? as usize;
        let name = fields.take(name_length.into())?;
        fields.take(usize::from(extra_length) + usize::from(comment_length))?;
        let name = std::str::from_utf8(name).ok().context("a member's name is not UTF-8")?.to_owned();
        ensure!(compressed != IN_EXTRA && size != IN_EXTRA, "`{name}` has 4 GB or more");
        origins.push((writer, attributes, extra_length, comment_length));
        entries.push(Entry { name, common, crc, compressed, size, offset, directory: start });
    }
    ensure!(fields.at == end, "its directory is longer than its entries");
    // Nothing else repeats these; all members of an archive are written alike.
    ensure!(origins.windows(2).all(|pair| pair[0] == pair[1]), "its members are not all written by the same program");
    entries.sort_by_key(|entry| entry.offset);
    Ok(entries)
}

/// The data of a member, of which `left` bytes are allowed, and where the next one begins.
fn member(bytes: &[u8], entry: &Entry, left: u64) -> Result<(Vec<u8>, usize)> {
    let mut header = Fields { bytes: &bytes[..entry.directory], at: entry.offset };
    ensure!(header.u32()? == LOCAL, "it does not begin with its header");
    ensure!(header.array()? == entry.common, "its header contradicts the directory");
    let (crc, compressed, size) = (header.u32()?, header.u32()?, header.u32()?);
    let [name_length, extra_length] = [header.u16()?, header.u16()?];
    ensure!(header.take(name_length.into())? == entry.name.as_bytes(), "its name contradicts the directory's");
    let extra = header.take(extra_length.into())?;
    ensure!(entry.flags() & !(SIZES_FOLLOW | UTF8) == 0, "flags {:#x} are not understood", entry.flags());
    let follow = entry.flags() & SIZES_FOLLOW != 0;
    let zip64 = sizes_in_extra(extra)?;
    let stated = match (zip64, compressed, size) {
        (Some([size, compressed]), IN_EXTRA, IN_EXTRA) => (crc, compressed, size),
        (None, compressed, size) => (crc, compressed.into(), size.into()),
        // Python before 3.11 writes them twice.
        (Some(sizes), compressed, size) if sizes == [u64::from(size), u64::from(compressed)] => {
            (crc, sizes[1], sizes[0])
        }
        (Some(_), ..) => bail!("its header states two sizes"),
    };
    let expected = (entry.crc, u64::from(entry.compressed), u64::from(entry.size));
    ensure!(stated == if follow { (0, 0, 0) } else { expected }, "its sizes contradict the directory's");

    ensure!(expected.2 <= left, "the arrays have more than {MOST_BYTES} bytes together");
    let data = unpack(header.take(entry.compressed as usize)?, entry)?;
    ensure!(crc32fast::hash(&data) == entry.crc, "its checksum is wrong: the file is damaged");
    if follow {
        ensure!(header.u32()? == DESCRIPTOR, "its sizes do not follow its data");
        let crc = header.u32()?;
        let follows = match zip64 {
            Some(_) => (crc, header.u64()?, header.u64()?),
            None => (crc, header.u32()?.into(), header.u32()?.into()),
        };
        ensure!(follows == expected, "the sizes behind its data contradict the directory's");
    }
    Ok((data, header.at))
}

/// Size and compressed size of 64 bits, where the extra field has them.
fn sizes_in_extra(extra: &[u8]) -> Result<Option<[u64; 2]>> {
    if extra.is_empty() {
        return Ok(None);
    }
    let mut fields = Fields { bytes: extra, at: 0 };
    ensure!(fields.u16()? == ZIP64 && fields.u16()? == 16, "its extra field is not understood");
    let sizes = [fields.u64()?, fields.u64()?];
    ensure!(fields.at == extra.len(), "its extra field is not understood");
    Ok(Some(sizes))
}

fn unpack(packed: &[u8], entry: &Entry) -> Result<Vec<u8>> {
    let size = u64::from(entry.size);
    match entry.method() {
        0 => {
            ensure!(packed.len() as u64 == size, "it has {} bytes and not {size}", packed.len());
            Ok(packed.to_vec())
        }
        8 => {
            let mut decoder = DeflateDecoder::new(packed);
            let mut data = Vec::new();
            // One byte more than there should be shows that there is more, whatever the data unpacks to.
            let read = decoder.by_ref().take(size + 1).read_to_end(&mut data);
            read.context("its compressed data is damaged")?;
            ensure!(data.len() as u64 == size, "it does not unpack to the {size} bytes that it should have");
            ensure!(decoder.total_in() == packed.len() as u64, "it has bytes behind its compressed data");
            Ok(data)
        }
        method => bail!("compression method {method} is not understood"),
    }
}
