//! A file of this machine or an object of a store, read alike: from front to back, or in places as Parquet and Arrow IPC are.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};

use super::s3::{self, Object};

/// What is open.
#[derive(Debug)]
pub(super) enum Reading {
    File(File),
    Object(Object, s3::Reading),
}

impl Reading {
    pub(super) fn of_object(object: &Object) -> Self {
        Self::Object(object.clone(), object.at(0))
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Object(object, _) => Ok(object.bytes()),
        }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Object(_, reading) => reading.read(buffer),
        }
    }
}

impl Seek for Reading {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Object(_, reading) => reading.seek(to),
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

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Object(object, _) => Box::new(object.at(start)),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // As long as the file at most, whatever its footer says.
        let there = self.length()?.saturating_sub(start);
        if length as u64 > there {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Object(object, _) => {
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
