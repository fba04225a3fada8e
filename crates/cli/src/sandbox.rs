//! A whole data space on this machine from one file: real nodes, keys, signatures and ledgers, for trying, teaching
//! and testing. Its keys lie beside each other in one folder, so it must never hold data that need protection.
//!
//! Reading order: [`spec`] (the file), [`layout`] (the folder), [`found`] (from one to the other, once), [`host`] (the
//! process that runs broker and nodes), [`control`] (how that process is told things), [`up`] (the commands),
//! [`progress`].

pub(crate) mod control;
pub(crate) mod found;
pub(crate) mod host;
pub(crate) mod layout;
pub(crate) mod progress;
pub(crate) mod spec;
pub(crate) mod up;
