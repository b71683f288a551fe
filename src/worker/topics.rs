//! Topics that a source creates (`topic.creation.*`, KIP-158).
//!
//! The groups are pure; [`TopicCreator`] asks the cluster, once per topic. A connector without `topic.creation.*`
//! leaves creation to the broker.

use tapline_api::config::Config;
use tapline_api::pattern::Pattern;
use tapline_api::topic_log::NewTopic;
use tapline_api::{Error, Result};
use tokio::runtime::Handle;

use crate::kafka::admin::{Admin, Created};

const DEFAULT: &str = "default";

/// The groups of a connector, the default one last.
#[derive(Debug)]
pub struct Groups(Vec<Group>);

#[derive(Debug)]
struct Group {
    name: String,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    topic: NewTopic,
}

impl Groups {
    /// From a connector's configuration; `None` when it says nothing of topic creation.
    pub fn new(connector: &Config) -> Result<Option<Self>> {
        let options = connector.prefixed("topic.creation.");
        if options.is_empty() {
            return Ok(None);
        }
        let default = Group {
            name: DEFAULT.to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
            topic: topic(&options, DEFAULT, None)?,
        };
        let mut groups = Vec::new();
        for name in connector.list("topic.creation.groups") {
            if name == DEFAULT {
                continue;
            }
            groups.push(Group {
                include: patterns(&options, &name, "include")?,
                exclude: patterns(&options, &name, "exclude")?,
                topic: topic(&options, &name, Some(&default.topic))?,
                name,
            });
        }
        groups.push(default);
        Ok(Some(Self(groups)))
    }

    /// The group a topic belongs to, by name, and how to create it.
    pub fn find(&self, topic: &str) -> Option<(&str, &NewTopic)> {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(topic));
        let group = self
            .0
            .iter()
            .find(|group| group.name == DEFAULT || (matches(&group.include) && !matches(&group.exclude)))?;
        Some((&group.name, &group.topic))
    }
}

fn patterns(options: &Config, group: &str, what: &str) -> Result<Vec<Pattern>> {
    let name = format!("{group}.{what}");
    let full = format!("topic.creation.{name}");
    let patterns = options.list(&name);
    if what == "include" && patterns.is_empty() {
        return Err(Error::config(format!(
            "Missing required configuration \"{full}\" which has no default value."
        )));
    }
    patterns
        .iter()
        .map(|pattern| Pattern::new(&full, pattern))
        .collect()
}

/// A group's partitions, replicas and settings. Only the first two are inherited from the default group.
fn topic(options: &Config, group: &str, default: Option<&NewTopic>) -> Result<NewTopic> {
    let number = |what: &str, inherited: Option<i32>| {
        let name = format!("{group}.{what}");
        let full = format!("topic.creation.{name}");
        match options.get(&name) {
            Some(text) => text.trim().parse().map_err(|_| {
                Error::config(format!(
                    "Invalid value {text} for configuration {full}: Not a number of type INT"
                ))
            }),
            None => inherited.ok_or_else(|| {
                Error::config(format!(
                    "Missing required configuration \"{full}\" which has no default value."
                ))
            }),
        }
    };
    let own = options.prefixed(&format!("{group}."));
    Ok(NewTopic {
        partitions: number("partitions", default.map(|topic| topic.partitions))?,
        replication_factor: number(
            "replication.factor",
            default.map(|topic| topic.replication_factor),
        )?,
        settings: own
            .iter()
            .filter(|(name, _)| !matches!(*name, "partitions" | "replication.factor" | "include" | "exclude"))
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect(),
    })
}

/// Creates topics before their first record.
pub struct TopicCreator {
    groups: Groups,
    admin: Admin,
    runtime: Handle,
}

impl TopicCreator {
    /// With a connector's groups and admin client.
    pub fn new(groups: Groups, admin: Admin, runtime: Handle) -> Self {
        Self {
            groups,
            admin,
            runtime,
        }
    }

    /// Creates a topic unless it is there. Blocks.
    pub fn ensure(&self, topic: &str) -> Result<()> {
        self.runtime.block_on(async {
            if self.admin.topic(topic).await?.is_some() {
                return Ok(());
            }
            let Some((group, new)) = self.groups.find(topic) else {
                return Ok(());
            };
            let failed = |error: Error| {
                let kind = error.kind();
                Error::fatal(format!("Task failed to create new topic {topic} of group {group}"))
                    .hint("Ensure that the task is authorized to create topics or that the topic exists and restart the task")
                    .cause(error)
                    .with_kind(match kind {
                        tapline_api::Kind::Retriable => kind,
                        _ => tapline_api::Kind::Fatal,
                    })
            };
            let made = self.admin.create(&[(topic.to_owned(), new.clone())]).await.map_err(failed)?;
            for result in made {
                if result.map_err(failed)? == Created::Yes {
                    tracing::info!("created topic '{topic}' of group '{group}' with {} partitions", new.partitions);
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_goes_to_the_first_group_that_includes_it_and_inherits_only_numbers() {
        let config = Config::from_iter([
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "-1"),
            ("topic.creation.default.cleanup.policy", "compact"),
            ("topic.creation.groups", "big, small"),
            ("topic.creation.big.include", "shop\\..*, other"),
            ("topic.creation.big.exclude", "shop\\.tiny"),
            ("topic.creation.big.partitions", "12"),
            ("topic.creation.big.retention.ms", "1000"),
            ("topic.creation.small.include", "shop\\.tiny"),
        ]);
        let groups = Groups::new(&config).unwrap().unwrap();
        let found = |topic| {
            let (group, new) = groups.find(topic).unwrap();
            (
                group.to_owned(),
                new.partitions,
                new.replication_factor,
                new.settings.clone(),
            )
        };
        let settings = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(
            found("shop.orders"),
            ("big".into(), 12, -1, settings("retention.ms", "1000"))
        );
        assert_eq!(found("shop.tiny"), ("small".into(), 3, -1, vec![]));
        assert_eq!(
            found("else"),
            ("default".into(), 3, -1, settings("cleanup.policy", "compact"))
        );
    }

    #[test]
    fn nothing_said_leaves_creation_to_the_broker_and_a_part_said_is_an_error() {
        assert!(Groups::new(&Config::new()).unwrap().is_none());
        let part = Config::from_iter([("topic.creation.default.partitions", "1")]);
        assert_eq!(
            Groups::new(&part).unwrap_err().message(),
            "Missing required configuration \"topic.creation.default.replication.factor\" which has no default value."
        );
        let without = Config::from_iter([
            ("topic.creation.default.partitions", "1"),
            ("topic.creation.default.replication.factor", "1"),
            ("topic.creation.groups", "a"),
        ]);
        assert!(
            Groups::new(&without)
                .unwrap_err()
                .message()
                .contains("topic.creation.a.include")
        );
    }
}
