//! Where documents come from: one trait, and the bridge from it to `sigstore-tuf`.
//!
//! Absence and failure must not be confused: a network error on the next root is not "no newer root".
//! Next: `refresh.rs`.

use std::pin::pin;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use futures::stream::StreamExt as _;
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error, Repository};
use terms::{Problem, Report};

use crate::digest::Digest;

/// Where a source serves the stops of board members.
pub const STOPS_PATH: &str = "stops.json";

/// A place that serves the documents of one data space. Nothing that it serves is believed unverified.
#[async_trait::async_trait]
pub trait DocumentSource: Send + Sync {
    /// The bytes at `path`: see [`metadata_path`] and [`target_path`]. Must stop reading after `bytes_max`.
    ///
    /// # Errors
    /// `Ok(None)` says that the source has no such document; anything else that goes wrong is an error.
    async fn fetch(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError>;
}

/// Why a source gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nobody answers, or the answer broke off.
    #[error("the source of governance documents does not answer: {reason}")]
    Unreachable {
        /// What happened, without secrets.
        reason: String,
    },
    /// There is more than may be read.
    #[error("the document {path} has more than {bytes_max} bytes")]
    TooLarge {
        /// The document.
        path: String,
        /// What may be read.
        bytes_max: u64,
    },
}

impl From<&SourceError> for Report {
    fn from(error: &SourceError) -> Report {
        let problem = match error {
            SourceError::Unreachable { .. } => Problem::Unreachable,
            SourceError::TooLarge { .. } => Problem::PolicySignature,
        };
        problem.report(error.to_string())
    }
}

/// Path of a metadata document: `metadata/timestamp.json`, `metadata/3.root.json`.
pub fn metadata_path(name: &str) -> String {
    format!("metadata/{name}")
}

/// Path of a file of the space: `targets/policies/<64 hex digits>.research.toml`.
pub fn target_path(name: &str, digest: &Digest) -> String {
    match name.rsplit_once('/') {
        Some((folder, file)) => format!("targets/{folder}/{}.{file}", digest.hex()),
        None => format!("targets/{}.{name}", digest.hex()),
    }
}

/// Runs `work` with a repository that asks `source`. Every document passes `inspect` before the library sees it.
///
/// The library wants to own its repository and the source is borrowed, so the repository posts its questions
/// and this function answers them until the work is done.
pub(crate) async fn with_repository<T, F: Future<Output = T>>(
    source: &dyn DocumentSource,
    inspect: impl Fn(&str, &[u8]) -> Result<(), Error>,
    work: impl FnOnce(Box<dyn Repository>) -> F,
) -> T {
    let (post, mut questions) = mpsc::unbounded::<Question>();
    let work = pin!(work(Box::new(Posting(post))));
    let answers = pin!(async move {
        while let Some(question) = questions.next().await {
            let Question {
                path,
                bytes_max,
                answer,
            } = question;
            let fetched = fetch_bounded(source, &path, bytes_max).await;
            let inspected = fetched.and_then(|found| match found {
                Some(bytes) => inspect(&path, &bytes).map(|()| Some(bytes)),
                None => Ok(None),
            });
            // Nobody waits any more if the work was dropped.
            let _ = answer.send(inspected);
        }
    });
    match select(work, answers).await {
        Either::Left((done, _)) => done,
        Either::Right(((), work)) => work.await,
    }
}

struct Question {
    path: String,
    bytes_max: u64,
    answer: oneshot::Sender<Result<Option<Vec<u8>>, Error>>,
}

/// The length again, for a source that forgot it.
async fn fetch_bounded(source: &dyn DocumentSource, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
    let failed = |error: SourceError| Error::transport_with_source("fetching", error);
    match source.fetch(path, bytes_max).await.map_err(failed)? {
        Some(bytes) if bytes.len() as u64 > bytes_max => Err(failed(SourceError::TooLarge {
            path: path.to_owned(),
            bytes_max,
        })),
        found => Ok(found),
    }
}

struct Posting(mpsc::UnboundedSender<Question>);

impl Posting {
    fn ask(&self, path: String, bytes_max: u64) -> FetchFuture<'_> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let stopped = || Error::transport("the refresh was stopped");
            self.0
                .unbounded_send(Question {
                    path,
                    bytes_max,
                    answer,
                })
                .map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        })
    }
}

impl Repository for Posting {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.ask(metadata_path(name), max_length)
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.ask(format!("targets/{path}"), max_length)
    }
}
