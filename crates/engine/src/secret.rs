//! The node's own secret, from which the keys of its sketches and pseudonyms follow. It never leaves the node.

use terms::{CollectionId, PermitId};
use trust::Digest;
use zeroize::Zeroizing;

use crate::sketch::SketchKey;

/// 32 random bytes that one node keeps.
#[derive(Clone)]
pub struct NodeSecret(Zeroizing<[u8; 32]>);

impl From<[u8; 32]> for NodeSecret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl std::fmt::Debug for NodeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeSecret")
    }
}

impl NodeSecret {
    /// The key of sketches: the same for as long as the node keeps its secret.
    pub(crate) fn sketch_key(&self) -> SketchKey {
        let key = Digest::keyed(&self.0, b"sketch");
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&key.bytes()[..16]);
        SketchKey::from(bytes)
    }

    /// The key of pseudonyms under one permit, or of those of data without people: others cannot be matched with them.
    pub(crate) fn pseudonym_key(&self, permit: Option<&PermitId>, collection: &CollectionId) -> Zeroizing<[u8; 32]> {
        let permit = permit.map_or("", PermitId::as_str);
        let purpose = format!("pseudonym\0{permit}\0{collection}");
        Zeroizing::new(*Digest::keyed(&self.0, purpose.as_bytes()).bytes())
    }
}
