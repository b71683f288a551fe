//! `io.debezium.transforms.ByLogicalTableRouter`, in Debezium 3.7 renamed to `ToLogicalTopicRouter`: many tables into
//! one topic.
//!
//! The key gets a field that says which table it is of, since keys of different tables may be equal now; the schemas are
//! named after the new topic.

use std::sync::Arc;

use bytestring::ByteString;
use tapline_api::adjust::Adjustment;
use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, ConfigValue, Kind, Validator, Width};
use tapline_api::connector::TransformPlugin;
use tapline_api::envelope::{AFTER, BEFORE, ENVELOPE_SUFFIX};
use tapline_api::pattern::Pattern;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{DEBEZIUM_VERSION, Error, Record, Result, Schema, SchemaRef, Struct, Value};

use crate::debezium::{is_envelope, titled};
use crate::part::{Defaults, require_struct};
use crate::topics::ByTopic;
use crate::validate::{DEBEZIUM_REGEX, DEBEZIUM_REQUIRED_REGEX};

/// The plugin under its name of 3.6.
pub const BY_LOGICAL_TABLE: TransformPlugin = TransformPlugin {
    class: "io.debezium.transforms.ByLogicalTableRouter",
    version: DEBEZIUM_VERSION,
    config: &BY_LOGICAL_TABLE_CONFIG,
    new: |config| {
        Ok(Box::new(LogicalTopicRouter::new(
            &BY_LOGICAL_TABLE_CONFIG,
            config,
        )?))
    },
};

/// The plugin under its name of 3.7.
pub const TO_LOGICAL_TOPIC: TransformPlugin = TransformPlugin {
    class: "io.debezium.transforms.ToLogicalTopicRouter",
    version: DEBEZIUM_VERSION,
    config: &TO_LOGICAL_TOPIC_CONFIG,
    new: |config| {
        Ok(Box::new(LogicalTopicRouter::new(
            &TO_LOGICAL_TOPIC_CONFIG,
            config,
        )?))
    },
};

/// The options of the older name.
pub static BY_LOGICAL_TABLE_CONFIG: ConfigDef = ConfigDef::new(&keys(
    "__dbz__physicalTableIdentifier",
    "logical.table.cache.size",
    "Logical table cache size",
));

/// The options of the newer name.
pub static TO_LOGICAL_TOPIC_CONFIG: ConfigDef = ConfigDef::new(&keys(
    "__dbz__sourceIdentifier",
    "logical.destination.cache.size",
    "Logical destination cache size",
));

const fn keys(
    key_field: &'static str,
    cache_size: &'static str,
    cache_title: &'static str,
) -> [ConfigKey; 8] {
    [
        titled(
            ConfigKey::new(
                "topic.regex",
                Kind::String,
                "A Java regular expression; topics that match it as a whole are routed.",
            )
            .valid(DEBEZIUM_REQUIRED_REGEX),
            Width::Long,
            "Topic regex",
        ),
        titled(
            ConfigKey::new(
                "topic.replacement",
                Kind::String,
                "The new topic; $1 and ${name} stand for groups of topic.regex.",
            )
            .valid(Validator::DebeziumRequired),
            Width::Long,
            "Topic replacement",
        ),
        titled(
            ConfigKey::new(
                "key.enforce.uniqueness",
                Kind::Boolean,
                "Whether the key gets a field that names the table it came from. Without it, equal keys of different tables are \
                 one key.",
            )
            .default("true"),
            Width::Short,
            "Add source topic name into key",
        ),
        titled(
            ConfigKey::new(
                "key.field.regex",
                Kind::String,
                "A Java regular expression for the old topic, from which the key's new field is made; the whole topic without it.",
            )
            .valid(DEBEZIUM_REGEX),
            Width::Long,
            "Key field regex",
        ),
        titled(
            ConfigKey::new("key.field.name", Kind::String, "The name of the key's new field.").default(key_field),
            Width::Long,
            "Key field name",
        ),
        titled(
            ConfigKey::new(
                "key.field.replacement",
                Kind::String,
                "The value of the key's new field; $1 and ${name} stand for groups of key.field.regex.",
            ),
            Width::Long,
            "Key field replacement",
        ),
        titled(
            ConfigKey::new(
                "schema.name.adjustment.mode",
                Kind::String,
                "How schema names made from the topic are fitted to the converter: none, avro (underscores for what Avro does \
                 not allow) or avro_unicode (their codes).",
            )
            .default("none")
            .valid(Validator::Custom(adjustment)),
            Width::Medium,
            "Schema Name Adjustment",
        ),
        titled(
            ConfigKey::new(
                cache_size,
                Kind::Int,
                "How many schemas are remembered, at least; fewer than a thousand are never forgotten.",
            )
            .default("16"),
            Width::Long,
            cache_title,
        ),
    ]
}

fn adjustment(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Text(text) if Adjustment::named(text).is_none() => Some(format!(
            "The '{name}' value is invalid: Value must be one of none, avro, avro_unicode"
        )),
        _ => None,
    }
}

/// Where a topic's records go.
#[derive(Clone)]
struct Route {
    /// Never used twice.
    id: u64,
    topic: Arc<str>,
    /// The value of the key's new field.
    identifier: ByteString,
}

/// How envelopes of one schema are rewritten.
struct EnvelopePlan {
    schema: SchemaRef,
    rows: Vec<(usize, SchemaRef)>,
    defaults: Defaults,
}

/// The transformation.
pub struct LogicalTopicRouter {
    topic_regex: Pattern,
    topic_replacement: String,
    /// Pattern and replacement for the key's new field.
    identifier: Option<(Pattern, String)>,
    /// The key's new field, unless it shall have none.
    key_field: Option<Arc<str>>,
    string: SchemaRef,
    adjustment: Adjustment,
    routes: ByTopic<Option<Route>>,
    next_route: u64,
    keys: Cache<(u64, u64), SchemaRef>,
    envelopes: Cache<(u64, u64), Option<EnvelopePlan>>,
}

impl LogicalTopicRouter {
    /// From its options.
    pub fn new(def: &ConfigDef, config: &Config) -> Result<Self> {
        let parsed = def.parse(config)?;
        let pattern = |option| {
            parsed
                .text(option)
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(|text| Pattern::new(option, text))
                .transpose()
        };
        let replacement = parsed.text("key.field.replacement").unwrap_or_default();
        let identifier = match pattern("key.field.regex")? {
            Some(_) if replacement.is_empty() => {
                return Err(Error::config(
                    "The 'key.field.replacement' value is invalid: key.field.replacement must be non-empty if \
                     key.field.regex is set.",
                ));
            }
            Some(regex) => Some((regex, replacement.to_owned())),
            None => None,
        };
        // As in Debezium, the older name of the class takes either name of the option, and the newer only its own.
        let limit = ["logical.destination.cache.size", "logical.table.cache.size"]
            .iter()
            .filter_map(|name| config.get(name)?.trim().parse::<usize>().ok())
            .next()
            .unwrap_or(16);
        let limit = limit.max(1000);
        Ok(Self {
            topic_regex: Pattern::new("topic.regex", parsed.required("topic.regex")?)?,
            topic_replacement: parsed.required("topic.replacement")?.to_owned(),
            identifier,
            key_field: if parsed.boolean("key.enforce.uniqueness")? {
                Some(Arc::from(parsed.required("key.field.name")?))
            } else {
                None
            },
            string: Schema::string().build(),
            adjustment: Adjustment::named(parsed.required("schema.name.adjustment.mode")?)
                .unwrap_or(Adjustment::None),
            routes: ByTopic::new(),
            next_route: 0,
            keys: Cache::new(limit),
            envelopes: Cache::new(limit),
        })
    }

    fn route(&mut self, topic: &Arc<str>) -> Option<Route> {
        let (regex, replacement, identifier) = (&self.topic_regex, &self.topic_replacement, &self.identifier);
        let next = &mut self.next_route;
        self.routes
            .get_or_make(topic, |old| {
                let new = regex.replace(old, replacement)?;
                if new.is_empty() {
                    tracing::warn!(
                        topic = old,
                        "routing regex returned an empty topic name, propagating original record"
                    );
                    return None;
                }
                let identifier = identifier
                    .as_ref()
                    .and_then(|(regex, replacement)| regex.replace(old, replacement))
                    .unwrap_or_else(|| old.to_owned());
                *next += 1;
                Some(Route {
                    id: *next,
                    topic: Arc::from(new),
                    identifier: identifier.into(),
                })
            })
            .clone()
    }

    fn route_key(&mut self, key: Struct, route: &Route) -> Result<(SchemaRef, Value)> {
        let (field, string, adjustment) = (&self.key_field, &self.string, self.adjustment);
        let old = key.schema();
        let schema = self
            .keys
            .get_or_make((old.id(), route.id), || {
                let mut builder = old
                    .to_basics()
                    .set_optional(old.is_optional())
                    .name(adjustment.adjust(format!("{}.Key", route.topic)));
                if let Some(field) = field {
                    builder = builder.field(field.clone(), string.clone());
                }
                Ok::<_, Error>(builder.build())
            })?
            .clone();
        let mut values = key.into_parts().1.into_vec();
        if field.is_some() {
            values.push(Value::String(route.identifier.clone()));
        }
        Ok((schema.clone(), Value::Struct(Struct::new(schema, values))))
    }

    fn route_envelope(&mut self, record: &mut Record, route: &Route) -> Result<()> {
        let (Some(old), false) = (&record.value_schema, record.value.is_null()) else {
            return Ok(());
        };
        let adjustment = self.adjustment;
        let plan = self.envelopes.get_or_make((old.id(), route.id), || {
            Ok::<_, Error>(is_envelope(old).then(|| EnvelopePlan::new(old, &route.topic, adjustment)))
        })?;
        let Some(plan) = plan else {
            return Ok(());
        };
        let envelope = require_struct(std::mem::take(&mut record.value), "Updating schema")?;
        let mut values = envelope.into_parts().1.into_vec();
        plan.defaults.fill(&mut values);
        for (index, schema) in &plan.rows {
            let Some(value) = values.get_mut(*index) else {
                continue;
            };
            if !value.is_null() {
                let row = require_struct(std::mem::take(value), "Updating schema")?;
                *value = Value::Struct(Struct::new(schema.clone(), row.into_parts().1.into_vec()));
            }
        }
        record.value = Value::Struct(Struct::new(plan.schema.clone(), values));
        record.value_schema = Some(plan.schema.clone());
        Ok(())
    }
}

impl EnvelopePlan {
    fn new(old: &SchemaRef, topic: &str, adjustment: Adjustment) -> Self {
        let row = old.field(BEFORE).or_else(|| old.field(AFTER)).map(|field| {
            let old = field.schema();
            old.to_basics()
                .set_optional(old.is_optional())
                .name(adjustment.adjust(format!("{topic}.Value")))
                .build()
        });
        let mut builder = old
            .to_basics()
            .set_optional(old.is_optional())
            .name(adjustment.adjust(format!("{topic}{ENVELOPE_SUFFIX}")));
        let mut rows = Vec::new();
        if let Some(row) = row {
            for name in [BEFORE, AFTER] {
                builder = builder.replace_field(name, row.clone());
                rows.extend(old.field_index(name).map(|index| (index, row.clone())));
            }
        }
        Self {
            schema: builder.build(),
            rows,
            defaults: Defaults::of(old, true),
        }
    }
}

impl Transformation for LogicalTopicRouter {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let Some(route) = self.route(&record.topic) else {
            return Ok(Some(record));
        };
        // A table without a primary key has no key.
        (record.key_schema, record.key) = match std::mem::take(&mut record.key) {
            Value::Null => (None, Value::Null),
            key => {
                let (schema, key) = self.route_key(require_struct(key, "Updating schema")?, &route)?;
                (Some(schema), key)
            }
        };
        // Tombstones, heartbeats and schema changes keep their value.
        self.route_envelope(&mut record, &route)?;
        record.topic = route.topic;
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(options: &[(&str, &str)]) -> Result<LogicalTopicRouter> {
        LogicalTopicRouter::new(&BY_LOGICAL_TABLE_CONFIG, &options.iter().copied().collect())
    }

    fn record(topic: &str) -> Record {
        let schema = Schema::structure()
            .name("old.Key")
            .field("id", Schema::int32().build())
            .build();
        let mut record = Record::new(topic);
        record.key_schema = Some(schema.clone());
        record.key = Value::Struct(Struct::new(schema, vec![Value::Int32(1)]));
        record
    }

    const REGEX: (&str, &str) = ("topic.regex", r"(.*)_shard(\d+)");
    const REPLACEMENT: (&str, &str) = ("topic.replacement", "$1-all");

    #[test]
    fn the_key_says_which_table_it_is_of() {
        let key = |options: &[(&str, &str)]| {
            let options = [&[REGEX, REPLACEMENT], options].concat();
            let routed = router(&options)
                .unwrap()
                .apply(record("db.t_shard7"), None)
                .unwrap()
                .unwrap();
            assert_eq!(&*routed.topic, "db.t-all");
            let schema = routed.key_schema.unwrap();
            let fields = schema
                .fields()
                .iter()
                .map(|field| field.name().to_string())
                .collect::<Vec<_>>();
            let values = routed.key.as_struct().unwrap().values().to_vec();
            (schema.name().unwrap().to_string(), fields, values)
        };
        assert_eq!(
            key(&[]),
            (
                "db.t-all.Key".into(),
                vec!["id".into(), "__dbz__physicalTableIdentifier".into()],
                vec![Value::Int32(1), "db.t_shard7".into()]
            )
        );
        assert_eq!(
            key(&[
                ("key.field.name", "shard"),
                ("key.field.regex", r".*_shard(\d+)"),
                ("key.field.replacement", "no$1"),
                ("schema.name.adjustment.mode", "avro"),
            ]),
            (
                "db.t_all.Key".into(),
                vec!["id".into(), "shard".into()],
                vec![Value::Int32(1), "no7".into()]
            )
        );
        assert_eq!(key(&[("key.enforce.uniqueness", "false")]).1, ["id"]);
    }

    #[test]
    fn other_topics_and_empty_names_pass_unchanged() {
        let mut by_name = router(&[REGEX, REPLACEMENT]).unwrap();
        assert_eq!(by_name.apply(record("db.t"), None).unwrap(), Some(record("db.t")));
        let mut empty = router(&[("topic.regex", "(x?).*"), ("topic.replacement", "$1")]).unwrap();
        assert_eq!(empty.apply(record("db.t"), None).unwrap(), Some(record("db.t")));
    }

    #[test]
    fn options_that_do_not_fit_are_named() {
        let error = |options: &[(&str, &str)]| router(options).map(drop).unwrap_err().to_string();
        assert_eq!(
            error(&[]),
            "The 'topic.regex' value is invalid: A value is required"
        );
        assert!(error(&[("topic.regex", "(")]).contains("A valid regular expressions is expected, but "));
        assert!(
            error(&[REGEX, REPLACEMENT, ("key.field.regex", "a")])
                .contains("key.field.replacement must be non-empty if key.field.regex is set.")
        );
    }
}
