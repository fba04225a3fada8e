//! The one integration binary: whole stories over the crates that link DataFusion.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests say what they expect by failing"
)]

mod board;
mod enforce;
mod sandbox;
