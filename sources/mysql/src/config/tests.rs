use super::*;

#[test]
fn databases_are_what_others_call_schemas() {
    let options = test_options(&[("database.include.list", "fx"), ("table.exclude.list", "fx.no")]);
    assert!(options.captures("fx", "t") && !options.captures("fx", "no") && !options.captures("fx2", "t"));
    assert!(!test_options(&[]).captures("mysql", "user"));
}

#[test]
fn what_to_do_with_bad_events_and_unknown_schemas_is_debeziums_once_it_is_set() {
    let options = test_options(&[]);
    assert_eq!(
        (options.on_unreadable, options.on_unknown_schema),
        (OnFailure::Fail, None)
    );
    let options = test_options(&[
        ("event.processing.failure.handling.mode", "skip"),
        ("inconsistent.schema.handling.mode", "fail"),
    ]);
    let expected = (OnFailure::Skip, Some(OnFailure::Fail));
    assert_eq!((options.on_unreadable, options.on_unknown_schema), expected);
    let options = test_options(&[
        ("event.processing.failure.handling.mode", "fail"),
        ("event.deserialization.failure.handling.mode", "warn"),
    ]);
    assert_eq!(options.on_unreadable, OnFailure::Warn);
}

#[test]
fn the_built_in_converter_is_known_and_others_are_refused() {
    let class = "io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter";
    let options = test_options(&[("converters", "t"), ("t.type", class)]);
    assert!(options.types.tiny_int_one.is_some_and(|only| only.is_empty()));
    let class = "io.debezium.connector.binlog.converters.ZeroDateFallbackConverter";
    let given = [
        ("converters", "z"),
        ("z.type", class),
        ("z.fallback.date", "2000-01-01"),
    ];
    assert!(test_options(&given).types.zero_dates.is_some());
    let config: Config = [("converters", "x"), ("x.type", "com.acme.X")]
        .into_iter()
        .collect();
    assert!(findings(&config).iter().any(|(name, _)| name == "converters"));
}
