//! The DDL parser: a statement in, the changes of tables out. Pure.
