//! What every relational target must do, whatever its SQL.
//!
//! Each scenario takes a table named after itself. Records go straight into the task; the way through the worker is in
//! `scenarios/`.

use std::time::Duration;

use tapline_api::record::SinkRecord;
use tapline_api::{Kind, Record, Schema, Struct, Value};
use tapline_harness::eventually;

use super::records::{Table, int, int_and_text, pair, text};
use super::subject::Subject;

const UPSERT: &[(&str, &str)] = &[
    ("insert.mode", "upsert"),
    ("primary.key.mode", "record_key"),
    ("delete.enabled", "true"),
    ("truncate.enabled", "true"),
    ("schema.evolution", "basic"),
];

pub fn inserts_updates_and_deletes_arrive(subject: &Subject) {
    let table = int_and_text("writes");
    let mut sink = subject.sink(UPSERT);
    sink.puts(&[
        table.write("c", pair(1, "a")),
        table.write("c", pair(2, "it's \\ ß\"`")),
    ]);
    sink.puts(&[
        table.write("u", pair(1, "b")),
        table.write("r", pair(3, "c")),
        table.delete(2),
    ]);
    assert_eq!(
        subject.rows("select id, note from writes order by id"),
        ["1|b", "3|c"]
    );
    sink.puts(&[
        table.write("c", pair(2, "again")),
        table.delete(3),
        table.tombstone(3),
    ]);
    assert_eq!(
        subject.rows("select id, note from writes order by id"),
        ["1|b", "2|again"]
    );
}

pub fn a_replay_of_everything_changes_nothing(subject: &Subject) {
    let table = int_and_text("replay");
    let records = [
        table.write("c", pair(1, "a")),
        table.write("c", pair(2, "b")),
        table.delete(1),
        table.write("u", pair(2, "c")),
        table.write("c", pair(4, "d")),
    ];
    let mut sink = subject.sink(UPSERT);
    sink.puts(&records);
    let once = subject.rows("select id, note from replay order by id");
    for part in records.chunks(2) {
        sink.puts(part);
    }
    // And by another task, which knows nothing of the table.
    subject.sink(UPSERT).puts(&records);
    assert_eq!(subject.rows("select id, note from replay order by id"), once);
    assert_eq!(once, ["2|c", "4|d"]);
}

pub fn rows_that_are_there_although_events_call_them_new_become_what_the_events_say(subject: &Subject) {
    let table = int_and_text("fresh");
    let write = |op: &'static str, id: i32, note: &'static str| table.write(op, pair(id, note));
    let mut sink = subject.sink(UPSERT);
    // As many as a target may have a way of its own for.
    let read: Vec<_> = (0..200).map(|id| write("r", id, "a")).collect();
    sink.puts(&read);
    assert_eq!(
        subject.rows("select count(*) from fresh where note = 'a'"),
        ["200"]
    );
    // One of them is there; one was there, one is new and changed at once.
    let mut created: Vec<_> = (199..400).map(|id| write("c", id, "b")).collect();
    created.extend([
        table.delete(7),
        write("c", 7, "b"),
        write("c", 400, "a"),
        write("u", 400, "b"),
        write("u", 0, "b"),
    ]);
    sink.puts(&created);
    let new = "select count(*), min(id), max(id) from fresh where note = 'b'";
    assert_eq!(subject.rows(new), ["204|0|400"]);
    // All of it again, by a task that knows nothing.
    let mut again = subject.sink(UPSERT);
    for _ in 0..3 {
        again.puts(&read);
        again.puts(&created);
    }
    assert_eq!(subject.rows(new), ["204|0|400"]);
    assert_eq!(subject.rows("select count(*) from fresh"), ["401"]);
}

pub fn new_rows_of_a_table_without_a_unique_key_are_refused(subject: &Subject) {
    // MySQL and SQLite: the table's own keys say which row is meant.
    if !subject.is("jdbc:postgresql") {
        return;
    }
    subject.rows("create table loose (id integer not null, note text)");
    let table = int_and_text("loose");
    let rows: Vec<_> = (0..200).map(|id| table.write("c", pair(id, "a"))).collect();
    let error = subject.sink(UPSERT).put(&rows).unwrap_err();
    says(
        &error,
        &["loose", "needs a unique index on exactly the columns of the key"],
    );
    assert_eq!(subject.rows("select count(*) from loose"), ["0"]);
}

pub fn a_changed_key_moves_the_row(subject: &Subject) {
    let table = int_and_text("moves");
    let mut sink = subject.sink(UPSERT);
    sink.puts(&[table.write("c", pair(1, "a"))]);
    // As Debezium writes it: the old key's delete and tombstone, then a create.
    sink.puts(&[
        table.delete(1),
        table.tombstone(1),
        table.write("c", pair(9, "a")),
    ]);
    assert_eq!(subject.rows("select id, note from moves order by id"), ["9|a"]);
}

pub fn a_column_is_added_in_the_midst_of_a_batch(subject: &Subject) {
    let old = int_and_text("evolves");
    let extra = Schema::string().optional().default("x".into()).build();
    let new = Table::new("evolves", &[("id", int()), ("note", text()), ("extra", extra)]);
    let mut sink = subject.sink(UPSERT);
    let mut row = pair(2, "b");
    row.push("e".into());
    sink.puts(&[
        old.write("c", pair(1, "a")),
        new.write("c", row),
        old.write("u", pair(1, "aa")),
    ]);
    assert_eq!(
        subject.rows("select id, note, extra from evolves where id = 2"),
        ["2|b|e"]
    );
    assert_eq!(
        subject.rows("select id, note from evolves order by id"),
        ["1|aa", "2|b"]
    );
}

pub fn rows_before_a_column_that_must_have_a_value_go_without_it(subject: &Subject) {
    // SQLite adds no such column.
    if subject.is("jdbc:sqlite") {
        return;
    }
    let old = int_and_text("demands");
    let must = Schema::string().default("x".into()).build();
    let new = Table::new("demands", &[("id", int()), ("note", text()), ("must", must)]);
    let row = |id: i32| vec![Value::Int32(id), "b".into(), "m".into()];
    let events = [
        old.write("c", pair(1, "a")),
        new.write("c", row(2)),
        new.write("u", row(3)),
    ];
    for _ in 0..2 {
        subject.sink(UPSERT).puts(&events[..2]);
        subject.rows("drop table demands");
    }
    let mut sink = subject.sink(UPSERT);
    sink.puts(&events);
    assert_eq!(
        subject.rows("select id, note from demands order by id"),
        ["1|a", "2|b", "3|b"]
    );
    // What is refused is told by its place in the whole batch.
    let bad = Table::new(
        "demands",
        &[
            ("id", int()),
            ("note", text()),
            ("must", text()),
            ("more", text()),
        ],
    );
    let nothing = vec![Value::Int32(5), Value::Null, Value::Null, Value::Null];
    let error = subject
        .sink(UPSERT)
        .put(&[new.write("u", row(4)), bad.write("c", nothing)])
        .unwrap_err();
    assert_eq!(error.record(), Some(1), "{}", error.trace());
}

pub fn a_table_has_the_columns_of_every_event_though_no_row_is_left(subject: &Subject) {
    let old = Table::new("emptied", &[("id", int()), ("former", text()), ("note", text())]);
    let new = int_and_text("emptied");
    let row = |id: i32| vec![Value::Int32(id), "f".into(), "a".into()];
    subject.sink(UPSERT).puts(&[
        old.write("c", row(1)),
        new.write("u", pair(1, "b")),
        old.write("c", row(2)),
        new.delete(1),
        new.delete(2),
    ]);
    assert_eq!(
        subject.rows("select count(id), count(former), count(note) from emptied"),
        ["0|0|0"]
    );
}

pub fn null_missing_and_extra_fields_are_right(subject: &Subject) {
    let table = int_and_text("fields");
    let mut sink = subject.sink(UPSERT);
    sink.puts(&[table.write("c", vec![Value::Int32(1), Value::Null])]);
    // A field fewer leaves the column as it is; a field more is a column more.
    let narrow = Table::new("fields", &[("id", int())]);
    sink.puts(&[
        narrow.write("c", vec![Value::Int32(2)]),
        narrow.write("u", vec![Value::Int32(1)]),
    ]);
    let wide = Table::new("fields", &[("id", int()), ("more", text()), ("note", text())]);
    sink.puts(&[wide.write("c", vec![Value::Int32(3), "m".into(), "n".into()])]);
    assert_eq!(
        subject.rows("select id, note, more from fields order by id"),
        ["1|null|null", "2|null|null", "3|n|m"]
    );
}

pub fn two_topics_go_into_one_table_and_one_topic_into_many(subject: &Subject) {
    let mut sink = subject.sink(&[UPSERT, &[("collection.name.format", "shared")]].concat());
    sink.puts(&[
        int_and_text("shard.a").write("c", pair(1, "a")),
        int_and_text("shard.b").write("c", pair(2, "b")),
    ]);
    assert_eq!(
        subject.rows("select id, note from shared order by id"),
        ["1|a", "2|b"]
    );
    let mut sink = subject.sink(&[UPSERT, &[("collection.name.format", "many_${source.table}")]].concat());
    let records = ["one", "two"].map(|name| routed(name, 1));
    sink.puts(&records);
    assert_eq!(subject.rows("select id, note from many_one"), ["1|one"]);
    assert_eq!(subject.rows("select id, note from many_two"), ["1|two"]);
}

fn routed(name: &'static str, id: i32) -> SinkRecord {
    let table = int_and_text("all");
    let source = Schema::structure()
        .field("table", Schema::string().build())
        .build();
    let envelope = Schema::structure()
        .name("t.Envelope")
        .field("before", table.row.clone())
        .field("after", table.row.clone())
        .field("source", source.clone())
        .field("op", Schema::string().build())
        .build();
    let after = Value::Struct(Struct::new(table.row.clone(), pair(id, name)));
    let source = Value::Struct(Struct::new(source, vec![name.into()]));
    let value = Value::Struct(Struct::new(
        envelope.clone(),
        vec![Value::Null, after, source, "c".into()],
    ));
    table.record(Some(Value::Int32(id)), value, Some(envelope))
}

pub fn a_truncate_empties_the_table(subject: &Subject) {
    let table = int_and_text("truncated");
    let mut sink = subject.sink(UPSERT);
    sink.puts(&[table.write("c", pair(1, "a"))]);
    sink.puts(&[
        table.write("c", pair(2, "b")),
        table.event("t", None, Value::Null),
        table.write("c", pair(3, "c")),
    ]);
    assert_eq!(subject.rows("select id, note from truncated"), ["3|c"]);
}

pub fn a_value_that_the_source_did_not_send_stays_as_it_is(subject: &Subject) {
    let table = Table::new(
        "toasted",
        &[
            ("id", int()),
            ("note", text()),
            ("long", Schema::string().build()),
        ],
    );
    let row = |note: &'static str, long: &'static str| vec![Value::Int32(1), note.into(), long.into()];
    let mut sink = subject.sink(UPSERT);
    sink.puts(&[table.write("c", row("a", "whole"))]);
    sink.puts(&[table.write("u", row("b", "__debezium_unavailable_value"))]);
    assert_eq!(subject.rows("select id, note from toasted"), ["1|b"]);
    let quoted = subject.rows("select count(*) from toasted where note = 'b'");
    assert_eq!(quoted, ["1"]);
    sink.puts(&[
        table.write("u", row("c", "new")),
        table.write("u", row("d", "__debezium_unavailable_value")),
    ]);
    assert_eq!(subject.rows("select id, note from toasted"), ["1|d"]);
}

pub fn an_insert_only_table_without_a_key_takes_every_record(subject: &Subject) {
    let table = int_and_text("journal");
    let mut sink = subject.sink(&[("insert.mode", "insert"), ("schema.evolution", "basic")]);
    sink.puts(&[
        table.flat(pair(1, "a")),
        table.flat(pair(1, "a")),
        table.flat(pair(2, "b")),
    ]);
    assert_eq!(
        subject.rows("select id, count(*) from journal group by id order by id"),
        ["1|2", "2|1"]
    );
}

/// A journal's record at an offset of partition 3.
fn journal(id: i32, offset: i64) -> SinkRecord {
    let mut record = int_and_text("once").flat(pair(id, "x"));
    record.origin.offset = offset;
    record.record.timestamp = Some(1000 + offset);
    record
}

pub fn offsets_in_the_target_make_every_row_once(subject: &Subject) {
    let settings: &[(&str, &str)] = &[
        ("insert.mode", "insert"),
        ("schema.evolution", "basic"),
        ("flush.max.retries", "0"),
    ];
    let rows = || subject.rows("select id from once order by id");
    let mut first = subject.sink(settings);
    assert_eq!(first.open("once", 3, None), None);
    first.puts(&[journal(0, 0), journal(1, 1)]);
    // The same comes again, and more.
    first.puts(&[journal(0, 0), journal(1, 1), journal(2, 2)]);
    assert_eq!(rows(), ["0", "1", "2"]);

    // Another owner, whose group knows nothing: it starts at the last record, to see that the topic is the same.
    let mut second = subject.sink(settings);
    assert_eq!(second.open("once", 3, None), Some(2));
    second.puts(&[journal(2, 2), journal(3, 3)]);
    assert_eq!(rows(), ["0", "1", "2", "3"]);

    // The former owner wakes up: nothing of what it writes is there, and it may try for ever.
    for _ in 0..2 {
        let error = first.put(&[journal(3, 3), journal(4, 4)]).unwrap_err();
        assert_eq!(error.kind(), Kind::Retriable, "{}", error.trace());
    }
    assert_eq!(rows(), ["0", "1", "2", "3"]);
    second.puts(&[journal(4, 4), journal(5, 9)]);
    assert_eq!(subject.rows("select count(*) from once"), ["6"]);

    // The Java sink ran in between and moved the group on.
    let mut third = subject.sink(settings);
    assert_eq!(third.open("once", 3, Some(20)), Some(10));
    third.puts(&[journal(20, 20)]);

    // The topic was made anew: its records are not taken for old ones.
    let mut fourth = subject.sink(settings);
    assert_eq!(fourth.open("once", 3, None), Some(20));
    let mut other = journal(70, 20);
    other.record.timestamp = Some(5);
    let error = fourth.put(&[other]).unwrap_err();
    assert_eq!(error.kind(), Kind::Fatal);
    assert!(
        error
            .message()
            .contains("topic 'once' partition 3 is not the one"),
        "{}",
        error.trace()
    );
}

pub fn updates_write_only_rows_that_are_there(subject: &Subject) {
    let table = int_and_text("updated");
    subject
        .sink(UPSERT)
        .puts(&[table.write("c", pair(1, "a")), table.write("c", pair(2, "b"))]);
    let mut sink = subject.sink(&[UPSERT, &[("insert.mode", "update")]].concat());
    sink.puts(&[
        table.write("u", pair(1, "x")),
        table.write("u", pair(7, "y")),
        table.write("u", pair(2, "it's")),
    ]);
    assert_eq!(
        subject.rows("select id, note from updated order by id"),
        ["1|x", "2|it's"]
    );
}

pub fn a_record_that_is_refused_is_named_and_the_others_can_go_on(subject: &Subject) {
    let table = int_and_text("poison");
    let mut sink = subject.sink(UPSERT);
    subject.rows("create table poison (id integer primary key, note varchar(9) not null)");
    let mut bad = table.write("c", vec![Value::Int32(2), Value::Null]);
    bad.origin.offset = 77;
    let mut records = vec![
        table.write("c", pair(1, "a")),
        bad,
        table.write("c", pair(3, "c")),
    ];
    let error = sink.put(&records).unwrap_err();
    assert_eq!(
        (error.kind(), error.record()),
        (Kind::Data, Some(1)),
        "{}",
        error.trace()
    );
    let trace = error.trace();
    for part in ["topic 'poison', partition 3, offset 77", "poison", "note"] {
        assert!(trace.contains(part), "no {part} in {trace}");
    }
    assert_eq!(subject.rows("select count(*) from poison"), ["0"]);
    records.remove(1);
    sink.puts(&records);
    assert_eq!(
        subject.rows("select id, note from poison order by id"),
        ["1|a", "3|c"]
    );
}

pub fn a_text_that_is_too_long_names_its_column(subject: &Subject) {
    // SQLite takes any length.
    if subject.is("jdbc:sqlite") {
        return;
    }
    let table = int_and_text("narrow");
    let mut sink = subject.sink(UPSERT);
    subject.rows("create table narrow (id integer primary key, note varchar(3))");
    let error = sink
        .put(&[
            table.write("c", pair(1, "abc")),
            table.write("c", pair(2, "abcd")),
        ])
        .unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(1)));
    let trace = error.trace();
    for part in [
        "topic 'narrow', partition 3, offset 42",
        "table 'narrow'",
        "too long",
        "'note'",
    ] {
        assert!(trace.contains(part), "no {part} in {trace}");
    }
}

/// A column of the table that no field of the record is for.
pub fn a_column_that_must_have_a_value_and_gets_none_is_named(subject: &Subject) {
    let table = int_and_text("lacking");
    subject.rows("create table lacking (id integer primary key, note varchar(9), must varchar(9) not null)");
    let error = subject
        .sink(UPSERT)
        .put(&[table.write("c", pair(1, "a"))])
        .unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(0)));
    says(
        &error,
        &[
            "topic 'lacking', partition 3, offset 42",
            "table 'lacking'",
            "must",
        ],
    );
}

/// Schema evolution adds columns; those that are there stay as they are.
pub fn a_type_that_can_not_become_the_columns_names_it(subject: &Subject) {
    let strict = if subject.is("jdbc:sqlite") { "strict" } else { "" };
    subject.rows(&format!(
        "create table changed (id integer primary key, amount integer) {strict}"
    ));
    let place = "topic 'changed', partition 3, offset 42";
    for (schema, value) in [
        (text(), "seven".into()),
        (
            Schema::array(int()).optional().build(),
            Value::Array(vec![Value::Int32(1)]),
        ),
    ] {
        let table = Table::new("changed", &[("id", int()), ("amount", schema)]);
        let error = subject
            .sink(UPSERT)
            .put(&[table.write("c", vec![Value::Int32(1), value])])
            .unwrap_err();
        assert_eq!(error.record(), Some(0), "{}", error.trace());
        assert_ne!(error.kind(), Kind::Retriable, "{}", error.trace());
        says(&error, &[place, "table 'changed'", "amount"]);
    }
    assert_eq!(subject.rows("select count(*) from changed"), ["0"]);
}

/// Each part stands in the trace.
fn says(error: &tapline_api::Error, parts: &[&str]) {
    let trace = error.trace();
    for part in parts {
        assert!(trace.contains(part), "no {part} in {trace}");
    }
}

pub fn a_value_of_another_type_names_its_column(subject: &Subject) {
    // SQLite takes any type.
    if subject.is("jdbc:sqlite") {
        return;
    }
    let table = int_and_text("typed");
    let mut sink = subject.sink(UPSERT);
    subject.rows("create table typed (id integer primary key, note integer)");
    let error = sink
        .put(&[table.write("c", pair(1, "7")), table.write("c", pair(2, "seven"))])
        .unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(1)));
    let place = "topic 'typed', partition 3, offset 42";
    // MariaDB writes the whole path of the column.
    says(&error, &[place, "table 'typed'", "nteger", "seven", "note"]);
}

pub fn a_number_that_is_too_big_names_its_column(subject: &Subject) {
    if subject.is("jdbc:sqlite") {
        return;
    }
    let table = Table::new("small", &[("id", int()), ("n", int())]);
    let mut sink = subject.sink(UPSERT);
    subject.rows("create table small (id integer primary key, n smallint)");
    let row = |id: i32, n: i32| table.write("c", vec![Value::Int32(id), Value::Int32(n)]);
    let error = sink.put(&[row(1, 7), row(2, 70_000)]).unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(1)));
    let place = "topic 'small', partition 3, offset 42";
    says(&error, &[place, "table 'small'", "range", "'n'"]);
}

pub fn a_missing_right_names_the_table_and_the_first_record(subject: &Subject) {
    if subject.is("jdbc:sqlite") {
        return;
    }
    let table = int_and_text("guarded");
    subject.rows("create table guarded (id integer primary key, note varchar(9))");
    let reader = subject.reader("guarded");
    let error = subject
        .sink(
            &[
                UPSERT,
                &reader.each_ref().map(|(name, value)| (*name, value.as_str())),
            ]
            .concat(),
        )
        .put(&[table.write("c", pair(1, "a"))])
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{}", error.trace());
    let place = "topic 'guarded', partition 3, offset 42";
    says(&error, &[place, "table 'guarded'", "denied", "guarded"]);
}

pub fn a_missing_right_to_change_tables_names_the_table(subject: &Subject) {
    // Files have no rights of their own.
    if subject.is("jdbc:sqlite") {
        return;
    }
    subject.rows("create table kept (id integer primary key)");
    let reader = subject.reader("kept");
    let reader = reader.each_ref().map(|(name, value)| (*name, value.as_str()));
    for name in ["kept", "made"] {
        let error = subject
            .sink(&[UPSERT, &reader].concat())
            .put(&[int_and_text(name).write("c", pair(1, "a"))])
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{}", error.trace());
        let (place, table) = (
            format!("topic '{name}', partition 3, offset 42"),
            format!("collection '{name}'"),
        );
        // Postgres: must be owner of table; permission denied for schema. MySQL: command denied to user.
        let owner = error.trace().contains("must be owner");
        says(&error, &[&place, &table, if owner { name } else { "denied" }]);
    }
}

pub fn a_database_that_is_not_there_is_said(subject: &Subject) {
    if subject.is("jdbc:sqlite") {
        // SQLite makes it, where its folder is there.
        let url = subject.setting("connection.url").to_owned() + ".nowhere/x.db";
        let config = [("connection.url", url.as_str())];
        let refused = subject
            .try_sink(&config)
            .and_then(|mut sink| sink.put(&[int_and_text("t").write("c", pair(1, "a"))]));
        let error = refused.expect_err("refused");
        assert_eq!(error.kind(), Kind::Config, "{}", error.trace());
        return says(&error, &["unable to open"]);
    }
    let url = subject.setting("connection.url").to_owned() + "_nowhere";
    let config = [("connection.url", url.as_str())];
    let error = subject.try_sink(&config).err().expect("refused");
    assert_ne!(error.kind(), Kind::Retriable, "{}", error.trace());
    says(&error, &["_nowhere"]);
}

/// What no message may hold.
const SECRET: &str = "wr0ng-s3cret";

pub fn a_refused_log_in_is_told_in_the_servers_words_without_the_password(subject: &Subject) {
    // Files let everyone in.
    if subject.is("jdbc:sqlite") {
        return;
    }
    let postgres = subject.is("jdbc:postgresql");
    let (user, said) = if postgres {
        subject.rows("create role knocking login password 'right'");
        let lines = ["host all knocking all scram-sha-256", "host all all all trust"];
        let more = ["host replication all all trust", "local all all trust"];
        let lines = lines.iter().chain(&more).map(|line| format!("select '{line}'"));
        subject.rows(&format!(
            "copy ({}) to program 'cat > pg_hba.conf'",
            lines.collect::<Vec<_>>().join(" union all ")
        ));
        subject.rows("select pg_reload_conf()");
        ("knocking", "password authentication failed for user \"knocking\"")
    } else {
        ("tapline", "Access denied for user 'tapline'")
    };
    let config = [("connection.username", user), ("connection.password", SECRET)];
    // The server reads its rules anew in its own time.
    let error = eventually("refused", Duration::from_secs(20), || {
        subject.try_sink(&config).err().ok_or_else(|| "let in".to_owned())
    });
    assert_eq!(error.kind(), Kind::Config, "{}", error.trace());
    says(&error, &[said]);
    assert!(!error.trace().contains(SECRET), "{}", error.trace());
}

pub fn a_server_that_nobody_listens_at_is_named_and_waited_for(subject: &Subject) {
    if subject.is("jdbc:sqlite") {
        return;
    }
    let url = subject.setting("connection.url");
    let (scheme, database) = (
        url.split("//").next().unwrap_or_default(),
        url.rsplit('/').next().unwrap_or_default(),
    );
    let (plain, with_secret) = (
        format!("{scheme}//127.0.0.1:1/{database}"),
        format!("{scheme}//127.0.0.1:1/{database}?password={SECRET}"),
    );
    for (url, password) in [(&plain, SECRET), (&with_secret, "")] {
        let config = [
            ("connection.url", url.as_str()),
            ("connection.password", password),
            ("flush.max.retries", "0"),
        ];
        // A server may come up later than we do.
        let mut sink = subject.sink(&[UPSERT, &config].concat());
        let error = sink
            .put(&[int_and_text("t").write("c", pair(1, "a"))])
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Retriable, "{}", error.trace());
        says(&error, &["127.0.0.1:1", "refused"]);
        assert!(!error.trace().contains(SECRET), "{}", error.trace());
    }
}

pub fn records_without_a_schema_are_refused_by_name(subject: &Subject) {
    let table = int_and_text("schemaless");
    let mut sink = subject.sink(UPSERT);
    let mut record = table.write("c", pair(1, "a"));
    record.record = Record {
        value: Value::Map(vec![("id".into(), Value::Int32(1))]),
        value_schema: None,
        ..record.record
    };
    let error = sink.put(&[record]).unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(0)));
    assert!(error.message().contains("has no schema"), "{}", error.trace());
}

pub fn composite_keys_of_several_types_find_their_rows(subject: &Subject) {
    let table = int_and_text("composite");
    let key = Schema::structure()
        .field("id", Schema::int32().build())
        .field("tag", Schema::string().build())
        .build();
    let keyed = |id: i32, tag: &'static str, note: Option<&'static str>| {
        let mut record = match note {
            Some(note) => table.write("c", pair(id, note)),
            None => table.tombstone(id),
        };
        record.record.key = Value::Struct(Struct::new(key.clone(), vec![Value::Int32(id), tag.into()]));
        record.record.key_schema = Some(key.clone());
        record
    };
    let mut sink = subject.sink(UPSERT);
    sink.puts(&[
        keyed(1, "a", Some("x")),
        keyed(1, "b", Some("y")),
        keyed(2, "a", Some("z")),
    ]);
    sink.puts(&[keyed(1, "b", None), keyed(2, "a", Some("zz"))]);
    assert_eq!(
        subject.rows("select id, tag, note from composite order by id"),
        ["1|a|x", "2|a|zz"]
    );
}

pub fn more_rows_than_a_statement_takes_are_one_transaction(subject: &Subject) {
    let table = int_and_text("big");
    let long: &'static str = "x".repeat(2000).leak();
    let mut records: Vec<_> = (0..2000).map(|id| table.write("c", pair(id, long))).collect();
    let mut sink = subject.sink(UPSERT);
    sink.puts(&records);
    assert_eq!(subject.rows("select count(*) from big"), ["2000"]);
    let deletes: Vec<_> = (0..1999).map(|id| table.delete(id)).collect();
    sink.puts(&deletes);
    assert_eq!(subject.rows("select id from big"), ["1999"]);
    // One bad row in the last statement takes the whole batch back.
    records.push(table.write("c", vec![Value::Int32(5000), Value::Int32(1)]));
    assert!(sink.put(&records).is_err());
    assert_eq!(subject.rows("select id from big"), ["1999"]);
}
