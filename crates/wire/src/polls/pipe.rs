//! One direction of a session: bytes by their offset from its beginning, of which a bounded number is held.
//!
//! One end is a stream in this process, the other is requests, which can be lost, repeated and late. What was said is kept until the other
//! end says that it has it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use prost::bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::ReadBuf;
use tokio::sync::Notify;

/// Most bytes that are held.
pub(super) const WINDOW_BYTES: usize = 256 * 1024;

/// A request for bytes, or with bytes, that are not next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Offsets that no honest end would name.
    #[error("these bytes are not next")]
    OutOfOrder,
    /// Another request for the same came later.
    #[error("a later request took its place")]
    Replaced,
    /// It is over.
    #[error("the session is over")]
    Over,
}

/// Bytes that are next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
    /// Nothing comes after them.
    pub(super) is_last: bool,
}

#[derive(Debug, Default)]
pub(super) struct Pipe {
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    /// The offset of the first byte that is held.
    base: u64,
    bytes: BytesMut,
    /// Whoever says has said all.
    ended: bool,
    /// Nobody says or hears any more.
    broken: bool,
    /// The latest request that waits.
    turn: u64,
    stream: Option<Waker>,
}

impl Held {
    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn room(&self) -> usize {
        WINDOW_BYTES.saturating_sub(self.bytes.len())
    }

    fn forget_before(&mut self, offset: u64) -> Result<(), Refused> {
        if offset < self.base || offset > self.end() {
            return Err(Refused::OutOfOrder);
        }
        // No more than what is held, which is far less than memory.
        self.bytes.advance(usize::try_from(offset - self.base).unwrap_or(0));
        self.base = offset;
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.broken || (self.ended && self.bytes.is_empty())
    }

    fn wait(&mut self, cx: &Context<'_>) {
        self.stream = Some(cx.waker().clone());
    }
}

/// For the stream in this process.
impl Pipe {
    pub(super) fn poll_read(&self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut held = self.held();
        if held.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if held.bytes.is_empty() {
            if held.ended {
                return Poll::Ready(Ok(()));
            }
            held.wait(cx);
            return Poll::Pending;
        }
        let read = held.bytes.len().min(buf.remaining());
        buf.put_slice(&held.bytes[..read]);
        held.bytes.advance(read);
        held.base += read as u64;
        self.has_changed(held);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(&self, cx: &Context<'_>, said: &[u8]) -> Poll<io::Result<usize>> {
        let mut held = self.held();
        if held.broken || held.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = held.room().min(said.len());
        if taken == 0 && !said.is_empty() {
            held.wait(cx);
            return Poll::Pending;
        }
        held.bytes.extend_from_slice(&said[..taken]);
        self.has_changed(held);
        Poll::Ready(Ok(taken))
    }

    /// All is said.
    pub(super) fn end(&self) {
        let mut held = self.held();
        held.ended = true;
        self.has_changed(held);
    }
}

/// For requests.
impl Pipe {
    /// Takes bytes that begin at `offset`, as far as there is room; those that it has are left out. Gives the offset of the next.
    pub(super) fn put(&self, offset: u64, bytes: &[u8], is_last: bool) -> Result<u64, Refused> {
        let mut held = self.held();
        let end = held.end();
        if held.broken {
            return Err(Refused::Over);
        }
        if offset > end || (held.ended && offset + bytes.len() as u64 > end) {
            return Err(Refused::OutOfOrder);
        }
        let had = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let new = bytes.get(had..).unwrap_or_default();
        let taken = held.room().min(new.len());
        held.bytes.extend_from_slice(&new[..taken]);
        if is_last && held.end() == offset + bytes.len() as u64 {
            held.ended = true;
        }
        let end = held.end();
        self.has_changed(held);
        Ok(end)
    }

    /// Forgets what comes before `offset`: the other end has it.
    pub(super) fn forget_before(&self, offset: u64) -> Result<(), Refused> {
        let mut held = self.held();
        held.forget_before(offset)?;
        self.has_changed(held);
        Ok(())
    }

    /// The offset of the next byte that comes.
    pub(super) fn next(&self) -> u64 {
        self.held().end()
    }

    /// The offset of the first byte that the other end does not have.
    pub(super) fn first(&self) -> u64 {
        self.held().base
    }

    /// Bytes from `offset` on, before which they are forgotten; an empty piece if there are none for so long.
    pub(super) async fn piece(&self, offset: u64, most: usize, within: Duration) -> Result<Piece, Refused> {
        self.held().forget_before(offset)?;
        self.wake_stream();
        let there = |held: &Held| !held.bytes.is_empty() || held.ended;
        self.wait_until(there, within).await?;
        let held = self.held();
        let bytes = &held.bytes[..held.bytes.len().min(most)];
        Ok(Piece {
            offset: held.base,
            bytes: Bytes::copy_from_slice(bytes),
            is_last: held.ended && bytes.len() == held.bytes.len(),
        })
    }

    /// Waits for room, but for so long only.
    pub(super) async fn room(&self, within: Duration) -> Result<(), Refused> {
        self.wait_until(|held| held.room() > 0, within).await
    }

    /// Nothing comes or goes any more.
    pub(super) fn break_off(&self) {
        let mut held = self.held();
        held.broken = true;
        self.has_changed(held);
    }

    /// Whether nothing is left to say, or nobody hears.
    pub(super) fn is_over(&self) -> bool {
        self.held().is_over()
    }

    /// Waits as the latest request that does: an earlier one goes.
    async fn wait_until(&self, there: impl Fn(&Held) -> bool, within: Duration) -> Result<(), Refused> {
        let turn = {
            let mut held = self.held();
            held.turn += 1;
            held.turn
        };
        self.changed.notify_waiters();
        let waiting = self.until(|held| match held {
            Held { broken: true, .. } => Some(Err(Refused::Over)),
            held if held.turn != turn => Some(Err(Refused::Replaced)),
            held => there(held).then_some(Ok(())),
        });
        tokio::time::timeout(within, waiting).await.unwrap_or(Ok(()))
    }

    /// Waits until nothing is left to say, or nobody hears.
    pub(super) async fn over(&self) {
        self.until(|held| held.is_over().then_some(())).await;
    }

    async fn until<T>(&self, there: impl Fn(&Held) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = there(&self.held()) {
                return found;
            }
            changed.await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_changed(&self, mut held: MutexGuard<'_, Held>) {
        let stream = held.stream.take();
        drop(held);
        if let Some(stream) = stream {
            stream.wake();
        }
        self.changed.notify_waiters();
    }

    fn wake_stream(&self) {
        self.has_changed(self.held());
    }
}
