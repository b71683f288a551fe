//! Which APIs there are, in which versions: what ApiVersions tells, and what is let through to a handler.

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::VersionRange;

const fn versions(key: ApiKey, min: i16, max: i16) -> (ApiKey, VersionRange) {
    (key, VersionRange { min, max })
}

/// The APIs that have a handler. The lowest versions are those of Kafka 4.
static APIS: &[(ApiKey, VersionRange)] = &[
    versions(ApiKey::Produce, 3, 13),
    versions(ApiKey::Fetch, 4, 18),
    versions(ApiKey::ListOffsets, 1, 10),
    versions(ApiKey::Metadata, 0, 13),
    versions(ApiKey::OffsetCommit, 2, 9),
    versions(ApiKey::OffsetFetch, 1, 9),
    versions(ApiKey::FindCoordinator, 0, 6),
    versions(ApiKey::JoinGroup, 0, 9),
    versions(ApiKey::Heartbeat, 0, 4),
    versions(ApiKey::LeaveGroup, 0, 5),
    versions(ApiKey::SyncGroup, 0, 5),
    versions(ApiKey::DescribeGroups, 0, 6),
    versions(ApiKey::ListGroups, 0, 5),
    versions(ApiKey::ApiVersions, 0, 4),
    versions(ApiKey::CreateTopics, 2, 7),
    versions(ApiKey::DeleteTopics, 1, 6),
    versions(ApiKey::DeleteRecords, 0, 2),
    versions(ApiKey::InitProducerId, 0, 5),
    versions(ApiKey::OffsetForLeaderEpoch, 2, 4),
    versions(ApiKey::DescribeConfigs, 1, 4),
    versions(ApiKey::AlterConfigs, 0, 2),
    versions(ApiKey::CreatePartitions, 0, 3),
    versions(ApiKey::DeleteGroups, 0, 2),
    versions(ApiKey::IncrementalAlterConfigs, 0, 1),
    versions(ApiKey::OffsetDelete, 0, 0),
    versions(ApiKey::DescribeCluster, 0, 2),
    versions(ApiKey::DescribeTopicPartitions, 0, 0),
];

/// What is advertised. Older librdkafka infers from Produce v0 that a broker takes compressed batches, so Kafka 4 goes
/// on to advertise it, and refuses it when it comes (KAFKA-18659).
pub(crate) static API_VERSIONS: &(dyn Fn() -> Vec<(i16, i16, i16)> + Sync) = &|| {
    let advertised = |(key, range): &(ApiKey, VersionRange)| {
        let min = if *key == ApiKey::Produce { 0 } else { range.min };
        (*key as i16, min, range.max)
    };
    APIS.iter().map(advertised).collect()
};

/// The API of this number, if this version of it has a handler.
pub(crate) fn supported(key: i16, version: i16) -> Option<ApiKey> {
    let (key, range) = APIS.iter().find(|(api, _)| *api as i16 == key)?;
    (range.min..=range.max).contains(&version).then_some(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_that_the_codec_has_are_advertised() {
        for (key, range) in APIS {
            assert_eq!(key.valid_versions().intersect(range), *range, "{key:?}");
        }
    }

    #[test]
    fn what_is_not_advertised_is_not_handled() {
        assert_eq!(supported(0, 2), None);
        assert_eq!(supported(0, 3), Some(ApiKey::Produce));
        assert_eq!(supported(ApiKey::ConsumerGroupHeartbeat as i16, 0), None);
        assert_eq!(supported(999, 0), None);
    }
}
