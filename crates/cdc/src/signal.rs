//! Signals: what users ask of a running connector (`signal.enabled.channels`).
//!
//! A signal is an id, a type and JSON data, and comes as a row of a table, a line of a file or a record of a topic. What it
//! asks for is read here; what can't be read is logged and has no effect, as in Debezium.

use serde_json::Value as Json;
use tapline_api::pattern::Pattern;

/// A signal as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Names the request; notifications repeat it.
    pub id: String,
    /// What is asked for.
    pub kind: String,
    /// The details, in JSON.
    pub data: String,
}

/// What a signal asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write this to the log; `{}` stands for the position.
    Log(String),
    /// Read tables anew.
    Execute(Execute),
    /// Stop reading these tables (patterns), or all.
    Stop(Vec<String>),
    /// Hold an incremental snapshot.
    Pause,
    /// Let it go on.
    Resume,
    /// The window of the chunk with this id opens.
    OpenWindow(String),
    /// It closes.
    CloseWindow(String),
    /// Structures of tables, as JSON; for connectors with a schema history.
    SchemaChanges(Json),
}

/// A request for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execute {
    /// Blocking, or incremental.
    pub blocking: bool,
    /// Regular expressions of tables.
    pub collections: Vec<String>,
    /// Conditions of tables: a regular expression, and what goes into WHERE.
    pub conditions: Vec<(String, String)>,
    /// Column to order by instead of the primary key.
    pub surrogate_key: Option<String>,
}

/// Suffixes of the ids of watermarks.
pub const OPEN: &str = "-open";
/// See [`OPEN`].
pub const CLOSE: &str = "-close";

impl Signal {
    /// A line of a signal file, or a record of a signal topic: `{"id":…,"type":…,"data":{…}}`.
    pub fn from_json(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let field = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        let data = match json.get("data") {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        Some(Self {
            id: field("id").unwrap_or_default(),
            kind: field("type")?,
            data,
        })
    }

    /// What it asks for; `None`, with a line in the log, when that can't be understood.
    pub fn action(&self) -> Option<Action> {
        let unknown = |why: &str| {
            tracing::warn!(
                id = self.id,
                kind = self.kind,
                data = self.data,
                "Signal '{}' has been received but {why}",
                self.id
            );
            None
        };
        let data = if self.data.trim().is_empty() {
            Json::Object(serde_json::Map::new())
        } else {
            match serde_json::from_str(&self.data) {
                Ok(data) => data,
                Err(_) => return unknown("its data is no JSON"),
            }
        };
        let blocking = match data.get("type").and_then(Json::as_str) {
            None => false,
            Some(kind) if kind.eq_ignore_ascii_case("incremental") => false,
            Some(kind) if kind.eq_ignore_ascii_case("blocking") => true,
            Some(_) => return unknown("the snapshot's type is neither incremental nor blocking"),
        };
        let Some(collections) = collections(&data) else {
            return unknown("data-collections holds something else than strings");
        };
        let conditions = conditions(&data);
        let action = match self.kind.as_str() {
            "log" => match data.get("message").and_then(Json::as_str) {
                Some(message) => Action::Log(message.to_owned()),
                None => return unknown("it has no message"),
            },
            "execute-snapshot" if collections.is_empty() => {
                return unknown("data-collections is missing or empty");
            }
            "execute-snapshot" => {
                let mut patterns = collections
                    .iter()
                    .chain(conditions.iter().map(|(table, _)| table));
                if patterns.any(|text| whole(text).is_none()) {
                    return unknown("one of its regular expressions can't be read");
                }
                Action::Execute(Execute {
                    blocking,
                    collections,
                    conditions,
                    surrogate_key: data
                        .get("surrogate-key")
                        .and_then(Json::as_str)
                        .filter(|key| !key.trim().is_empty())
                        .map(str::to_owned),
                })
            }
            "stop-snapshot" if blocking => return unknown("a blocking snapshot can't be stopped"),
            "stop-snapshot" => Action::Stop(collections),
            "pause-snapshot" => Action::Pause,
            "resume-snapshot" => Action::Resume,
            "snapshot-window-open" => Action::OpenWindow(self.id.clone()),
            "snapshot-window-close" => Action::CloseWindow(self.id.clone()),
            "schema-changes" => Action::SchemaChanges(data),
            kind => return unknown(&format!("the type '{kind}' is not recognized")),
        };
        Some(action)
    }
}

fn collections(data: &Json) -> Option<Vec<String>> {
    match data.get("data-collections").and_then(Json::as_array) {
        None => Some(Vec::new()),
        Some(all) => all
            .iter()
            .map(|one| one.as_str().map(|one| one.trim().to_owned()))
            .collect(),
    }
}

fn conditions(data: &Json) -> Vec<(String, String)> {
    let text = |of: &Json, name: &str| of.get(name).and_then(Json::as_str).map(str::to_owned);
    let all = data.get("additional-conditions").and_then(Json::as_array);
    all.into_iter()
        .flatten()
        .filter_map(|one| Some((text(one, "data-collection")?, text(one, "filter")?)))
        .collect()
}

fn whole(text: &str) -> Option<Pattern> {
    Pattern::ignoring_case("data-collections", text).ok()
}

/// Whether a table's name matches one of these expressions as a whole, in any case.
pub fn matches(patterns: &[String], table: &str) -> bool {
    patterns
        .iter()
        .any(|text| whole(text).is_some_and(|pattern| pattern.matches(table)))
}

impl Execute {
    /// The tables that are meant, in the order of the expressions; one that matches nothing stands for itself.
    pub fn expand(&self, captured: &[String]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for text in &self.collections {
            let before = out.len();
            let one = std::slice::from_ref(text);
            for table in captured.iter().filter(|table| matches(one, table)) {
                if !out.contains(table) {
                    out.push(table.clone());
                }
            }
            let known = captured.iter().any(|table| matches(one, table));
            if out.len() == before && !known {
                out.push(text.clone());
            }
        }
        out
    }

    /// The condition of a table, for a WHERE clause.
    pub fn condition(&self, table: &str) -> Option<&str> {
        self.filter(table).filter(|filter| !is_query(filter))
    }

    /// The query that takes a table's place: what a filter of a blocking snapshot is in Debezium.
    pub fn query(&self, table: &str) -> Option<&str> {
        self.filter(table).filter(|filter| is_query(filter))
    }

    fn filter(&self, table: &str) -> Option<&str> {
        self.conditions
            .iter()
            .find(|(pattern, _)| matches(std::slice::from_ref(pattern), table))
            .map(|(_, filter)| filter.as_str())
    }
}

/// Whether a filter is a statement of its own.
fn is_query(filter: &str) -> bool {
    let word = filter.split_whitespace().next().unwrap_or_default();
    word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("with")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(kind: &str, data: &str) -> Option<Action> {
        let signal = Signal {
            id: "1".into(),
            kind: kind.into(),
            data: data.into(),
        };
        signal.action()
    }

    #[test]
    fn an_execution_names_tables_by_expressions() {
        let data = r#"{"data-collections": ["fx.s[12]", "fx.nope"], "type": "incremental",
            "additional-conditions": [{"data-collection": "FX.S1", "filter": "id > 8"}], "surrogate-key": "n"}"#;
        let Some(Action::Execute(execute)) = action("execute-snapshot", data) else {
            panic!("no execution");
        };
        let captured = ["fx.s1", "fx.s2", "fx.s10"].map(str::to_owned);
        assert_eq!(execute.expand(&captured), ["fx.s1", "fx.s2", "fx.nope"]);
        assert_eq!(execute.condition("fx.s1"), Some("id > 8"));
        assert_eq!(execute.condition("fx.s2"), None);
        assert_eq!(execute.query("fx.s1"), None);
        assert_eq!(
            (execute.blocking, execute.surrogate_key.as_deref()),
            (false, Some("n"))
        );
    }

    #[test]
    fn a_filter_may_be_a_whole_query() {
        let data = r#"{"data-collections": ["fx.s1"], "type": "blocking",
            "additional-conditions": [{"data-collection": "fx.s1", "filter": " SELECT\n* FROM fx.s1"}]}"#;
        let Some(Action::Execute(execute)) = action("execute-snapshot", &data.replace('\n', " ")) else {
            panic!("no execution");
        };
        assert_eq!(execute.condition("fx.s1"), None);
        assert!(execute.query("fx.s1").is_some());
    }

    #[test]
    fn what_can_not_be_understood_has_no_effect() {
        for (kind, data) in [
            ("no-such-signal", "{}"),
            ("execute-snapshot", "{}"),
            ("execute-snapshot", r#"{"data-collections": [1]}"#),
            ("execute-snapshot", r#"{"data-collections": ["("]}"#),
            (
                "execute-snapshot",
                r#"{"data-collections": ["a"], "type": "other"}"#,
            ),
            ("log", "{}"),
            ("log", "no json"),
        ] {
            assert_eq!(action(kind, data), None, "{kind} {data}");
        }
        assert_eq!(action("stop-snapshot", "{}"), Some(Action::Stop(Vec::new())));
        assert_eq!(action("pause-snapshot", ""), Some(Action::Pause));
    }

    #[test]
    fn a_line_of_json_is_a_signal() {
        let signal = Signal::from_json(r#"{"id":"a","type":"log","data":{"message":"x"}}"#).unwrap();
        assert_eq!(signal.action(), Some(Action::Log("x".into())));
        assert_eq!(Signal::from_json("{}"), None);
    }
}
