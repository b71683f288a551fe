//! Field by field: a recording and what came of its replay.

use super::json::Json;
use super::recording::{Event, Outcome};
use super::renumber::{Kind, Piece, Renumber, pieces};
use super::window::Window;

/// One field that is otherwise.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The topic and the record's number in it; `offsets`, `status`.
    pub place: String,
    /// The path of names to the field.
    pub field: String,
    /// What the recording has.
    pub recorded: String,
    /// What stands here.
    pub here: String,
}

/// What a comparison found.
#[derive(Default)]
pub struct Comparison {
    /// Every difference, in order.
    pub differences: Vec<Difference>,
    /// Records of the recording.
    pub records: usize,
}

impl Comparison {
    /// How many of the recording's records have no difference among `those`.
    pub fn equal(&self, those: &[&Difference]) -> usize {
        let mut places: Vec<&str> = those
            .iter()
            .filter(|d| d.place.contains('#') && d.field != TOO_MUCH)
            .map(|d| d.place.as_str())
            .collect();
        places.sort_unstable();
        places.dedup();
        self.records - places.len()
    }
}

/// The field of a record that the recording does not have.
pub const TOO_MUCH: &str = "(too much)";
/// The field of a record that only the recording has.
pub const MISSING: &str = "(missing)";

/// Compares what was recorded with what came here. `heartbeats` is the beginning of the heartbeat topics' names.
pub fn compare(recorded: &Outcome, here: &Outcome, heartbeats: &str, windows: [Window; 2]) -> Comparison {
    let mut comparer = Comparer {
        renumber: Renumber::default(),
        windows,
        found: Vec::new(),
        place: String::new(),
        incremental: false,
        read: false,
        boundary: None,
    };
    let mut topics: Vec<&str> = Vec::new();
    for event in recorded.events.iter().chain(&here.events) {
        if !topics.contains(&event.topic.as_str()) {
            topics.push(&event.topic);
        }
    }
    for topic in topics {
        let of = |outcome: &'_ Outcome| -> Vec<Event> {
            let events = outcome.events.iter().filter(|e| e.topic == topic);
            events.cloned().collect()
        };
        if topic.starts_with(heartbeats) {
            comparer.shapes(topic, &of(recorded), &of(here));
        } else {
            comparer.topic(topic, &of(recorded), &of(here));
        }
    }
    comparer.offsets(&recorded.offsets, &here.offsets);
    comparer.place = "status".into();
    if recorded.status != here.status {
        comparer.differ("status", &recorded.status, &here.status);
    }
    let refused = |outcome: &Outcome| outcome.refused.clone().unwrap_or_else(|| "created".into());
    if recorded.refused.is_some() != here.refused.is_some() {
        comparer.differ("connector", &refused(recorded), &refused(here));
    }
    for (place, what) in comparer.renumber.disorder() {
        let (place, field) = place.split_once(' ').unwrap_or((&place, ""));
        comparer.found.push(Difference {
            place: place.to_owned(),
            field: field.to_owned(),
            recorded: "in order".into(),
            here: what,
        });
    }
    Comparison {
        differences: comparer.found,
        records: recorded.events.len(),
    }
}

struct Comparer {
    renumber: Renumber,
    /// When the recording was made, and when this run was.
    windows: [Window; 2],
    found: Vec<Difference>,
    place: String,
    /// A row that an incremental snapshot read: where its window stood in the log is nobody's to say.
    incremental: bool,
    /// A row that a snapshot read: the thread that its source block names is the last one that was seen, or none.
    read: bool,
    /// A record of the transaction topic: what its id is made of.
    boundary: Option<Role>,
}

impl Comparer {
    fn differ(&mut self, field: &str, recorded: &str, here: &str) {
        self.found.push(Difference {
            place: self.place.clone(),
            field: field.to_owned(),
            recorded: recorded.to_owned(),
            here: here.to_owned(),
        });
    }

    fn topic(&mut self, topic: &str, recorded: &[Event], here: &[Event]) {
        for (i, j) in super::align::align(recorded, here) {
            self.place = format!("{topic}#{}", i.unwrap_or_else(|| j.unwrap_or_default()));
            match (i.map(|i| &recorded[i]), j.map(|j| &here[j])) {
                (Some(a), Some(b)) => self.record(a, b),
                (Some(a), None) => {
                    let text = format!("{} {}", payload(&a.key), payload(&a.value));
                    self.differ(MISSING, &text, "no such record");
                }
                (None, Some(b)) => {
                    let text = format!("{} {}", payload(&b.key), payload(&b.value));
                    self.differ(TOO_MUCH, "no such record", &text);
                }
                (None, None) => {}
            }
        }
    }

    fn record(&mut self, recorded: &Event, here: &Event) {
        let snapshot = payload(&recorded.value)
            .at(&["source", "snapshot"])
            .and_then(Json::text);
        self.incremental = snapshot == Some("incremental");
        let value = payload(&recorded.value);
        self.read = value.get("op").and_then(Json::text) == Some("r");
        let status = value
            .get("event_count")
            .and(value.get("status"))
            .and_then(Json::text);
        self.boundary = status.map(|status| match status {
            "END" => Role::TransactionEnd,
            _ => Role::TransactionId,
        });
        if recorded.partition != here.partition {
            self.differ(
                "partition",
                &recorded.partition.to_string(),
                &here.partition.to_string(),
            );
        }
        self.headers(recorded.headers.list(), here.headers.list());
        self.value("key", &recorded.key, &here.key);
        self.value("value", &recorded.value, &here.value);
    }

    fn headers(&mut self, recorded: &[Json], here: &[Json]) {
        let name = |header: &Json| {
            header
                .list()
                .first()
                .and_then(Json::text)
                .unwrap_or("?")
                .to_owned()
        };
        let names = |of: &[Json]| of.iter().map(name).collect::<Vec<_>>().join(" ");
        if names(recorded) != names(here) {
            return self.differ("headers", &names(recorded), &names(here));
        }
        for (a, b) in recorded.iter().zip(here) {
            if let (Some(x), Some(y)) = (a.list().get(1), b.list().get(1)) {
                self.value(&format!("headers.{}", name(a)), x, y);
            }
        }
    }

    /// Records whose number and moments no one can tell: every form that is there must be here, and no other.
    fn shapes(&mut self, topic: &str, recorded: &[Event], here: &[Event]) {
        let shape = |event: &Event| {
            let text = format!("{} {} {}", event.headers, event.key, event.value);
            let digits: String = text
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            digits
        };
        let shapes: Vec<String> = here.iter().map(shape).collect();
        let known: Vec<String> = recorded.iter().map(shape).collect();
        for (i, form) in known
            .iter()
            .enumerate()
            .filter(|(_, form)| !shapes.contains(form))
        {
            self.place = format!("{topic}#{i}");
            self.differ(MISSING, form, "no such form");
        }
        for (i, form) in shapes
            .iter()
            .enumerate()
            .filter(|(_, form)| !known.contains(form))
        {
            self.place = format!("{topic}#{i}");
            self.differ(TOO_MUCH, "no such form", form);
        }
    }

    fn offsets(&mut self, recorded: &[(String, Option<String>)], here: &[(String, Option<String>)]) {
        (self.incremental, self.read, self.boundary) = (false, false, None);
        for (key, value) in recorded {
            self.place = format!("offsets {key}");
            let json = |text: &Option<String>| {
                text.as_ref().map_or(Json::Null, |text| {
                    Json::parse(text).unwrap_or(Json::Text(text.clone()))
                })
            };
            match here.iter().find(|(other, _)| other == key) {
                Some((_, other)) => self.value("offset", &json(value), &json(other)),
                None => self.differ(MISSING, value.as_deref().unwrap_or("null"), "no such offset"),
            }
        }
        for (key, value) in here
            .iter()
            .filter(|(key, _)| !recorded.iter().any(|(k, _)| k == key))
        {
            self.place = format!("offsets {key}");
            self.differ(TOO_MUCH, "no such offset", value.as_deref().unwrap_or("null"));
        }
    }

    fn value(&mut self, field: &str, recorded: &Json, here: &Json) {
        if self.read && field.ends_with("source.thread") {
            return;
        }
        match (recorded, here) {
            (Json::Object(a), Json::Object(b)) => self.object(field, a, b),
            (Json::List(a), Json::List(b)) => self.list(field, a, b),
            (Json::Number(a), Json::Number(b)) => self.number(field, a, b),
            (Json::Text(a), Json::Text(b)) => self.text(field, a, b),
            _ if recorded == here => {}
            _ => self.differ(field, &recorded.to_string(), &here.to_string()),
        }
    }

    fn object(&mut self, field: &str, recorded: &[(String, Json)], here: &[(String, Json)]) {
        for (name, value) in recorded {
            let path = format!("{field}.{name}");
            match here.iter().find(|(other, _)| other == name) {
                Some((_, other)) => self.value(&path, value, other),
                None => self.differ(&path, &value.to_string(), "no such field"),
            }
        }
        for (name, value) in here {
            if !recorded.iter().any(|(other, _)| other == name) {
                self.differ(&format!("{field}.{name}"), "no such field", &value.to_string());
            }
        }
        let common = |of: &[(String, Json)], other: &[(String, Json)]| -> String {
            let both = of.iter().filter(|(name, _)| other.iter().any(|(o, _)| o == name));
            both.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
        };
        let (a, b) = (common(recorded, here), common(here, recorded));
        if a != b {
            self.differ(&format!("{field} (order)"), &a, &b);
        }
        self.times(field, recorded, here);
    }

    /// One moment in three units: what is told in milliseconds is told in nanoseconds too.
    fn times(&mut self, field: &str, recorded: &[(String, Json)], here: &[(String, Json)]) {
        let told = |of: &[(String, Json)], name: &str| {
            of.iter()
                .find(|(n, _)| n == name)
                .and_then(|(_, value)| value.integer())
        };
        let agree = |of: &[(String, Json)]| {
            let micros = told(of, "ts_us")?;
            Some(told(of, "ts_ms")? == micros / 1_000 && told(of, "ts_ns")? / 1_000 == micros)
        };
        if agree(recorded) == Some(true) && agree(here) == Some(false) {
            let text = Json::Object(
                here.iter()
                    .filter(|(n, _)| n.starts_with("ts_"))
                    .cloned()
                    .collect(),
            );
            self.differ(&format!("{field} (times)"), "one moment", &text.to_string());
        }
    }

    fn list(&mut self, field: &str, recorded: &[Json], here: &[Json]) {
        let named = |of: &[Json]| -> Option<Vec<(String, Json)>> {
            let pair = |json: &Json| Some((json.get("field")?.text()?.to_owned(), json.clone()));
            of.iter().map(pair).collect()
        };
        if let (Some(a), Some(b), false) = (named(recorded), named(here), recorded.is_empty()) {
            return self.object(field, &a, &b);
        }
        if recorded.len() != here.len() {
            let text = |of: &[Json]| Json::List(of.to_vec()).to_string();
            return self.differ(field, &text(recorded), &text(here));
        }
        for (i, (a, b)) in recorded.iter().zip(here).enumerate() {
            self.value(&format!("{field}[{i}]"), a, b);
        }
    }

    fn meet(&mut self, kind: Kind, field: &str, recorded: &str, here: &str) {
        let place = format!("{} {field}", self.place);
        if let Err(why) = self.renumber.meet(kind, recorded, here, &place) {
            self.differ(field, recorded, &why);
        }
    }

    fn number(&mut self, field: &str, recorded: &str, here: &str) {
        let moment = |window: &Window, text: &str| text.parse().is_ok_and(|n| window.holds(n));
        match self.role(field) {
            Role::Position | Role::Number if self.incremental => {}
            Role::Position => self.meet(Kind::Position, field, recorded, here),
            Role::Commit => self.meet(Kind::Commit, field, recorded, here),
            Role::Transaction => self.meet(Kind::Transaction, field, recorded, here),
            // what is told in milliseconds or seconds may tie or not
            Role::CommitTime if !(self.incremental || recorded.ends_with("000") && here.ends_with("000")) => {
                self.meet(Kind::CommitTime, field, recorded, here);
            }
            Role::Number => self.meet(Kind::Number, field, recorded, here),
            // a moment of the run, a default of now() among them
            _ if moment(&self.windows[0], recorded) && moment(&self.windows[1], here) => {}
            _ if recorded != here => self.differ(field, recorded, here),
            _ => {}
        }
    }

    fn text(&mut self, field: &str, recorded: &str, here: &str) {
        // CloudEvents tell numbers of 64 bits as text
        if field.starts_with("value.iodebeziumts") {
            return self.number(field, recorded, here);
        }
        let role = match self.role(field) {
            Role::Plain if field == "value.id" && recorded.contains(";lsn:") => Role::EventId,
            role => role,
        };
        if self.incremental && role == Role::Number {
            return;
        }
        if role == Role::Sequence && self.sequence(field, recorded, here).is_some() {
            return;
        }
        let numbers = !matches!(role, Role::Column);
        let (a, b) = (pieces(recorded, numbers), pieces(here, numbers));
        if a.len() != b.len() || recorded == here && !numbers {
            if recorded != here {
                self.differ(field, &quoted(recorded), &quoted(here));
            }
            return;
        }
        // the id of a transaction is its number and a position: that of its end, when it tells the end
        let mut kinds = match role {
            Role::TransactionId => vec![Kind::Transaction, Kind::Position],
            Role::TransactionEnd => vec![Kind::Transaction, Kind::Commit],
            // a CloudEvent's: `name:…;lsn:…;txId:…;sequence:…`
            Role::EventId if recorded.contains("sequence:[null") => {
                vec![Kind::Position, Kind::Transaction, Kind::Position]
            }
            Role::EventId => vec![Kind::Position, Kind::Transaction, Kind::Commit, Kind::Position],
            _ => vec![],
        }
        .into_iter();
        for (x, y) in a.iter().zip(&b) {
            match (x, y) {
                (Piece::Uuid(x), Piece::Uuid(y)) => self.meet(Kind::Uuid, field, x, y),
                (Piece::Number(x), Piece::Number(y)) => match kinds.next() {
                    Some(kind) => self.meet(kind, field, x, y),
                    None if x == y => {}
                    None if x.len() > 3 && role.volatile() => self.meet(Kind::Number, field, x, y),
                    None => return self.differ(field, &quoted(recorded), &quoted(here)),
                },
                (Piece::Instant(x), Piece::Instant(y))
                    if self.windows[0].holds_text(x) && self.windows[1].holds_text(y) => {}
                _ if x == y => {}
                _ => return self.differ(field, &quoted(recorded), &quoted(here)),
            }
        }
    }

    fn role(&self, field: &str) -> Role {
        match self.boundary {
            Some(role) if field.ends_with(".id") => role,
            _ => role(field),
        }
    }

    /// `["last commit","position"]`; `None` when it is something else.
    fn sequence(&mut self, field: &str, recorded: &str, here: &str) -> Option<()> {
        let (a, b) = (Json::parse(recorded).ok()?, Json::parse(here).ok()?);
        let ([commit, position], [other_commit, other_position]) = (a.list(), b.list()) else {
            return None;
        };
        for (kind, x, y) in [
            (Kind::Commit, commit, other_commit),
            (Kind::Position, position, other_position),
        ] {
            match (x.text(), y.text()) {
                (None, None) => {}
                (Some(_), Some(_)) if self.incremental => {}
                (Some(x), Some(y)) => self.meet(kind, field, x, y),
                _ => self.differ(field, recorded, here),
            }
        }
        Some(())
    }
}

/// What a field holds, by its name: columns of a row are never anything but themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Column,
    Plain,
    Position,
    Commit,
    Transaction,
    TransactionId,
    TransactionEnd,
    EventId,
    CommitTime,
    Sequence,
    Number,
}

impl Role {
    fn volatile(self) -> bool {
        !matches!(self, Role::Column | Role::Plain)
    }
}

fn role(field: &str) -> Role {
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    if field.contains(".after.") || field.contains(".before.") || field.contains(".schema") {
        return Role::Column;
    }
    // as transformations name them (`__source_ts_ms`), and CloudEvents do (`iodebeziumtxid`)
    let name = name
        .trim_start_matches("__")
        .trim_start_matches("source_")
        .to_ascii_lowercase();
    let name = name.strip_prefix("iodebezium").unwrap_or(&name);
    match name {
        "lsn" | "lsn_proc" | "origin_lsn" | "postgresqllsn" => Role::Position,
        "lsn_commit" => Role::Commit,
        "txid" | "xmin" | "transaction_id" | "postgresqltxid" => Role::Transaction,
        "sequence" => Role::Sequence,
        "ts_us" if parent.ends_with("source") => Role::CommitTime,
        "ts_usec" | "tsus" => Role::CommitTime,
        "pos" | "thread" | "gtid" | "gtids" | "server_uuid" | "time" => Role::Number,
        "id" if parent.ends_with("transaction") => Role::TransactionId,
        _ => Role::Plain,
    }
}

/// The payload of JSON with its schema, or the JSON itself.
fn payload(json: &Json) -> &Json {
    match json {
        Json::Object(fields) if fields.len() == 2 && fields[0].0 == "schema" => &fields[1].1,
        _ => json,
    }
}

fn quoted(text: &str) -> String {
    Json::Text(text.to_owned()).to_string()
}
