# Every shape of statement that changes tables, restated from the grammar of the manuals of MySQL 9 and MariaDB 10.11.
# A case is a paragraph: its statements run in a fresh database, then the model is compared with information_schema.
# `#@ mysql` and `#@ mariadb` keep a case to one server.

create table t (a tinyint, b tinyint unsigned, c smallint(5) zerofill, d mediumint signed, e int unsigned, f integer, g bigint unsigned zerofill, h int1, i int2, j int3, k int4, l int8, m middleint)

create table t (a decimal, b decimal(7), c decimal(7,3) unsigned, d dec(5,1), e numeric(65,30), f fixed(4,2) zerofill)

create table t (a float, b float(7), c float(30), d float(7,3), e double, f double precision, g double(10,4) unsigned, h real, i float4, j float8)

create table t (a bit, b bit(1), c bit(64), d bool, e boolean not null default true)

create table t (a date, b time, c time(6), d datetime, e datetime(3), f timestamp null, g timestamp(6) not null default '2024-01-01 00:00:00', h year, i year(4))

create table t (a char, b char(10), c varchar(20) not null, d character(3), e character varying(7), f char varying(8), g varcharacter(9))

create table t (a national char(3), b national varchar(4), c nchar(5), d nvarchar(6), e nchar varchar(7), f national char varying(8), g national character varying(9), h nchar varying(10), i national character(4), j nchar)

create table t (a tinytext, b text, c mediumtext, d longtext, f long, g long varchar, h long varbinary)

create table t (a binary, b binary(5), c varbinary(20), d tinyblob, e blob, f mediumblob, g longblob, h char(4) byte)

create table t (a enum('a','b') not null, b enum('it''s','c,d','','é') default 'c,d', c set('x','y','z') default 'x,z', d enum('1') character set latin1, e set('q') collate latin1_bin)

create table t (a char(5) character set latin1, b varchar(5) charset gbk collate gbk_bin, c text charset sjis, d varchar(5) collate ucs2_bin, e char(3) ascii, f char(3) unicode, g varchar(9) binary, h char(3) character set latin1 binary, i text collate utf8mb4_bin, j enum('a') charset ucs2)

#@ mysql
create table t (a json, b json not null, c json default (json_array()), d vector(3), e vector)

create table t (a point, b linestring, c polygon, d geometry, e multipoint, f multilinestring, g multipolygon, h geometrycollection)

#@ mysql
create table t (a geomcollection, b point not null srid 4326, spatial index (b))

#@ mariadb
create table t (a json, b uuid, c inet4, d inet6, e uuid default uuid(), f varchar(5) compressed, g text compressed=zlib, h point ref_system_id=4326, i longtext check (json_valid(i)))

create table t (id serial, v int)

create table t (id bigint unsigned not null auto_increment primary key, v int) auto_increment = 100

create table t (id int serial default value)

create table t (a int default 1, b int default -1, c decimal(5,2) default +1.50, d double default 1e3, e char(5) default 'x', f varchar(20) default "it's", g bit(4) default b'101', h bit(8) default 0b11, i varbinary(4) default x'4142', j int default 0x1F, k varchar(9) default 'a' 'b', l bool default false, m int default null, n varchar(5) default '')

create table t (a timestamp default current_timestamp, b timestamp null default now() on update now(), c datetime(3) default current_timestamp(3) on update current_timestamp(3), d datetime default localtime, e timestamp default localtimestamp(), f date default '2024-01-02', g time default '01:02:03', h datetime default '2024-01-01 00:00:00', i timestamp not null default '2024-01-01 00:00:00')

create table t (a int default (1 + 2), b varchar(36) default (uuid()), c varchar(5) default (concat('a', 'b')), d double default (rand()))

#@ mysql
create table t (a varchar(9) default _utf8mb4'x', b varchar(9) default _latin1 x'41', c date default (current_date), d text default ('x'), e blob default (x'00'))

#@ mariadb
create table t (a int default (1+2), b varchar(36) default uuid(), c varchar(5) default concat('a','b'), d date default curdate(), e text default 'x', f blob default x'00', g int default (a + 1), h varchar(9) default _latin1'x')

create table t (id int primary key)

create table t (id int key, v int)

create table t (a int, b int, primary key (b, a))

create table t (a int, b int, constraint pk primary key using btree (a desc))

create table t (a int not null unique, b int unique key, c int, unique (c), unique index i (b), unique key using hash (a))

create table t (a int, b int, v text, index (a), key k (b), index using btree (a, b desc), fulltext key f (v), key l (v(10)) comment 'x', constraint u unique key uu (a) using btree)

create table t (a int, b int, check (a > 0), constraint k check (b > a), c int check (c <> 1))

#@ mysql
create table t (d int constraint dd check (d > 0), a int, b int check (b > 1) not enforced, constraint c check (a > 2) enforced, key ((a + b)), unique key k ((abs(a)), b), key v (a) invisible)

create table p (id int primary key); create table t (id int primary key, p int references p (id) on delete cascade on update set null, q int, foreign key fk (q) references p (id) on delete set null, constraint c foreign key (p) references p (id) match full on update restrict on delete no action)

create table t (a int, b int generated always as (a * 2) stored, c int as (a + 1) virtual, d int as (a + 2) stored unique comment 'x')

create table t (a int, b int invisible, c int default 5 invisible, d int) comment = 'invisible'

create table t (a int comment 'it''s', b varchar(5) comment "x") comment 'table'

#@ mysql
create table t (a int column_format fixed storage disk, b int visible, d int secondary_engine_attribute='{}') secondary_engine_attribute='{}'

create table t (a int) engine=InnoDB default charset=latin1 collate=latin1_bin row_format=dynamic stats_persistent=1 max_rows=10 min_rows=1 avg_row_length=10 checksum=0 delay_key_write=0 pack_keys=default key_block_size=0 comment='x' insert_method=no

create table t (a char(1), b varchar(2)) character set gbk

create table t (a char(1), b varchar(2)) default character set = sjis, collate = sjis_bin

create table t (a char(1), b varchar(2)) collate ucs2_general_ci

#@ mariadb
create table t (a char(1)) charset default

create table t (a char(1)) character set = latin1 default charset latin1

create table t (a int, b int) partition by hash (a) partitions 4

create table t (a int, b date) partition by range (year(b)) (partition p0 values less than (1990) comment = 'x', partition p1 values less than maxvalue)

create table t (a int, b int) partition by list columns (a, b) (partition p0 values in ((1,2),(3,4)), partition p1 values in ((5,6)))

create table t (a int not null, b int, primary key (a)) partition by key algorithm=2 (a) partitions 2

create table t (a int, b date) partition by range (to_days(b)) subpartition by hash (a) subpartitions 2 (partition p0 values less than (10) (subpartition s0 comment = 'x', subpartition s1), partition p1 values less than maxvalue (subpartition s2, subpartition s3))

create table if not exists t (a int); create table if not exists t (b text)

create table s (a int primary key, b char(3) character set latin1 comment 'c') comment 'x'; create table t like s; create table u (like s)

create table `we``ird` (`a b` int, `select` int, `x.y` text, `日本` varchar(3), 1a int, `1` int, $x int)

create table t (a int, `key` int, `primary` int, `index` int, position int, comment int, data int, status text, type char(1), value int, `order` int, date date, time time, year year, timestamp timestamp null, text text, bit bit, enum enum('a'), first int, after int, last int)

create temporary table tt (a int); create table t (a int)

#@ mariadb
create table t (a int); create or replace table t (b text, c int primary key)

#@ mariadb
create table t (a int) with system versioning

#@ mariadb
create table t (a int, s timestamp(6) generated always as row start, e timestamp(6) generated always as row end, period for system_time (s, e)) with system versioning

#@ mariadb
create table t (a int, s date, e date, period for p (s, e), unique (a, p without overlaps))

#@ mariadb
create table t (a int with system versioning, b int without system versioning)

#@ mariadb
create sequence q; create table t (a int default next value for q, b int default nextval(q), c int default (next value for q))

#@ mariadb
create table t (a int, b int, index i (a), constraint c check (a > 0)) engine=Aria transactional=1 page_checksum=1

#@ mariadb
create table t (a int /*!80000 unsigned */, b int /*M!100000 unsigned */, c int /*M! unsigned */, d int /*!50600 unsigned */)

#@ mysql
create table t (a int /*!80000 unsigned */, b int /*M!100000 unsigned */, c int /*!999999 unsigned */, d int /*! unsigned */, e int /* unsigned */)

create table t (a int, -- comment, b int
 b int, # another ( comment
 c int /* and ( one */)

create table t (a int); alter table t add b int; alter table t add column c int not null default 3; alter table t add d int first; alter table t add column e int after a

create table t (a int); alter table t add (b int, c varchar(5) not null), add column (d int, index (a)); alter table t add index i (a), add unique u (b), add fulltext f (c), add key (d)

create table t (a int, b int); alter table t add primary key (b, a); alter table t drop primary key; alter table t add constraint pk primary key using btree (a)

create table t (a int, b int); alter table t add constraint c unique key k (a), add constraint d check (a > 1), add check (b > 1); alter table t drop index k, drop constraint d

create table t (a int, b char(3)); alter table t change a x bigint unsigned not null first; alter table t change column b y text after x; alter table t change x x int

create table t (a int, b char(3) not null default 'x'); alter table t modify b varchar(5), modify column a decimal(5,2) not null default 1 after b

create table t (a int, b int, c int); alter table t drop a; alter table t drop column c

#@ mysql
create table t (a int, b int, c int, primary key (a, b)); alter table t drop column a, add column d int first

create table t (a int, b int, c int, primary key (a, b)); alter table t change b bb int not null, add column d int after a

create table t (a int, b bigint, c int, primary key (a)); alter table t rename column a to b, rename column b to a; alter table t rename column c to d, add column e int after d

create table t (a int, b bigint); alter table t change a b int, change b a bigint

create table t (a int, b int default 3); alter table t alter a set default 5, alter column b drop default; alter table t alter a set default (1 + 1); alter table t alter b set default null

create table t (a int); alter table t rename to u; alter table u rename v; alter table v rename as w; alter table w add b int, rename to x

create table t (a int); rename table t to u; create table b (a text); rename table u to tmp, b to u, tmp to b

create table t (a char(3), b varchar(4) character set latin1, c text, d int, e enum('a'), f binary(3)); alter table t convert to character set gbk; alter table t convert to charset sjis collate sjis_bin

create table t (a char(3), b char(3) character set latin1); alter table t default character set ucs2; alter table t add c char(3); alter table t collate latin1_bin; alter table t add d char(3), modify a varchar(5)

create table t (a char(3)); alter table t charset = gbk, add b char(2); alter table t engine=InnoDB comment='x' row_format=compact

create table t (a int, b int); alter table t order by b, a; alter table t enable keys; alter table t disable keys; alter table t force; alter table t add c int, algorithm=copy, lock=shared

#@ mysql
create table t (a int, b int, index i (a)); alter table t rename index i to j; alter table t alter index j invisible; alter table t alter column b set invisible, add z int; alter table t alter column b set visible; alter table t add c int, algorithm=instant; alter table t with validation, add d int

create table t (a int not null, b int) partition by range (a) (partition p0 values less than (10)); alter table t add partition (partition p1 values less than (20)); alter table t drop partition p0; alter table t truncate partition p1; alter table t remove partitioning; alter table t partition by hash (a) partitions 2; alter table t coalesce partition 1; alter table t add c int remove partitioning

create table t (a int); alter table t add column b int partition by hash (a)

#@ mariadb
alter table if exists nope add a int; create table t (a int); alter table t add column if not exists a text, add column if not exists b int, add column if not exists (c int, d int), drop column if exists nope, modify column if exists nope int, change column if exists nope x int, rename column if exists nope to y, drop index if exists nope, add index if not exists i (a), drop constraint if exists nope

#@ mariadb
create table t (a int); alter online table t add b int; alter ignore table t add c int; alter table t wait 5 add d int; alter table t nowait add e int; set statement max_statement_time = 10 for alter table t add f int; set statement optimizer_switch = 'mrr=on', lock_wait_timeout = (5 + 1), max_statement_time = 10 for alter table t add g int after a

#@ mariadb
create table t (a int); alter table t add system versioning; alter table t drop system versioning; alter table t rename column a to b, rename index if exists i to j

create table t (a int not null); create unique index u on t (a); create index i using btree on t (a desc) comment 'x' algorithm=inplace lock=none; drop index i on t; create index j on t (a)

create table a (x int); create table b (x int); create table c (x int); drop table a; drop table if exists b, nope; drop tables c cascade

create table t (a int); truncate table t; truncate t; create view v as select * from t; drop view v; create trigger g before insert on t for each row set new.a = 1; drop trigger g; analyze table t; optimize table t

create table t (a int); create procedure p() begin create table nope (a int); drop table t; end; drop procedure p

set sql_mode='ANSI_QUOTES'; create table "t" ("a b" int, "c""d" varchar(9) default 'x', e char(3) comment 'it''s "q"')

set sql_mode='NO_BACKSLASH_ESCAPES'; create table t (a char(3) default '\', b int, c enum('\','x') default 'x', d text comment 'c:\')

create table t (a enum('a\'b','c\\d','e\nf'), b char(9) default 'a\'b', c text comment 'x\'y')

# Defaults that are literals of bytes, and defaults that are expressions.

create table t (a varbinary(4) default 0x00FF, b binary(4) not null default x'00ff', c char(3) default 0x41, d varchar(3) character set ucs2 default x'6f22', e int default 0x10, f bit(9) default 0b101, g bit(8) default 0x41, h bigint unsigned default 0xffffffffffffffff, i bool default b'1', j year default 0x7e8, k enum('a','b') default 0x61, l decimal(5,2) default 0x10, m varbinary(3) default b'11111111', n varchar(5) character set latin1 default _latin1 x'e9')

create table t (a int default (json_length('{"x": ")"}')), b varchar(20) default (concat('it''s (', ')')), c datetime(6) default (now(6)), d datetime default current_timestamp() on update current_timestamp(), e datetime on update current_timestamp, f timestamp(2) default now(2) on update now(2), g varbinary(9) default (x'00FF'))

#@ mariadb
create table t (a text default x'41', b blob default 0x00ff, c varchar(40) default current_user(), d datetime default date_add(now(), interval 1 day), e int default if(1, 2, 3), f varchar(9) default cast(1 as char), g json default '{}', h int default (case when 1 then ((2)) else 3 end), i point default point(1, 2), j int default (-(1)))

# Attributes of a column, in any order.

create table t (a int comment 'x' not null auto_increment primary key, b int unique not null default 1 comment 'y', c varchar(5) not null collate latin1_bin default 'x', d text collate utf8mb4_bin comment 'z', e int null default 3 unique comment 'q')

create table t (a int not null auto_increment unique, b int null, c int not null default 5 check (c in (1, 5, ((7)))), d varchar(9) check (d not in (')', '(', 'it''s', "q(")))

create table t (a varchar(9) generated always as (concat('(', 'x)', b)) virtual comment ')', b varchar(3) character set latin1 not null, c varchar(9) character set latin1 as (upper(b)) stored unique)

create table t (a int not null, b int, constraint primary key (a), constraint unique (b), constraint check (a <> b), constraint `c)` check ((a > 0) or (b = 'x)')))

create table p (id int primary key); create table t (a int, constraint foreign key (a) references p (id) on update no action, b int references p (id) match simple on delete cascade, key (a, b desc), index `k(` (b asc) comment 'it''s )')

#@ mysql
create table t (a int, v varchar(9), j json, g point not null srid 0, key ((a + 1) desc, v), unique key u ((lower(v))), key m ((cast(j->'$.x' as unsigned array))), spatial index (g) comment 'x', fulltext index f (v) with parser ngram, unique (a) invisible, check ((a > 1) and (v <> '(')) not enforced)

#@ mysql
create table t (a int not null, b int column_format dynamic storage memory not null, c int /*!80023 invisible */, d int /*!50606 storage disk */ /*!50606 column_format dynamic */ default null, e point not null /*!80003 srid 4326 */, key k (a) /*!80000 invisible */)

#@ mariadb
create table t (a int not null invisible default 5, b int as (a + 1) persistent invisible, c varchar(9) compressed default 'x', d int comment 'x' check (d > (1)), e longtext character set utf8mb4 collate utf8mb4_bin default null check (json_valid(e)), key i (a) ignored, unique key u (b), constraint c check (a > 0))

# Options of a table.

#@ mysql
create table t (a char(1)) engine=InnoDB autoextend_size=4194304 compression='zlib' encryption='N' stats_auto_recalc=1, stats_sample_pages=10, tablespace=innodb_file_per_table charset=latin1 comment='charset=gbk'

create table a (x int); create table b (x int) engine=MyISAM; create table c (x int) engine=MyISAM; create table t (x int) engine=merge union=(b, c) insert_method=last default charset latin1

create table t (a char(3)) engine=memory character set=gbk; create table u (a char(3) not null) engine=csv

#@ mariadb
create table t (a char(3), b int) engine=Aria row_format=page transactional=0 charset=latin1 page_checksum=0, checksum 1 insert_method=no

# Partitions of every kind.

create table t (a int, b int) partition by linear hash (a + b) partitions 3; create table u (a int primary key) partition by linear key algorithm=1 () partitions 2; create table v (a int, b varchar(9)) partition by range columns (a, b) (partition p0 values less than (1, 'a)'), partition p1 values less than (maxvalue, maxvalue)); create table w (a int) partition by list (a) (partition p0 values in (1, (2)), partition p1 values in (null, 4) max_rows=10 min_rows=1)

create table t (a int, b date) partition by range (year(b)) subpartition by linear key (a) subpartitions 2 (partition p0 values less than (1990), partition p1 values less than maxvalue); alter table t reorganize partition p1 into (partition p1 values less than (2000), partition p2 values less than maxvalue); alter table t rebuild partition all; alter table t analyze partition p0, p1; alter table t check partition all; alter table t optimize partition p0; alter table t repair partition p0; alter table t add column c int after a

create table t (a int not null) partition by range (a) (partition p0 values less than (10), partition p1 values less than (20)); create table u (a int not null); alter table t exchange partition p0 with table u; alter table t add b int, algorithm=inplace, lock=none; alter table t add primary key (a); alter table t partition by key () partitions 3; alter table t add partition partitions 2; alter table t reorganize partition

create table t (a int, b int) /*!50100 partition by hash (a) partitions 2 */; alter table t /*!50100 partition by range (b) (partition p0 values less than maxvalue) */; alter table t add c int /*!50100 remove partitioning */

#@ mariadb
create table t (a int) with system versioning partition by system_time (partition p0 history, partition pc current); create table u (a int) with system versioning partition by system_time limit 1000 partitions 3; create table v (a int) with system versioning partition by system_time interval 1 month (partition p0 history, partition p1 history, partition pc current); set system_versioning_alter_history=keep; alter table t add b int

#@ mariadb
create table t (a int) partition by range (a) (partition p0 values less than (10), partition p1 values less than (20)); alter table t convert partition p0 to table u; alter table t add b int; create table w (a int, b int); alter table t convert table w to partition p2 values less than (30)

# Versioned and executable comments in the midst.

create /*!50000 table */ t (a int /*! default 5 */, b /*!50000 varchar(5) */ /* , c int */ not null, /*!50000 d int, */ e int) /*!40100 default charset=latin1 */; alter table t /*!50000 add f int, */ add g char(1); alter /* ) */ table /* ( */ t add h int /* ' */ after /* ` */ a -- '

#@ mysql
create table t (a int, b int /*!80000 not null */, /*!80001 c int, */ /*!99999 d int, */ e int /*!50000 unsigned not null */); create table /*!32312 if not exists*/ t (z int)

#@ mariadb
create table t (a int /*M!100000 not null */, /*M!100100 b int, *//*M!999999 c int, *//*!100000 d int, */ /*!80000 e int, */ f int /*M! invisible */); create /*M!100001 or replace */ table t (g int)

# Statements that several clauses change.

create table t (a int, b int, c int); alter table t add column d int first, add column e int first, modify c bigint first, add column f int after e, add g int after f; alter table t drop column a, add column a text; alter table t change b x text, add column b int after x; alter table t drop column x, change column b x date after c

create table t (a int, b int, c int); alter table t add column a text, drop column a; alter table t rename column b to x, add column b text; alter table t modify c text after x, drop column b, comment='x', add index (x), lock=default, algorithm=default; alter table t add d int, rename to u, add e char(2), default character set latin1

create table t (a int, b varchar(9) default 'x', c int not null default 3, primary key (a)); alter table t alter b set default 'it''s (', alter column c drop default, add d int; alter table t alter c set default (5 * (1 + 1)), drop primary key, add primary key (c, a), order by b desc, a; alter table t modify a int not null after b, modify column c int unsigned not null first, add unique index if_u (b), force

create table t (a varchar(5) character set gbk, b char(4) character set latin1 not null, c enum('a') charset sjis, d varbinary(4), e int); alter table t convert to character set latin1 collate latin1_bin, add f char(2), modify a varchar(7); alter table t convert to character set utf8mb4; alter table t add i char(1) character set latin1, convert to character set gbk, modify b char(4) character set latin1; alter table t add g char(1), character set = sjis, add h char(1)

create table p (id int primary key); create table t (a int, v varchar(9), key k (a)); alter table t add constraint f foreign key k (a) references p (id) on delete cascade, add index if_v (v(3)); alter table t drop foreign key f, drop index k, drop key if_v; alter table t add fulltext index ft (v) comment '(', add constraint u unique (a), add check (a > 1 and (a <> length(')'))); alter table t drop index u, rename column v to w

#@ mysql
create table t (a int, b int, constraint c check (a > 0), index i (b)); alter table t alter check c not enforced, alter constraint c enforced, alter index i invisible, add z int; alter table t drop check c, drop index i; alter table t without validation, add y int; alter table t add column x int default (a + 1), algorithm = copy, lock = exclusive; alter table t discard tablespace

create table t (a int primary key, b int not null); alter table t drop index `PRIMARY`; alter table t add primary key (b); drop index `PRIMARY` on t; alter table t add constraint `x` primary key (a, b)

create table t (a int, b varchar(9), c int); create unique index u using btree on t (a, b(3) desc) key_block_size=8 comment '('; create fulltext index f on t (b) comment 'x'; drop index u on t; create index i on t (c) using btree

#@ mariadb
create or replace table t (a int); create or replace table t (b int primary key, c char(1)) charset latin1; create or replace table u like t; create or replace temporary table tt (z int); create table if not exists u (z int); create or replace table if_t (d int); drop table if exists if_t wait 5; rename table if exists nope to nope2, u to v; rename table v wait 5 to w; truncate table w wait 5; drop temporary table if exists tt

#@ mariadb
set statement max_statement_time=10 for create table t (a int); set statement sort_buffer_size=100000, lc_messages='en_US' for create or replace table t (a int, b text); set statement max_statement_time = 1 + 1 for alter table t add column c int first, drop column a; set statement max_statement_time=(1) for rename table t to u; set statement max_statement_time=1 for create unique index x on u (c); set statement max_statement_time=1 for truncate table u; set statement max_statement_time=1 for create table v like u; set statement max_statement_time=1 for drop table v

#@ mariadb
create table t (a int, s date, e date, primary key (a)); alter table t add period for p (s, e); alter table t drop primary key, add primary key (a, p without overlaps); alter table t drop primary key, drop period for p, add unique (a)

#@ mariadb
create table t (a int); alter table t add column s timestamp(6) generated always as row start, add column e timestamp(6) generated always as row end, add period for system_time (s, e), add system versioning; set system_versioning_alter_history=keep; alter table t add column b int after a; alter table t modify b int without system versioning; alter table t drop system versioning, drop period for system_time, drop column s, drop column e

#@ mariadb
create table t (a int, b int, key i (a)); alter table t add constraint if not exists c check (a > (0)), add index if not exists i (a), add unique index if not exists u (b), alter index i ignored, alter column if exists a set default 5, add column if not exists a text first, add column c int first; alter table t drop constraint if exists c, drop foreign key if exists nope, drop key if exists u, alter column if exists nope drop default, drop column if exists c cascade, rename column if exists b to d

#@ mariadb
set sql_mode='ORACLE'; create table t (a number(5), b varchar2(10), c clob, d raw(4), e varchar2(10 ) default 'x' not null, g number(7, 2))
