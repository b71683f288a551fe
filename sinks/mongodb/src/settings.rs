//! What a topic's records are to become: the options, with its `topic.override.TOPIC.*` over them.

use std::time::Duration;

use tapline_api::config::{Config, Parsed};
use tapline_api::{Error, Result};

use crate::cdc::Handler;
use crate::id::{Part, Strategy as IdStrategy};
use crate::namespace::{Mapper, Namespace, Path};
use crate::options::{CONFIG, ID, MAPPER, MODEL, POST, REFUSED};
use crate::processors::Processor;
use crate::projection::Projection;
use crate::rename::Renamer;
use crate::straight::Straight;
use crate::write::Strategy as WriteStrategy;

/// The start of a topic's own options.
const OVERRIDE: &str = "topic.override.";

/// Which refused records are let go, where this sink's own option says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tolerance {
    /// As the worker's `errors.tolerance` says.
    Worker,
    None,
    /// Data errors and all: what may pass is always tried again.
    All,
}

/// How one topic is written.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) mapper: Mapper,
    pub(crate) handler: Option<Handler>,
    pub(crate) without_nulls: bool,
    pub(crate) chain: Vec<Processor>,
    pub(crate) id: IdStrategy,
    pub(crate) write: WriteStrategy,
    /// For null values.
    pub(crate) delete: Option<WriteStrategy>,
    /// Writes of one bulk at most.
    pub(crate) most: usize,
    pub(crate) ordered: bool,
    /// After how many bulks to wait, and how long.
    pub(crate) rate: Option<(usize, Duration)>,
    pub(crate) tolerance: Tolerance,
    /// The short way that its records may take.
    pub(crate) straight: Option<Straight>,
}

fn invalid(option: &str, value: &str, what: &str) -> Error {
    Error::config(format!(
        "Invalid value {value} for configuration {option}: {what}"
    ))
}

/// The simple name of a class that is one of the connector's own.
fn class<'v>(option: &str, value: &'v str, package: &str) -> Result<&'v str> {
    let simple = value.strip_prefix(package).filter(|name| !name.contains('.'));
    simple.ok_or_else(|| {
        invalid(
            option,
            value,
            "Class not found: only the connector's own classes are there, Java classes can't be loaded",
        )
    })
}

/// Options that are not there yet may only say what their absence says; those that are not declared too.
fn refuse_what_is_not_there(config: &Config) -> Result<()> {
    let given = config
        .iter()
        .filter_map(|(name, value)| Some((name, value?.trim())));
    for (name, value) in given {
        let refused = REFUSED.iter().any(|start| name.starts_with(start));
        if refused && !matches!(value, "" | "0" | "false") {
            return Err(invalid(name, value, "it is not there yet"));
        }
    }
    Ok(())
}

/// The options of a topic.
fn merged(config: &Config, topic: &str) -> Config {
    let own = config.prefixed(&format!("{OVERRIDE}{topic}."));
    let mut merged: Config = config
        .iter()
        .filter(|(name, _)| !name.starts_with(OVERRIDE))
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
        .collect();
    for (name, value) in own.iter() {
        merged.set_nullable(name, value.map(str::to_owned));
    }
    merged
}

impl Topic {
    /// Of a topic.
    ///
    /// # Errors
    /// A config error that names the option.
    pub(crate) fn new(config: &Config, topic: &str) -> Result<Self> {
        let config = merged(config, topic);
        let parsed = CONFIG.parse(&config)?;
        refuse_what_is_not_there(&config)?;
        let id = id(&parsed)?;
        let delete = delete(&parsed, &id)?;
        let mut topic = Self {
            mapper: mapper(&parsed, topic)?,
            handler: handler(&parsed)?,
            without_nulls: parsed.boolean("change.data.capture.handler.remove.null.values")?,
            chain: chain(&parsed)?,
            write: model("writemodel.strategy", &parsed, &id)?,
            delete,
            id,
            most: match parsed.count("max.batch.size")? {
                0 => usize::MAX,
                most => most,
            },
            ordered: parsed.boolean("bulk.write.ordered")?,
            rate: match parsed.count("rate.limiting.every.n")? {
                0 => None,
                every => Some((every, parsed.millis("rate.limiting.timeout")?)),
            },
            tolerance: match config
                .get("mongo.errors.tolerance")
                .map(str::to_ascii_lowercase)
                .as_deref()
            {
                None => Tolerance::Worker,
                Some("none") => Tolerance::None,
                Some(_) => Tolerance::All,
            },
            straight: None,
        };
        topic.straight = Straight::of(&topic);
        Ok(topic)
    }
}

fn mapper(parsed: &Parsed, topic: &str) -> Result<Mapper> {
    let collection = parsed.text("collection").filter(|name| !name.is_empty());
    let default = Namespace {
        database: parsed.required("database")?.to_owned(),
        collection: collection.unwrap_or(topic).to_owned(),
    };
    let strict = parsed.boolean("namespace.mapper.error.if.invalid")?;
    let given = parsed.required("namespace.mapper")?;
    match class("namespace.mapper", given, MAPPER)? {
        "DefaultNamespaceMapper" => Ok(Mapper {
            default,
            database: None,
            collection: None,
            strict,
        }),
        "FieldPathNamespaceMapper" => {
            let path = |what: &str| {
                let field = |part: &str| {
                    let name = format!("namespace.mapper.{part}.{what}.field");
                    let path = parsed.text(&name).filter(|path| !path.is_empty());
                    (name, path.map(str::to_owned))
                };
                match (field("key"), field("value")) {
                    ((key, Some(path)), (value, Some(_))) => Err(invalid(
                        &key,
                        &path,
                        &format!("Cannot set both: '{key}' and '{value}'"),
                    )),
                    ((_, Some(path)), _) => Ok(Some(Path {
                        part: Part::Key,
                        path,
                    })),
                    (_, (_, Some(path))) => Ok(Some(Path {
                        part: Part::Value,
                        path,
                    })),
                    _ => Ok(None),
                }
            };
            let mapper = Mapper {
                default,
                database: path("database")?,
                collection: path("collection")?,
                strict,
            };
            if mapper.is_fixed() {
                return Err(invalid(
                    "namespace.mapper",
                    given,
                    "Missing configuration for the FieldBasedNamespaceMapper. Please configure the database and / or \
                     collection field path.",
                ));
            }
            Ok(mapper)
        }
        _ => Err(invalid("namespace.mapper", given, "Class not found")),
    }
}

fn handler(parsed: &Parsed) -> Result<Option<Handler>> {
    let option = "change.data.capture.handler";
    let given = parsed.text(option).map_or("", str::trim);
    if given.is_empty() {
        return Ok(None);
    }
    let found = Handler::of(given);
    found
        .map(Some)
        .ok_or_else(|| invalid(option, given, "Class not found: no such handler is there"))
}

fn projection(part: &str, parsed: &Parsed) -> Result<Projection> {
    let text = |name: &str| parsed.text(name).unwrap_or_default();
    let name = |prefix: &str, end: &str| format!("{prefix}{part}.projection.{end}");
    let own = |end: &str| {
        let own = text(&name("document.id.strategy.partial.", end));
        if own.is_empty() { text(&name("", end)) } else { own }
    };
    Projection::new(&name("", "type"), own("type"), own("list"))
}

fn id(parsed: &Parsed) -> Result<IdStrategy> {
    let option = "document.id.strategy";
    let given = parsed.required(option)?;
    Ok(match class(option, given, ID)? {
        "BsonOidStrategy" => IdStrategy::Oid,
        "KafkaMetaDataStrategy" => IdStrategy::Metadata,
        "FullKeyStrategy" => IdStrategy::FullKey,
        "PartialKeyStrategy" => IdStrategy::Partial(Part::Key, projection("key", parsed)?),
        "PartialValueStrategy" => IdStrategy::Partial(Part::Value, projection("value", parsed)?),
        "ProvidedInKeyStrategy" => IdStrategy::Provided(Part::Key),
        "ProvidedInValueStrategy" => IdStrategy::Provided(Part::Value),
        "UuidProvidedInKeyStrategy" => IdStrategy::ProvidedUuid(Part::Key),
        "UuidProvidedInValueStrategy" => IdStrategy::ProvidedUuid(Part::Value),
        "UuidStrategy" => IdStrategy::Uuid {
            text: parsed
                .required("document.id.strategy.uuid.format")?
                .eq_ignore_ascii_case("string"),
        },
        _ => return Err(invalid(option, given, "Class not found")),
    })
}

fn model(option: &str, parsed: &Parsed, id: &IdStrategy) -> Result<WriteStrategy> {
    let given = parsed.required(option)?;
    let strategy = WriteStrategy::of(class(option, given, MODEL)?)
        .ok_or_else(|| invalid(option, given, "Class not found"))?;
    if strategy == WriteStrategy::DeleteOneTombstoneBusinessKey
        && !matches!(id, IdStrategy::Partial(Part::Key, _))
    {
        return Err(invalid(
            option,
            given,
            "DeleteOneTombstoneBusinessKeyStrategy expects PartialKeyStrategy to be defined",
        ));
    }
    Ok(strategy)
}

fn delete(parsed: &Parsed, id: &IdStrategy) -> Result<Option<WriteStrategy>> {
    if !parsed.boolean("delete.on.null.values")? {
        return Ok(None);
    }
    let strategy = model("delete.writemodel.strategy", parsed, id)?;
    if strategy != WriteStrategy::DeleteOneDefault {
        return Ok(Some(strategy));
    }
    if !id.is_of_key() {
        return Err(invalid(
            "delete.on.null.values",
            "true",
            "DeleteOneDefaultStrategy can only be applied when the configured IdStrategy is an instance of: FullKeyStrategy or \
             PartialKeyStrategy or ProvidedInKeyStrategy",
        ));
    }
    Ok(Some(WriteStrategy::DeleteById))
}

fn chain(parsed: &Parsed) -> Result<Vec<Processor>> {
    let option = "post.processor.chain";
    let text = |name: &str| parsed.text(name).unwrap_or_default().to_owned();
    let adder = || {
        let overwrite = parsed.boolean("document.id.strategy.overwrite.existing")?;
        Ok::<_, Error>(Processor::DocumentIdAdder { overwrite })
    };
    let mut chain = Vec::new();
    let mut has_adder = false;
    for given in parsed.list(option) {
        // Renamers lie in a package of their own.
        let simple = match given.strip_prefix("com.mongodb.kafka.connect.sink.processor.field.renaming.") {
            Some(simple) => simple,
            None => class(option, given, POST)?,
        };
        let (key, value) = (text("key.projection.list"), text("value.projection.list"));
        chain.push(match simple {
            "DocumentIdAdder" => {
                has_adder = true;
                adder()?
            }
            "AllowListKeyProjector" | "WhitelistKeyProjector" => {
                Processor::ProjectKey(Projection::allow(&key))
            }
            "BlockListKeyProjector" | "BlacklistKeyProjector" => {
                Processor::ProjectKey(Projection::block(&key))
            }
            "AllowListValueProjector" | "WhitelistValueProjector" => {
                Processor::ProjectValue(Projection::allow(&value))
            }
            "BlockListValueProjector" | "BlacklistValueProjector" => {
                Processor::ProjectValue(Projection::block(&value))
            }
            "KafkaMetaAdder" => Processor::KafkaMetaAdder,
            "NullFieldValueRemover" => Processor::NullFieldValueRemover,
            "RenameByMapping" => {
                let option = "field.renamer.mapping";
                Processor::Rename(Renamer::mapping(option, &text(option))?)
            }
            "RenameByRegExp" => {
                let option = "field.renamer.regexp";
                Processor::Rename(Renamer::patterns(option, &text(option))?)
            }
            _ => return Err(invalid(option, given, "Class not found")),
        });
    }
    if !has_adder {
        chain.insert(0, adder()?);
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(more: &[(&str, &str)]) -> std::result::Result<Topic, String> {
        let config: Config = [("database", "d")].iter().chain(more).copied().collect();
        Topic::new(&config, "t").map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_topic_has_its_own_options_over_the_common_ones() {
        let settings = [
            ("topic.override.t.collection", "own"),
            ("collection", "all"),
            ("max.batch.size", "5"),
        ];
        let topic = topic(&settings).unwrap();
        assert_eq!(topic.mapper.default.to_string(), "d.own");
        assert_eq!(
            (topic.most, topic.ordered, topic.write),
            (5, true, WriteStrategy::ReplaceOneDefault)
        );
        let config: Config = [("database", "d")].iter().chain(&settings).copied().collect();
        assert_eq!(
            Topic::new(&config, "u").unwrap().mapper.default.to_string(),
            "d.all"
        );
        assert_eq!(
            super::tests::topic(&[]).unwrap().mapper.default.to_string(),
            "d.t"
        );
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        for (name, value) in [
            ("timeseries.timefield", "ts"),
            ("csfle.enabled", "true"),
            ("mongo.custom.auth.mechanism.enable", "true"),
            ("topic.override.t.timeseries.granularity", "hours"),
            ("field.value.transformer", "com.example.T"),
            ("post.processor.chain", "com.example.P"),
            ("document.id.strategy", "com.example.S"),
            ("writemodel.strategy", "ReplaceOneDefaultStrategy"),
            (
                "change.data.capture.handler",
                "com.mongodb.kafka.connect.sink.cdc.qlik.rdbms.RdbmsHandler",
            ),
            ("delete.on.null.values", "true"),
            (
                "namespace.mapper",
                "com.mongodb.kafka.connect.sink.namespace.mapping.FieldPathNamespaceMapper",
            ),
            ("field.renamer.mapping", "{}"),
        ] {
            let mut more = vec![(name, value)];
            if name.starts_with("field.renamer") {
                more.push((
                    "post.processor.chain",
                    "com.mongodb.kafka.connect.sink.processor.field.renaming.RenameByMapping",
                ));
            }
            let error = topic(&more).map(|_| ()).unwrap_err();
            let name = name.trim_start_matches("topic.override.t.");
            assert!(error.contains(name), "{error}");
        }
    }
}
