//! What every change source shares: envelope, topic naming, filters, heartbeat.
