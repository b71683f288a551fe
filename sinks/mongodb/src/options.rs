//! The options of MongoDB's sink connector 3.0, as REST shows them.
//!
//! `errors.tolerance` and `errors.log.enable` are every connector's; the same names under `mongo.` take their place here.

use tapline_api::config::{ConfigDef, ConfigKey, Importance, Kind, Validator, Width};

pub(crate) const POST: &str = "com.mongodb.kafka.connect.sink.processor.";
pub(crate) const ID: &str = "com.mongodb.kafka.connect.sink.processor.id.strategy.";
pub(crate) const MODEL: &str = "com.mongodb.kafka.connect.sink.writemodel.strategy.";
pub(crate) const MAPPER: &str = "com.mongodb.kafka.connect.sink.namespace.mapping.";

const PROJECTIONS: Validator =
    Validator::OneOfIgnoringCase(&["none", "blacklist", "whitelist", "allowlist", "blocklist"]);
const PARTS: Validator =
    Validator::OneOfIgnoringCase(&["", "none", "blacklist", "whitelist", "allowlist", "blocklist"]);

const fn text(
    name: &'static str,
    group: &'static str,
    order: i32,
    display: &'static str,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey::new(name, Kind::String, doc)
        .default("")
        .form(group, order, Width::Medium, display)
}

const fn flag(
    name: &'static str,
    group: &'static str,
    order: i32,
    display: &'static str,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey::new(name, Kind::Boolean, doc)
        .default("false")
        .importance(Importance::Medium)
        .form(group, order, Width::Medium, display)
}

const fn count(name: &'static str, order: i32, display: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, Kind::Int, doc)
        .default("0")
        .valid(Validator::AtLeast(0))
        .form(WRITES, order, Width::Medium, display)
}

const CONNECTION: &str = "Connection";
const NAMESPACE: &str = "Namespace";
const MAPPING: &str = "Namespace mapping";
const WRITES: &str = "Writes";
const PROCESSING: &str = "Post Processing";
const IDS: &str = "Id Strategies";
const ERRORS: &str = "Errors";
const CDC: &str = "Change Data Capture";
const SERIES: &str = "Time series";
const API: &str = "Server Api";
const SSL: &str = "SSL";
const CSFLE: &str = "Client-Side Field Level Encryption";

/// What is not there, by the start of its name: set to anything but its default it is refused.
pub(crate) const REFUSED: &[&str] = &[
    "timeseries.",
    "csfle.",
    "field.value.transformer",
    "mongo.custom.auth.",
];

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "connection.uri",
        Kind::Password,
        "Where the server is: mongodb://… or mongodb+srv://…, with what the official drivers know.",
    )
    .default("mongodb://localhost:27017")
    .importance(Importance::High)
    .form(CONNECTION, 1, Width::Medium, "MongoDB Connection URI"),
    ConfigKey::new("server.api.version", Kind::String, "The version of the stable API to ask for: 1, or none.")
        .default("")
        .valid(Validator::OneOf(&["", "1"]))
        .importance(Importance::Medium)
        .form(API, 1, Width::Medium, "The server API version."),
    flag(
        "server.api.deprecation.errors",
        API,
        2,
        "Deprecation errors",
        "Whether the server refuses what is deprecated in that version.",
    ),
    flag(
        "server.api.strict",
        API,
        3,
        "Strict",
        "Whether the server refuses what is not in that version.",
    ),
    text(
        "connection.ssl.truststore",
        SSL,
        1,
        "Truststore",
        "A PEM file of the authorities to trust. Java key stores are not read.",
    ),
    ConfigKey::new("connection.ssl.truststorePassword", Kind::Password, "Without effect: PEM files have none.")
        .default("")
        .form(SSL, 2, Width::Medium, "Truststore password"),
    text(
        "connection.ssl.keystore",
        SSL,
        3,
        "Keystore",
        "A PEM file of the client's certificate and key. Java key stores are not read.",
    ),
    ConfigKey::new("connection.ssl.keystorePassword", Kind::Password, "Refused: the key must not be encrypted.")
        .default("")
        .form(SSL, 4, Width::Medium, "Keystore password"),
    ConfigKey::new("database", Kind::String, "The database to write to.")
        .required()
        .valid(Validator::NonEmpty)
        .importance(Importance::High)
        .form(NAMESPACE, 1, Width::Medium, "The MongoDB database name."),
    text(
        "collection",
        NAMESPACE,
        2,
        "The default MongoDB collection name",
        "The collection to write to; each topic's own name where it is not given.",
    )
    .importance(Importance::High),
    ConfigKey::new(
        "namespace.mapper",
        Kind::String,
        "DefaultNamespaceMapper, by the two options above, or FieldPathNamespaceMapper, by fields of the record.",
    )
    .default("com.mongodb.kafka.connect.sink.namespace.mapping.DefaultNamespaceMapper")
    .importance(Importance::High)
    .form(MAPPING, 1, Width::Long, "The namespace mapper class"),
    text(
        "namespace.mapper.key.database.field",
        MAPPING,
        2,
        "The key field to use as the destination database name.",
        "The path of the key's field that names the database.",
    )
    .importance(Importance::Medium),
    text(
        "namespace.mapper.key.collection.field",
        MAPPING,
        3,
        "The key field to use as the destination collection name.",
        "The path of the key's field that names the collection.",
    )
    .importance(Importance::Medium),
    text(
        "namespace.mapper.value.database.field",
        MAPPING,
        4,
        "The value field to use as the destination database name.",
        "The path of the value's field that names the database.",
    )
    .importance(Importance::Medium),
    text(
        "namespace.mapper.value.collection.field",
        MAPPING,
        5,
        "The value field to use as the destination collection name.",
        "The path of the value's field that names the collection.",
    )
    .importance(Importance::Medium),
    flag(
        "namespace.mapper.error.if.invalid",
        MAPPING,
        6,
        "Throw an error if the mapped field is missing or invalid.",
        "Whether such a field that is missing, or no text, is an error; else the options above count.",
    ),
    flag(
        "delete.on.null.values",
        WRITES,
        1,
        "Delete on null values",
        "Whether a null value deletes the document of its key; otherwise it is an error.",
    ),
    ConfigKey::new("writemodel.strategy", Kind::String, "What is done with a document.")
        .default("com.mongodb.kafka.connect.sink.writemodel.strategy.DefaultWriteModelStrategy")
        .form(WRITES, 2, Width::Medium, "The writeModel strategy"),
    ConfigKey::new("delete.writemodel.strategy", Kind::String, "What is done for a null value.")
        .default("com.mongodb.kafka.connect.sink.writemodel.strategy.DeleteOneDefaultStrategy")
        .form(WRITES, 3, Width::Medium, "The delete writeModel strategy"),
    count("max.batch.size", 4, "The maximum batch size", "Writes of one bulk at most; 0 for as many as fit.")
        .importance(Importance::Medium),
    ConfigKey::new(
        "bulk.write.ordered",
        Kind::Boolean,
        "Whether a bulk is written in order. With either the records after a refused one are written, where it is tolerated.",
    )
    .default("true")
    .importance(Importance::Medium)
    .form(WRITES, 5, Width::Medium, "Use ordered bulk writes"),
    count("rate.limiting.timeout", 6, "The rate limiting timeout", "Milliseconds to wait after so many bulks."),
    count("rate.limiting.every.n", 7, "The rate limiting batch number", "After how many bulks; 0 for never."),
    ConfigKey::new(
        "post.processor.chain",
        Kind::List,
        "What is done to a document before it is written, in order; DocumentIdAdder comes first where it is not named.",
    )
    .default("com.mongodb.kafka.connect.sink.processor.DocumentIdAdder")
    .form(PROCESSING, 1, Width::Medium, "The post processor chain"),
    ConfigKey::new("key.projection.type", Kind::String, "Of which kind key.projection.list is.")
        .default("none")
        .valid(PROJECTIONS)
        .form(PROCESSING, 2, Width::Medium, "The key projection type"),
    text(
        "key.projection.list",
        PROCESSING,
        3,
        "The key projection list",
        "Fields of the key, by path; * is one level, ** all below.",
    )
    .dependents(&["key.projection.type"]),
    ConfigKey::new("value.projection.type", Kind::String, "Of which kind value.projection.list is.")
        .default("none")
        .valid(PROJECTIONS)
        .form(
            PROCESSING,
            4,
            Width::Medium,
            "The type of value projection to use Use either `AllowList` or `BlockList`.",
        ),
    text(
        "value.projection.list",
        PROCESSING,
        5,
        "The value projection list",
        "Fields of the value, by path; * is one level, ** all below.",
    )
    .dependents(&["value.projection.type"]),
    ConfigKey::new(
        "field.renamer.mapping",
        Kind::String,
        "New names by path: [{\"oldName\":\"key.fieldA\",\"newName\":\"field1\"}].",
    )
    .default("[]")
    .form(PROCESSING, 6, Width::Medium, "The field renamer mapping"),
    ConfigKey::new(
        "field.renamer.regexp",
        Kind::String,
        "New names by patterns: [{\"regexp\":\"^key\\\\..*my.*$\",\"pattern\":\"my\",\"replace\":\"\"}].",
    )
    .default("[]")
    .form(PROCESSING, 7, Width::Medium, "The field renamer regex"),
    text(
        "field.value.transformer",
        PROCESSING,
        8,
        "Field value transformer class",
        "Refused: a Java class.",
    ),
    text("field.value.transformer.fields", PROCESSING, 9, "Fields to transform", "Refused: see above."),
    ConfigKey::new("document.id.strategy", Kind::String, "Where a document's _id comes from.")
        .default("com.mongodb.kafka.connect.sink.processor.id.strategy.BsonOidStrategy")
        .importance(Importance::High)
        .form(IDS, 1, Width::Medium, "The document id strategy"),
    flag(
        "document.id.strategy.overwrite.existing",
        IDS,
        2,
        "The document id strategy overwrite existing setting",
        "Whether an _id that the document has is overwritten.",
    )
    .importance(Importance::High),
    ConfigKey::new("document.id.strategy.uuid.format", Kind::String, "What UuidStrategy makes: string or binary.")
        .default("string")
        .valid(Validator::OneOfIgnoringCase(&["string", "binary"]))
        .importance(Importance::High)
        .form(IDS, 3, Width::Medium, "The document id strategy uuid format"),
    text(
        "document.id.strategy.partial.key.projection.type",
        IDS,
        4,
        "The document id strategy key projection",
        "As key.projection.type, for PartialKeyStrategy; that one where it is not given.",
    )
    .valid(PARTS),
    text(
        "document.id.strategy.partial.key.projection.list",
        IDS,
        5,
        "The document id strategy key projection list",
        "As key.projection.list, for PartialKeyStrategy; that one where it is not given.",
    )
    .dependents(&["document.id.strategy.partial.key.projection.type"]),
    text(
        "document.id.strategy.partial.value.projection.type",
        IDS,
        6,
        "The document id strategy value projection",
        "As value.projection.type, for PartialValueStrategy; that one where it is not given.",
    )
    .valid(PARTS),
    text(
        "document.id.strategy.partial.value.projection.list",
        IDS,
        7,
        "The document id strategy value projection list",
        "As value.projection.list, for PartialValueStrategy; that one where it is not given.",
    )
    .dependents(&["document.id.strategy.partial.value.projection.type"]),
    ConfigKey::new(
        "mongo.errors.tolerance",
        Kind::String,
        "Where it is given, it counts instead of errors.tolerance for what this sink refuses: none, data or all.",
    )
    .default("none")
    .valid(Validator::OneOfIgnoringCase(&["none", "data", "all"]))
    .importance(Importance::Medium)
    .form(ERRORS, 1, Width::Short, "Error Tolerance"),
    flag(
        "mongo.errors.log.enable",
        ERRORS,
        2,
        "Log Errors",
        "Where it is given, it counts instead of errors.log.enable.",
    ),
    text(
        "change.data.capture.handler",
        CDC,
        1,
        "The CDC handler",
        "Whose change events the records are: RdbmsHandler, PostgresHandler, MysqlHandler, MongoDbHandler, ChangeStreamHandler.",
    ),
    flag(
        "change.data.capture.handler.remove.null.values",
        CDC,
        2,
        "Remove null fields in CDC writes",
        "Whether fields that are null are left out of what a change event writes.",
    )
    .importance(Importance::Low),
    text("timeseries.timefield", SERIES, 1, "The field used for time", "Refused: not there yet."),
    text("timeseries.metafield", SERIES, 2, "The field describing the series", "Refused: not there yet."),
    ConfigKey::new("timeseries.expire.after.seconds", Kind::Long, "Refused: not there yet.")
        .default("0")
        .valid(Validator::AtLeast(0))
        .form(SERIES, 3, Width::Medium, "The data expiry time in seconds"),
    text("timeseries.granularity", SERIES, 4, "The data expiry time", "Refused: not there yet."),
    flag(
        "timeseries.timefield.auto.convert",
        SERIES,
        5,
        "Convert the field to a BSON datetime type.",
        "Refused: not there yet.",
    )
    .importance(Importance::Low),
    flag("csfle.enabled", CSFLE, 1, "Enable CS-FLE", "Refused: not there yet."),
]);
