//! The server as the oracle: random tables of random types, random rows and DDL. Every event's row, of the snapshot and of
//! the stream, says what the server itself says of that row, put into the event's terms by SQL.
//!
//! ```text
//!  Random ─▶ script: statements, and looks at rows between them ─▶ Oracle::run ─▶ what events are to say
//!                                                                                        ║ compared
//!                                       the source under test ─▶ topics ─▶ what events say
//! ```
//!
//! `SEED=n` repeats a run.

pub mod mysql;
pub mod postgres;

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tapline_harness::{Random, Worker, read_topic, wait_for_records};

const PATIENCE: Duration = Duration::from_secs(60);
/// The database, and the first part of the topics' names.
pub const NAME: &str = "oracle";

/// Events are read as they are: null is null, not the column's default.
const SETTINGS: [(&str, &str); 2] = [
    ("value.converter.schemas.enable", "false"),
    ("value.converter.replace.null.with.default", "false"),
];
/// Marks a document that an event has as text.
const DOCUMENT: &str = "(document)";

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The run's number.
    pub seed: u64,
    /// Tables.
    pub tables: usize,
    /// Changes in the stream, for each table.
    pub steps: u64,
}

/// A type: how it is declared, and random values of it.
pub struct Type {
    /// As a column declares it.
    pub declared: &'static str,
    /// An expression of a random value.
    pub sample: Sample,
    /// An expression of what an event says of the column `@`.
    pub event: &'static str,
    /// What that expression's text is.
    pub is: Is,
}

/// Where a column's values come from.
pub enum Sample {
    /// The server makes them up; `@n` is a number below 40.
    Sql(&'static str),
    /// Made up here.
    Made(fn(&mut Random) -> String),
    /// The server fills the column in.
    None,
}

/// What the text of an expected value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Is {
    /// JSON, as an event has it; numbers may be written otherwise.
    Json,
    /// A JSON document, which an event has as text: blanks and the layout of numbers say nothing.
    Document,
    /// Text.
    Text,
    /// A number of single precision.
    Single,
    /// 0 or 1.
    Bool,
    /// Microseconds, of which an event has the milliseconds.
    Millis,
    /// Days or microseconds since 1970.
    Since1970,
    /// A time of day, or a span of time, in microseconds.
    Time,
    /// A point in time as ISO text, its fraction with any number of zeros behind.
    Instant,
    /// MySQL's inner form, in hexadecimal.
    Geometry,
    /// The same.
    Point,
}

/// A column of a table.
#[derive(Clone)]
pub struct Column {
    /// As the catalog has it.
    pub name: String,
    /// Its type.
    pub of: &'static Type,
    /// Whether it can be null.
    pub optional: bool,
}

/// A table, as the script has made it.
pub struct Table {
    /// Its name.
    pub name: String,
    /// All columns, in order, but the first two: the key `id`, and `v`, which every update counts up.
    pub columns: Vec<Column>,
    /// The next column's number.
    pub next_column: usize,
    next_id: u64,
    ids: Vec<u64>,
}

/// A piece of the script.
pub enum Step {
    /// A statement.
    Sql(String),
    /// What an event would say now of a row.
    Look {
        /// Of this table,
        table: String,
        /// with these columns after `id` and `v`,
        columns: Vec<Column>,
        /// its key.
        id: u64,
    },
}

/// A server that is asked.
pub trait Oracle {
    /// Types to choose from.
    fn types(&self) -> &'static [Type];
    /// A column's name in a statement.
    fn quoted(&self, name: &str) -> String;
    /// A new column's name.
    fn column_name(&self, number: usize, random: &mut Random) -> String;
    /// The statement that makes the table.
    fn create(&self, table: &mut Table, random: &mut Random) -> String;
    /// Statements that change the table, sometimes.
    fn change(&self, table: &mut Table, random: &mut Random) -> Vec<String>;
    /// Runs a script; what each look saw.
    fn run(&self, script: &[Step]) -> Vec<Value>;
    /// The connector.
    fn config(&self, worker: &Worker) -> Value;
    /// The part of a topic's name in front of the table's.
    fn topic_prefix(&self) -> String;
    /// Whether events have the whole row before.
    fn tells_before(&self) -> bool;
}

impl Table {
    fn random(oracle: &dyn Oracle, random: &mut Random, n: usize) -> Table {
        let mut table = Table {
            name: format!("t{n}"),
            columns: Vec::new(),
            next_column: 0,
            next_id: 1,
            ids: Vec::new(),
        };
        for _ in 0..random.between(3, 12) {
            let column = table.new_column(oracle, random);
            table.columns.push(column);
        }
        table
    }

    /// A column more, which is not in the table yet.
    pub fn new_column(&mut self, oracle: &dyn Oracle, random: &mut Random) -> Column {
        let of = pick(random, oracle.types());
        let name = oracle.column_name(self.next_column, random);
        self.next_column += 1;
        Column {
            name,
            of,
            optional: true,
        }
    }

    /// One of its columns.
    pub fn any(&self, random: &mut Random) -> Option<usize> {
        let count = self.columns.len() as u64;
        (count > 0).then(|| usize::try_from(random.between(0, count)).unwrap())
    }

    /// The rows have gone.
    pub fn emptied(&mut self) {
        self.ids.clear();
    }

    fn value(random: &mut Random, column: &Column) -> String {
        if column.optional && random.part() < 0.15 {
            return "null".to_owned();
        }
        match &column.of.sample {
            Sample::Sql(text) => text.replace("@n", &random.between(0, 40).to_string()),
            Sample::Made(make) => make(random),
            Sample::None => "default".to_owned(),
        }
    }

    /// Rows more.
    fn insert(&mut self, oracle: &dyn Oracle, random: &mut Random) -> (String, Vec<u64>) {
        let filled: Vec<&Column> = self
            .columns
            .iter()
            .filter(|column| !matches!(column.of.sample, Sample::None))
            .collect();
        let names: String = filled
            .iter()
            .map(|column| format!(", {}", oracle.quoted(&column.name)))
            .collect();
        let (mut rows, mut ids) = (Vec::new(), Vec::new());
        let count = if random.part() < 0.2 {
            random.between(2, 5)
        } else {
            1
        };
        for _ in 0..count {
            let values: String = filled
                .iter()
                .map(|column| format!(", {}", Self::value(random, column)))
                .collect();
            rows.push(format!("({}, 0{values})", self.next_id));
            ids.push(self.next_id);
            self.next_id += 1;
        }
        self.ids.extend(&ids);
        let sql = format!(
            "insert into {} (id, v{names}) values {}",
            self.name,
            rows.join(", ")
        );
        (sql, ids)
    }

    fn look(&self, id: u64) -> Step {
        Step::Look {
            table: self.name.clone(),
            columns: self.columns.clone(),
            id,
        }
    }
}

/// One of a list.
pub fn pick<T>(random: &mut Random, from: &'static [T]) -> &'static T {
    &from[usize::try_from(random.between(0, from.len() as u64)).unwrap()]
}

/// A script in the making, and which looks its events are compared with.
#[derive(Default)]
struct Script {
    steps: Vec<Step>,
    /// The columns that each look so far saw.
    looks: Vec<Vec<Column>>,
    events: BTreeMap<String, Vec<Event>>,
}

/// The looks that an event's rows before and after are compared with.
#[derive(Clone, Copy)]
struct Event {
    before: Option<usize>,
    after: Option<usize>,
}

impl Script {
    fn sql(&mut self, sql: String) {
        self.steps.push(Step::Sql(sql));
    }

    fn look(&mut self, table: &Table, id: u64) -> usize {
        self.steps.push(table.look(id));
        self.looks.push(table.columns.clone());
        self.looks.len() - 1
    }

    fn insert(&mut self, table: &mut Table, oracle: &dyn Oracle, random: &mut Random) {
        let (sql, ids) = table.insert(oracle, random);
        self.sql(sql);
        for id in ids {
            let look = self.look(table, id);
            self.event(table, None, Some(look));
        }
    }

    fn event(&mut self, table: &Table, before: Option<usize>, after: Option<usize>) {
        self.events
            .entry(table.name.clone())
            .or_default()
            .push(Event { before, after });
    }

    /// A change of data, sometimes after one of the table.
    fn step(&mut self, table: &mut Table, oracle: &dyn Oracle, random: &mut Random) {
        for sql in oracle.change(table, random) {
            self.sql(sql);
        }
        let part = random.part();
        let old = (part < 0.5 && !table.ids.is_empty()).then(|| {
            let at = usize::try_from(random.between(0, table.ids.len() as u64)).unwrap();
            (at, table.ids[at])
        });
        let Some((at, id)) = old else {
            return self.insert(table, oracle, random);
        };
        let before = oracle.tells_before().then(|| self.look(table, id));
        if part < 0.1 && oracle.tells_before() {
            self.sql(format!("delete from {} where id = {id}", table.name));
            table.ids.remove(at);
            return self.event(table, before, None);
        }
        let mut set = "v = v + 1".to_owned();
        for column in &table.columns {
            if !matches!(column.of.sample, Sample::None) && random.part() < 0.4 {
                let value = Table::value(random, column);
                set.push_str(&format!(", {} = {value}", oracle.quoted(&column.name)));
            }
        }
        self.sql(format!("update {} set {set} where id = {id}", table.name));
        let after = self.look(table, id);
        self.event(table, before, Some(after));
    }
}

/// Runs it all.
///
/// # Panics
/// When an event says something else than the server.
pub fn run(oracle: &dyn Oracle, tapline: &str, plan: Plan) -> String {
    let seed = plan.seed;
    println!("SEED={seed}");
    let random = &mut Random::new(seed);
    let mut tables: Vec<Table> = (0..plan.tables)
        .map(|n| Table::random(oracle, random, n))
        .collect();
    let mut script = Script::default();
    for table in &mut tables {
        script.sql(oracle.create(table, random));
        for _ in 0..random.between(1, 8) {
            script.insert(table, oracle, random);
        }
    }
    let mut seen = oracle.run(&script.steps);
    let read: BTreeMap<String, usize> = script
        .events
        .iter()
        .map(|(name, events)| (name.clone(), events.len()))
        .collect();
    let mut worker = Worker::start(tapline, &SETTINGS, &[]);
    worker.put_connector(NAME, &oracle.config(&worker));
    let topic = |name: &str| format!("{}{name}", oracle.topic_prefix());
    let wait = |worker: &Worker, script: &Script| {
        for (name, events) in &script.events {
            let (bootstrap, topic) = (worker.bootstrap(), topic(name));
            wait_for_records(&bootstrap, &topic, events.len(), PATIENCE);
        }
    };
    wait(&worker, &script);
    // In the middle the worker goes, and comes again: the tables of the time are known from the history.
    for half in 0..2 {
        script.steps.clear();
        for _ in 0..plan.steps * plan.tables as u64 / 2 {
            let index = usize::try_from(random.between(0, plan.tables as u64)).unwrap();
            script.step(&mut tables[index], oracle, random);
        }
        seen.extend(oracle.run(&script.steps));
        wait(&worker, &script);
        if half == 0 {
            assert!(worker.terminate().success(), "SIGTERM ends it in order");
            worker.restart();
        }
    }
    let (mut compared, mut wrong) = (0, Vec::new());
    for (name, expected) in &script.events {
        let topic = topic(name);
        let mut events: Vec<Value> = read_topic(&worker.bootstrap(), &topic)
            .iter()
            .map(tapline_harness::Record::value_json)
            .collect();
        // A snapshot reads in no order.
        events[..read[name]].sort_by_key(|event| event["after"]["id"].as_u64());
        assert_eq!(events.len(), expected.len(), "{topic} SEED={seed}");
        for (at, (event, looks)) in events.iter().zip(expected).enumerate() {
            let what = format!("SEED={seed} {topic}#{at}");
            for (part, look) in [("before", looks.before), ("after", looks.after)] {
                match look {
                    Some(look) => {
                        let what = format!("{what} {part}");
                        wrong.extend(differences(&event[part], &seen[look], &script.looks[look], &what));
                    }
                    None if part == "after" => assert!(event[part].is_null(), "{what}: {event}"),
                    None => {}
                }
                compared += usize::from(look.is_some());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} values differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    format!("seed {seed}: {compared} rows compared in {} tables", plan.tables)
}

/// What an event is to say, from the text that the server gave.
fn expected(column: &Column, text: Option<&str>) -> Value {
    let Some(text) = text else {
        return match column.of.is {
            _ if column.optional => Value::Null,
            // A zero date where there is no null.
            Is::Instant => Value::from("1970-01-01T00:00:00Z"),
            Is::Since1970 | Is::Millis => Value::from(0),
            is => panic!("{} ({is:?}) is null", column.name),
        };
    };
    let parsed = |text| -> Value {
        serde_json::from_str(text).unwrap_or_else(|e| panic!("{}: {e}: {text}", column.name))
    };
    let number = || {
        text.parse::<i64>()
            .unwrap_or_else(|_| panic!("{}: {text}", column.name))
    };
    match column.of.is {
        Is::Json => parsed(text),
        Is::Document => json!({ DOCUMENT: parsed(text) }),
        Is::Text | Is::Instant => Value::from(text),
        Is::Single => Value::from(format!("{text}f")),
        Is::Bool => Value::from(text == "1"),
        Is::Since1970 => Value::from(number()),
        Is::Millis => Value::from(number().div_euclid(1000)),
        Is::Time => Value::from(mysql::micros(text)),
        Is::Geometry | Is::Point => mysql::inner_shape(text, column.of.is == Is::Point),
    }
}

/// Whether both are one number: both sides print the shortest digits, in layouts of their own, and reading JSON may be
/// wrong in the last of them. Behind a number of single precision stands an f: of two that are as short, each side may
/// take another.
fn same_number(found: &Value, expected: &Value) -> bool {
    let single = expected
        .as_str()
        .and_then(|text| text.strip_suffix('f')?.parse::<f32>().ok());
    if let (Some(found), Some(single)) = (found.as_f64(), single) {
        #[expect(clippy::cast_possible_truncation, reason = "it is of single precision")]
        return found as f32 == single;
    }
    if found.is_i64() && expected.is_i64() {
        return found == expected;
    }
    let number = expected.as_str().and_then(|text| text.parse::<f64>().ok());
    match (found.as_f64(), number.or(expected.as_f64())) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= b.abs() * 1e-14,
        _ => false,
    }
}

/// Zeros behind a fraction of a second say nothing.
fn same_instant(found: &Value, expected: &Value) -> bool {
    let plain = |value: &Value| {
        let text = value.as_str()?.strip_suffix('Z')?;
        Some(match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text.to_owned(),
        })
    };
    plain(found).is_some_and(|found| Some(found) == plain(expected))
}

fn same(found: &Value, expected: &Value) -> bool {
    if found == expected || same_number(found, expected) || same_instant(found, expected) {
        return true;
    }
    match (found, expected) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (Value::String(text), Value::Object(marked)) => marked.get(DOCUMENT).is_some_and(|document| {
            serde_json::from_str(text).is_ok_and(|found: Value| same(&found, document))
        }),
        _ => false,
    }
}

fn differences(found: &Value, expected: &Value, columns: &[Column], what: &str) -> Vec<String> {
    let row = |value: &Value| -> Map<String, Value> {
        value
            .as_object()
            .unwrap_or_else(|| panic!("{what}: {value}"))
            .clone()
    };
    let (found, expected) = (row(found), row(expected));
    let names = |of: &Map<String, Value>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "{what}");
    let declared = |name: &str| {
        let column = columns.iter().find(|column| column.name == name);
        column.map_or("", |column| column.of.declared)
    };
    expected
        .iter()
        .filter(|(name, value)| !same(&found[*name], value))
        .map(|(name, value)| {
            format!(
                "{what}, {name} {}: the event has {}, the server {value}",
                declared(name),
                found[name]
            )
        })
        .collect()
}
