//! Whose grammar a statement is in, and the modes that change it.

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// The grammar of a statement: the server's, and the modes of the session that ran it.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Which server.
    pub flavor: Flavor,
    /// Its version as version comments write it: 9.7.4 is 90704, 10.11.19 is 101119.
    pub version: u32,
    /// `ANSI_QUOTES`: double quotes are for names.
    pub ansi_quotes: bool,
    /// `NO_BACKSLASH_ESCAPES`: a backslash is a character like others.
    pub no_backslash_escapes: bool,
    /// Whether comments of tables and columns are kept: `include.schema.comments`.
    pub comments: bool,
}

/// `ANSI_QUOTES` among the bits of `sql_mode` in a query event.
const ANSI_QUOTES: u64 = 1 << 2;
/// `NO_BACKSLASH_ESCAPES` among them.
const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

impl Dialect {
    /// MySQL 9, in its default mode.
    pub fn mysql() -> Self {
        Self {
            flavor: Flavor::MySql,
            version: 90_704,
            ansi_quotes: false,
            no_backslash_escapes: false,
            comments: false,
        }
    }

    /// MariaDB 10.11, in its default mode.
    pub fn mariadb() -> Self {
        Self {
            flavor: Flavor::MariaDb,
            version: 101_100,
            ..Self::mysql()
        }
    }

    /// This one under the `sql_mode` of a query event (its status variable `Q_SQL_MODE_CODE`).
    #[must_use]
    pub fn with_sql_mode(&self, bits: u64) -> Self {
        Self {
            ansi_quotes: bits & ANSI_QUOTES != 0,
            no_backslash_escapes: bits & NO_BACKSLASH_ESCAPES != 0,
            ..self.clone()
        }
    }

    /// Whether the server runs what stands in a version comment. MariaDB skips those of MySQL 5.7 to 9.
    pub(super) fn runs(&self, version: u32, mariadb_only: bool) -> bool {
        match self.flavor {
            Flavor::MySql => version <= self.version,
            Flavor::MariaDb => {
                version <= self.version && (mariadb_only || !(50_700..=99_999).contains(&version))
            }
        }
    }
}
