//! One idea per file.

mod binary;
mod kills;
mod postgres_source;
mod postgres_to_postgres;
mod relational_sink;
mod rest_tour;
mod servers;
