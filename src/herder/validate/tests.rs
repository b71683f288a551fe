//! What is refused, in whose words.

use std::path::PathBuf;

use super::*;

const FILE_SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
const FILE_SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";

fn validated(worker: &[(&str, &str)], config: &[(&str, &str)]) -> ConfigInfos {
    let worker = WorkerConfig::new(worker.iter().copied().collect(), PathBuf::new()).unwrap();
    let config: Config = config.iter().copied().collect();
    declared(&worker, plugin(&config).unwrap(), &config)
}

fn errors(config: &[(&str, &str)]) -> Vec<String> {
    validated(&[], config).errors().map(str::to_owned).collect()
}

#[test]
fn a_source_has_the_options_of_every_connector_then_its_own() {
    let infos = validated(
        &[],
        &[
            ("connector.class", FILE_SOURCE),
            ("name", "a"),
            ("topic", "t"),
            ("transforms", "x,x"),
        ],
    );
    assert_eq!(
        infos.groups,
        [
            "Common",
            "Transforms",
            "Predicates",
            "Error Handling",
            "Topic Creation",
            "Exactly Once Support",
            "offsets.topic",
            "Transforms: x"
        ]
    );
    let shown: Vec<_> = infos
        .configs
        .iter()
        .map(|entry| {
            let definition = entry.definition.as_ref().unwrap();
            (
                entry.value.name.as_str(),
                definition.order_in_group,
                entry.value.value.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        shown[..6],
        [
            ("name", 1, Some("a")),
            ("connector.class", 2, Some(FILE_SOURCE)),
            ("connector.plugin.version", 3, Some("4.3.1")),
            ("tasks.max", 4, Some("1")),
            ("tasks.max.enforce", 5, Some("true")),
            (
                "key.converter",
                6,
                Some("org.apache.kafka.connect.json.JsonConverter")
            ),
        ]
    );
    assert_eq!(
        shown[shown.len() - 5..],
        [
            ("transforms.x.type", 0, None),
            ("transforms.x.plugin.version", 1, None),
            ("file", -1, None),
            ("topic", -1, Some("t")),
            ("batch.size", -1, Some("2000")),
        ]
    );
    assert_eq!(
        infos.errors().collect::<Vec<_>>(),
        [
            "Invalid value [x, x] for configuration transforms: Duplicate alias provided.",
            "Missing required configuration \"transforms.x.type\" which has no default value.",
        ]
    );
}

#[test]
fn a_refusal_holds_all_findings() {
    let infos = validated(
        &[],
        &[
            ("connector.class", FILE_SOURCE),
            ("name", "tour-x"),
            ("tasks.max", "0"),
        ],
    );
    assert_eq!(infos.error_count, 2);
    assert_eq!(
        infos.refusal().unwrap(),
        "Connector configuration is invalid and contains the following 2 error(s):\n\
         Invalid value 0 for configuration tasks.max: Value must be at least 1\n\
         Missing required configuration \"topic\" which has no default value.\n\
         You can also find the above list of errors at the endpoint \
         `/connector-plugins/{connectorType}/config/validate`"
    );
    let empty = errors(&[("connector.class", FILE_SOURCE), ("name", ""), ("topic", "t")]);
    assert_eq!(
        empty,
        ["Invalid value  for configuration name: String may not be empty"]
    );
}

#[test]
fn a_sink_reads_topics_or_a_pattern_but_never_its_own_dead_letters() {
    let sink = [("connector.class", FILE_SINK), ("name", "a")];
    let with = |more: &[(&'static str, &'static str)]| errors(&[&sink, more].concat());
    assert_eq!(with(&[("topics", "t")]), [""; 0]);
    assert_eq!(with(&[]), ["Must configure one of topics or topics.regex"; 2]);
    assert_eq!(with(&[("topics", "t"), ("topics.regex", "t.*")]).len(), 2);
    let dead = ("errors.deadletterqueue.topic.name", "dlq");
    assert!(with(&[("topics", "t, dlq"), dead])[0].starts_with("The DLQ topic 'dlq' may not be included"));
    assert!(with(&[("topics.regex", "d.*"), dead])[0].contains("in the regex matching the topics"));
    assert_eq!(with(&[("topics.regex", "t.*"), dead]), [""; 0]);
}

#[test]
fn a_converter_of_the_connectors_own_brings_its_options() {
    let source = [("connector.class", FILE_SOURCE), ("name", "a"), ("topic", "t")];
    let json = ("value.converter", "org.apache.kafka.connect.json.JsonConverter");
    let with = [&source[..], &[json, ("value.converter.schemas.enable", "maybe")]].concat();
    let infos = validated(&[], &with);
    assert_eq!(
        infos.errors().collect::<Vec<_>>(),
        ["Invalid value maybe for configuration schemas.enable: Expected value to be either true or false"]
    );
    assert!(
        infos
            .configs
            .iter()
            .any(|entry| entry.value.name == "value.converter.schemas.enable")
    );
    let unknown = [&source[..], &[("key.converter", "no.such.C")]].concat();
    assert_eq!(
        errors(&unknown),
        ["Invalid value no.such.C for configuration key.converter: Class no.such.C could not be found."]
    );
}

#[test]
fn client_overrides_are_let_through_as_the_workers_policy_says() {
    let config = [
        ("connector.class", FILE_SOURCE),
        ("name", "a"),
        ("topic", "t"),
        ("producer.override.linger.ms", "5"),
        ("producer.override.sasl.mechanism", "PLAIN"),
    ];
    let policy = "connector.client.config.override.policy";
    let refused = |value| validated(&[(policy, value)], &config).error_count;
    assert_eq!((refused("All"), refused("None"), refused("Principal")), (0, 2, 1));
    let list = [
        (policy, "Allowlist"),
        ("connector.client.config.override.allowlist", "linger.ms"),
    ];
    assert_eq!(
        validated(&list, &config).errors().collect::<Vec<_>>(),
        [
            "The 'Allowlist' policy does not allow 'sasl.mechanism' to be overridden in the connector configuration."
        ]
    );
}

#[test]
fn a_configuration_without_a_known_class_is_refused_and_shows_no_secret() {
    let refusal = |config: &[(&str, &str)]| {
        plugin(&config.iter().copied().collect())
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(
        refusal(&[
            ("tasks.max", "1"),
            ("name", "tour-x"),
            ("database.password", "pssst")
        ]),
        "Connector config {database.password=[hidden], name=tour-x, tasks.max=1} contains no connector type"
    );
    let unknown = refusal(&[("connector.class", "no.such.C")]);
    assert!(unknown.starts_with(
        "Failed to find any class that implements Connector and which name matches no.such.C, available \
         connectors are: PluginDesc{klass=class "
    ));
}
