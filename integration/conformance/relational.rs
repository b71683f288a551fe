//! The relational sink's targets. Each scenario has a database of its own.

use std::sync::Mutex;

use tapline_harness::{Mysql, Postgres};

use super::subject::{Subject, bars};

fn settings(url: String, user: &str, password: &str) -> Vec<(String, String)> {
    [
        ("connection.url", url.as_str()),
        ("connection.username", user),
        ("connection.password", password),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

pub fn postgres(server: &'static Postgres, database: &str) -> Subject {
    let sql = Mutex::new(server.create_database(database));
    Subject {
        plugin: &tapline_sink_relational::PLUGIN,
        settings: settings(
            format!("jdbc:postgresql://127.0.0.1:{}/{database}", server.port()),
            "postgres",
            "",
        ),
        look: Box::new(move |text| sql.lock().unwrap().rows(text).into_iter().map(bars).collect()),
    }
}

pub fn mysql(server: &'static Mysql, database: &str) -> Subject {
    server.execute(&format!("create database {database}"));
    let scheme = match server.kind() {
        tapline_harness::mysql::Kind::MySql => "mysql",
        tapline_harness::mysql::Kind::MariaDb => "mariadb",
    };
    let database = database.to_owned();
    Subject {
        plugin: &tapline_sink_relational::PLUGIN,
        settings: settings(
            format!("jdbc:{scheme}://127.0.0.1:{}/{database}", server.port()),
            "tapline",
            "tapline",
        ),
        look: Box::new(move |text| {
            let rows = server.rows(&format!("use {database}; set sql_mode=ansi_quotes; {text}"));
            rows.into_iter().map(bars).collect()
        }),
    }
}

pub fn sqlite(name: &str) -> Subject {
    let path = tapline_harness::folder("sqlite").join(format!("{name}.db"));
    let url = format!("jdbc:sqlite:{}", path.display());
    Subject {
        plugin: &tapline_sink_relational::PLUGIN,
        settings: settings(url, "unused", ""),
        look: Box::new(move |text| {
            let connection = rusqlite::Connection::open(&path).unwrap();
            let mut statement = connection.prepare(text).unwrap();
            let columns = statement.column_count();
            let cell = |value: rusqlite::types::ValueRef<'_>| match value {
                rusqlite::types::ValueRef::Null => None,
                rusqlite::types::ValueRef::Integer(n) => Some(n.to_string()),
                rusqlite::types::ValueRef::Real(n) => Some(n.to_string()),
                rusqlite::types::ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                rusqlite::types::ValueRef::Blob(bytes) => Some(format!("{bytes:x?}")),
            };
            let rows = statement
                .query_map((), |row| {
                    (0..columns).map(|i| Ok(cell(row.get_ref(i)?))).collect()
                })
                .unwrap();
            rows.map(|row: Result<Vec<_>, _>| bars(row.unwrap())).collect()
        }),
    }
}

/// The tests of one target: every scenario, in a database of its own.
macro_rules! suite {
    ($name:ident, $subject:expr) => {
        mod $name {
            use super::super::{scenarios, types};

            suite!(@tests $name, $subject, scenarios: inserts_updates_and_deletes_arrive,
                a_replay_of_everything_changes_nothing,
                rows_that_are_there_although_events_call_them_new_become_what_the_events_say,
                new_rows_of_a_table_without_a_unique_key_are_refused, a_changed_key_moves_the_row,
                a_column_is_added_in_the_midst_of_a_batch,
                a_table_has_the_columns_of_every_event_though_no_row_is_left,
                rows_before_a_column_that_must_have_a_value_go_without_it, null_missing_and_extra_fields_are_right,
                two_topics_go_into_one_table_and_one_topic_into_many, a_truncate_empties_the_table,
                a_value_that_the_source_did_not_send_stays_as_it_is,
                an_insert_only_table_without_a_key_takes_every_record, offsets_in_the_target_make_every_row_once,
                updates_write_only_rows_that_are_there,
                a_record_that_is_refused_is_named_and_the_others_can_go_on, a_text_that_is_too_long_names_its_column,
                a_value_of_another_type_names_its_column, a_number_that_is_too_big_names_its_column,
                a_column_that_must_have_a_value_and_gets_none_is_named, a_type_that_can_not_become_the_columns_names_it,
                a_missing_right_names_the_table_and_the_first_record, a_missing_right_to_change_tables_names_the_table,
                a_database_that_is_not_there_is_said,
                a_refused_log_in_is_told_in_the_servers_words_without_the_password,
                a_server_that_nobody_listens_at_is_named_and_waited_for,
                records_without_a_schema_are_refused_by_name, composite_keys_of_several_types_find_their_rows,
                more_rows_than_a_statement_takes_are_one_transaction);
            #[test]
            fn confluents_words_do_the_same() {
                super::super::confluent::confluents_words_do_the_same($subject(concat!(stringify!($name), "_words")));
            }

            #[test]
            fn confluents_words_pass_the_suite() {
                super::super::confluent::confluents_words_pass_the_suite($subject(concat!(stringify!($name), "_suite")));
            }

            suite!(@tests $name, $subject, types: every_type_has_its_column_and_keeps_its_value,
                many_plain_inserts_of_every_type_keep_their_values);
        }
    };
    (@tests $name:ident, $subject:expr, $of:ident: $($test:ident),*) => {
        $(#[test]
        fn $test() {
            let database = concat!(stringify!($name), "_", stringify!($test));
            // Postgres cuts names at 63 bytes.
            let database = &database[..database.len().min(60)];
            $of::$test(&$subject(database));
        })*
    };
}

suite!(postgres_15, |name: &str| super::postgres(crate::postgres(), name));
suite!(postgres_18, |name: &str| super::postgres(
    crate::postgres_18(),
    name
));
suite!(mysql_9, |name: &str| super::mysql(crate::mysql(), name));
suite!(mariadb_10, |name: &str| super::mysql(crate::mariadb(), name));
suite!(sqlite_3, super::sqlite);
