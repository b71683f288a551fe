//! What Debezium's transformations share: how they declare options, and what an envelope is.

use tapline_api::Schema;
use tapline_api::config::{ConfigKey, Width};
use tapline_api::envelope::ENVELOPE_SUFFIX;

/// An option as `Field.group` declares it without a group: in place 1, with width and title.
pub(crate) const fn titled(mut key: ConfigKey, width: Width, display: &'static str) -> ConfigKey {
    key.order = 1;
    key.width = width;
    key.display = display;
    key
}

/// Whether the schema is a change event's (`Envelope.isEnvelopeSchema`).
pub(crate) fn is_envelope(schema: &Schema) -> bool {
    schema.name().is_some_and(|name| name.ends_with(ENVELOPE_SUFFIX))
}
