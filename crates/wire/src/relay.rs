//! Connections that a broker carries: how a node holds itself reachable and takes up a call, and how somebody reaches it.
//!
//! What is carried is TLS between the two ends. The broker must never be one of them: who it is that answers is decided by the
//! key that the roster names, at the ends.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use terms::{MemberId, Problem, Report, SpaceId, UtcTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use tokio_util::sync::PollSender;
use tonic::{Request, Status, Streaming};
use trust::{Digest, PublicKey, SigningKey, Verified};

use crate::connect::Connection;
use crate::header::Tokens;
use crate::statement::Kind;
use crate::status::from_status;
use crate::v1::relay_service_client::RelayServiceClient;
use crate::v1::{CarryRequest, HoldRequest, HoldResponse, ReachOpening, ReachRequest, carry_request, reach_request};

/// Bytes of a call's name: enough that nobody finds one.
pub const CALL_BYTES: usize = 16;

/// Largest sealed registration, in bytes.
pub const REGISTRATION_BYTES_MAX: usize = 4 * 1024;

/// Largest message with which a connection is registered, in bytes.
pub const HOLD_MESSAGE_BYTES_MAX: usize = REGISTRATION_BYTES_MAX + 1024;

/// Largest message of a relay, in bytes: some TLS records and their frame.
pub const RELAY_MESSAGE_BYTES_MAX: usize = PIECE_BYTES_MAX + 1024;

/// Most bytes in one piece.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Pieces that wait for the network to take them. It is TLS's own work to fill the rest.
const PIECES_WAITING_MAX: usize = 2;

const REGISTRATION: Kind = Kind {
    payload_type: "application/vnd.datenraum.tunnel.v1+json",
    name: "registration of a tunnel",
    bytes_max: REGISTRATION_BYTES_MAX,
};

/// A node says that a connection to the broker is its own. It holds for that connection only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The data space.
    pub space: SpaceId,
    /// The institution; its key in the roster signs.
    pub member: MemberId,
    /// Of the value that both ends of the connection export.
    pub channel: Digest,
    /// When this was said.
    pub issued: UtcTime,
}

/// Opens a sealed registration with the key that the roster names for the institution that it claims to be of. Space, time and
/// connection are for the caller to check.
///
/// # Errors
/// [`Problem::Answer`] if it is too large, not of a member, not signed by that member, or not a registration.
pub fn open_registration(
    sealed: &[u8],
    member_key: impl Fn(&MemberId) -> Option<PublicKey>,
) -> Result<Verified<Registration>, Report> {
    REGISTRATION.open(sealed, member_key)
}

/// What stands for the query in a proof that accompanies a `Reach` call: its digest.
pub fn reach_query(node: &MemberId) -> String {
    format!("reach {node}")
}

/// Registers the connection as the member's. Calls come as they are made, until the connection or the registration ends.
///
/// # Errors
/// Why the broker does not take it, or that it does not answer.
pub async fn hold(
    broker: &Connection,
    space: &SpaceId,
    member: &MemberId,
    key: &SigningKey,
    now: UtcTime,
) -> Result<Streaming<HoldResponse>, Report> {
    let registration = Registration {
        space: space.clone(),
        member: member.clone(),
        channel: broker.binding()?.digest(),
        issued: now,
    };
    let envelope = REGISTRATION.seal(&registration, key)?;
    let envelope = envelope.ok_or_else(|| Problem::Internal.report("a registration is too large"))?;
    let request = HoldRequest {
        space: space.to_string(),
        envelope,
    };
    let held = client(broker).hold(request).await;
    Ok(held.map_err(|status| said_no(&status))?.into_inner())
}

/// Takes up a call on the connection on which it came.
///
/// # Errors
/// If whoever called has gone, or the broker has.
pub async fn carry(broker: &Connection, call: Bytes) -> Result<Carried, Report> {
    let (sender, pieces) = outgoing();
    let first = CarryRequest {
        part: Some(carry_request::Part::Call(call)),
    };
    let pieces = pieces.map(|content| CarryRequest {
        part: Some(carry_request::Part::Content(content)),
    });
    let carried = client(broker).carry(stream::once(async { first }).chain(pieces)).await;
    let coming = carried.map_err(|status| said_no(&status))?.into_inner();
    Ok(Carried::new(
        coming.map(|piece| piece.map(|piece| piece.content)),
        sender,
    ))
}

/// Reaches a node that holds itself reachable at the broker. What comes is not yet known to be that node.
///
/// # Errors
/// Why the broker does not let it, or [`Problem::Unreachable`] if the node does not take the call up.
pub async fn reach(
    broker: &Connection,
    space: &SpaceId,
    node: &MemberId,
    tokens: Tokens<'_>,
) -> Result<Carried, Report> {
    let (sender, pieces) = outgoing();
    let first = ReachRequest {
        part: Some(reach_request::Part::Opening(ReachOpening {
            space: space.to_string(),
            node: node.to_string(),
        })),
    };
    let pieces = pieces.map(|content| ReachRequest {
        part: Some(reach_request::Part::Content(content)),
    });
    let mut request = Request::new(stream::once(async { first }).chain(pieces));
    crate::header::attach(request.metadata_mut(), tokens)?;
    let reached = client(broker).reach(request).await;
    let coming = reached.map_err(|status| said_no(&status))?.into_inner();
    Ok(Carried::new(
        coming.map(|piece| piece.map(|piece| piece.content)),
        sender,
    ))
}

fn client(broker: &Connection) -> RelayServiceClient<tonic::transport::Channel> {
    RelayServiceClient::new(broker.grpc.clone()).max_decoding_message_size(RELAY_MESSAGE_BYTES_MAX)
}

fn said_no(status: &Status) -> Report {
    from_status(status, "the broker").report
}

fn outgoing() -> (mpsc::Sender<Bytes>, impl Stream<Item = Bytes> + Send + 'static) {
    let (sender, mut pieces) = mpsc::channel(PIECES_WAITING_MAX);
    (sender, stream::poll_fn(move |cx| pieces.poll_recv(cx)))
}

/// One end of a carried connection: bytes both ways.
pub struct Carried {
    coming: StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>,
    going: PollSender<Bytes>,
}

impl Carried {
    fn new(coming: impl Stream<Item = Result<Bytes, Status>> + Send + 'static, going: mpsc::Sender<Bytes>) -> Self {
        let coming = coming.map(|piece| piece.map_err(|_| io::ErrorKind::ConnectionReset.into()));
        Self {
            coming: StreamReader::new(coming.boxed()),
            going: PollSender::new(going),
        }
    }
}

/// As much of it as fits into one piece.
fn gathered(bufs: &[IoSlice<'_>]) -> Bytes {
    let all: usize = bufs.iter().map(|buf| buf.len()).sum();
    let mut piece = BytesMut::with_capacity(all.min(PIECE_BYTES_MAX));
    for buf in bufs {
        let room = PIECE_BYTES_MAX - piece.len();
        piece.put_slice(&buf[..buf.len().min(room)]);
    }
    piece.freeze()
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Carried")
    }
}

impl AsyncRead for Carried {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.coming).poll_read(cx, buf)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// What is said together goes as one piece: each costs both ends and the broker a message.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.going.poll_reserve(cx)).map_err(gone)?;
        let piece = gathered(bufs);
        let written = piece.len();
        self.going.send_item(piece).map_err(gone)?;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The network takes pieces by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.going.close();
        Poll::Ready(Ok(()))
    }
}
