//! Topic and schema names (`topic.naming.strategy`).
//!
//! Debezium's strategies differ in three ways: which of a table's names a topic has (`Default…` its database, `Schema…`
//! its schema), what becomes of characters that Kafka does not allow (`…Unicode…` keeps them apart), and whether topics
//! are routed by `topic.regex` (`…Regex…`), whose keys then say which table they are of.

use tapline_api::config::{Config, ConfigDef, ConfigKey, Kind, Parsed};
use tapline_api::pattern::Pattern;
use tapline_api::{Error, Result};

/// The longest name a Kafka topic may have.
const LONGEST: usize = 249;

/// What `topic.naming.strategy` may be.
pub const STRATEGIES: [&str; 6] = [
    "io.debezium.schema.DefaultTopicNamingStrategy",
    "io.debezium.schema.SchemaTopicNamingStrategy",
    "io.debezium.schema.DefaultRegexTopicNamingStrategy",
    "io.debezium.schema.SchemaRegexTopicNamingStrategy",
    "io.debezium.schema.DefaultUnicodeTopicNamingStrategy",
    "io.debezium.schema.SchemaUnicodeTopicNamingStrategy",
];

/// The options that Debezium's regex strategies read beside those of all; connectors add them to what they know.
pub static REGEX_OPTIONS: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "topic.regex",
        Kind::String,
        "Which topics the regex naming strategies route: a Java regular expression of the whole name.",
    ),
    ConfigKey::new(
        "topic.replacement",
        Kind::String,
        "Where to; $1 and ${name} stand for groups of topic.regex.",
    ),
    ConfigKey::new(
        "topic.key.enforce.uniqueness",
        Kind::Boolean,
        "Whether keys say which table they are of, since several may share a topic.",
    )
    .default("true"),
    ConfigKey::new(
        "topic.key.field.name",
        Kind::String,
        "The field of the key that says it.",
    )
    .default("__dbz__physicalTableIdentifier"),
    ConfigKey::new(
        "topic.key.field.regex",
        Kind::String,
        "What to take of the table's own topic for that field; all of it without this.",
    ),
    ConfigKey::new(
        "topic.key.field.replacement",
        Kind::String,
        "What to make of it; $1 and ${name} stand for groups of topic.key.field.regex.",
    ),
]);

/// Names the topics of one connector.
#[derive(Clone, Debug)]
pub struct TopicNaming {
    prefix: String,
    delimiter: String,
    heartbeat: String,
    transaction: String,
    strategy: Strategy,
}

#[derive(Clone, Debug, Default)]
struct Strategy {
    by_database: bool,
    unicode: bool,
    routing: Option<Routing>,
}

#[derive(Clone, Debug)]
struct Routing {
    topic: Pattern,
    replacement: String,
    key_field: Option<String>,
    identifier: Option<(Pattern, String)>,
}

impl TopicNaming {
    /// From `topic.prefix`, `topic.delimiter`, `topic.heartbeat.prefix`, `topic.heartbeat.name` and `topic.transaction`; for
    /// another strategy than the connector's own see [`with_strategy`](Self::with_strategy).
    pub fn new(config: &Parsed) -> Result<Self> {
        let prefix = config.required("topic.prefix")?.to_owned();
        let delimiter = config.text("topic.delimiter").unwrap_or(".").to_owned();
        let heartbeat = match config
            .text("topic.heartbeat.name")
            .filter(|name| !name.is_empty())
        {
            Some(name) => name.to_owned(),
            None => {
                let first = config
                    .text("topic.heartbeat.prefix")
                    .unwrap_or("__debezium-heartbeat");
                format!("{first}{delimiter}{prefix}")
            }
        };
        let transaction = format!(
            "{prefix}{delimiter}{}",
            config.text("topic.transaction").unwrap_or("transaction")
        );
        Ok(Self {
            prefix,
            delimiter,
            heartbeat,
            transaction,
            strategy: Strategy::default(),
        })
    }

    /// Names tables as `class` does, one of [`STRATEGIES`], with the regex strategies' options from `config`.
    ///
    /// # Errors
    /// A config error for another class, or for a regex strategy without its expressions.
    pub fn with_strategy(mut self, class: &str, config: &Config) -> Result<Self> {
        if !STRATEGIES.contains(&class) {
            return Err(Error::config(format!(
                "The 'topic.naming.strategy' value is invalid: '{class}' is not one of Debezium's own; other Java classes \
                 can't be loaded"
            ))
            .hint(format!("one of {}", STRATEGIES.join(", "))));
        }
        self.strategy = Strategy {
            by_database: class.contains(".Default"),
            unicode: class.contains("Unicode"),
            routing: class
                .contains("Regex")
                .then(|| Routing::new(config))
                .transpose()?,
        };
        Ok(self)
    }

    /// `topic.prefix`: the connector's logical name.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The topic of a table's changes, which its schemas are named after too. Names that a database does not have are
    /// empty.
    pub fn table(&self, database: &str, schema: &str, table: &str) -> String {
        self.data_change(&[self.outer(database, schema), table])
    }

    /// The topic of a table's changes by the names that the strategy takes, from the outermost in.
    pub fn data_change(&self, parts: &[&str]) -> String {
        let topic = sanitize(&self.joined(parts), self.strategy.unicode);
        let routed = self
            .strategy
            .routing
            .as_ref()
            .and_then(|routing| routing.topic.replace(&topic, &routing.replacement));
        routed.filter(|routed| !routed.is_empty()).unwrap_or(topic)
    }

    /// The field that a table's key gets last, and its value, where topics are shared by tables. A table without a key gets
    /// a key of this field alone.
    pub fn key_field(&self, database: &str, schema: &str, table: &str) -> Option<(&str, String)> {
        let routing = self.strategy.routing.as_ref()?;
        let name = routing.key_field.as_deref()?;
        let own = self.joined(&[self.outer(database, schema), table]);
        let identifier = routing
            .identifier
            .as_ref()
            .and_then(|(pattern, replacement)| pattern.replace(&own, replacement));
        Some((name, identifier.unwrap_or(own)))
    }

    /// The topic of heartbeats.
    pub fn heartbeat(&self) -> &str {
        &self.heartbeat
    }

    /// The topic of transaction boundaries.
    pub fn transaction(&self) -> &str {
        &self.transaction
    }

    fn outer<'a>(&self, database: &'a str, schema: &'a str) -> &'a str {
        if self.strategy.by_database {
            database
        } else {
            schema
        }
    }

    fn joined(&self, parts: &[&str]) -> String {
        let mut out = self.prefix.clone();
        for part in parts.iter().filter(|part| !part.trim().is_empty()) {
            out.push_str(&self.delimiter);
            out.push_str(part);
        }
        out
    }
}

impl Routing {
    fn new(config: &Config) -> Result<Self> {
        let parsed = REGEX_OPTIONS.parse(config)?;
        let text = |name: &str| parsed.text(name).filter(|text| !text.trim().is_empty());
        let required = |name: &str| {
            text(name)
                .ok_or_else(|| Error::config(format!("The '{name}' value is invalid: A value is required")))
        };
        let identifier = match text("topic.key.field.regex") {
            None => None,
            Some(pattern) => {
                let replacement = text("topic.key.field.replacement").ok_or_else(|| {
                    Error::config(
                        "topic.key.field.replacement must be non-empty if topic.key.field.regex is set.",
                    )
                })?;
                Some((
                    Pattern::new("topic.key.field.regex", pattern)?,
                    replacement.to_owned(),
                ))
            }
        };
        Ok(Self {
            topic: Pattern::new("topic.regex", required("topic.regex")?)?,
            replacement: required("topic.replacement")?.to_owned(),
            key_field: match parsed.boolean("topic.key.enforce.uniqueness")? {
                true => Some(parsed.required("topic.key.field.name")?.to_owned()),
                false => None,
            },
            identifier,
        })
    }
}

/// Makes `name` a legal topic name: other characters than `[A-Za-z0-9._-]` become underscores, or, told apart, `_u` and
/// their code; then the underscore is one of them.
fn sanitize(name: &str, unicode: bool) -> String {
    let mut out = String::with_capacity(name.len());
    for unit in name.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') || (c == '_' && !unicode) => {
                out.push(c);
            }
            _ if unicode => out.push_str(&escaped(unit)),
            _ => out.push('_'),
        }
    }
    out.truncate(LONGEST);
    let dot = || {
        if unicode {
            escaped(u16::from(b'.'))
        } else {
            "_".to_owned()
        }
    };
    match out.as_str() {
        "." => dot(),
        ".." => dot().repeat(2),
        _ => out,
    }
}

/// `_u` and at least four digits for characters of one byte, as Debezium writes them.
fn escaped(unit: u16) -> String {
    let hex = format!("{unit:x}");
    let zeros = if hex.len() <= 2 { "00" } else { "" };
    format!("_u{zeros}{hex}")
}

/// Debezium's check of `topic.prefix` and other parts of topic names.
///
/// # Errors
/// A config error with Debezium's text.
pub fn check_topic_part(option: &str, value: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if value.chars().all(legal) && !value.is_empty() {
        return Ok(());
    }
    Err(Error::config(format!(
        "The '{option}' value is invalid: {value} has invalid format (only the underscore, hyphen, dot and alphanumeric \
         characters are allowed)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming() -> TopicNaming {
        TopicNaming {
            prefix: "shop".into(),
            delimiter: ".".into(),
            heartbeat: "h".into(),
            transaction: "t".into(),
            strategy: Strategy::default(),
        }
    }

    fn strategy(class: &str, options: &[(&str, &str)]) -> TopicNaming {
        let class = format!("io.debezium.schema.{class}TopicNamingStrategy");
        naming()
            .with_strategy(&class, &options.iter().copied().collect())
            .unwrap()
    }

    #[test]
    fn a_strategy_takes_the_database_or_the_schema() {
        let topic = |class: &str| strategy(class, &[]).table("db", "public", "my_orders");
        assert_eq!(topic("Schema"), "shop.public.my_orders");
        assert_eq!(topic("Default"), "shop.db.my_orders");
        assert_eq!(strategy("Default", &[]).table("", "public", "t"), "shop.t");
        assert_eq!(topic("SchemaUnicode"), "shop.public.my_u005forders");
        assert_eq!(
            strategy("DefaultUnicode", &[]).table("é", "", "漢"),
            "shop._u00e9._u6f22"
        );
        assert!(naming().with_strategy("my.Strategy", &Config::default()).is_err());
    }

    #[test]
    fn a_regex_routes_and_the_key_says_where_from() {
        let options = [
            ("topic.regex", r"(.*)\.orders_\d+"),
            ("topic.replacement", "$1.orders"),
        ];
        let all = strategy("SchemaRegex", &options);
        assert_eq!(all.table("", "public", "orders_7"), "shop.public.orders");
        assert_eq!(all.table("", "public", "other"), "shop.public.other");
        assert_eq!(
            all.key_field("", "public", "orders_7"),
            Some((
                "__dbz__physicalTableIdentifier",
                "shop.public.orders_7".to_owned()
            ))
        );
        let mut more = options.to_vec();
        more.extend([
            ("topic.key.field.name", "shard"),
            ("topic.key.field.regex", r".*_(\d+)"),
            ("topic.key.field.replacement", "s$1"),
        ]);
        let named = strategy("DefaultRegex", &more);
        assert_eq!(
            named.key_field("db", "", "orders_7"),
            Some(("shard", "s7".to_owned()))
        );
        assert_eq!(naming().key_field("", "a", "b"), None);
        let class = "io.debezium.schema.SchemaRegexTopicNamingStrategy";
        assert!(naming().with_strategy(class, &Config::default()).is_err());
    }

    #[test]
    fn topics_are_prefix_schema_table_made_fit_for_kafka() {
        assert_eq!(naming().data_change(&["public", "orders"]), "shop.public.orders");
        assert_eq!(
            naming().data_change(&["public", "Größe 1"]),
            "shop.public.Gr__e_1"
        );
        assert_eq!(naming().data_change(&["s", "😀"]), "shop.s.__");
        assert_eq!(naming().data_change(&["s", &"x".repeat(300)]).len(), 249);
    }
}
