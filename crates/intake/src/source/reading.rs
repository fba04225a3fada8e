//! A file of this machine or an object of a store, read alike: from front to back, or in places as Parquet and Arrow IPC are. What is read
//! is counted, for who looks at how far it is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};

use super::s3::{self, Object};

/// What is open.
#[derive(Debug)]
pub(super) struct Reading {
    of: Of,
    read: Counter,
}

#[derive(Debug)]
enum Of {
    File(File),
    Object(Object, s3::Reading),
}

/// Bytes that were read of all files of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Arc<AtomicU64>);

impl Counter {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// From nothing on.
    pub(super) fn begin(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Reading {
    pub(super) fn of_file(file: File, read: &Counter) -> Self {
        Self {
            of: Of::File(file),
            read: read.clone(),
        }
    }

    pub(super) fn of_object(object: &Object, read: &Counter) -> Self {
        Self {
            of: Of::Object(object.clone(), object.at(0)),
            read: read.clone(),
        }
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        match &self.of {
            Of::File(file) => Ok(file.metadata()?.len()),
            Of::Object(object, _) => Ok(object.bytes()),
        }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.of {
            Of::File(file) => file.read(buffer),
            Of::Object(_, reading) => reading.read(buffer),
        };
        read.inspect(|bytes| self.read.add(*bytes))
    }
}

impl Seek for Reading {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.of {
            Of::File(file) => file.seek(to),
            Of::Object(_, reading) => reading.seek(to),
        }
    }
}

impl Length for Reading {
    fn len(&self) -> u64 {
        self.length().unwrap_or_default()
    }
}

impl ChunkReader for Reading {
    type T = Box<dyn Read>;

    /// The headers of pages: what they are of is counted below.
    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(match &self.of {
            Of::File(file) => Box::new(file.get_read(start)?),
            Of::Object(object, _) => Box::new(object.at(start)),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // As long as the file at most, whatever its footer says.
        let there = self.length()?.saturating_sub(start);
        if length as u64 > there {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.read.add(length);
        match &self.of {
            Of::File(file) => file.get_bytes(start, length),
            Of::Object(object, _) => {
                // How long it is, the store says. Room is taken for what comes.
                let mut bytes = Vec::new();
                object.at(start).take(length as u64).read_to_end(&mut bytes)?;
                match bytes.len() == length {
                    true => Ok(bytes.into()),
                    false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                }
            }
        }
    }
}
