//! Column types by the words they are declared with.

/// Codes of `java.sql.Types`, which Debezium's history and schema change records carry.
pub mod jdbc {
    /// `BIT`.
    pub const BIT: i32 = -7;
    /// `BIGINT`.
    pub const BIGINT: i32 = -5;
    /// `VARBINARY`.
    pub const VARBINARY: i32 = -3;
    /// `BINARY`.
    pub const BINARY: i32 = -2;
    /// `CHAR`.
    pub const CHAR: i32 = 1;
    /// `NUMERIC`.
    pub const NUMERIC: i32 = 2;
    /// `DECIMAL`.
    pub const DECIMAL: i32 = 3;
    /// `INTEGER`.
    pub const INTEGER: i32 = 4;
    /// `SMALLINT`.
    pub const SMALLINT: i32 = 5;
    /// `FLOAT`.
    pub const FLOAT: i32 = 6;
    /// `REAL`.
    pub const REAL: i32 = 7;
    /// `DOUBLE`.
    pub const DOUBLE: i32 = 8;
    /// `VARCHAR`.
    pub const VARCHAR: i32 = 12;
    /// `BOOLEAN`.
    pub const BOOLEAN: i32 = 16;
    /// `DATE`.
    pub const DATE: i32 = 91;
    /// `TIME`.
    pub const TIME: i32 = 92;
    /// `TIMESTAMP`.
    pub const TIMESTAMP: i32 = 93;
    /// `OTHER`.
    pub const OTHER: i32 = 1111;
    /// `BLOB`.
    pub const BLOB: i32 = 2004;
    /// `TIMESTAMP_WITH_TIMEZONE`.
    pub const TIMESTAMP_WITH_TIMEZONE: i32 = 2014;
    /// `NCHAR`.
    pub const NCHAR: i32 = -15;
    /// `NVARCHAR`.
    pub const NVARCHAR: i32 = -9;
}

/// What a column holds, whatever synonym declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the type of its name")]
pub enum Kind {
    /// `BOOL`, `BOOLEAN`: a `TINYINT(1)` that was declared with this word.
    Boolean,
    TinyInt,
    SmallInt,
    MediumInt,
    Int,
    BigInt,
    Float,
    Double,
    Decimal,
    Bit,
    Date,
    Time,
    DateTime,
    Timestamp,
    Year,
    Char,
    VarChar,
    TinyText,
    Text,
    MediumText,
    LongText,
    Binary,
    VarBinary,
    TinyBlob,
    Blob,
    MediumBlob,
    LongBlob,
    Enum,
    Set,
    Json,
    Point,
    /// Any spatial type but `POINT`.
    Geometry,
    Vector,
    /// MariaDB's.
    Uuid,
    /// MariaDB's.
    Inet4,
    /// MariaDB's.
    Inet6,
    /// A word that names no type known here.
    Unknown,
}

impl Kind {
    /// From a type's name as Debezium spells it: `INT UNSIGNED`, `NATIONAL CHAR VARYING`, `LONG VARBINARY`.
    pub fn of(type_name: &str) -> Self {
        let mut words = type_name.split_ascii_whitespace().peekable();
        let first = words.next().unwrap_or_default().to_ascii_uppercase();
        let varying = words.clone().any(|word| {
            word.eq_ignore_ascii_case("VARYING")
                || word.eq_ignore_ascii_case("VARCHAR")
                || word.eq_ignore_ascii_case("VARCHARACTER")
        });
        match first.as_str() {
            "BOOL" | "BOOLEAN" => Self::Boolean,
            "TINYINT" | "INT1" => Self::TinyInt,
            "SMALLINT" | "INT2" => Self::SmallInt,
            "MEDIUMINT" | "INT3" | "MIDDLEINT" => Self::MediumInt,
            "INT" | "INTEGER" | "INT4" => Self::Int,
            "BIGINT" | "INT8" | "SERIAL" => Self::BigInt,
            "FLOAT" | "FLOAT4" => Self::Float,
            "DOUBLE" | "FLOAT8" | "REAL" => Self::Double,
            "DECIMAL" | "DEC" | "NUMERIC" | "FIXED" | "NUMBER" => Self::Decimal,
            "BIT" => Self::Bit,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "DATETIME" => Self::DateTime,
            "TIMESTAMP" => Self::Timestamp,
            "YEAR" => Self::Year,
            "CHAR" | "CHARACTER" | "NATIONAL" | "NCHAR" if varying => Self::VarChar,
            "CHAR" | "CHARACTER" | "NATIONAL" | "NCHAR" => Self::Char,
            "VARCHAR" | "VARCHARACTER" | "NVARCHAR" | "VARCHAR2" => Self::VarChar,
            "TINYTEXT" => Self::TinyText,
            "TEXT" => Self::Text,
            "LONG" => match words.peek() {
                Some(word) if word.eq_ignore_ascii_case("VARBINARY") => Self::MediumBlob,
                _ => Self::MediumText,
            },
            "MEDIUMTEXT" => Self::MediumText,
            "LONGTEXT" | "CLOB" => Self::LongText,
            "BINARY" => Self::Binary,
            "VARBINARY" | "RAW" => Self::VarBinary,
            "TINYBLOB" => Self::TinyBlob,
            "BLOB" => Self::Blob,
            "MEDIUMBLOB" => Self::MediumBlob,
            "LONGBLOB" => Self::LongBlob,
            "ENUM" => Self::Enum,
            "SET" => Self::Set,
            "JSON" => Self::Json,
            "POINT" => Self::Point,
            "GEOMETRY" | "LINESTRING" | "POLYGON" | "MULTIPOINT" | "MULTILINESTRING" | "MULTIPOLYGON"
            | "GEOMETRYCOLLECTION" | "GEOMCOLLECTION" => Self::Geometry,
            "VECTOR" => Self::Vector,
            "UUID" => Self::Uuid,
            "INET4" => Self::Inet4,
            "INET6" => Self::Inet6,
            _ => Self::Unknown,
        }
    }

    /// The JDBC code that Debezium reports for a type of this name.
    pub fn jdbc_type(self, type_name: &str) -> i32 {
        let starts = |prefix: &str| {
            type_name
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        match self {
            Self::Boolean => jdbc::BOOLEAN,
            Self::TinyInt | Self::SmallInt => jdbc::SMALLINT,
            Self::MediumInt | Self::Int | Self::Year => jdbc::INTEGER,
            Self::BigInt => jdbc::BIGINT,
            Self::Float => jdbc::FLOAT,
            Self::Double if starts("REAL") => jdbc::REAL,
            Self::Double => jdbc::DOUBLE,
            Self::Decimal if starts("NUMERIC") => jdbc::NUMERIC,
            Self::Decimal => jdbc::DECIMAL,
            Self::Bit => jdbc::BIT,
            Self::Date => jdbc::DATE,
            Self::Time => jdbc::TIME,
            Self::DateTime => jdbc::TIMESTAMP,
            Self::Timestamp => jdbc::TIMESTAMP_WITH_TIMEZONE,
            Self::Char if starts("N") => jdbc::NCHAR,
            Self::VarChar if starts("N") => jdbc::NVARCHAR,
            Self::Char | Self::Enum | Self::Set => jdbc::CHAR,
            Self::VarChar | Self::TinyText | Self::Text | Self::MediumText | Self::LongText => jdbc::VARCHAR,
            Self::Binary => jdbc::BINARY,
            Self::VarBinary => jdbc::VARBINARY,
            Self::TinyBlob | Self::Blob | Self::MediumBlob | Self::LongBlob => jdbc::BLOB,
            Self::Json
            | Self::Point
            | Self::Geometry
            | Self::Vector
            | Self::Uuid
            | Self::Inet4
            | Self::Inet6
            | Self::Unknown => jdbc::OTHER,
        }
    }

    /// Whether values are text in a character set.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Self::Char
                | Self::VarChar
                | Self::TinyText
                | Self::Text
                | Self::MediumText
                | Self::LongText
                | Self::Enum
                | Self::Set
        )
    }

    /// Whether values are bytes in no character set.
    pub fn is_binary(self) -> bool {
        matches!(
            self,
            Self::Binary | Self::VarBinary | Self::TinyBlob | Self::Blob | Self::MediumBlob | Self::LongBlob
        )
    }

    /// Whether values are numbers that may be declared `UNSIGNED` or `ZEROFILL`.
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Self::TinyInt
                | Self::SmallInt
                | Self::MediumInt
                | Self::Int
                | Self::BigInt
                | Self::Float
                | Self::Double
                | Self::Decimal
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synonyms_are_the_type_they_stand_for() {
        for (name, kind, code) in [
            ("INT UNSIGNED ZEROFILL", Kind::Int, 4),
            ("INTEGER", Kind::Int, 4),
            ("MIDDLEINT", Kind::MediumInt, 4),
            ("DOUBLE PRECISION", Kind::Double, 8),
            ("REAL", Kind::Double, 7),
            ("NUMERIC", Kind::Decimal, 2),
            ("DEC UNSIGNED", Kind::Decimal, 3),
            ("CHARACTER VARYING", Kind::VarChar, 12),
            ("NATIONAL CHAR VARYING", Kind::VarChar, -9),
            ("NCHAR", Kind::Char, -15),
            ("LONG", Kind::MediumText, 12),
            ("LONG VARBINARY", Kind::MediumBlob, 2004),
            ("GEOMCOLLECTION", Kind::Geometry, 1111),
            ("INET6", Kind::Inet6, 1111),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
            assert_eq!(kind.jdbc_type(name), code, "{name}");
        }
    }
}
