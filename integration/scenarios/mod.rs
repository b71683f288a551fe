//! One idea per file.

mod binary;
mod broker_clients;
mod golden;
mod kills;
mod postgres_oracle;
mod postgres_source;
mod postgres_to_postgres;
mod relational_sink;
mod rest_tour;
mod round_trip;
mod servers;
