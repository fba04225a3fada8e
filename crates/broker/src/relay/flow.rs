//! One direction of what is carried.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use prost::bytes::Bytes;
use terms::{Problem, limit};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;
use wire::status::to_status;

use super::switchboard::Carrying;

/// Since when bytes wait for the network to take them, if they do.
#[derive(Debug, Default)]
pub(super) struct Rest(Mutex<Option<Instant>>);

impl Rest {
    pub(super) fn is_too_long(&self) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() > Duration::from_secs(limit::CARRIED_REST_SECONDS_MAX))
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// The bytes that one end says, as messages for the other. They are asked for when the network has taken those before.
pub(crate) struct Flow<T> {
    carrying: Carrying,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    message: fn(Bytes) -> T,
    /// Nothing comes any more.
    is_over: bool,
}

impl<T> Flow<T> {
    pub(super) fn new(carrying: Carrying, message: fn(Bytes) -> T) -> Self {
        Self {
            ended: Box::pin(carrying.ended.clone().cancelled_owned()),
            carrying,
            message,
            is_over: false,
        }
    }
}

impl<T> Stream for Flow<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.carrying.rest.set(None);
        let polled = match self.ended.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(cut()))),
            Poll::Pending => self.carrying.coming.poll_next_unpin(cx),
        };
        let message = self.message;
        polled.map(|said| {
            match &said {
                Some(Ok(_)) => self.carrying.rest.set(Some(Instant::now())),
                Some(Err(_)) | None => self.is_over = true,
            }
            // What is wrong at one end is not told to the other.
            said.map(|said| said.map(message).map_err(|_| cut()))
        })
    }
}

impl<T> Drop for Flow<T> {
    /// Whoever does not listen to the end has gone, and then the other need not go on.
    fn drop(&mut self) {
        if !self.is_over {
            self.carrying.ended.cancel();
        }
    }
}

fn cut() -> Status {
    to_status(
        &Problem::Unreachable
            .report("the connection through the broker ended")
            .into(),
    )
}
