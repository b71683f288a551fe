//! The options of MongoDB's sink connector 3.0, as REST shows them: one table, by the groups of its form.
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

/// What is not there, by the start of its name: set to anything but its default it is refused.
pub(crate) const REFUSED: &[&str] = &[
    "timeseries.",
    "csfle.",
    "field.value.transformer",
    "mongo.custom.auth.",
];

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&KEYS);

static KEYS: [ConfigKey; count(GROUPS)] = numbered(GROUPS);

/// Reads the table.
macro_rules! table {
    ($($group:literal {
        $($name:literal $kind:ident $default:literal $importance:ident $title:literal $doc:literal $(.$more:ident($($argument:expr),*))*;)*
    })*) => {
        &[$(($group, &[$(
            ConfigKey::new($name, Kind::$kind, $doc)
                .default($default)
                .importance(Importance::$importance)
                .form("", 0, Width::Medium, $title)
                $(.$more($($argument),*))*
        ),*])),*]
    };
}

/// The groups of the form, and of each its options in order: name, type, default, importance, title, what it does.
const GROUPS: &[(&str, &[ConfigKey])] = table! {
    "Connection" {
        "connection.uri" Password "mongodb://localhost:27017" High "MongoDB Connection URI"
            "Where the server is: mongodb://… or mongodb+srv://…, with what the official drivers know.";
    }
    "Server Api" {
        "server.api.version" String "" Medium "The server API version."
            "The version of the stable API to ask for: 1, or none."
            .valid(Validator::OneOf(&["", "1"]));
        "server.api.deprecation.errors" Boolean "false" Medium "Deprecation errors"
            "Whether the server refuses what is deprecated in that version.";
        "server.api.strict" Boolean "false" Medium "Strict"
            "Whether the server refuses what is not in that version.";
    }
    "SSL" {
        "connection.ssl.truststore" String "" Low "Truststore"
            "A PEM file of the authorities to trust. Java key stores are not read.";
        "connection.ssl.truststorePassword" Password "" Low "Truststore password"
            "Without effect: PEM files have none.";
        "connection.ssl.keystore" String "" Low "Keystore"
            "A PEM file of the client's certificate and key. Java key stores are not read.";
        "connection.ssl.keystorePassword" Password "" Low "Keystore password"
            "Refused: the key must not be encrypted.";
    }
    "Namespace" {
        "database" String "" High "The MongoDB database name."
            "The database to write to."
            .required() .valid(Validator::NonEmpty);
        "collection" String "" High "The default MongoDB collection name"
            "The collection to write to; each topic's own name where it is not given.";
    }
    "Namespace mapping" {
        "namespace.mapper" String "com.mongodb.kafka.connect.sink.namespace.mapping.DefaultNamespaceMapper" High "The namespace mapper class"
            "DefaultNamespaceMapper, by the two options above, or FieldPathNamespaceMapper, by fields of the record."
            .form("", 0, Width::Long, "The namespace mapper class");
        "namespace.mapper.key.database.field" String "" Medium "The key field to use as the destination database name."
            "The path of the key's field that names the database.";
        "namespace.mapper.key.collection.field" String "" Medium "The key field to use as the destination collection name."
            "The path of the key's field that names the collection.";
        "namespace.mapper.value.database.field" String "" Medium "The value field to use as the destination database name."
            "The path of the value's field that names the database.";
        "namespace.mapper.value.collection.field" String "" Medium "The value field to use as the destination collection name."
            "The path of the value's field that names the collection.";
        "namespace.mapper.error.if.invalid" Boolean "false" Medium "Throw an error if the mapped field is missing or invalid."
            "Whether such a field that is missing, or no text, is an error; else the options above count.";
    }
    "Writes" {
        "delete.on.null.values" Boolean "false" Medium "Delete on null values"
            "Whether a null value deletes the document of its key; otherwise it is an error.";
        "writemodel.strategy" String "com.mongodb.kafka.connect.sink.writemodel.strategy.DefaultWriteModelStrategy" Low "The writeModel strategy"
            "What is done with a document.";
        "delete.writemodel.strategy" String "com.mongodb.kafka.connect.sink.writemodel.strategy.DeleteOneDefaultStrategy" Low "The delete writeModel strategy"
            "What is done for a null value.";
        "max.batch.size" Int "0" Medium "The maximum batch size"
            "Writes of one bulk at most; 0 for as many as fit."
            .valid(Validator::AtLeast(0));
        "bulk.write.ordered" Boolean "true" Medium "Use ordered bulk writes"
            "Whether a bulk is written in order. With either the records after a refused one are written, where it is tolerated.";
        "rate.limiting.timeout" Int "0" Low "The rate limiting timeout"
            "Milliseconds to wait after so many bulks."
            .valid(Validator::AtLeast(0));
        "rate.limiting.every.n" Int "0" Low "The rate limiting batch number"
            "After how many bulks; 0 for never."
            .valid(Validator::AtLeast(0));
    }
    "Post Processing" {
        "post.processor.chain" List "com.mongodb.kafka.connect.sink.processor.DocumentIdAdder" Low "The post processor chain"
            "What is done to a document before it is written, in order; DocumentIdAdder comes first where it is not named.";
        "key.projection.type" String "none" Low "The key projection type"
            "Of which kind key.projection.list is."
            .valid(PROJECTIONS);
        "key.projection.list" String "" Low "The key projection list"
            "Fields of the key, by path; * is one level, ** all below."
            .dependents(&["key.projection.type"]);
        "value.projection.type" String "none" Low "The type of value projection to use Use either `AllowList` or `BlockList`."
            "Of which kind value.projection.list is."
            .valid(PROJECTIONS);
        "value.projection.list" String "" Low "The value projection list"
            "Fields of the value, by path; * is one level, ** all below."
            .dependents(&["value.projection.type"]);
        "field.renamer.mapping" String "[]" Low "The field renamer mapping"
            "New names by path: [{\"oldName\":\"key.fieldA\",\"newName\":\"field1\"}].";
        "field.renamer.regexp" String "[]" Low "The field renamer regex"
            "New names by patterns: [{\"regexp\":\"^key\\\\..*my.*$\",\"pattern\":\"my\",\"replace\":\"\"}].";
        "field.value.transformer" String "" Low "Field value transformer class"
            "Refused: a Java class.";
        "field.value.transformer.fields" String "" Low "Fields to transform"
            "Refused: see above.";
    }
    "Id Strategies" {
        "document.id.strategy" String "com.mongodb.kafka.connect.sink.processor.id.strategy.BsonOidStrategy" High "The document id strategy"
            "Where a document's _id comes from.";
        "document.id.strategy.overwrite.existing" Boolean "false" High "The document id strategy overwrite existing setting"
            "Whether an _id that the document has is overwritten.";
        "document.id.strategy.uuid.format" String "string" High "The document id strategy uuid format"
            "What UuidStrategy makes: string or binary."
            .valid(Validator::OneOfIgnoringCase(&["string", "binary"]));
        "document.id.strategy.partial.key.projection.type" String "" Low "The document id strategy key projection"
            "As key.projection.type, for PartialKeyStrategy; that one where it is not given."
            .valid(PARTS);
        "document.id.strategy.partial.key.projection.list" String "" Low "The document id strategy key projection list"
            "As key.projection.list, for PartialKeyStrategy; that one where it is not given."
            .dependents(&["document.id.strategy.partial.key.projection.type"]);
        "document.id.strategy.partial.value.projection.type" String "" Low "The document id strategy value projection"
            "As value.projection.type, for PartialValueStrategy; that one where it is not given."
            .valid(PARTS);
        "document.id.strategy.partial.value.projection.list" String "" Low "The document id strategy value projection list"
            "As value.projection.list, for PartialValueStrategy; that one where it is not given."
            .dependents(&["document.id.strategy.partial.value.projection.type"]);
    }
    "Errors" {
        "mongo.errors.tolerance" String "none" Medium "Error Tolerance"
            "Where it is given, it counts instead of errors.tolerance for what this sink refuses: none, data or all."
            .valid(Validator::OneOfIgnoringCase(&["none", "data", "all"])).form("", 0, Width::Short, "Error Tolerance");
        "mongo.errors.log.enable" Boolean "false" Medium "Log Errors"
            "Where it is given, it counts instead of errors.log.enable.";
    }
    "Change Data Capture" {
        "change.data.capture.handler" String "" Low "The CDC handler"
            "Whose change events the records are: RdbmsHandler, PostgresHandler, MysqlHandler, MongoDbHandler, ChangeStreamHandler.";
        "change.data.capture.handler.remove.null.values" Boolean "false" Low "Remove null fields in CDC writes"
            "Whether fields that are null are left out of what a change event writes.";
    }
    "Time series" {
        "timeseries.timefield" String "" Low "The field used for time"
            "Refused: not there yet.";
        "timeseries.metafield" String "" Low "The field describing the series"
            "Refused: not there yet.";
        "timeseries.expire.after.seconds" Long "0" Low "The data expiry time in seconds"
            "Refused: not there yet."
            .valid(Validator::AtLeast(0));
        "timeseries.granularity" String "" Low "The data expiry time"
            "Refused: not there yet.";
        "timeseries.timefield.auto.convert" Boolean "false" Low "Convert the field to a BSON datetime type."
            "Refused: not there yet.";
    }
    "Client-Side Field Level Encryption" {
        "csfle.enabled" Boolean "false" Medium "Enable CS-FLE"
            "Refused: not there yet.";
    }
};

const fn count(groups: &[(&str, &[ConfigKey])]) -> usize {
    let (mut all, mut rest) = (0, groups);
    while let [(_, keys), after @ ..] = rest {
        all += keys.len();
        rest = after;
    }
    all
}

/// All options in a row, each with its group and its place there.
const fn numbered<const N: usize>(groups: &'static [(&'static str, &'static [ConfigKey])]) -> [ConfigKey; N] {
    let mut all = [ConfigKey::new("", Kind::String, ""); N];
    let mut free: &mut [ConfigKey] = &mut all;
    let mut groups = groups;
    while let [(group, keys), after @ ..] = groups {
        let (mut keys, mut order): (&[ConfigKey], i32) = (keys, 1);
        while let [known, more @ ..] = keys {
            let [slot, left @ ..] = free else {
                return all;
            };
            *slot = *known;
            slot.group = Some(group);
            slot.order = order;
            order += 1;
            (keys, free) = (more, left);
        }
        groups = after;
    }
    all
}
