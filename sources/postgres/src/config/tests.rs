use super::*;
use tapline_cdc::options::Skipped;

#[test]
fn defaults_are_debeziums() {
    let options = test_options(&[]);
    assert_eq!(
        (options.slot.as_str(), options.publication.as_str()),
        ("debezium", "dbz_publication")
    );
    assert_eq!(
        (options.autocreate, options.snapshot_mode),
        (Autocreate::AllTables, SnapshotMode::Initial)
    );
    assert_eq!(
        options.skipped,
        Skipped {
            truncates: true,
            ..Skipped::default()
        }
    );
    assert_eq!(options.settings.ssl_mode, SslMode::Prefer);
    assert_eq!(options.naming.heartbeat(), "__debezium-heartbeat.g");
    assert_eq!(options.types.placeholder.text, "__debezium_unavailable_value");
}

#[test]
fn every_default_passes_its_own_check() {
    let mut config: Config = [
        ("topic.prefix", "g"),
        ("database.hostname", "h"),
        ("database.user", "u"),
        ("database.dbname", "d"),
    ]
    .into_iter()
    .collect();
    for key in OPTIONS.keys().iter().chain(options::UNLISTED.keys()) {
        if let tapline_api::config::Default::Value(value) = key.default {
            config.set(key.name, value);
        }
    }
    let errors: Vec<_> = OPTIONS
        .validate(&config)
        .into_iter()
        .flat_map(|info| info.errors)
        .collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(findings(&config), []);
    assert!(Options::new(&config).is_ok());
}

#[test]
fn two_lists_of_one_kind_contradict() {
    let config: Config = [("table.include.list", "a"), ("table.exclude.list", "b")]
        .into_iter()
        .collect();
    assert_eq!(
        findings(&config),
        [(
            "table.exclude.list".to_owned(),
            "The 'table.exclude.list' value is invalid: \"table.include.list\" is already specified"
                .to_owned()
        )]
    );
}
