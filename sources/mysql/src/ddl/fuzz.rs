//! Whatever comes in: no panic, no endless loop, and a statement that is refused has changed nothing.

use proptest::prelude::*;

use super::*;

const CORPUS: &str = include_str!("../../testdata/ddl-corpus.sql");

/// The words that statements are made of.
fn words() -> Vec<&'static str> {
    let mut words: Vec<&str> = CORPUS
        .split(|c: char| c.is_whitespace() || "(),;='\"`".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    words.extend([
        "(", ")", "((", "))", ",", ";", "'", "\"", "`", "/*", "*/", "/*!", "/*!50100", "/*M!", "--", "\n",
        "@", "@@", ".", "=",
    ]);
    words.sort_unstable();
    words.dedup();
    words
}

fn dialect() -> impl Strategy<Value = Dialect> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(mysql, ansi_quotes, no_backslash_escapes)| {
        Dialect {
            ansi_quotes,
            no_backslash_escapes,
            comments: true,
            ..if mysql {
                Dialect::mysql()
            } else {
                Dialect::mariadb()
            }
        }
    })
}

fn try_apply(dialect: &Dialect, statement: &str) {
    let mut tables = Tables::new(false);
    let plain = Dialect::mysql();
    apply(
        &mut tables,
        &plain,
        "fx",
        "create table t (a int primary key, b varchar(5) not null, c enum('x'))",
    )
    .unwrap();
    let before: Vec<Table> = tables.iter().map(|table| Table::clone(table)).collect();
    match apply(&mut tables, dialect, "fx", statement) {
        Ok(_) => {
            for table in tables.iter() {
                let positions: Vec<i32> = table.columns.iter().map(|column| column.position).collect();
                let expected: Vec<i32> = (1..).take(positions.len()).collect();
                assert_eq!(positions, expected, "{statement}");
            }
        }
        Err(error) => {
            let after: Vec<Table> = tables.iter().map(|table| Table::clone(table)).collect();
            assert_eq!(before, after, "{statement}: {error}");
        }
    }
}

proptest! {
    #[test]
    fn words_in_any_order_do_no_harm(
        dialect in dialect(),
        start in prop::sample::select(vec!["", "create table t (", "alter table t ", "alter table t add column ", "rename table ", "set "]),
        words in prop::collection::vec(prop::sample::select(words()), 0..40),
    ) {
        try_apply(&dialect, &format!("{start}{}", words.join(" ")));
    }

    #[test]
    fn statements_with_pieces_taken_out_or_doubled_do_no_harm(
        dialect in dialect(),
        case in prop::sample::select(CORPUS.split(['\n', ';']).collect::<Vec<_>>()),
        (from, length, again) in (0..200usize, 0..20usize, any::<bool>()),
    ) {
        let chars: Vec<char> = case.chars().collect();
        let from = from.min(chars.len());
        let to = (from + length).min(chars.len());
        let mut text: String = chars[..from].iter().collect();
        if again {
            text.extend(&chars[from..to]);
            text.extend(&chars[from..]);
        } else {
            text.extend(&chars[to..]);
        }
        try_apply(&dialect, &text);
    }

    #[test]
    fn any_text_does_no_harm(dialect in dialect(), text in "\\PC*") {
        try_apply(&dialect, &text);
    }
}

#[test]
fn depth_and_length_are_no_danger() {
    let dialect = Dialect::mysql();
    for text in [
        format!("create table t ({}", "(".repeat(200_000)),
        format!(
            "create table n (a int default {}1{})",
            "(".repeat(100_000),
            ")".repeat(100_000)
        ),
        format!("alter table t {}", "add column x int, ".repeat(3_000)),
        "/*!".repeat(100_000),
        format!("create table n (a enum({}'x'))", "'a',".repeat(60_000)),
    ] {
        try_apply(&dialect, &text);
    }
}
