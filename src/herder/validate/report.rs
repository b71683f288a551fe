//! What a validation answers (`ConfigInfos`), and the text it becomes when a connector is refused.

use serde::{Serialize, Serializer};
use tapline_api::config::{ConfigInfo, ConfigKey, Default};

/// The answer: every option's declaration and value, and what there is to say against it.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigInfos {
    /// `connector.class` as given.
    pub name: String,
    /// How many findings there are.
    pub error_count: usize,
    /// The options' groups, in order of appearance.
    pub groups: Vec<String>,
    /// The options.
    pub configs: Vec<Entry>,
}

/// An option; without a declaration when it is one that nobody declares.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The declaration.
    pub definition: Option<Definition>,
    /// The value; REST shows null for a former name without findings.
    #[serde(serialize_with = "told")]
    pub value: Value,
}

fn told<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_former && value.errors.is_empty() {
        serializer.serialize_none()
    } else {
        value.serialize(serializer)
    }
}

/// An option's declaration (`ConfigKeyInfo`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub struct Definition {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub required: bool,
    pub default_value: Option<String>,
    pub importance: &'static str,
    pub documentation: &'static str,
    pub group: Option<String>,
    pub order_in_group: i32,
    pub width: &'static str,
    pub display_name: String,
    pub dependents: Vec<String>,
}

/// An option's value (`ConfigValueInfo`); secrets are hidden.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub struct Value {
    pub name: String,
    pub value: Option<String>,
    pub recommended_values: Vec<String>,
    pub errors: Vec<String>,
    pub visible: bool,
    /// A former name of another option, which Debezium's sources declare and do not evaluate.
    #[serde(skip)]
    pub is_former: bool,
}

impl Definition {
    /// As declared.
    pub fn of(key: &ConfigKey) -> Self {
        Self {
            name: key.name.to_owned(),
            kind: key.kind.name(),
            required: key.default == Default::Required,
            default_value: match key.default {
                Default::Value(text) => Some(text.to_owned()),
                Default::Required | Default::Null => None,
            },
            importance: key.importance.name(),
            documentation: key.doc,
            group: key.group.map(str::to_owned),
            order_in_group: key.order,
            width: key.width.name(),
            display_name: if key.display.is_empty() {
                key.name
            } else {
                key.display
            }
            .to_owned(),
            dependents: key.dependents.iter().map(|&name| name.to_owned()).collect(),
        }
    }
}

impl Entry {
    /// As declared and evaluated, under the name that bears the prefix.
    pub(super) fn of(info: ConfigInfo) -> Self {
        let mut definition = Definition::of(&info.key);
        definition.name.clone_from(&info.name);
        Self {
            definition: Some(definition),
            value: Value {
                name: info.name,
                value: info.value,
                recommended_values: info.recommended,
                errors: info.errors,
                visible: info.visible,
                is_former: false,
            },
        }
    }

    /// A finding about an option that nobody declares.
    pub(super) fn undeclared(name: &str, error: String) -> Self {
        Self {
            definition: None,
            value: Value {
                name: name.to_owned(),
                value: None,
                recommended_values: Vec::new(),
                errors: vec![error],
                visible: true,
                is_former: false,
            },
        }
    }
}

impl ConfigInfos {
    pub(super) fn new(class: &str) -> Self {
        Self {
            name: class.to_owned(),
            error_count: 0,
            groups: Vec::new(),
            configs: Vec::new(),
        }
    }

    pub(super) fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.push(entry);
        }
    }

    /// Adds an option; one of the same name is replaced in its place.
    pub(super) fn push(&mut self, entry: Entry) {
        if let Some(group) = entry.definition.as_ref().and_then(|d| d.group.as_ref())
            && !self.groups.contains(group)
        {
            self.groups.push(group.clone());
        }
        match self.entry(&entry.value.name) {
            Some(same) => *same = entry,
            None => self.configs.push(entry),
        }
    }

    pub(super) fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        self.configs.iter_mut().find(|entry| entry.value.name == name)
    }

    /// Adds a finding to an option.
    pub(super) fn object(&mut self, name: &str, error: String) {
        match self.entry(name) {
            Some(entry) => entry.value.errors.push(error),
            None => self.configs.push(Entry::undeclared(name, error)),
        }
    }

    /// Counts the findings, when all are there.
    pub(super) fn counted(mut self) -> Self {
        self.error_count = self.errors().count();
        self
    }

    /// All findings.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.configs
            .iter()
            .flat_map(|entry| entry.value.errors.iter().map(String::as_str))
    }

    /// The text with which a connector is refused, or `None` if there is nothing against it.
    pub fn refusal(&self) -> Option<String> {
        let errors: Vec<_> = self.errors().collect();
        (!errors.is_empty()).then(|| {
            format!(
                "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find \
                 the above list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
                errors.len(),
                errors.join("\n")
            )
        })
    }
}
