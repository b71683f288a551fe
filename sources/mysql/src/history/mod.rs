//! The schema history topic: Debezium's records, written and read, and the recovery from them.
