//! Logical decoding messages (`pg_logical_emit_message`): records of topic `PREFIX.message`.
//!
//! Debezium's `LogicalDecodingMessageMonitor`. They have no extended headers; a non-transactional one has no transaction
//! id, and stands in the stream where it stands in the log.

use std::sync::Arc;

use bytes::Bytes;
use tapline_api::{Record, Schema, SchemaRef, Struct, Value};
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::TRANSACTION_BLOCK;

use crate::config::Options;
use crate::value::{BinaryMode, binary_value};

/// The schemas of messages, built once per run.
#[derive(Debug, Clone)]
pub(crate) struct MessageSchemas {
    topic: Arc<str>,
    collection: Arc<str>,
    mode: BinaryMode,
    key: SchemaRef,
    block: SchemaRef,
    value: SchemaRef,
}

impl MessageSchemas {
    /// `source` is the schema of the source block.
    pub(crate) fn new(options: &Options, source: &SchemaRef) -> Self {
        let text = || Schema::string().optional().build();
        let fit = |name: &str| {
            options
                .schema_names
                .adjust(format!("io.debezium.connector.postgresql.{name}"))
        };
        let content = match options.types.binary {
            BinaryMode::Bytes => Schema::bytes().optional().build(),
            _ => text(),
        };
        let block = Schema::structure()
            .name(fit("Message"))
            .version(1)
            .field("prefix", text())
            .field("content", content)
            .build();
        Self {
            topic: format!("{}.message", options.naming.prefix()).into(),
            collection: "LOGICAL_DECODING_MESSAGE".into(),
            mode: options.types.binary,
            key: Schema::structure()
                .name(fit("MessageKey"))
                .version(1)
                .field("prefix", text())
                .build(),
            value: Schema::structure()
                .name(fit("MessageValue"))
                .version(1)
                .field("op", Schema::string().build())
                .field("ts_ms", Schema::int64().optional().build())
                .field("source", source.clone())
                .field("transaction", TRANSACTION_BLOCK.clone())
                .field("message", block.clone())
                .build(),
            block,
        }
    }

    /// What transaction metadata counts messages as.
    pub(crate) fn collection(&self) -> &Arc<str> {
        &self.collection
    }

    pub(crate) fn record(
        &self,
        prefix: &str,
        content: Bytes,
        source: Value,
        transaction: Value,
        at: Instant,
    ) -> Record {
        let prefix = Value::from(prefix.to_owned());
        let message = vec![prefix.clone(), binary_value(content, self.mode)];
        let message = Value::Struct(Struct::new(self.block.clone(), message));
        let value = vec![
            Value::from("m"),
            Value::Int64(at.millis()),
            source,
            transaction,
            message,
        ];
        Record {
            key_schema: Some(self.key.clone()),
            key: Value::Struct(Struct::new(self.key.clone(), vec![prefix])),
            value_schema: Some(self.value.clone()),
            value: Value::Struct(Struct::new(self.value.clone(), value)),
            ..Record::new(self.topic.clone())
        }
    }
}
