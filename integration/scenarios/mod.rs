//! One idea per file.

mod binary;
mod broker_clients;
mod command_line;
mod dead_letters;
mod fan_out;
mod golden;
mod kills;
mod mongodb_sink;
mod mysql_damage;
mod mysql_round_trip;
mod mysql_server;
mod mysql_snapshots;
mod mysql_to_postgres;
mod mysql_unknown_schema;
mod oracle;
mod outages;
mod postgres_server;
mod postgres_source;
mod postgres_to_postgres;
mod relational_sink;
mod rest_manners;
mod rest_tour;
mod round_trip;
mod servers;
mod signals;
mod sink_metrics;
