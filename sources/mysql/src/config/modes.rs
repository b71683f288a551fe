//! How a snapshot is taken, and when.

/// `snapshot.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotMode {
    Initial,
    InitialOnly,
    Always,
    NoData,
    /// As initial, and again when what follows the stored offset has gone.
    WhenNeeded,
    /// No snapshot: the log from its beginning.
    Never,
    /// The schemas are read once more, and the history made anew; streaming goes on at the stored offset.
    Recovery,
    /// As `snapshot.mode.configuration.based.*` say.
    ConfigurationBased {
        data: bool,
        stream: bool,
        on_schema_error: bool,
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

    /// Whether a snapshot reads rows.
    pub(crate) fn reads_rows(self) -> bool {
        match self {
            Self::NoData | Self::Recovery | Self::Never => false,
            Self::ConfigurationBased { data, .. } => data,
            _ => true,
        }
    }

    /// Whether a snapshot is taken though one was completed.
    pub(crate) fn repeats(self) -> bool {
        matches!(self, Self::Always | Self::ConfigurationBased { data: true, .. })
    }

    /// Whether a gap between the stored offset and the log makes it take a snapshot again.
    pub(crate) fn heals(self) -> bool {
        match self {
            Self::WhenNeeded => true,
            Self::ConfigurationBased { on_data_error, .. } => on_data_error,
            _ => false,
        }
    }

    /// Whether a lost schema history is made anew.
    pub(crate) fn heals_history(self) -> bool {
        match self {
            Self::Recovery => true,
            Self::ConfigurationBased { on_schema_error, .. } => on_schema_error,
            _ => false,
        }
    }
}

/// `snapshot.locking.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locking {
    Minimal,
    Extended,
    None,
}
