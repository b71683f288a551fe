//! The contract: schemas, values, records, configuration, the traits of connectors, errors.
