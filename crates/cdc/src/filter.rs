//! Which tables and columns are captured.
//!
//! Lists of Java regular expressions, matched against whole names without regard to case. An include list wins over an
//! exclude list of the same kind; a table must pass both its schema's lists and its own.

use tapline_api::Result;
use tapline_api::config::Config;
use tapline_api::pattern::Pattern;

/// A comma-separated list of patterns; a comma after a backslash belongs to a pattern.
#[derive(Clone, Debug, Default)]
pub struct PatternList(Vec<Pattern>);

impl PatternList {
    /// Compiles a list; the error names `option`.
    pub fn new(option: &str, list: &str) -> Result<Self> {
        split(list)
            .iter()
            .map(|pattern| Pattern::ignoring_case(option, pattern))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Whether any pattern matches the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// The position of the first pattern that matches the whole of `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|pattern| pattern.matches(name))
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Splits at commas, as Debezium's `RegExSplitter` does.
pub fn split(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                current.push(c);
                current.extend(chars.next());
            }
            ',' => found.push(std::mem::take(&mut current)),
            c => current.push(c),
        }
    }
    found.push(current);
    found
        .iter()
        .map(|part| part.trim().replace("\\,", ","))
        .filter(|part| !part.is_empty())
        .collect()
}

/// An include or an exclude list, or neither.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Everything.
    All,
    /// What matches.
    Include(PatternList),
    /// What does not match.
    Exclude(PatternList),
}

impl Selection {
    /// From two options, of which the include list wins.
    pub fn new(config: &Config, include: &str, exclude: &str) -> Result<Self> {
        let list = |option: &str| -> Result<Option<PatternList>> {
            let text = config.get(option).filter(|text| !text.trim().is_empty());
            text.map(|text| PatternList::new(option, text)).transpose()
        };
        Ok(match (list(include)?, list(exclude)?) {
            (Some(include), _) => Self::Include(include),
            (None, Some(exclude)) => Self::Exclude(exclude),
            (None, None) => Self::All,
        })
    }

    /// Whether `name` is in.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Include(list) => list.matches(name),
            Self::Exclude(list) => !list.matches(name),
        }
    }
}

/// Tables and columns of a database that has schemas.
#[derive(Clone, Debug)]
pub struct Filters {
    schemas: Selection,
    tables: Selection,
    columns: Selection,
    ignore_builtin: bool,
}

impl Filters {
    /// From `schema.*.list`, `table.*.list`, `column.*.list`; `ignore_builtin` is `table.ignore.builtin`.
    pub fn new(config: &Config, ignore_builtin: bool) -> Result<Self> {
        Ok(Self {
            schemas: Selection::new(config, "schema.include.list", "schema.exclude.list")?,
            tables: Selection::new(config, "table.include.list", "table.exclude.list")?,
            columns: Selection::new(config, "column.include.list", "column.exclude.list")?,
            ignore_builtin,
        })
    }

    /// Whether a table is captured. `builtin` says that the database brought it along.
    pub fn table(&self, schema: &str, table: &str, builtin: bool) -> bool {
        !(self.ignore_builtin && builtin)
            && self.schemas.contains(schema)
            && self.tables.contains(&format!("{schema}.{table}"))
    }

    /// Whether a column of a captured table is captured.
    pub fn column(&self, schema: &str, table: &str, column: &str) -> bool {
        match &self.columns {
            Selection::All => true,
            selection => selection.contains(&format!("{schema}.{table}.{column}")),
        }
    }

    /// Sorts tables as a snapshot reads them: by the include list's first match, then by name.
    pub fn sort_for_snapshot<T>(&self, tables: &mut [T], name: impl Fn(&T) -> (String, String)) {
        tables.sort_by_cached_key(|table| {
            let (schema, table) = name(table);
            let rank = match &self.tables {
                Selection::Include(list) => list.position(&format!("{schema}.{table}")).unwrap_or(usize::MAX),
                _ => 0,
            };
            (rank, schema, table)
        });
    }
}

/// `message.key.columns`: keys of one's own for tables, `schema.table:column,column;…`.
#[derive(Clone, Debug, Default)]
pub struct KeyColumns(Vec<Pattern>);

impl KeyColumns {
    /// Compiles the option's text.
    pub fn new(text: &str) -> Result<Self> {
        const OPTION: &str = "message.key.columns";
        let mut patterns = Vec::new();
        for entry in text.split(';').filter(|entry| !entry.trim().is_empty()) {
            let (table, columns) = entry.trim().split_once(':').unwrap_or((entry, ""));
            let bad = columns.is_empty()
                || table.is_empty()
                || columns.contains(':')
                || columns.split(',').any(|column| column.is_empty());
            if bad {
                return Err(tapline_api::Error::config(format!(
                    "The '{OPTION}' value is invalid: {entry} has an invalid format (expecting \
                     '^\\s*([^:]+):([^:,]+(,[^:,]+)*)\\s*$')"
                )));
            }
            for column in columns.split(',') {
                patterns.push(Pattern::ignoring_case(
                    OPTION,
                    &format!("{table}.{}", column.trim()),
                )?);
            }
        }
        Ok(Self(patterns))
    }

    /// The positions in `columns` that make the key of `schema.table`, in the option's order; empty where it says nothing.
    pub fn select<'a>(
        &self,
        schema: &str,
        table: &str,
        columns: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<usize> {
        let names: Vec<String> = if self.0.is_empty() {
            Vec::new()
        } else {
            columns
                .map(|column| format!("{schema}.{table}.{column}"))
                .collect()
        };
        let found = |pattern: &Pattern| {
            let matched = names.iter().enumerate().filter(|(_, name)| pattern.matches(name));
            matched.map(|(index, _)| index).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(found).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(options: &[(&str, &str)]) -> Filters {
        Filters::new(&options.iter().copied().collect(), true).unwrap()
    }

    #[test]
    fn patterns_are_anchored_and_ignore_case() {
        let f = filters(&[("table.include.list", r"public\.ord.*, Audit.LOG")]);
        assert!(f.table("public", "orders", false));
        assert!(f.table("PUBLIC", "Orders", false));
        assert!(f.table("audit", "log", false));
        assert!(!f.table("audit", "log2", false));
        assert!(!f.table("xpublic", "orders", false));
    }

    #[test]
    fn an_include_list_wins_and_a_schema_must_pass_too() {
        let f = filters(&[
            ("schema.exclude.list", "secret"),
            ("table.include.list", ".*"),
            ("table.exclude.list", "public.orders"),
        ]);
        assert!(f.table("public", "orders", false));
        assert!(!f.table("secret", "orders", false));
        assert!(!f.table("public", "orders", true));
    }

    #[test]
    fn columns_are_named_in_full() {
        let f = filters(&[("column.exclude.list", r"public\.users\.(password|salt)")]);
        assert!(!f.column("public", "users", "password"));
        assert!(f.column("public", "users", "name"));
        let f = filters(&[("column.include.list", "public.users.id")]);
        assert!(!f.column("public", "users", "name"));
    }

    #[test]
    fn a_comma_may_be_escaped() {
        assert_eq!(split(r"a.b{1\,2}, c ,,d\."), ["a.b{1,2}", "c", r"d\."]);
    }

    #[test]
    fn the_include_list_orders_a_snapshot() {
        let f = filters(&[("table.include.list", "b.*,a.*")]);
        let mut tables = [("a", "2"), ("b", "9"), ("a", "1"), ("b", "1")];
        f.sort_for_snapshot(&mut tables, |t| (t.0.into(), t.1.into()));
        assert_eq!(tables, [("b", "1"), ("b", "9"), ("a", "1"), ("a", "2")]);
    }

    #[test]
    fn keys_of_ones_own_keep_the_options_order() {
        let keys = KeyColumns::new("fx.nopk:b,a;(.*).pk1:v").unwrap();
        assert_eq!(keys.select("fx", "nopk", ["a", "b"].into_iter()), [1, 0]);
        assert_eq!(keys.select("s", "pk1", ["id", "v"].into_iter()), [1]);
        assert!(keys.select("fx", "other", ["a"].into_iter()).is_empty());
        assert!(KeyColumns::new("fx.nopk").is_err());
    }
}
