//! Options that are one of a few words.

/// `snapshot.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotMode {
    Initial,
    InitialOnly,
    Always,
    NoData,
    /// As initial, and again when the changes since the stored offset have gone.
    WhenNeeded,
    /// As `snapshot.mode.configuration.based.*` say.
    ConfigurationBased {
        data: bool,
        stream: bool,
        on_data_error: bool,
    },
}

impl SnapshotMode {
    /// Whether changes are streamed afterwards.
    pub(crate) fn streams(self) -> bool {
        match self {
            Self::InitialOnly => false,
            Self::ConfigurationBased { stream, .. } => stream,
            _ => true,
        }
    }

    /// Whether a gap between the stored offset and the slot makes it read the tables again.
    pub(crate) fn heals(self) -> bool {
        match self {
            Self::WhenNeeded => true,
            Self::ConfigurationBased { on_data_error, .. } => on_data_error,
            _ => false,
        }
    }
}

/// `publication.autocreate.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Autocreate {
    AllTables,
    Disabled,
    Filtered,
    NoTables,
}

/// `offset.mismatch.strategy`; not set is stricter than any of Debezium's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    Refuse,
    NoValidation,
    TrustOffset,
    TrustSlot,
    TrustGreaterLsn,
}

/// `decimal.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalMode {
    Precise,
    Double,
    String,
}

/// `time.precision.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeMode {
    Adaptive,
    AdaptiveMicros,
    Connect,
    Iso,
    Micros,
    Nanos,
}
