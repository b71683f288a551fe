//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs: the settings of topics, and a few of the broker's to read.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementallyAltered;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{NODE_ID, Node, outcome, text};
use crate::log::Refusal;
use crate::topics::settings::{DEFS, Settings, Type};

/// `ConfigResource.Type`
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// `DescribeConfigsResponse.ConfigSource`
pub(super) const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
pub(super) const SOURCE_DEFAULT: i8 = 5;

/// IncrementalAlterConfigs' operations.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

impl Node {
    pub(super) fn describe_configs(&self, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
        let describe = |resource: DescribeConfigsResource| {
            let wanted = resource.configuration_keys.as_deref();
            let wanted = |name: &str| {
                wanted.is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| key.as_str() == name))
            };
            let configs = match resource.resource_type {
                TOPIC => self.topic_configs(&resource.resource_name, &request),
                BROKER => self.broker_configs(&resource.resource_name),
                _ => Err(unsupported(resource.resource_type)),
            };
            let (code, message) = outcome(&configs);
            let configs = configs
                .unwrap_or_default()
                .into_iter()
                .filter(|config| wanted(&config.name));
            DescribeConfigsResult::default()
                .with_error_code(code)
                .with_error_message(message)
                .with_resource_type(resource.resource_type)
                .with_configs(configs.collect())
                .with_resource_name(resource.resource_name)
        };
        let results = request.resources.clone().into_iter().map(describe).collect();
        DescribeConfigsResponse::default().with_results(results)
    }

    fn topic_configs(
        &self,
        name: &str,
        request: &DescribeConfigsRequest,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        let topic = self
            .topics
            .get(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let config = |def: &crate::topics::settings::Def| {
            let set = topic.settings.get(def.name);
            let default = def.default(&self.config);
            let source = if set.is_some() {
                SOURCE_TOPIC
            } else {
                SOURCE_DEFAULT
            };
            let mut synonyms = Vec::new();
            if request.include_synonyms {
                let synonym = |value: &str, source| {
                    DescribeConfigsSynonym::default()
                        .with_name(text(def.name))
                        .with_value(Some(text(value)))
                        .with_source(source)
                };
                synonyms.extend(set.map(|value| synonym(value, SOURCE_TOPIC)));
                synonyms.push(synonym(&default, SOURCE_DEFAULT));
            }
            DescribeConfigsResourceResult::default()
                .with_name(text(def.name))
                .with_value(Some(text(set.map_or(default, str::to_owned))))
                .with_config_source(source)
                .with_synonyms(synonyms)
                .with_config_type(def.kind as i8)
                .with_documentation(request.include_documentation.then(|| text(def.doc)))
        };
        Ok(DEFS.iter().map(config).collect())
    }

    /// What a client may want to know of a broker before it creates topics; all read-only.
    fn broker_configs(&self, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        if name.is_empty() {
            // The dynamic defaults of all brokers: there are none.
            return Ok(Vec::new());
        }
        if name != NODE_ID.0.to_string() {
            let message = format!(
                "Unexpected broker id, expected {}, but received {name}",
                NODE_ID.0
            );
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
        let config = &self.config;
        let known = [
            (
                "auto.create.topics.enable",
                Type::Boolean,
                config.auto_create_topics.to_string(),
            ),
            (
                "connections.max.idle.ms",
                Type::Long,
                config.max_idle.as_millis().to_string(),
            ),
            ("default.replication.factor", Type::Int, "1".to_owned()),
            ("delete.topic.enable", Type::Boolean, "true".to_owned()),
            ("fetch.max.bytes", Type::Int, config.max_fetch_bytes.to_string()),
            (
                "group.initial.rebalance.delay.ms",
                Type::Int,
                config.initial_rebalance_delay.as_millis().to_string(),
            ),
            ("log.dirs", Type::String, config.data_dir.display().to_string()),
            ("log.segment.bytes", Type::Int, config.segment_bytes.to_string()),
            (
                "message.max.bytes",
                Type::Int,
                config.max_message_bytes.to_string(),
            ),
            ("min.insync.replicas", Type::Int, "1".to_owned()),
            ("node.id", Type::Int, NODE_ID.0.to_string()),
            ("num.partitions", Type::Int, config.default_partitions.to_string()),
            (
                "socket.request.max.bytes",
                Type::Int,
                config.max_request_bytes.to_string(),
            ),
        ];
        let described = known.into_iter().map(|(name, kind, value)| {
            DescribeConfigsResourceResult::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
                .with_config_source(SOURCE_STATIC_BROKER)
                .with_config_type(kind as i8)
                .with_read_only(true)
        });
        Ok(described.collect())
    }

    /// Replaces all settings of a resource.
    pub(super) async fn alter_configs(&self, request: AlterConfigsRequest) -> AlterConfigsResponse {
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let name = &resource.resource_name;
            let replace = |_: &Settings| {
                let mut new = Settings::default();
                for config in &resource.configs {
                    new.set(&config.name, config.value.as_deref())?;
                }
                Ok(new)
            };
            let altered = self
                .alter(resource.resource_type, name, request.validate_only, replace)
                .await;
            let (code, message) = outcome(&altered);
            let response = Altered::default()
                .with_error_code(code)
                .with_error_message(message);
            responses.push(
                response
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(name.clone()),
            );
        }
        AlterConfigsResponse::default().with_responses(responses)
    }

    pub(super) async fn incremental_alter_configs(
        &self,
        request: IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let name = &resource.resource_name;
            let change = |old: &Settings| {
                let mut new = old.clone();
                for config in &resource.configs {
                    edit(
                        &mut new,
                        &config.name,
                        config.config_operation,
                        config.value.as_deref(),
                    )?;
                }
                Ok(new)
            };
            let altered = self
                .alter(resource.resource_type, name, request.validate_only, change)
                .await;
            let (code, message) = outcome(&altered);
            let response = IncrementallyAltered::default()
                .with_error_code(code)
                .with_error_message(message);
            responses.push(
                response
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(name.clone()),
            );
        }
        IncrementalAlterConfigsResponse::default().with_responses(responses)
    }

    async fn alter(
        &self,
        resource_type: i8,
        name: &StrBytes,
        check_only: bool,
        change: impl FnOnce(&Settings) -> Result<Settings, Refusal>,
    ) -> Result<(), Refusal> {
        match resource_type {
            TOPIC => self.topics.alter(name, check_only, change).await,
            BROKER => {
                let message = "this broker's settings come from its worker's properties and can't be altered while it runs";
                Err(Refusal::new(ResponseError::InvalidRequest, message))
            }
            other => Err(unsupported(other)),
        }
    }
}

fn edit(settings: &mut Settings, name: &str, operation: i8, value: Option<&str>) -> Result<(), Refusal> {
    match (operation, value) {
        (DELETE, _) => settings.set(name, None),
        (SET, Some(value)) => settings.set(name, Some(value)),
        (APPEND, Some(items)) => settings.edit_list(name, items, true),
        (SUBTRACT, Some(items)) => settings.edit_list(name, items, false),
        (SET | APPEND | SUBTRACT, None) => Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("Null value not supported for : {name}"),
        )),
        _ => Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("Unknown operation type {operation}."),
        )),
    }
}

fn unsupported(resource_type: i8) -> Refusal {
    Refusal::new(
        ResponseError::InvalidRequest,
        format!("Unsupported resource type {resource_type}"),
    )
}
