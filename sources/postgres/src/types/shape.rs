//! Points, PostGIS' shapes and sparse vectors: the types that are structs.

use bytes::Bytes;
use tapline_api::schema::SchemaBuilder;
use tapline_api::{Schema, Struct, Value};

use super::{Mapping, named, unbound};
use crate::value::Decoder;

pub(super) fn sparse_vector() -> SchemaBuilder {
    let entries = Schema::map(Schema::int16().build(), Schema::float64().build()).build();
    named(Schema::structure(), "io.debezium.data.SparseDoubleVector")
        .doc("Sparse double vector")
        .field("dimensions", Schema::int16().build())
        .field("vector", entries)
}

pub(super) fn point() -> SchemaBuilder {
    named(Schema::structure(), "io.debezium.data.geometry.Point")
        .doc("Geometry (POINT)")
        .field("x", Schema::float64().build())
        .field("y", Schema::float64().build())
        .field("wkb", Schema::bytes().optional().build())
        .field("srid", Schema::int32().optional().build())
}

/// PostGIS' own text is well-known binary in hexadecimal, with the SRID in it.
pub(super) fn geometry(name: &'static str, doc: &'static str) -> Mapping {
    let schema = || {
        named(Schema::structure(), name)
            .doc(doc)
            .field("wkb", Schema::bytes().build())
            .field("srid", Schema::int32().optional().build())
    };
    // GEOMETRYCOLLECTION EMPTY
    let empty = Value::Bytes(Bytes::from_static(&[1, 7, 0, 0, 0, 0, 0, 0, 0]));
    let fallback = Struct::new(schema().build(), vec![empty, Value::Null]);
    let mut mapping = Mapping::new(schema(), Decoder::Geometry(unbound()), Value::Struct(fallback));
    mapping.always_optional = true;
    mapping
}
