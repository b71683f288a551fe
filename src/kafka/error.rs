//! What Kafka's clients say, by who can mend it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tapline_api::{Error, Kind};

/// A client's error as the worker's, with what was being done in front: `could not read topic "x": …`.
pub fn classify(what: &str, error: &KafkaError) -> Error {
    let message = format!("{what}: {error}");
    match error {
        KafkaError::ClientConfig(_, why, name, _) => {
            // The value may be a secret.
            return Error::config(format!("{what}: option {name}: {why}"));
        }
        KafkaError::ClientCreation(_) => return Error::config(message),
        _ => {}
    }
    match error.rdkafka_error_code() {
        Some(code) => by_code(code, message),
        None => match error {
            KafkaError::AdminOp(code) => by_code(*code, message),
            KafkaError::Transaction(error) => by_code(error.code(), message),
            KafkaError::Canceled | KafkaError::NoMessageReceived => Error::retriable(message),
            _ => Error::fatal(message),
        },
    }
}

/// As [`classify`], of a bare code.
pub fn by_code(code: Code, message: String) -> Error {
    use rdkafka::error::RDKafkaErrorCode::{
        Authentication, BadCompression, BadMessage, ClusterAuthorizationFailed, GroupAuthorizationFailed,
        InvalidConfig, InvalidMessage, InvalidMessageSize, InvalidPartitions, InvalidRecord,
        InvalidReplicationFactor, InvalidTimestamp, InvalidTopic, MessageBatchTooLarge, MessageSizeTooLarge,
        PolicyViolation, SSL, SaslAuthenticationFailed, TopicAuthorizationFailed,
        TransactionalIdAuthorizationFailed, UnknownPartition, UnsupportedSASLMechanism, UnsupportedVersion,
    };
    match code {
        MessageSizeTooLarge | MessageBatchTooLarge | InvalidMessageSize => Error::data(message)
            .exception("org.apache.kafka.common.errors.RecordTooLargeException")
            .hint("raise max.request.size, and message.max.bytes of the broker or max.message.bytes of the topic"),
        InvalidRecord | InvalidTimestamp | InvalidMessage | BadMessage | BadCompression | UnknownPartition => {
            Error::data(message).exception("org.apache.kafka.common.InvalidRecordException")
        }
        TopicAuthorizationFailed => {
            Error::fatal(message).exception("org.apache.kafka.common.errors.TopicAuthorizationException")
        }
        GroupAuthorizationFailed => {
            Error::fatal(message).exception("org.apache.kafka.common.errors.GroupAuthorizationException")
        }
        ClusterAuthorizationFailed | TransactionalIdAuthorizationFailed => {
            Error::fatal(message).exception("org.apache.kafka.common.errors.ClusterAuthorizationException")
        }
        Authentication | SaslAuthenticationFailed | UnsupportedSASLMechanism | SSL => {
            Error::fatal(message).exception("org.apache.kafka.common.errors.SaslAuthenticationException")
        }
        InvalidTopic => Error::data(message).exception("org.apache.kafka.common.errors.InvalidTopicException"),
        InvalidConfig | InvalidPartitions | InvalidReplicationFactor | PolicyViolation | UnsupportedVersion => {
            Error::fatal(message)
        }
        // All others are lost connections, moved leaders, fenced or restarted brokers, and time-outs.
        _ => Error::retriable(message),
    }
}

/// Whether only this record is at fault, so that `errors.tolerance` may let it go.
pub fn is_of_the_record(error: &Error) -> bool {
    error.kind() == Kind::Data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_too_large_is_the_records_fault_and_a_lost_broker_is_retried() {
        let kind = |code| classify("x", &KafkaError::MessageProduction(code)).kind();
        assert_eq!(kind(Code::MessageSizeTooLarge), Kind::Data);
        assert_eq!(kind(Code::AllBrokersDown), Kind::Retriable);
        assert_eq!(kind(Code::NotLeaderForPartition), Kind::Retriable);
        assert_eq!(kind(Code::TopicAuthorizationFailed), Kind::Fatal);
    }
}
