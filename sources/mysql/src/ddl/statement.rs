//! What a statement says, before it is applied.

use std::sync::Arc;

use super::bits::Bits;
use crate::schema::Column;

/// A table's name as a statement gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) database: Option<Arc<str>>,
    pub(super) table: Arc<str>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    CreateTable(CreateTable),
    AlterTable {
        name: Name,
        actions: Vec<Action>,
    },
    DropTables {
        names: Vec<Name>,
        temporary: bool,
        /// Where the list of tables begins.
        list: usize,
        /// `RESTRICT` or `CASCADE`.
        behavior: Option<&'static str>,
    },
    RenameTables {
        /// From, to, and the bytes of the pair.
        pairs: Vec<(Name, Name, usize, usize)>,
    },
    Truncate(Name),
    CreateIndex {
        table: Name,
        unique: bool,
        /// `None` where a part is an expression.
        columns: Option<Vec<Arc<str>>>,
    },
    CreateDatabase {
        name: Arc<str>,
        charset: Charset,
    },
    AlterDatabase {
        /// `None` is the current one.
        name: Option<Arc<str>>,
        charset: Charset,
    },
    DropDatabase(Arc<str>),
    Use(Arc<str>),
    /// Variables and values.
    Set(Vec<(String, String)>),
    /// Nothing that changes a table.
    Other,
}

/// `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CreateTable {
    pub(super) name: Name,
    pub(super) temporary: bool,
    pub(super) if_not_exists: bool,
    pub(super) elements: Vec<Element>,
    pub(super) like: Option<Name>,
    pub(super) options: Options,
    /// Columns come from a query.
    pub(super) select: bool,
}

/// What stands between the parentheses.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Element {
    Column(Definition),
    Primary(Option<Vec<Arc<str>>>),
    Unique(Option<Vec<Arc<str>>>),
    /// An index, a check, a foreign key.
    Other,
}

/// A column's definition. The character set in it is the one that is written; none inherits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Definition {
    pub(super) column: Column,
    pub(super) primary: bool,
    pub(super) unique: bool,
    /// A default that is a literal of bytes, where it waits for the column's character set.
    pub(super) bits: Option<Bits>,
}

/// A character set, or a collation of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Charset {
    /// The name; `default` is the one above.
    pub(super) name: Option<Arc<str>>,
    /// The collation's, where no character set was written.
    pub(super) collation: Option<Arc<str>>,
}

/// The options of a table that matter here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Options {
    pub(super) charset: Charset,
    pub(super) comment: Option<Arc<str>>,
}

/// Where a column goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Stays,
    First,
    After(Arc<str>),
}

/// A default that `ALTER COLUMN` sets.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DefaultValue {
    /// Null, or an expression.
    Null,
    Literal {
        text: Arc<str>,
        /// A backslash in it is one.
        raw: bool,
    },
    Bits(Bits),
    Dropped,
}

/// One clause of `ALTER TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    AddColumn {
        definition: Definition,
        place: Place,
        if_not_exists: bool,
    },
    AddPrimary(Option<Vec<Arc<str>>>),
    AddUnique(Option<Vec<Arc<str>>>),
    Change {
        name: Arc<str>,
        definition: Definition,
        place: Place,
        if_exists: bool,
        /// `MODIFY`, under which nothing of the old definition stays.
        modify: bool,
    },
    DropColumn {
        name: Arc<str>,
        if_exists: bool,
    },
    DropPrimary,
    RenameColumn {
        name: Arc<str>,
        to: Arc<str>,
        if_exists: bool,
    },
    RenameTable(Name),
    SetDefault {
        name: Arc<str>,
        default: DefaultValue,
        if_exists: bool,
    },
    Convert(Charset),
    /// MariaDB's: a partition becomes a table of its own,
    PartitionToTable(Name),
    /// and the other way round.
    TableToPartition(Name),
    Options(Options),
}
