//! What a broker's answer to a batch means. Pure. Kafka's protocol guide, "Error Codes".

use rdkafka::error::RDKafkaErrorCode as Code;

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The broker has it, perhaps from an earlier attempt.
    Done,
    /// It is to be sent again.
    Again,
    /// Likewise, to whoever leads the partition now.
    Elsewhere,
    /// Likewise, after what was sent before it; if nothing was, the broker no longer knows the producer's place.
    Gap,
    /// Likewise, by another producer.
    Renew,
    /// It will never be taken, for what the batch is.
    Never(Code),
    /// Nothing will be taken from this producer.
    Fatal(Code),
}

impl Verdict {
    /// Of an error code in a partition's answer.
    pub(super) fn of(code: i16) -> Self {
        match code {
            // DUPLICATE_SEQUENCE_NUMBER
            0 | 46 => Self::Done,
            // CORRUPT_MESSAGE on the way, REQUEST_TIMED_OUT, COORDINATOR_LOAD…, NOT_ENOUGH_REPLICAS…, THROTTLING_QUOTA_EXCEEDED
            2 | 7 | 14 | 19 | 20 | 89 => Self::Again,
            // UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, REPLICA_NOT_AVAILABLE, NETWORK_EXCEPTION,
            // KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, UNKNOWN_TOPIC_ID
            3 | 5 | 6 | 9 | 13 | 56 | 74 | 75 | 100 => Self::Elsewhere,
            // OUT_OF_ORDER_SEQUENCE_NUMBER
            45 => Self::Gap,
            // INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING, UNKNOWN_PRODUCER_ID, PRODUCER_FENCED
            47 | 49 | 59 | 90 => Self::Renew,
            4 => Self::Never(Code::InvalidMessageSize),
            10 => Self::Never(Code::MessageSizeTooLarge),
            18 => Self::Never(Code::MessageBatchTooLarge),
            32 => Self::Never(Code::InvalidTimestamp),
            87 => Self::Never(Code::InvalidRecord),
            other => Self::Fatal(code_of(other)),
        }
    }
}

/// An error code as the other client has it; those not listed are retried as a whole.
pub(super) fn code_of(code: i16) -> Code {
    match code {
        17 => Code::InvalidTopic,
        29 => Code::TopicAuthorizationFailed,
        31 => Code::ClusterAuthorizationFailed,
        35 => Code::UnsupportedVersion,
        44 => Code::PolicyViolation,
        53 => Code::TransactionalIdAuthorizationFailed,
        58 => Code::SaslAuthenticationFailed,
        3 => Code::UnknownTopicOrPartition,
        _ => Code::Unknown,
    }
}

/// Whether a topic's metadata may yet come right.
pub(super) fn may_pass(code: i16) -> bool {
    matches!(Verdict::of(code), Verdict::Again | Verdict::Elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_kafka_says() {
        let cases = [
            (0, Verdict::Done),
            (46, Verdict::Done),
            (6, Verdict::Elsewhere),
            (7, Verdict::Again),
            (45, Verdict::Gap),
            (59, Verdict::Renew),
            (10, Verdict::Never(Code::MessageSizeTooLarge)),
            (29, Verdict::Fatal(Code::TopicAuthorizationFailed)),
            (-1, Verdict::Fatal(Code::Unknown)),
        ];
        for (code, verdict) in cases {
            assert_eq!(Verdict::of(code), verdict, "{code}");
        }
        assert!(may_pass(3) && may_pass(5) && !may_pass(17) && !may_pass(29));
    }
}
