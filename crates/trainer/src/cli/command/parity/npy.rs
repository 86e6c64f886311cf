//! One array of NumPy's `.npy` format: numbers or strings.

use anyhow::{Context, Result, bail, ensure};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header; NumPy's are of 54 to 118 bytes for arrays that are no records.
const LONGEST_HEADER: usize = 4096;
/// Most dimensions an array may have, as in NumPy.
const MOST_DIMENSIONS: usize = 64;

/// An array whose header is read.
#[derive(Debug, PartialEq)]
pub struct Npy<'a> {
    /// Kind of the items: `f`, `i`, `u`, `b`, `S` (bytes) or `U` (code points).
    kind: char,
    /// Bytes per item.
    item_size: usize,
    big_endian: bool,
    /// The items, row-major.
    data: &'a [u8],
}

impl<'a> Npy<'a> {
    /// Reads the header and holds the data against it.
    ///
    /// # Errors
    ///
    /// When it is no array, its items are records or objects, it is in column-major order, or its data is not as long as
    /// its header says.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let rest = bytes.strip_prefix(MAGIC).context("it does not begin as an array of NumPy does")?;
        let (length, rest) = match rest {
            [1, 0, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
            [2 | 3, 0, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
            _ => bail!("this version of the format is not known"),
        };
        ensure!(length <= LONGEST_HEADER && length <= rest.len(), "a header of {length} bytes is too long");
        let (header, data) = rest.split_at(length);
        let header = std::str::from_utf8(header).ok().context("its header is not text")?;
        let header = Header::parse(header).context("its header is not understood")?;

        let (order, kind, size) = header.item()?;
        ensure!(!header.column_major || header.shape.len() < 2, "column-major order is not understood");
        let items = header.shape.iter().try_fold(1usize, |items, n| items.checked_mul(*n));
        let expected = items.and_then(|items| items.checked_mul(size));
        ensure!(expected == Some(data.len()), "its data has {} bytes, and its header tells another number", data.len());
        Ok(Self { kind, item_size: size, big_endian: order == '>', data })
    }

    /// The items as numbers, row-major; true is 1.
    ///
    /// # Errors
    ///
    /// When they are no numbers of 8, 4 or (whole ones and true or false) 1 byte.
    pub fn numbers(&self) -> Result<Vec<f64>> {
        let big = self.big_endian;
        Ok(match (self.kind, self.item_size) {
            ('f', 8) => self.map(|x| if big { f64::from_be_bytes(x) } else { f64::from_le_bytes(x) }),
            ('f', 4) => self.map(|x| f64::from(if big { f32::from_be_bytes(x) } else { f32::from_le_bytes(x) })),
            ('i', 8) => self.map(|x| (if big { i64::from_be_bytes(x) } else { i64::from_le_bytes(x) }) as f64),
            ('i', 4) => self.map(|x| f64::from(if big { i32::from_be_bytes(x) } else { i32::from_le_bytes(x) })),
            ('i', 1) => self.map(|x| f64::from(i8::from_le_bytes(x))),
            ('u', 1) => self.map(|[x]| f64::from(x)),
            ('b', 1) => self.map(|[x]| f64::from(u8::from(x != 0))),
            (kind, size) => bail!("numbers of type {kind} with {size} bytes are not understood"),
        })
    }

    /// The items as strings, row-major, without the zeros that fill them up.
    ///
    /// # Errors
    ///
    /// When they are no strings, or not of Unicode.
    pub fn strings(&self) -> Result<Vec<String>> {
        if self.item_size == 0 {
            return Ok(Vec::new()); // strings of no length are no names
        }
        let items = self.data.chunks_exact(self.item_size);
        match self.kind {
            'S' => Ok(items.map(|item| String::from_utf8_lossy(item).trim_end_matches('\0').to_owned()).collect()),
            'U' => items.map(|item| self.text(item)).collect(),
            kind => bail!("type {kind} is no type of strings"),
        }
    }

    fn map<const N: usize>(&self, number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        self.data.as_chunks::<N>().0.iter().map(|item| number(*item)).collect()
    }

    fn text(&self, item: &[u8]) -> Result<String> {
        let points = item.as_chunks::<4>().0.iter();
        let point = |x: &[u8; 4]| if self.big_endian { u32::from_be_bytes(*x) } else { u32::from_le_bytes(*x) };
        let text: Option<String> = points.map(|x| char::from_u32(point(x))).collect();
        Ok(text.context("a string is not of Unicode")?.trim_end_matches('\0').to_owned())
    }
}

/// The Python dictionary that an array begins with: `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }`.
#[derive(Debug, Default, PartialEq)]
struct Header {
    descr: String,
    column_major: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Understands exactly the three entries, in any order, each once; nothing is nested, so that the time is linear.
    fn parse(text: &str) -> Option<Self> {
        let mut header = Self::default();
        let mut missing = vec!["descr", "fortran_order", "shape"];
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let position = missing.iter().position(|name| *name == key)?;
            missing.swap_remove(position);
            rest = after.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => {
                    let (descr, after) = quoted(rest)?;
                    descr.clone_into(&mut header.descr);
                    after
                }
                "fortran_order" => {
                    header.column_major = rest.starts_with("True");
                    rest.strip_prefix(if header.column_major { "True" } else { "False" })?
                }
                _ => {
                    let (shape, after) = rest.strip_prefix('(')?.split_once(')')?;
                    header.shape = parse_shape(shape)?;
                    after
                }
            };
            rest = rest.trim_start();
            rest = if rest.is_empty() { rest } else { rest.strip_prefix(',')?.trim_start() };
        }
        missing.is_empty().then_some(header)
    }

    /// Byte order, kind and size in bytes of an item, such as `<f8`.
    fn item(&self) -> Result<(char, char, usize)> {
        let parse = || {
            let mut characters = self.descr.chars();
            let (order, kind) = (characters.next()?, characters.next()?);
            let size: usize = characters.as_str().parse().ok()?;
            let size = if kind == 'U' { size.checked_mul(4)? } else { size };
            ("<>|=".contains(order) && "fiubSU".contains(kind)).then_some((order, kind, size))
        };
        parse().with_context(|| format!("items of type {:?} are not understood", self.descr))
    }
}

/// A quoted text at the beginning, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// `3, 2`, `3,` or nothing.
fn parse_shape(text: &str) -> Option<Vec<usize>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let dimensions: Vec<&str> = text.strip_suffix(',').unwrap_or(text).split(',').collect();
    if dimensions.len() > MOST_DIMENSIONS {
        return None;
    }
    dimensions.into_iter().map(|n| n.trim().parse().ok()).collect()
}
