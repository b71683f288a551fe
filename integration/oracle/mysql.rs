//! MySQL and MariaDB as the oracle. What is expected comes as text in hexadecimal, by one client for a whole script.

use super::{Column, Is, NAME, Oracle, Sample, Step, Table, Type, expected, pick};
use serde_json::{Map, Value, json};
use tapline_harness::mysql::Kind;
use tapline_harness::{Mysql, Random, Worker, pipeline};

const fn of(declared: &'static str, make: fn(&mut Random) -> String, event: &'static str, is: Is) -> Type {
    Type {
        declared,
        sample: Sample::Made(make),
        event,
        is,
    }
}

const fn number(declared: &'static str, make: fn(&mut Random) -> String) -> Type {
    of(declared, make, "@+0", Is::Json)
}

const fn text(declared: &'static str, make: fn(&mut Random) -> String) -> Type {
    of(declared, make, "@", Is::Text)
}

const fn decimal(declared: &'static str, make: fn(&mut Random) -> String) -> Type {
    of(declared, make, "cast(@+0 as char)", Is::Text)
}

const fn binary(declared: &'static str, make: fn(&mut Random) -> String) -> Type {
    of(declared, make, "lower(hex(@))", Is::Text)
}

const fn shape(declared: &'static str, make: fn(&mut Random) -> String) -> Type {
    of(declared, make, "hex(@)", Is::Geometry)
}

const fn filled(declared: &'static str, event: &'static str, is: Is) -> Type {
    Type {
        declared,
        sample: Sample::None,
        event,
        is,
    }
}

/// A date that the calendar does not have is null.
const DATE: &str = "if(month(@)=0 or dayofmonth(@)=0, null, to_days(@)-719528)";
const MOMENT: &str = "if(month(@)=0 or dayofmonth(@)=0, null, timestampdiff(microsecond, '1970-01-01', @))";
const INSTANT: &str = "if(@='0000-00-00 00:00:00', null, date_format(@, '%Y-%m-%dT%H:%i:%s.%fZ'))";

/// Modes: decimals as text, bytes in hexadecimal, years as they are.
macro_rules! common {
    ($($more:expr),* $(,)?) => { &[
        number("tinyint", |r| int(r, -128, 127)),
        number("tinyint unsigned", |r| int(r, 0, 255)),
        number("tinyint(1)", |r| int(r, -128, 127)),
        number("smallint", |r| int(r, -32_768, 32_767)),
        number("smallint(5) unsigned zerofill", |r| int(r, 0, 65_535)),
        number("mediumint", |r| int(r, -8_388_608, 8_388_607)),
        number("int3 unsigned", |r| int(r, 0, 16_777_215)),
        number("int", |r| int(r, -2_147_483_648, 2_147_483_647)),
        number("integer(9) unsigned zerofill", |r| int(r, 0, 4_294_967_295)),
        number("bigint", |r| int(r, i64::MIN.into(), i64::MAX.into())),
        of("bigint unsigned", |r| int(r, 0, u64::MAX.into()), "cast(@ as signed)", Is::Json),
        of("float", |r| float(r, 37), "@+0e0", Is::Single),
        of("float(20)", |r| float(r, 37), "@+0e0", Is::Single),
        number("float(40)", |r| float(r, 300)),
        number("double", |r| float(r, 300)),
        number("double precision unsigned", |r| float(r, 300).replace('-', "")),
        number("real", |r| float(r, 300)),
        decimal("decimal", |r| digits(r, 10, 0)),
        decimal("decimal(5,2)", |r| digits(r, 3, 2)),
        decimal("numeric(20,6) unsigned zerofill", |r| digits(r, 14, 6).replace('-', "")),
        of("decimal(65,30)", |r| digits(r, 35, 30), "cast(@ as char)", Is::Text),
        of("dec(65)", |r| digits(r, 65, 0), "cast(@ as char)", Is::Text),
        decimal("fixed(9,9)", |r| digits(r, 0, 9)),
        of("bit", |r| int(r, 0, 1), "@+0", Is::Bool),
        of("bit(9)", |r| int(r, 0, 511), "replace(to_base64(reverse(unhex(lpad(hex(@+0), 4, '0')))), '\n', '')", Is::Text),
        of("bit(64)", |r| int(r, 0, u64::MAX.into()), "replace(to_base64(reverse(unhex(lpad(hex(@+0), 16, '0')))), '\n', '')", Is::Text),
        number("year", |r| if r.part() < 0.1 { "0".to_owned() } else { int(r, 1901, 2155) }),
        of("date", date, DATE, Is::Since1970),
        of("time", |r| time(r, 0), "@", Is::Time),
        of("time(1)", |r| time(r, 1), "@", Is::Time),
        of("time(4)", |r| time(r, 4), "@", Is::Time),
        of("time(6)", |r| time(r, 6), "@", Is::Time),
        of("datetime", moment, MOMENT, Is::Millis),
        of("datetime(3)", moment, MOMENT, Is::Millis),
        of("datetime(4)", moment, MOMENT, Is::Since1970),
        of("datetime(6)", moment, MOMENT, Is::Since1970),
        of("timestamp", instant, INSTANT, Is::Instant),
        of("timestamp(2)", instant, INSTANT, Is::Instant),
        of("timestamp(5)", instant, INSTANT, Is::Instant),
        of("timestamp(6)", instant, INSTANT, Is::Instant),
        text("char(7)", |r| words(r, 7)),
        text("char", |r| words(r, 1)),
        text("char(100) character set utf8mb4", |r| words(r, 100)),
        text("char(20) character set utf32", |r| words(r, 20)),
        text("varchar(30)", |r| words(r, 30)),
        text("varchar(300) character set utf8mb4 collate utf8mb4_bin", |r| words(r, 300)),
        text("varchar(40) character set latin1", |r| words(r, 40)),
        text("varchar(40) character set latin2", |r| words(r, 40)),
        text("varchar(40) character set greek", |r| words(r, 40)),
        text("varchar(40) character set koi8r", |r| words(r, 40)),
        text("varchar(40) character set cp1251", |r| words(r, 40)),
        text("varchar(40) character set cp1256", |r| words(r, 40)),
        text("varchar(40) character set gbk", |r| words(r, 40)),
        text("varchar(40) character set big5", |r| words(r, 40)),
        text("varchar(40) character set sjis", |r| words(r, 40)),
        text("varchar(40) character set cp932", |r| words(r, 40)),
        text("varchar(40) character set ujis", |r| words(r, 40)),
        text("varchar(40) character set euckr", |r| words(r, 40)),
        text("varchar(40) character set ucs2", |r| words(r, 40)),
        text("varchar(40) character set utf16", |r| words(r, 40)),
        text("varchar(40) character set utf16le", |r| words(r, 40)),
        text("varchar(40) character set utf8mb3", |r| words(r, 40)),
        text("varchar(20) character set ascii", |r| words(r, 20)),
        text("national varchar(20)", |r| words(r, 20)),
        text("tinytext", |r| words(r, 60)),
        text("text character set latin1", |r| words(r, 2000)),
        text("mediumtext", |r| words(r, 300)),
        text("long varchar", |r| words(r, 40)),
        text("longtext character set utf16", |r| words(r, 50)),
        binary("binary(8)", |r| bytes(r, 8)),
        binary("binary", |r| bytes(r, 1)),
        binary("varbinary(20)", |r| bytes(r, 20)),
        binary("varbinary(400)", |r| bytes(r, 400)),
        binary("tinyblob", |r| bytes(r, 60)),
        binary("blob", |r| bytes(r, 2000)),
        binary("mediumblob", |r| bytes(r, 100)),
        binary("longblob", |r| bytes(r, 100)),
        text("enum('a','b','it''s','x,y','ä 漢','\"q\"') character set utf8mb4", |r| int(r, 0, 6)),
        text("set('a','b','it''s','ä','e','f','g','h','i') character set utf8mb4", |r| int(r, 0, 511)),
        shape("geometry", geometry),
        shape("geometrycollection", |r| format!("st_geomfromtext('GEOMETRYCOLLECTION(POINT({}), LINESTRING(1 1, {}))')", place(r), place(r))),
        of("point", |r| format!("st_geomfromtext('POINT({})', {})", place(r), if r.part() < 0.3 { 4326 } else { 0 }), "hex(@)", Is::Point),
        shape("linestring", |r| format!("st_geomfromtext('LINESTRING({}, {}, {})')", place(r), place(r), place(r))),
        shape("polygon", |r| format!("st_geomfromtext('POLYGON((0 0, 0 90, {}, 0 0))')", place(r).replace('-', ""))),
        shape("multipoint", |r| format!("st_geomfromtext('MULTIPOINT({}, {})')", place(r), place(r))),
        number("int default 7", |r| or_default(r, |r| int(r, -100, 100))),
        text("varchar(20) default 'it''s \\\\ \"é\"'", |r| or_default(r, |r| words(r, 20))),
        decimal("decimal(9,3) default -1.5", |r| or_default(r, |r| digits(r, 6, 3))),
        of("datetime(3) default current_timestamp(3) on update current_timestamp(3)", |r| or_default(r, moment), MOMENT, Is::Millis),
        of("timestamp default '2020-01-02 03:04:05'", |r| or_default(r, instant), INSTANT, Is::Instant),
        text("enum('no','yes') default 'yes' comment 'a; \"b\" ''c'''", |r| or_default(r, |r| int(r, 1, 2))),
        of("bit(4) default b'101'", |r| or_default(r, |r| int(r, 0, 15)), "replace(to_base64(reverse(unhex(lpad(hex(@+0), 2, '0')))), '\n', '')", Is::Text),
        number("double default (1.5 * (2 + 1))", |r| or_default(r, |r| float(r, 20))),
        filled("int as (id * 3) stored", "@", Is::Json),
        filled("bigint generated always as (id * -5) virtual", "@", Is::Json),
        filled("varchar(30) character set latin1 as (concat('n° ', id)) virtual", "@", Is::Text),
        number("smallint invisible", |r| int(r, -9, 9)),
        $($more),*
    ] };
}

const MYSQL: &[Type] = common![
    of("json", document, "cast(@ as char)", Is::Document),
    of(
        "json",
        |r| format!(
            "json_object('a', {0}, 'd', cast({1} as decimal(20,4)), 't', true, 'n', null, 's', {2})",
            float(r, 300),
            digits(r, 9, 4),
            words(r, 9)
        ),
        "cast(@ as char)",
        Is::Document
    ),
    of(
        "vector(3)",
        |r| format!(
            "string_to_vector('[{}, {}, {}]')",
            int(r, -9, 9),
            int(r, -9999, 9999), // text has six digits
            int(r, -9, 9)
        ),
        "vector_to_string(@)",
        Is::Json
    ),
    text("varchar(40) character set gb18030", |r| words(r, 40)),
    text("varchar(40) default (concat('x', 'y'))", |r| or_default(r, |r| {
        words(r, 40)
    })),
];

const MARIADB: &[Type] = common![
    of("json", document, "@", Is::Text),
    text("uuid", |r| {
        let hex = format!("{:016x}{:016x}", r.next(), r.next());
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        format!("'{}'", parts.join("-"))
    }),
    text("inet4", |r| format!(
        "'{}.{}.0.1'",
        int(r, 1, 255),
        int(r, 0, 255)
    )),
    text("inet6", |r| format!(
        "'{:x}:{:x}::{:x}'",
        r.between(1, 65_536),
        r.between(0, 65_536),
        r.between(1, 65_536)
    )),
    text("varchar(300) compressed", |r| words(r, 300)),
    text("text character set latin1 compressed", |r| words(r, 900)),
    binary("blob compressed", |r| bytes(r, 900)),
    number("int check (json_valid('1'))", |r| int(r, -9, 9)),
    filled("int as (id * 2) persistent", "@", Is::Json),
];

/// Edges now and then.
fn int(random: &mut Random, low: i128, high: i128) -> String {
    let part = random.part();
    let n = match part {
        _ if part < 0.05 => low,
        _ if part < 0.1 => high,
        _ if part < 0.15 => 0.clamp(low, high),
        _ => low + i128::from(random.next()) % (high - low + 1),
    };
    n.to_string()
}

fn float(random: &mut Random, exponent: u64) -> String {
    if random.part() < 0.1 {
        return "0".to_owned();
    }
    let sign = if random.part() < 0.5 { "-" } else { "" };
    let exponent = random.between(0, 2 * exponent).cast_signed() - exponent.cast_signed();
    format!("{sign}{}e{exponent}", 1.0 + 8.9 * random.part())
}

/// A decimal number with at most so many digits before and behind the point.
fn digits(random: &mut Random, whole: u64, scale: u64) -> String {
    let sign = if random.part() < 0.5 { "-" } else { "" };
    let mut some = |most: u64| -> String {
        let count = if random.part() < 0.2 {
            most
        } else {
            random.between(0, most + 1)
        };
        (0..count)
            .map(|_| char::from(b'0' + u8::try_from(random.between(0, 10)).unwrap()))
            .collect()
    };
    let (whole, fraction) = (some(whole), some(scale));
    if fraction.is_empty() {
        return format!("{sign}0{whole}");
    }
    format!("{sign}0{whole}.{fraction}")
}

/// Text: mostly letters that many character sets have, some that few do; those become question marks.
fn words(random: &mut Random, most: u64) -> String {
    const LETTERS: [&str; 24] = [
        "a", "B", "z", " ", "'", "\"", "\\", "%", "\n", "0", "é", "ü", "ß", "Ω", "я", "Ж", "ş", "漢", "字",
        "ア", "한", "€", "🐘", "\u{0}",
    ];
    let count = match random.part() {
        part if part < 0.1 => 0,
        part if part < 0.2 => most,
        _ => random.between(0, most + 1),
    };
    let text: String = (0..count)
        .map(|_| LETTERS[usize::try_from(random.between(0, 24)).unwrap()])
        .collect();
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("_utf8mb4 x'{hex}'")
}

fn bytes(random: &mut Random, most: u64) -> String {
    let count = random.between(0, most + 1);
    let hex: String = (0..count)
        .map(|_| match random.between(0, 4) {
            0 => "00".to_owned(),
            1 => "20".to_owned(),
            _ => format!("{:02x}", random.between(0, 256)),
        })
        .collect();
    format!("x'{hex}'")
}

fn date(random: &mut Random) -> String {
    const ODD: [&str; 5] = [
        "'0000-00-00'",
        "'2020-00-00'",
        "'2021-05-00'",
        "'1000-01-01'",
        "'9999-12-31'",
    ];
    if random.part() < 0.2 {
        return (*pick(random, &ODD)).to_owned();
    }
    let (year, month, day) = (
        random.between(1, 9999),
        random.between(1, 13),
        random.between(1, 29),
    );
    format!("'{year:04}-{month:02}-{day:02}'")
}

fn of_day(random: &mut Random) -> String {
    let (h, m, s) = (
        random.between(0, 24),
        random.between(0, 60),
        random.between(0, 60),
    );
    let micros = if random.part() < 0.2 {
        0
    } else {
        random.between(0, 990_000)
    };
    format!("{h:02}:{m:02}:{s:02}.{micros:06}")
}

fn moment(random: &mut Random) -> String {
    let date = date(random);
    if date.contains("0000") {
        return "'0000-00-00 00:00:00'".to_owned();
    }
    format!("'{} {}'", date.trim_matches('\''), of_day(random))
}

fn instant(random: &mut Random) -> String {
    if random.part() < 0.1 {
        return "'0000-00-00 00:00:00'".to_owned();
    }
    let (year, month, day) = (
        random.between(1971, 2038),
        random.between(1, 13),
        random.between(1, 29),
    );
    format!("'{year:04}-{month:02}-{day:02} {}'", of_day(random))
}

fn time(random: &mut Random, digits: usize) -> String {
    let sign = if random.part() < 0.4 { "-" } else { "" };
    let (h, m, s) = (
        random.between(0, 838),
        random.between(0, 60),
        random.between(0, 60),
    );
    let fraction = format!("{:06}", random.between(0, 1_000_000));
    match &fraction[..digits] {
        "" => format!("'{sign}{h:02}:{m:02}:{s:02}'"),
        fraction => format!("'{sign}{h:02}:{m:02}:{s:02}.{fraction}'"),
    }
}

fn or_default(random: &mut Random, make: fn(&mut Random) -> String) -> String {
    if random.part() < 0.4 {
        return "default".to_owned();
    }
    make(random)
}

fn document(random: &mut Random) -> String {
    let text = json_of(random, 3).to_string();
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("convert(x'{hex}' using utf8mb4)")
}

fn json_of(random: &mut Random, depth: u64) -> Value {
    let name = |random: &mut Random| {
        let names: [&str; 6] = ["a", "é", "b c", "\"q\"", "", "longer"];
        format!(
            "{}{}",
            names[usize::try_from(random.between(0, 6)).unwrap()],
            random.between(0, 3)
        )
    };
    match random.between(0, if depth == 0 { 8 } else { 11 }) {
        0 => Value::Null,
        1 => json!(random.part() < 0.5),
        2 => json!(random.between(0, 70_000).cast_signed() - 35_000),
        3 => json!(random.next().cast_signed()),
        4 => json!(random.next()),
        5 => json!(float(random, 20).parse::<f64>().unwrap_or_default()),
        6 => json!(name(random)),
        7 => json!("long text ä ".repeat(usize::try_from(random.between(0, 30)).unwrap())),
        8 => (0..random.between(0, 5))
            .map(|_| json_of(random, depth - 1))
            .collect(),
        _ => {
            let fields: Map<String, Value> = (0..random.between(0, 5))
                .map(|_| (name(random), json_of(random, depth - 1)))
                .collect();
            Value::Object(fields)
        }
    }
}

fn place(random: &mut Random) -> String {
    let mut part = || (random.part() * 160.0 - 80.0).to_string();
    format!("{} {}", part(), part())
}

fn geometry(random: &mut Random) -> String {
    match random.between(0, 3) {
        0 => format!("st_geomfromtext('POINT({})')", place(random)),
        1 => format!(
            "st_geomfromtext('LINESTRING({}, {})', 4326)",
            place(random),
            place(random)
        ),
        _ => format!(
            "st_geomfromtext('MULTILINESTRING(({}, {}), (0 0, 1 1))')",
            place(random),
            place(random)
        ),
    }
}

/// `[-]hours:minutes:seconds[.fraction]` in microseconds.
pub(super) fn micros(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = seconds
        .split(':')
        .fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap());
    sign * (seconds * 1_000_000 + format!("{fraction:0<6}").parse::<i64>().unwrap())
}

/// Four bytes of the reference system, then WKB.
pub(super) fn inner_shape(hex: &str, point: bool) -> Value {
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let (srid, wkb) = bytes.split_first_chunk::<4>().unwrap();
    let srid = Some(u32::from_le_bytes(*srid)).filter(|srid| *srid != 0);
    let number = |at: usize| f64::from_le_bytes(wkb[at..at + 8].try_into().unwrap());
    let wkb_text = base64(wkb);
    match point {
        true => json!({"x": number(5), "y": number(13), "wkb": wkb_text, "srid": srid}),
        false => json!({"wkb": wkb_text, "srid": srid}),
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = |chunk: &[u8]| -> String {
        let n = (0..3).fold(0usize, |n, at| {
            n << 8 | usize::from(chunk.get(at).copied().unwrap_or(0))
        });
        (0..4)
            .map(|at| match at > chunk.len() {
                true => '=',
                false => char::from(LETTERS[n >> (18 - 6 * at) & 63]),
            })
            .collect()
    };
    bytes.chunks(3).map(letters).collect()
}

/// A server; the database is `oracle`.
pub struct Asked<'a>(pub &'a Mysql);

/// What any value can be turned into, and out of.
const PLAIN: &[&str] = &[
    "int",
    "bigint",
    "smallint(5) unsigned zerofill",
    "double",
    "decimal(65,30)",
    "varchar(30)",
    "mediumtext",
    "varchar(40) character set latin1",
    "varbinary(400)",
    "blob",
    "datetime(6)",
    "tinyint",
    "char(7)",
    "timestamp(6)",
    "bigint unsigned",
    "int default 7",
];

impl Asked<'_> {
    fn definition(&self, column: &mut Column, random: &mut Random) -> String {
        let declared = column.of.declared;
        // A column of its own making takes no such words, and a default stands for what it is not given.
        let plain = !declared.contains(" as (")
            && !declared.contains("default")
            && !declared.contains("check")
            && !declared.contains("invisible");
        column.optional = !plain || random.part() < 0.7;
        match (column.optional, plain && random.part() < 0.3) {
            (false, _) => format!("{declared} not null"),
            (true, true) => format!("{declared} null"),
            _ => declared.to_owned(),
        }
    }

    fn place(&self, table: &mut Table, column: Column, random: &mut Random) -> String {
        match (random.between(0, 4), table.any(random)) {
            (0, Some(at)) => {
                let after = format!(" after {}", self.quoted(&table.columns[at].name));
                table.columns.insert(at + 1, column);
                after
            }
            (1, _) => {
                table.columns.insert(0, column);
                " after v".to_owned()
            }
            _ => {
                table.columns.push(column);
                String::new()
            }
        }
    }

    fn added(&self, table: &mut Table, random: &mut Random) -> String {
        let mut column = table.new_column(self, random);
        let definition = self.definition(&mut column, random);
        let name = self.quoted(&column.name);
        // The rows that are there get the type's zero, where they may not have null.
        let words = ["add", "add column"];
        let word = words[usize::try_from(random.between(0, 2)).unwrap()];
        let has_zero = PLAIN.contains(&column.of.declared)
            || matches!(
                column.of.is,
                Is::Single | Is::Since1970 | Is::Millis | Is::Instant | Is::Time
            );
        if !column.optional && !has_zero {
            column.optional = true;
            let declared = column.of.declared;
            let place = self.place(table, column, random);
            return format!("{word} {name} {declared}{place}");
        }
        let place = self.place(table, column, random);
        format!("{word} {name} {definition}{place}")
    }

    fn look(&self, table: &str, columns: &[Column], id: u64) -> String {
        let fields: String = columns
            .iter()
            .map(|column| {
                let event = column.of.event.replace('@', &self.quoted(&column.name));
                format!(", hex(convert({event} using utf8mb4))")
            })
            .collect();
        format!("select id, v{fields} from {table} where id = {id}")
    }
}

impl Oracle for Asked<'_> {
    fn types(&self) -> &'static [Type] {
        match self.0.kind() {
            Kind::MySql => MYSQL,
            Kind::MariaDb => MARIADB,
        }
    }

    fn quoted(&self, name: &str) -> String {
        format!("`{name}`")
    }

    fn column_name(&self, number: usize, random: &mut Random) -> String {
        let odd: [&str; 8] = ["c", "C", "order ", "é", "c", "c", "c", "select-"];
        format!("{}{number}", odd[usize::try_from(random.between(0, 8)).unwrap()])
    }

    fn create(&self, table: &mut Table, random: &mut Random) -> String {
        let charsets: [&str; 4] = [
            "",
            " default charset=latin1",
            " character set utf8mb4 comment='it''s'",
            " charset gbk",
        ];
        let mut columns = String::new();
        for column in &mut table.columns {
            let definition = self.definition(column, random);
            columns.push_str(&format!(", {} {definition}", self.quoted(&column.name)));
        }
        let charset = charsets[usize::try_from(random.between(0, 4)).unwrap()];
        format!(
            "create table {} (id int primary key, v int not null{columns}, key (v)){charset}",
            table.name
        )
    }

    fn change(&self, table: &mut Table, random: &mut Random) -> Vec<String> {
        let name = table.name.clone();
        let alter = |what: String| vec![format!("alter table {name} {what}")];
        match random.between(0, 24) {
            0 | 1 => alter(self.added(table, random)),
            2 if table.columns.len() > 2 => {
                let Some(at) = table.any(random) else {
                    return Vec::new();
                };
                alter(format!(
                    "drop column {}",
                    self.quoted(&table.columns.remove(at).name)
                ))
            }
            3 => {
                let Some(at) = table.any(random) else {
                    return Vec::new();
                };
                let new = self.column_name(table.next_column, random);
                table.next_column += 1;
                let old = std::mem::replace(&mut table.columns[at].name, new.clone());
                alter(format!(
                    "rename column {} to {}",
                    self.quoted(&old),
                    self.quoted(&new)
                ))
            }
            4 | 5 => {
                // Another type, and perhaps another name and place.
                let Some(at) = table.any(random) else {
                    return Vec::new();
                };
                if !PLAIN.contains(&table.columns[at].of.declared) {
                    return Vec::new();
                }
                let to = *pick(random, PLAIN);
                let of = self.types().iter().find(|of| of.declared == to).unwrap();
                let mut column = table.columns.remove(at);
                let old = self.quoted(&column.name);
                column.of = of;
                column.optional = true;
                if random.part() < 0.5 {
                    column.name = self.column_name(table.next_column, random);
                    table.next_column += 1;
                    let new = self.quoted(&column.name);
                    table.columns.insert(at, column);
                    alter(format!("change {old} {new} {to}"))
                } else {
                    table.columns.insert(0, column);
                    alter(format!("modify column {old} {to} after v"))
                }
            }
            6 if table.columns.len() > 2 => {
                let first = self.added(table, random);
                let at = 0;
                if first.contains(&format!("after {}", self.quoted(&table.columns[at].name)))
                    || first.contains(&format!(" {} ", self.quoted(&table.columns[at].name)))
                {
                    return alter(first);
                }
                let gone = self.quoted(&table.columns.remove(at).name);
                alter(format!("{first}, drop {gone}, comment 'c;', algorithm=copy"))
            }
            7 => alter("comment = 'x', add index (v, id)".to_owned()),
            8 => {
                // As tools do that change a table without locking it.
                table.emptied();
                vec![
                    format!("create table {name}_new like {name}"),
                    format!("rename table {name} to {name}_old, {name}_new to {name}"),
                    format!("drop table {name}_old"),
                ]
            }
            9 => {
                table.emptied();
                table.columns.clear();
                for _ in 0..random.between(2, 6) {
                    let column = table.new_column(self, random);
                    table.columns.push(column);
                }
                vec![format!("drop table if exists {name}"), self.create(table, random)]
            }
            10 => {
                table.emptied();
                vec![format!("truncate table {name}")]
            }
            11 => alter("default character set utf8mb4".to_owned()),
            12 => vec![
                format!("create or replace view view_{name} as select id from {name}"),
                format!("/* a comment; */ analyze table {name}"),
            ],
            _ => Vec::new(),
        }
    }

    fn run(&self, script: &[Step]) -> Vec<Value> {
        let mut sql = format!(
            "create database if not exists {NAME}; use {NAME}; set sql_mode='', time_zone='+00:00';\n"
        );
        let mut looks = Vec::new();
        for step in script {
            match step {
                Step::Sql(text) => sql.push_str(text),
                Step::Look { table, columns, id } => {
                    sql.push_str(&self.look(table, columns, *id));
                    looks.push(columns);
                }
            }
            sql.push_str(";\n");
        }
        let rows: Vec<Vec<Option<String>>> = self
            .0
            .rows(&sql)
            .into_iter()
            .filter(|row| {
                row.first()
                    .is_some_and(|first| first.as_ref().is_some_and(|id| id.parse::<u64>().is_ok()))
            })
            .collect();
        assert_eq!(rows.len(), looks.len(), "a row for each look");
        rows.iter()
            .zip(looks)
            .map(|(row, columns)| seen(row, columns))
            .collect()
    }

    fn config(&self, worker: &Worker) -> Value {
        let mut config =
            pipeline::mysql_source(self.0, &worker.bootstrap(), NAME, &format!("{NAME}[.]t[0-9]+"));
        config["decimal.handling.mode"] = json!("string");
        config["binary.handling.mode"] = json!("hex");
        config["enable.time.adjuster"] = json!("false");
        config["tombstones.on.delete"] = json!("false");
        config
    }

    fn topic_prefix(&self) -> String {
        format!("{NAME}.{NAME}.")
    }

    fn tells_before(&self) -> bool {
        true
    }
}

fn seen(row: &[Option<String>], columns: &[Column]) -> Value {
    let unhex = |hex: &str| -> String {
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap());
        String::from_utf8(bytes.collect()).unwrap()
    };
    let number = |at: usize| json!(row[at].as_ref().unwrap().parse::<i64>().unwrap());
    let mut fields = Map::new();
    fields.insert("id".to_owned(), number(0));
    fields.insert("v".to_owned(), number(1));
    for (column, text) in columns.iter().zip(&row[2..]) {
        let text = text.as_deref().map(unhex);
        fields.insert(column.name.clone(), expected(column, text.as_deref()));
    }
    Value::Object(fields)
}
