//! What was executed, by either server's ids.

use crate::binlog::Malformed;
use crate::binlog::gtid::{Gtid, GtidSet, MariaGtid, MariaGtids};
use crate::ddl::Flavor;

/// What was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gtids {
    MySql(GtidSet),
    MariaDb(MariaGtids),
}

/// One transaction's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AnyGtid {
    MySql(Gtid),
    MariaDb(MariaGtid),
}

impl Gtids {
    /// Reads the text form.
    pub(crate) fn parse(flavor: Flavor, text: &str) -> Result<Self, Malformed> {
        Ok(match flavor {
            Flavor::MySql => Self::MySql(GtidSet::parse(text)?),
            Flavor::MariaDb => Self::MariaDb(MariaGtids::parse(text)?),
        })
    }

    pub(super) fn add(&mut self, gtid: &AnyGtid) {
        match (self, gtid) {
            (Self::MySql(set), AnyGtid::MySql(gtid)) => set.add(gtid),
            (Self::MariaDb(set), AnyGtid::MariaDb(gtid)) => set.add(*gtid),
            _ => {}
        }
    }

    /// Whether a transaction is among them.
    pub(super) fn has(&self, gtid: &AnyGtid) -> bool {
        match (self, gtid) {
            (Self::MySql(set), AnyGtid::MySql(gtid)) => {
                let mut one = GtidSet::default();
                one.add(gtid);
                set.contains_all(&one)
            }
            (Self::MariaDb(set), AnyGtid::MariaDb(gtid)) => {
                let mut one = MariaGtids::default();
                one.add(*gtid);
                one.beyond(set).is_empty()
            }
            _ => false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::MySql(set) => set.is_empty(),
            Self::MariaDb(set) => set.is_empty(),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::MySql(set) => set.to_string(),
            Self::MariaDb(set) => set.to_string(),
        }
    }
}
