//! The relational sink, in the vocabulary of Debezium's JDBC sink.
