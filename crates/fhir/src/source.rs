//! A file of resources, text by text: NDJSON a line each, or one JSON document. Compressed files are unpacked as they are read.
//!
//! It holds one text at a time, and none longer than [`TEXT_BYTES_MAX`]: a longer line is passed over without being held. Next: `read.rs`.

#[cfg(test)]
mod tests;

use std::io::{self, BufRead, BufReader, Read};

use crate::skipped::Wrong;

/// Longest line, and longest JSON document, in bytes: larger than any resource but a scanned file. With what is read into it, a text takes
/// about three times as much memory.
pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Largest window that a zstd file may ask for, as a power of two: what `zstd --long` makes at most by itself.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Unpacks gzip and zstd, and leaves all else as it is. What a file is, its first bytes say.
///
/// # Errors
/// The file cannot be read.
pub fn unpacked<'r>(file: impl Read + Send + 'r) -> io::Result<Box<dyn BufRead + Send + 'r>> {
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let start = reader.fill_buf()?;
    if start.starts_with(&[0x1F, 0x8B]) {
        return Ok(Box::new(BufReader::with_capacity(
            256 * 1024,
            flate2::bufread::MultiGzDecoder::new(reader),
        )));
    }
    if start.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        return Ok(Box::new(BufReader::with_capacity(256 * 1024, decoder)));
    }
    Ok(Box::new(reader))
}

/// The texts of a file.
#[derive(Debug)]
pub(crate) struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The line that was read last, from 1.
    line: u64,
}

/// A text, or why it cannot be one.
pub(crate) struct Text<'s> {
    /// The line on which it begins.
    pub(crate) line: u64,
    pub(crate) text: Result<&'s str, Wrong>,
}

impl<R: BufRead> Source<R> {
    pub(crate) fn of(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            line: 0,
        }
    }

    /// The next text; nothing at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(crate) fn next(&mut self) -> io::Result<Option<Text<'_>>> {
        loop {
            self.buffer.clear();
            let Some(line) = self.line()? else { return Ok(None) };
            let begin = self.line;
            if begin == 1 && self.buffer.starts_with("\u{feff}".as_bytes()) {
                self.buffer.drain(..3);
            }
            if line == Line::Whole && self.buffer.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let held = match line {
                Line::Whole if begin == 1 && self.is_document()? => self.rest()?,
                line => line,
            };
            let text = match held {
                Line::TooLong => Err(Wrong::TooLong { most: TEXT_BYTES_MAX }),
                Line::Whole => std::str::from_utf8(&self.buffer).map_err(|_| Wrong::NotText),
            };
            return Ok(Some(Text { line: begin, text }));
        }
    }

    /// Adds the next line to the buffer.
    fn line(&mut self) -> io::Result<Option<Line>> {
        let mut held = Line::Whole;
        let mut is_there = false;
        loop {
            let available = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                available => available?,
            };
            if available.is_empty() {
                self.line += u64::from(is_there);
                return Ok(is_there.then_some(held));
            }
            is_there = true;
            let end = memchr::memchr(b'\n', available);
            let part = &available[..end.unwrap_or(available.len())];
            if self.buffer.len() + part.len() > TEXT_BYTES_MAX {
                held = Line::TooLong;
                self.buffer.clear();
            }
            if held == Line::Whole {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                self.line += 1;
                return Ok(Some(held));
            }
        }
    }

    /// Whether the first line begins a document of several lines: it is not whole by itself, and the next does not begin a resource.
    fn is_document(&mut self) -> io::Result<bool> {
        let trimmed = self.buffer.trim_ascii_end();
        if trimmed.ends_with(b"}") {
            return Ok(false);
        }
        Ok(self.peek()?.is_some_and(|next| next != b'{'))
    }

    /// The first byte of the next line.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                available => return Ok(available?.first().copied()),
            }
        }
    }

    /// Adds the rest of the document to the buffer: up to a line that begins a resource, if the first one was only torn.
    fn rest(&mut self) -> io::Result<Line> {
        self.buffer.push(b'\n');
        while self.peek()? != Some(b'{')
            && let Some(held) = self.line()?
        {
            if held == Line::TooLong {
                io::copy(&mut self.reader, &mut io::sink())?;
                return Ok(Line::TooLong);
            }
            self.buffer.push(b'\n');
        }
        Ok(Line::Whole)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Whole,
    TooLong,
}
