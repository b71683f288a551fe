//! Tables and columns in MySQL's terms, as DDL makes them and as the schema history keeps them. Pure.
