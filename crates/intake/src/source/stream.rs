//! Bytes of a file as UTF-8 text: decompressed and decoded, with a limit on what little may become.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use encoding_rs::{Decoder, Encoding, UTF_8};
use terms::{Problem, Report};

use super::broken;
use super::reading::Reading;
use crate::mapping::SourceForm;

/// How many times longer a file may become when it is decompressed. Tables become ten times, and at the worst a hundred times longer.
const EXPANSION_MAX: u64 = 2_000;

/// What any file may become, in bytes.
const EXPANDED_FREE: u64 = 16 * 1024 * 1024;

/// Log2 of the most memory that decompression takes, in bytes: 128 MiB.
const WINDOW_LOG_MAX: u32 = 27;

/// Bytes from which an encoding is found out.
const SNIFFED: usize = 1024 * 1024;

/// What is decoded at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// Decoded text.
pub(super) struct Text {
    source: Box<dyn Read>,
    decoder: Option<Decoder>,
    raw: Vec<u8>,
    raw_start: usize,
    raw_end: usize,
    is_over: bool,
    text: Vec<u8>,
    text_start: usize,
}

impl Text {
    pub(super) fn open(file: Reading, form: &SourceForm) -> Result<Self, Report> {
        let mut source = decompressed(file)?;
        let mut mark = [0_u8; 3];
        let read = read_up_to(&mut source, &mut mark).map_err(|error| undecoded(&error))?;
        let marked = Encoding::for_bom(&mark[..read]);
        let named = form
            .encoding
            .as_deref()
            .and_then(|name| Encoding::for_label(name.as_bytes()));
        let encoding = marked.map(|(encoding, _)| encoding).or(named).unwrap_or(UTF_8);
        let skipped = marked.map_or(0, |(_, bytes)| bytes);
        let start = io::Cursor::new(mark[skipped..read].to_vec());
        Ok(Self {
            source: Box::new(start.chain(source)),
            // UTF-8 is checked where a cell is taken.
            decoder: (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling()),
            raw: vec![0; CHUNK],
            raw_start: 0,
            raw_end: 0,
            is_over: false,
            text: Vec::new(),
            text_start: 0,
        })
    }

    /// Decodes more, if there is more.
    fn fill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.text_start = 0;
        let Some(decoder) = &mut self.decoder else {
            self.text.resize(CHUNK, 0);
            let read = read_up_to(&mut self.source, &mut self.text)?;
            self.text.truncate(read);
            return Ok(());
        };
        while self.text.is_empty() && !self.is_over {
            if self.raw_start == self.raw_end {
                self.raw_start = 0;
                self.raw_end = read_up_to(&mut self.source, &mut self.raw)?;
                self.is_over = self.raw_end == 0;
            }
            self.text.resize(CHUNK, 0);
            let raw = &self.raw[self.raw_start..self.raw_end];
            let (result, read, written) = decoder.decode_to_utf8_without_replacement(raw, &mut self.text, self.is_over);
            self.raw_start += read;
            self.text.truncate(written);
            if let encoding_rs::DecoderResult::Malformed(..) = result {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "not of the encoding"));
            }
        }
        Ok(())
    }
}

/// The bytes of a file, decompressed if it begins as a compressed one.
fn decompressed(mut file: Reading) -> Result<Box<dyn Read>, Report> {
    let mut begin = [0_u8; 4];
    let io = |_| broken("cannot be read");
    let read = read_up_to(&mut file, &mut begin).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let packed = file.length().map_err(io)?;
    let allowed = packed.saturating_mul(EXPANSION_MAX).max(EXPANDED_FREE);
    let bounded = |source: Box<dyn Read>| -> Box<dyn Read> { Box::new(Bounded { source, left: allowed }) };
    Ok(match begin[..read] {
        [0x1F, 0x8B, ..] => bounded(Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))),
        [0x28, 0xB5, 0x2F, 0xFD] => {
            let mut decoder = zstd::Decoder::new(file).map_err(io)?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(io)?;
            bounded(Box::new(decoder))
        }
        _ => Box::new(file),
    })
}

/// The encoding of text that is not UTF-8, by its first bytes.
pub(super) fn sniff(file: Reading) -> Result<Option<&'static str>, Report> {
    let mut begin = vec![0; SNIFFED];
    let read = read_up_to(&mut decompressed(file)?, &mut begin).map_err(|error| undecoded(&error))?;
    begin.truncate(read);
    let is_utf8 = match std::str::from_utf8(&begin) {
        Ok(_) => true,
        // A character can be cut by the end of what was looked at.
        Err(error) => error.error_len().is_none() && read == SNIFFED,
    };
    if is_utf8 || Encoding::for_bom(&begin).is_some() {
        return Ok(None);
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(&begin, true);
    Ok(Some(detector.guess(Some(b"de"), chardetng::Utf8Detection::Deny).name()))
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let text = self.fill_buf()?;
        let taken = text.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&text[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.text_start == self.text.len() {
            self.fill()?;
        }
        Ok(&self.text[self.text_start..])
    }

    fn consume(&mut self, taken: usize) {
        self.text_start += taken;
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Text")
    }
}

/// Ends what becomes longer than it may.
struct Bounded {
    source: Box<dyn Read>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(read)
    }
}

fn read_once(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_once(source, &mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Why text cannot be had.
pub(super) fn undecoded(error: &io::Error) -> Report {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            broken("is not of the encoding that the mapping names, or is not compressed as it begins").remedy(ENCODING)
        }
        io::ErrorKind::FileTooLarge => {
            let remedy = "decompress it yourself, and look at what it is";
            Problem::DataSchema
                .report(format!(
                    "the file becomes more than {EXPANSION_MAX} times longer when it is decompressed"
                ))
                .remedy(remedy)
        }
        io::ErrorKind::UnexpectedEof => broken("ends in the middle of its compression").remedy("copy it once more"),
        _ => broken("cannot be read on").remedy("check the disk that it lies on"),
    }
}

/// What to do about text that cannot be decoded.
pub(super) const ENCODING: &str =
    "save it as \"CSV UTF-8\", or name its encoding in a mapping: [source] encoding = \"windows-1252\"";
