//! Single message transformations and predicates.
//!
//! One file per transformation. What a schema means for it (the new schema, where each field comes from, which default
//! stands for null) is worked out once per schema identity; what a topic's name means once per topic. So per record there
//! is no look-up by a field's name and no regular expression.

mod adjust;
mod chain;
mod debezium;
pub mod extract_new_record_state;
pub mod logical_topic_router;
mod part;
mod predicates;
pub mod regex_router;
mod topics;
mod validate;

use tapline_api::connector::TransformPlugin;

pub use chain::{Failure, TransformationChain};
pub use predicates::{HasHeaderKey, PREDICATES, RecordIsTombstone, TopicNameMatches};

/// All transformations, in the order in which REST lists them.
pub static PLUGINS: &[TransformPlugin] = &[
    logical_topic_router::BY_LOGICAL_TABLE,
    extract_new_record_state::PLUGIN,
    logical_topic_router::TO_LOGICAL_TOPIC,
    regex_router::PLUGIN,
];
