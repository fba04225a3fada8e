//! Objects of an S3-compatible store, read in place: listed under a prefix, fetched in ranges, each pinned to the version that was
//! listed, so that one that is replaced meanwhile is noticed and not half read.
//!
//! Nothing is copied to this machine's disk, and memory holds some ranges, however many objects there are. Requests are signed by `rusty-s3`, which does
//! no I/O. An object is told by its name after the prefix, as files of a folder are. Next: `https.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_RANGE, ETAG, HeaderValue, IF_MATCH, RANGE};
use rusty_s3::actions::{GetObject, ListObjectsV2};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use serde::Deserialize;
use terms::{Problem, Report};
use url::Url;

use super::described::{Place, Secret, is_of_this_machine};
use super::https::{Answer, Client};

/// Bytes of one range.
const RANGE_BYTES: u64 = 4 * 1024 * 1024;

/// Ranges that are held, of all objects together: as many as columns of Parquet that are read beside each other, within reason.
const RANGES_HELD: usize = 16;

/// Most objects under a prefix.
const OBJECTS_MAX: usize = 10_000;

/// Most pages of a listing: one without objects costs a store nothing.
const PAGES_MAX: usize = 1_000;

/// Longest page of a listing, in bytes.
const LISTING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long a signature is good for.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// Where a store is, and what is read there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct S3 {
    /// `https://s3.hospital.example`.
    #[serde(deserialize_with = "url_of_text")]
    endpoint: Url,
    #[serde(default = "usual_region")]
    region: String,
    bucket: String,
    /// All objects below it that end as data files do.
    prefix: Option<String>,
    /// One object.
    key: Option<String>,
    access_key_file: Option<PathBuf>,
    access_key_env: Option<String>,
    secret_key_file: Option<PathBuf>,
    secret_key_env: Option<String>,
    /// Whether the bucket is in the host's name (as Amazon wants it) or in the path.
    #[serde(default)]
    style: Style,
    /// Who signed the store's certificate, beside the public authorities.
    ca_file: Option<PathBuf>,
    /// Not encrypted, and not to this machine.
    #[serde(default)]
    tls: Tls,
    #[serde(default = "usual_silence")]
    silence_seconds_max: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Style {
    #[default]
    Path,
    Host,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tls {
    #[default]
    Verify,
    Off,
}

fn url_of_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    Url::parse(&text).map_err(|_| serde::de::Error::custom("not a URL such as https://s3.hospital.example"))
}

fn usual_region() -> String {
    "us-east-1".to_owned()
}

fn usual_silence() -> u32 {
    60
}

impl S3 {
    /// What the form alone does not check.
    pub(super) fn require_valid(&self, file: &str) -> Result<(), Report> {
        let wrong = |what: &str| Err(Problem::FileValue.report(format!("{file}: {what}")));
        if self.prefix.is_some() == self.key.is_some() {
            return wrong("it names either a prefix or a key");
        }
        match self.endpoint.scheme() {
            "https" => {}
            "http" if is_of_this_machine(&self.endpoint) || self.tls == Tls::Off => {}
            "http" => {
                return wrong(
                    "endpoint is not encrypted: write https, or say tls = \"off\" if nobody can listen on the way",
                );
            }
            _ => return wrong("endpoint is not a URL such as https://s3.hospital.example"),
        }
        if !self.endpoint.username().is_empty() || self.endpoint.password().is_some() || self.endpoint.query().is_some()
        {
            return wrong("endpoint has more than the address of the store; keys stand in files or variables");
        }
        if self.has_access_key() != (self.secret_key_file.is_some() || self.secret_key_env.is_some()) {
            return wrong("it names one of access key and secret key, and not the other");
        }
        if self.silence_seconds_max == 0 {
            return wrong("silence_seconds_max must be at least 1");
        }
        Ok(())
    }

    /// One object, and not all below a prefix.
    pub(super) fn names_an_object(&self) -> bool {
        self.key.is_some()
    }

    fn has_access_key(&self) -> bool {
        self.access_key_file.is_some() || self.access_key_env.is_some()
    }

    fn credentials(&self, place: &Place) -> Result<Option<Credentials>, Report> {
        let access = Secret::from(place, self.access_key_file.as_deref(), self.access_key_env.as_deref())?;
        let secret = Secret::from(place, self.secret_key_file.as_deref(), self.secret_key_env.as_deref())?;
        Ok(access
            .zip(secret)
            .map(|(access, secret)| Credentials::new(access.expose(), secret.expose())))
    }
}

/// A bucket that can be asked.
struct Store {
    client: Client,
    bucket: Bucket,
    credentials: Option<Credentials>,
    held: Mutex<VecDeque<Held>>,
}

/// A range that was fetched.
struct Held {
    key: Arc<str>,
    etag: Arc<str>,
    number: u64,
    bytes: Bytes,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// The objects that are described, with their names.
pub(super) fn objects(s3: &S3, place: &Place) -> Result<Vec<(String, Object)>, Report> {
    let style = match s3.style {
        Style::Path => UrlStyle::Path,
        Style::Host => UrlStyle::VirtualHost,
    };
    let bucket = Bucket::new(s3.endpoint.clone(), style, s3.bucket.clone(), s3.region.clone());
    let bucket = bucket.map_err(|_| Problem::FileValue.report("endpoint and bucket make no address of a store"))?;
    let ca_file = s3.ca_file.as_ref().map(|file| place.find(file));
    let silence_max = Duration::from_secs(s3.silence_seconds_max.into());
    let store = Arc::new(Store {
        client: Client::new(bucket.base_url(), ca_file.as_deref(), silence_max)?,
        bucket,
        credentials: s3.credentials(place)?,
        held: Mutex::default(),
    });
    match (&s3.key, &s3.prefix) {
        (Some(key), _) => {
            let object = Object::find(&store, key)?;
            Ok(vec![(key.clone(), object)])
        }
        (None, prefix) => store.list(prefix.as_deref().unwrap_or_default()),
    }
}

impl Store {
    fn list(self: &Arc<Self>, prefix: &str) -> Result<Vec<(String, Object)>, Report> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut action = ListObjectsV2::new(&self.bucket, self.credentials.as_ref());
            action.with_prefix(prefix);
            if let Some(token) = &token {
                action.with_continuation_token(token.as_str());
            }
            let answer = self.client.get(&action.sign(SIGNED_FOR), &[], LISTING_BYTES_MAX)?;
            if answer.status != StatusCode::OK {
                return Err(self.refused(&answer));
            }
            let strange = || self.strange();
            let text = std::str::from_utf8(&answer.body).map_err(|_| strange())?;
            // Where nothing is said of it, what was listed could be the beginning only.
            let page = ListObjectsV2::parse_response(text)
                .ok()
                .filter(|_| text.contains("<IsTruncated>"));
            let page = page.ok_or_else(strange)?;
            for object in page.contents {
                let (etag, bytes) = object.etag.zip(object.size).ok_or_else(strange)?;
                // Names are shown on the operator's terminal.
                if object.key.chars().any(char::is_control) {
                    return Err(strange());
                }
                let name = object
                    .key
                    .strip_prefix(prefix)
                    .unwrap_or(&object.key)
                    .trim_start_matches('/')
                    .to_owned();
                found.push((name, Object::new(self, object.key, etag, bytes)));
            }
            if found.len() > OBJECTS_MAX {
                return Err(Problem::DataSchema
                    .report(format!("there are more than {OBJECTS_MAX} objects under the prefix"))
                    .remedy("name a longer prefix, or write fewer and larger objects"));
            }
            match page.next_continuation_token {
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                Some(_) => return Err(strange()),
                None => return Ok(found),
            }
        }
        Err(self.strange())
    }

    fn strange(&self) -> Report {
        Problem::SourceBroken.report(format!(
            "{} lists objects in another form than S3's",
            self.client.server()
        ))
    }

    /// Asks for a range of an object, of the version with this tag if one is known.
    fn range(&self, key: &str, etag: Option<&str>, from: u64, bytes: u64) -> Result<Answer, Report> {
        let url = GetObject::new(&self.bucket, self.credentials.as_ref(), key).sign(SIGNED_FOR);
        let mut headers = vec![(RANGE, format!("bytes={from}-{}", from + bytes - 1))];
        headers.extend(etag.map(|etag| (IF_MATCH, etag.to_owned())));
        let bytes_max = usize::try_from(bytes.max(64 * 1024)).unwrap_or(usize::MAX);
        let answer = self.client.get(&url, &headers, bytes_max)?;
        match answer.status {
            StatusCode::PARTIAL_CONTENT if answer.body.len() as u64 <= bytes => Ok(answer),
            StatusCode::PRECONDITION_FAILED => Err(replaced()),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Err(Problem::SourceBroken.report(format!(
                "{} does not give the ranges that it is asked for",
                self.client.server()
            ))),
            _ => Err(self.refused(&answer)),
        }
    }

    /// The store's words can name a key, so only its code is taken from them.
    fn refused(&self, answer: &Answer) -> Report {
        let body = String::from_utf8_lossy(&answer.body);
        let code = body
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"))
            .map(|(code, _)| code);
        let code = code.filter(|code| code.len() < 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let (server, code) = (self.client.server(), code.unwrap_or(answer.status.as_str()));
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if code == "RequestTimeTooSkewed" => Problem::SourceDenied
                .report(format!("{server} has another time than this machine"))
                .remedy("set the clock by NTP"),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Problem::SourceDenied.report(format!("{server} does not allow it ({code})"))
            }
            StatusCode::NOT_FOUND => Problem::SourceMissing.report(format!("{server} does not have it ({code})")),
            status if status.is_redirection() => Problem::SourceMissing
                .report(format!("{server} says that the bucket is elsewhere"))
                .remedy("name the endpoint and region that it is at: no redirection is followed"),
            _ => Problem::SourceBroken.report(format!("{server} does not do it ({code})")),
        }
    }
}

fn replaced() -> Report {
    Problem::SourceBroken
        .report("an object was replaced while it was read")
        .remedy("wait until whoever writes it has ended, then add it again")
}

/// One version of an object.
#[derive(Clone, Debug)]
pub(super) struct Object(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    key: Arc<str>,
    etag: Arc<str>,
    bytes: u64,
    failed: Mutex<Option<Report>>,
}

impl Object {
    fn new(store: &Arc<Store>, key: String, etag: String, bytes: u64) -> Self {
        Self(Arc::new(Inner {
            store: Arc::clone(store),
            key: key.into(),
            etag: etag.into(),
            bytes,
            failed: Mutex::default(),
        }))
    }

    /// The object with this key, as it is now.
    fn find(store: &Arc<Store>, key: &str) -> Result<Self, Report> {
        let answer = store.range(key, None, 0, 1)?;
        let text = |name| {
            answer
                .headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let bytes = text(CONTENT_RANGE).and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let known = text(ETAG).map(str::to_owned).zip(bytes);
        let strange = || {
            Problem::SourceBroken.report(format!(
                "{} says of an object neither its size nor its version",
                store.client.server()
            ))
        };
        known
            .map(|(etag, bytes)| Self::new(store, key.to_owned(), etag, bytes))
            .ok_or_else(strange)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Why reading failed, where whoever read could not say it.
    pub(super) fn failure(&self) -> Option<Report> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A cursor at a place.
    pub(super) fn at(&self, place: u64) -> Reading {
        Reading {
            object: self.clone(),
            place,
        }
    }

    /// What is there from a place on: some bytes, or none at the end.
    fn some(&self, place: u64) -> io::Result<Bytes> {
        if place >= self.0.bytes {
            return Ok(Bytes::new());
        }
        let number = place / RANGE_BYTES;
        let range = self.range(number).map_err(|report| {
            let mut failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(report);
            io::Error::other("the store does not give it")
        })?;
        let skipped = usize::try_from(place % RANGE_BYTES).unwrap_or(usize::MAX);
        Ok(range.slice(skipped.min(range.len())..))
    }

    /// A range, fetched if it is not held.
    fn range(&self, number: u64) -> Result<Bytes, Report> {
        let inner = &self.0;
        let mut held = inner.store.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |range: &Held| range.number == number && range.key == inner.key && range.etag == inner.etag;
        let range = match held.iter().position(is_wanted).and_then(|at| held.remove(at)) {
            Some(range) => range,
            None => self.fetched(number)?,
        };
        let bytes = range.bytes.clone();
        held.push_back(range);
        if held.len() > RANGES_HELD {
            held.pop_front();
        }
        Ok(bytes)
    }

    fn fetched(&self, number: u64) -> Result<Held, Report> {
        let Inner {
            store,
            key,
            etag,
            bytes,
            ..
        } = &*self.0;
        let from = number * RANGE_BYTES;
        let expected = RANGE_BYTES.min(bytes - from);
        let answer = store.range(key, Some(etag), from, expected)?;
        let said = |name| {
            answer
                .headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        // Not every store does what If-Match says.
        let is_same = said(ETAG) == Some(etag);
        let is_there = said(CONTENT_RANGE).is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
        if !is_same || !is_there || answer.body.len() as u64 != expected {
            return Err(replaced());
        }
        Ok(Held {
            key: Arc::clone(key),
            etag: Arc::clone(etag),
            number,
            bytes: answer.body,
        })
    }
}

/// An object that is read like a file.
#[derive(Debug)]
pub(super) struct Reading {
    object: Object,
    place: u64,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let some = self.object.some(self.place)?;
        let taken = some.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&some[..taken]);
        self.place += taken as u64;
        Ok(taken)
    }
}

impl Seek for Reading {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.object.bytes().checked_add_signed(by),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
        };
        self.place = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.place)
    }
}

#[cfg(test)]
mod tests;
