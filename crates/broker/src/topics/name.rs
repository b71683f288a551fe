//! What a topic may be called: `org.apache.kafka.common.internals.Topic`.

use kafka_protocol::ResponseError;

use crate::log::Refusal;

const LONGEST: usize = 249;

/// # Errors
/// `INVALID_TOPIC_EXCEPTION`, in Kafka's words.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let message = match name {
        "" => "Topic name is invalid: the empty string is not allowed".to_owned(),
        "." | ".." => format!("Topic name is invalid: '{name}' is not allowed"),
        _ if name.len() > LONGEST => {
            format!(
                "Topic name is invalid: the length of '{name}' is longer than the max allowed length {LONGEST}"
            )
        }
        _ if !name.bytes().all(legal) => format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ),
        _ => return Ok(()),
    };
    Err(Refusal::new(ResponseError::InvalidTopicException, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_by_kafka() {
        for good in ["a", "A.b_c-9", "...", "__consumer_offsets", &"x".repeat(249)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", "a\0", &"x".repeat(250)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
