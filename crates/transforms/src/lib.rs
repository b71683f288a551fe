//! Single message transformations and predicates.
//!
//! One file per transformation. What a schema means for it (the new schema, where each field comes from, which default
//! stands for null) is worked out once per schema identity; what a topic's name means once per topic. So per record there
//! is no look-up by a field's name and no regular expression.

pub mod cast;
mod chain;
mod debezium;
pub mod decode_logical_message;
pub mod event_router;
pub mod extract_changed_record_state;
pub mod extract_field;
pub mod extract_new_record_state;
mod field_path;
pub mod filter;
pub mod flatten;
pub mod header_from;
pub mod headers;
pub mod hoist_field;
pub mod insert_field;
mod json_struct;
pub mod logical_topic_router;
pub mod mask_field;
mod part;
mod predicates;
pub mod regex_router;
pub mod replace_field;
pub mod set_schema_metadata;
mod simple_date_format;
pub mod timestamp_converter;
pub mod timestamp_router;
mod topics;
mod validate;
pub mod value_to_key;

use tapline_api::connector::TransformPlugin;

pub use chain::{Failure, TransformationChain};
pub use predicates::{HasHeaderKey, PREDICATES, RecordIsTombstone, TopicNameMatches};

/// All transformations, in the order in which REST lists them.
pub static PLUGINS: &[TransformPlugin] = &[
    decode_logical_message::PLUGIN,
    logical_topic_router::BY_LOGICAL_TABLE,
    extract_changed_record_state::PLUGIN,
    extract_new_record_state::PLUGIN,
    logical_topic_router::TO_LOGICAL_TOPIC,
    event_router::PLUGIN,
    cast::KEY,
    cast::VALUE,
    headers::DROP,
    extract_field::KEY,
    extract_field::VALUE,
    filter::PLUGIN,
    flatten::KEY,
    flatten::VALUE,
    header_from::KEY,
    header_from::VALUE,
    hoist_field::KEY,
    hoist_field::VALUE,
    insert_field::KEY,
    insert_field::VALUE,
    headers::INSERT,
    mask_field::KEY,
    mask_field::VALUE,
    regex_router::PLUGIN,
    replace_field::KEY,
    replace_field::VALUE,
    set_schema_metadata::KEY,
    set_schema_metadata::VALUE,
    timestamp_converter::KEY,
    timestamp_converter::VALUE,
    timestamp_router::PLUGIN,
    value_to_key::PLUGIN,
];
