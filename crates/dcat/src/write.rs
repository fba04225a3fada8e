//! Triples as text.

use std::io;

use oxjsonld::JsonLdSerializer;
use oxrdf::{GraphNameRef, Triple};
use oxttl::TurtleSerializer;
use terms::{Problem, Report};

use crate::vocabulary::PREFIXES;

/// How RDF is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Turtle.
    Turtle,
    /// JSON-LD.
    JsonLd,
}

/// Writes triples in their order, with the prefixes that people know.
///
/// # Errors
/// [`Problem::Internal`] if it cannot be written, which in memory does not happen.
pub fn write(triples: &[Triple], format: Format) -> Result<String, Report> {
    let failed = |error: io::Error| Problem::Internal.report(format!("the export cannot be written: {error}"));
    let bytes = match format {
        Format::Turtle => turtle(triples),
        Format::JsonLd => json_ld(triples),
    };
    String::from_utf8(bytes.map_err(failed)?).map_err(|error| Problem::Internal.report(error.to_string()))
}

fn turtle(triples: &[Triple]) -> io::Result<Vec<u8>> {
    let mut serializer = TurtleSerializer::new();
    for (name, iri) in PREFIXES {
        serializer = serializer.with_prefix(name, iri).map_err(io::Error::other)?;
    }
    let mut writer = serializer.for_writer(Vec::new());
    for triple in triples {
        writer.serialize_triple(triple)?;
    }
    writer.finish()
}

fn json_ld(triples: &[Triple]) -> io::Result<Vec<u8>> {
    let mut serializer = JsonLdSerializer::new();
    for (name, iri) in PREFIXES {
        serializer = serializer.with_prefix(name, iri).map_err(io::Error::other)?;
    }
    let mut writer = serializer.for_writer(Vec::new());
    for triple in triples {
        writer.serialize_quad(triple.as_ref().in_graph(GraphNameRef::DefaultGraph))?;
    }
    let mut bytes = writer.finish()?;
    bytes.push(b'\n');
    Ok(bytes)
}
