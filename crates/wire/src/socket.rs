//! The bytes under a TLS connection: TCP, or carried by a broker or in requests.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::polls::Polled;
use crate::relay::Carried;

/// Bytes both ways.
#[derive(Debug)]
pub enum Socket {
    /// A connection of this machine.
    Tcp(TcpStream),
    /// One inside calls to a broker.
    Carried(Box<Carried>),
    /// One inside requests to a broker.
    Polled(Box<Polled>),
}

impl Socket {
    /// The other end's address; none if a broker carries it.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Socket::Tcp(tcp) => tcp.peer_addr().ok().map(|address| address.ip()),
            Socket::Polled(polled) => polled.peer,
            Socket::Carried(_) => None,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Socket::Carried(carried) => Pin::new(carried).poll_read(cx, buf),
            Socket::Polled(polled) => Pin::new(polled).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Socket::Carried(carried) => Pin::new(carried).poll_write(cx, buf),
            Socket::Polled(polled) => Pin::new(polled).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Socket::Carried(carried) => Pin::new(carried).poll_write_vectored(cx, bufs),
            Socket::Polled(polled) => Pin::new(polled).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Tcp(tcp) => tcp.is_write_vectored(),
            Socket::Carried(carried) => carried.is_write_vectored(),
            Socket::Polled(polled) => polled.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Socket::Carried(carried) => Pin::new(carried).poll_flush(cx),
            Socket::Polled(polled) => Pin::new(polled).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Carried(carried) => Pin::new(carried).poll_shutdown(cx),
            Socket::Polled(polled) => Pin::new(polled).poll_shutdown(cx),
        }
    }
}
