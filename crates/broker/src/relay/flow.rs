//! One direction of what is carried.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use prost::bytes::Bytes;
use terms::{Problem, limit};
use tokio::sync::mpsc;
use tonic::Status;
use wire::status::to_status;

use super::switchboard::Carrying;

/// Pieces between the two networks. What is more waits at the end that says it.
const PIECES_WAITING_MAX: usize = 1;

/// The bytes that one end says, as messages for the other.
pub(crate) struct Flow<T> {
    pieces: mpsc::Receiver<Result<Bytes, Status>>,
    message: fn(Bytes) -> T,
}

impl<T> Flow<T> {
    /// Carries until one end has said all or has gone, the call is ended, or what is said is not taken. The task that does it waits for
    /// nothing else, so that it lets go of everything then, however little the other end listens.
    pub(super) fn new(carrying: Carrying, message: fn(Bytes) -> T) -> Self {
        let (going, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        tokio::spawn(carry(carrying, going));
        Self { pieces, message }
    }
}

/// Why a direction is over.
enum Over {
    /// All was said. The other direction goes on.
    Said,
    /// One end has gone, is broken or does not listen.
    Broken,
    /// The call was ended.
    Ended,
}

async fn carry(mut carrying: Carrying, going: mpsc::Sender<Result<Bytes, Status>>) {
    let ended = carrying.ended.clone();
    let over = tokio::select! {
        over = carry_pieces(&mut carrying, &going) => over,
        // Also while nothing is said.
        () = going.closed() => Over::Broken,
        () = ended.cancelled() => Over::Ended,
    };
    match over {
        Over::Said => {}
        // An end that has gone takes the other direction with it.
        Over::Broken => ended.cancel(),
        // Whoever does not listen need not be told.
        Over::Ended => drop(going.try_send(Err(cut()))),
    }
}

async fn carry_pieces(carrying: &mut Carrying, going: &mpsc::Sender<Result<Bytes, Status>>) -> Over {
    let patience = Duration::from_secs(limit::CARRIED_REST_SECONDS_MAX);
    while let Some(said) = carrying.coming.next().await {
        // What is wrong at one end is not told to the other.
        let (piece, is_last) = match said {
            Ok(piece) => (Ok(piece), false),
            Err(_) => (Err(cut()), true),
        };
        if going.send_timeout(piece, patience).await.is_err() || is_last {
            return Over::Broken;
        }
    }
    Over::Said
}

impl<T> Stream for Flow<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = self.message;
        let polled = self.pieces.poll_recv(cx);
        polled.map(|said| said.map(|said| said.map(message)))
    }
}

fn cut() -> Status {
    to_status(
        &Problem::Unreachable
            .report("the connection through the broker ended")
            .into(),
    )
}
