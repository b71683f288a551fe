//! FileStreamSource: lines of a file into a topic.
