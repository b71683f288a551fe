//! The connector: one task, and the checks of offsets that a user sets.

use async_trait::async_trait;
use tapline_api::config::Config;
use tapline_api::offset::{Offset, Partition};
use tapline_api::source::{SourceConnector, SourceTask};
use tapline_api::{Error, Result};

use crate::task::{FILENAME, POSITION, Task};
use crate::{CONFIG, FILE};

pub(crate) struct Connector;

#[async_trait]
impl SourceConnector for Connector {
    fn task_configs(&self, config: &Config, _max_tasks: u32) -> Result<Vec<Config>> {
        // A file is read from one place only.
        Ok(vec![config.clone()])
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(Task::default())
    }

    /// Any partition may be deleted, to clean up; a position must be one. Whether the file is that long shows when
    /// the task reads it.
    fn alter_offsets(&self, config: &Config, offsets: &[(Partition, Option<Offset>)]) -> Result<bool> {
        let parsed = CONFIG.parse(config)?;
        if parsed.text(FILE).is_none_or(str::is_empty) {
            return Err(Error::fatal(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is \
                 used for input and offsets are not tracked.",
            ));
        }
        offsets
            .iter()
            .filter_map(|(partition, offset)| Some((partition, offset.as_ref()?)))
            .try_for_each(|(partition, offset)| check(partition, offset))?;
        Ok(true)
    }
}

/// The checks of Kafka's connector, in its order and words.
fn check(partition: &Partition, offset: &Offset) -> Result<()> {
    let Some(position) = offset.get(POSITION) else {
        return Err(Error::fatal(
            "Offset objects should either be null or contain the key 'position'",
        ));
    };
    let Some(position) = position.as_i64() else {
        return Err(Error::fatal(
            "The value for the 'position' key in the offset is expected to be a Long value",
        ));
    };
    if position < 0 {
        return Err(Error::fatal(
            "The value for the 'position' key in the offset should be a non-negative value",
        ));
    }
    if !partition.0.contains_key(FILENAME) {
        return Err(Error::fatal(
            "Partition objects should contain the key 'filename'",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn alter(config: &[(&str, &str)], partition: Json, offset: Option<Json>) -> Result<bool, String> {
        let entries = |json: Json| json.as_object().cloned().unwrap();
        Connector
            .alter_offsets(
                &config.iter().copied().collect(),
                &[(
                    Partition::new(entries(partition)),
                    offset.map(|offset| Offset::new(entries(offset))),
                )],
            )
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn offsets_are_checked_in_kafkas_words() {
        let config = [("topic", "t"), ("file", "/data/in.txt")];
        let file = || json!({"filename": "/data/in.txt"});
        assert_eq!(alter(&config, file(), Some(json!({"position": 4}))), Ok(true));
        assert_eq!(alter(&config, json!({"x": 1}), None), Ok(true));
        for (partition, offset, expected) in [
            (
                json!({"file": "x"}),
                json!({"position": 4}),
                "Partition objects should contain the key 'filename'",
            ),
            (
                file(),
                json!({"position": "x"}),
                "The value for the 'position' key in the offset is expected to be a Long value",
            ),
            (
                file(),
                json!({"position": -1}),
                "The value for the 'position' key in the offset should be a non-negative value",
            ),
            (
                file(),
                json!({"pos": 1}),
                "Offset objects should either be null or contain the key 'position'",
            ),
        ] {
            assert_eq!(alter(&config, partition, Some(offset)), Err(expected.to_owned()));
        }
        let stdin = alter(&[("topic", "t")], file(), None).unwrap_err();
        assert!(stdin.starts_with("Offsets cannot be modified if the 'file' configuration is unspecified."));
    }
}
