//! What is wrong with a message, and where.

use std::sync::Arc;

use tapline_api::Error;

/// A failure inside a message. Small, because it travels up from every value.
pub(super) type Fault = Box<FaultInner>;

pub(super) struct FaultInner {
    what: What,
    /// Field names, innermost first.
    path: Vec<Arc<str>>,
}

enum What {
    /// It is no JSON; at this byte.
    Syntax(String, usize),
    /// It is JSON, but not of this schema.
    Data(String, Option<Error>),
}

#[cold]
pub(super) fn data(message: impl Into<String>) -> Fault {
    Box::new(FaultInner {
        what: What::Data(message.into(), None),
        path: Vec::new(),
    })
}

#[cold]
pub(super) fn caused(message: impl Into<String>, cause: Error) -> Fault {
    Box::new(FaultInner {
        what: What::Data(message.into(), Some(cause)),
        path: Vec::new(),
    })
}

#[cold]
pub(super) fn syntax(message: impl Into<String>, at: usize) -> Fault {
    Box::new(FaultInner {
        what: What::Syntax(message.into(), at),
        path: Vec::new(),
    })
}

impl FaultInner {
    /// Says which field it was in.
    pub(super) fn inside(mut self: Box<Self>, field: &Arc<str>) -> Box<Self> {
        self.path.push(field.clone());
        self
    }

    /// As the worker sees it.
    pub(super) fn into_error(self, topic: &str) -> Error {
        let error = match self.what {
            What::Data(message, None) => Error::data(message),
            What::Data(message, Some(cause)) => Error::data(message).cause(cause),
            What::Syntax(message, at) => Error::data(format!(
                "Converting byte[] to Kafka Connect data failed due to serialization error of topic {topic}: "
            ))
            .cause(
                Error::data(format!("{message} at byte offset {at}"))
                    .exception("org.apache.kafka.common.errors.SerializationException"),
            ),
        };
        if self.path.is_empty() {
            return error;
        }
        let path: Vec<&str> = self.path.iter().rev().map(|name| &**name).collect();
        error.hint(format!("it is the field {}", path.join(".")))
    }
}
