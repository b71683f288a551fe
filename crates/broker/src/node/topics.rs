//! CreateTopics, DeleteTopics, CreatePartitions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};

use super::configs::{SOURCE_DEFAULT, SOURCE_TOPIC};
use super::{NODE_ID, Node, outcome, text};
use crate::log::Refusal;
use crate::topics::settings::{DEFS, Settings};
use crate::topics::{NewTopic, Topic};

impl Node {
    pub(super) async fn create_topics(
        &self,
        request: CreateTopicsRequest,
        version: i16,
    ) -> CreateTopicsResponse {
        let mut names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        names.sort_unstable();
        let twice = |name: &TopicName| names.iter().filter(|other| *other == name).count() > 1;
        let mut results = Vec::with_capacity(request.topics.len());
        let mut new = Vec::new();
        for topic in &request.topics {
            let checked = match twice(&topic.name) {
                true => Err(Refusal::new(
                    ResponseError::InvalidRequest,
                    "Duplicate topic name.",
                )),
                false => self.checked(topic),
            };
            results.push(match checked {
                Ok(topic) if request.validate_only => self.topics.check(&topic).map(|()| (topic, None)),
                Ok(topic) => {
                    new.push(topic.clone());
                    Ok((topic, Some(new.len() - 1)))
                }
                Err(refusal) => Err(refusal),
            });
        }
        let created = self.topics.create(new).await;
        let result = |(name, result): (TopicName, Result<(NewTopic, Option<usize>), Refusal>)| {
            let answer = CreatableTopicResult::default().with_name(name);
            let done = result.and_then(|(new, at)| match at.and_then(|at| created.get(at)) {
                Some(Ok(topic)) => Ok((new, topic.id)),
                Some(Err(refusal)) => Err(refusal.clone()),
                None => Ok((new, uuid::Uuid::nil())),
            });
            let (code, message) = outcome(&done);
            let answer = answer.with_error_code(code).with_error_message(message);
            match done {
                Ok(_) if version < 5 => answer,
                Ok((new, id)) => answer
                    .with_topic_id(id)
                    .with_num_partitions(i32::try_from(new.partitions).unwrap_or(i32::MAX))
                    .with_replication_factor(1)
                    .with_configs(Some(self.creatable_configs(&new.settings))),
                Err(_) => answer
                    .with_num_partitions(-1)
                    .with_replication_factor(-1)
                    .with_configs(None),
            }
        };
        let names = request.topics.into_iter().map(|topic| topic.name);
        CreateTopicsResponse::default().with_topics(names.zip(results).map(result).collect())
    }

    fn checked(&self, topic: &CreatableTopic) -> Result<NewTopic, Refusal> {
        let partitions = if topic.assignments.is_empty() {
            match topic.num_partitions {
                -1 => self.config.default_partitions,
                count if count > 0 => count,
                _ => {
                    return Err(Refusal::new(
                        ResponseError::InvalidPartitions,
                        "Number of partitions was set to an invalid non-positive value.",
                    ));
                }
            }
        } else {
            let here = topic
                .assignments
                .iter()
                .all(|one| one.broker_ids.first() == Some(&NODE_ID));
            let mut indexes: Vec<_> = topic.assignments.iter().map(|one| one.partition_index).collect();
            indexes.sort_unstable();
            if !here || !(0..).zip(&indexes).all(|(at, index)| at == *index) {
                return Err(Refusal::new(
                    ResponseError::InvalidReplicaAssignment,
                    format!("the only broker is {}", NODE_ID.0),
                ));
            }
            i32::try_from(indexes.len()).unwrap_or(i32::MAX)
        };
        match topic.replication_factor {
            -1 | 1 => {}
            factor if factor > 1 => {
                tracing::info!(
                    topic = topic.name.as_str(),
                    factor,
                    "a single node: the replication factor is taken as 1"
                );
            }
            _ => {
                return Err(Refusal::new(
                    ResponseError::InvalidReplicationFactor,
                    "Replication factor must be larger than 0, or -1 to use the default value.",
                ));
            }
        }
        let mut settings = Settings::default();
        for config in &topic.configs {
            let Some(value) = &config.value else {
                let message = format!("Null value not supported for topic configs: {}", config.name);
                return Err(Refusal::new(ResponseError::InvalidConfig, message));
            };
            settings.set(&config.name, Some(value))?;
        }
        let partitions = usize::try_from(partitions).unwrap_or(1);
        Ok(NewTopic {
            name: topic.name.to_string(),
            partitions,
            settings,
        })
    }

    fn creatable_configs(&self, settings: &Settings) -> Vec<CreatableTopicConfigs> {
        let config = |def: &crate::topics::settings::Def| {
            let set = settings.get(def.name);
            let value = set.map_or_else(|| def.default(&self.config), str::to_owned);
            CreatableTopicConfigs::default()
                .with_name(text(def.name))
                .with_value(Some(text(value)))
                .with_config_source(if set.is_some() {
                    SOURCE_TOPIC
                } else {
                    SOURCE_DEFAULT
                })
        };
        DEFS.iter().map(config).collect()
    }

    pub(super) async fn delete_topics(
        &self,
        request: DeleteTopicsRequest,
        version: i16,
    ) -> DeleteTopicsResponse {
        let wanted: Vec<(Option<TopicName>, uuid::Uuid)> = if version >= 6 {
            request
                .topics
                .into_iter()
                .map(|topic| (topic.name, topic.topic_id))
                .collect()
        } else {
            request
                .topic_names
                .into_iter()
                .map(|name| (Some(name), uuid::Uuid::nil()))
                .collect()
        };
        let mut responses = Vec::with_capacity(wanted.len());
        for (name, id) in wanted {
            let deleted = self
                .delete_topic(name.as_deref().map(|name| name.as_str()), id)
                .await;
            let (code, message) = outcome(&deleted);
            let result = DeletableTopicResult::default()
                .with_error_code(code)
                .with_error_message(message);
            responses.push(match deleted {
                Ok(topic) => result
                    .with_name(Some(TopicName(text(&topic.name))))
                    .with_topic_id(topic.id),
                Err(_) => result.with_name(name).with_topic_id(id),
            });
        }
        DeleteTopicsResponse::default().with_responses(responses)
    }

    async fn delete_topic(
        &self,
        name: Option<&str>,
        id: uuid::Uuid,
    ) -> Result<std::sync::Arc<Topic>, Refusal> {
        let topic = self.named_or_by_id(name, id)?;
        let topic = self.topics.delete(&topic.name).await?;
        if let Err(error) = self.groups.forget_topic(&topic.name) {
            tracing::warn!(topic = topic.name, %error, "groups keep their positions in a deleted topic");
        }
        Ok(topic)
    }

    pub(super) async fn create_partitions(
        &self,
        request: CreatePartitionsRequest,
    ) -> CreatePartitionsResponse {
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let grown = match usize::try_from(topic.count) {
                Ok(count) => self.topics.grow(&topic.name, count, request.validate_only).await,
                Err(_) => Err(ResponseError::InvalidPartitions.into()),
            };
            let (code, message) = outcome(&grown);
            let result = CreatePartitionsTopicResult::default().with_name(topic.name);
            results.push(result.with_error_code(code).with_error_message(message));
        }
        CreatePartitionsResponse::default().with_results(results)
    }
}
