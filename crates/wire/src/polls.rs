//! A way to a broker for networks that let no connection live: bytes both ways, carried by short HTTP/1.1 requests over TLS to the broker's
//! key, on the port of everything else (ALPN `http/1.1`).
//!
//! What is carried is a connection to the broker like any other, with a TLS of its own inside: who somebody is, what a proof is bound to
//! and what the broker may be asked do not depend on the road. A session's name is 256 random bits that nobody but the two ends sees, and
//! whoever had it could only disturb. It must never carry anything but bytes that have yet to prove who says them.
//!
//! | request | what it does |
//! |---|---|
//! | `POST /polls` | opens a session; its name is the body of the answer |
//! | `POST /polls/NAME/OFFSET` | bytes to the broker, beginning at this offset; `taken` in the answer says up to where it has them now |
//! | `GET /polls/NAME/OFFSET` | bytes from the broker, beginning at this offset, before which it may forget them; held for a while if there are none |
//! | `DELETE /polls/NAME` | ends the session |
//!
//! A request that was lost, came twice or came late does no harm: bytes are told apart by their offset. Next: `polls/pipe.rs` (one
//! direction), `polls/client.rs`, `polls/server.rs`.

mod client;
mod pipe;
mod server;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::client::ByPolls;
use self::pipe::Pipe;
pub(crate) use self::server::Polls;

/// What both ends say in TLS when they mean requests.
pub(crate) const ALPN: &[u8] = b"http/1.1";

const PATH: &str = "/polls";

/// Random bytes of a session's name.
const NAME_BYTES: usize = 32;

/// Up to where bytes were taken.
const TAKEN: &str = "taken";

/// Nothing comes after these bytes.
const LAST: &str = "last";

/// How long the asker wants an answer held if there is nothing to say, in milliseconds.
const HOLD: &str = "hold";

/// Longest time for which an answer is held: under the idle times of proxies.
const HOLD_MAX: Duration = Duration::from_secs(20);

/// Most bytes of one request or answer.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// How long one end may hear nothing of the other before the session is over.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// One end of a session: bytes both ways.
#[derive(Debug)]
pub struct Polled {
    coming: Arc<Pipe>,
    going: Arc<Pipe>,
    /// Who opened the session, at the end that was asked to.
    pub(crate) peer: Option<IpAddr>,
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.going.end();
        self.coming.break_off();
    }
}

impl AsyncRead for Polled {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.coming.poll_read(cx, buf)
    }
}

impl AsyncWrite for Polled {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.going.poll_write(cx, buf)
    }

    /// Requests take bytes by themselves.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.going.end();
        Poll::Ready(Ok(()))
    }
}
