//! FileStreamSink and JSON lines.
