//! Named threads whose end, a panic included, is a result like any other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tapline_api::{Error, Result};
use tokio::sync::oneshot;

/// A running thread; await it for its result.
pub struct Thread<T>(oneshot::Receiver<Result<T>>);

/// Starts a thread. It is not ended by dropping the handle.
pub fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<Thread<T>> {
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(&*panic)));
        // Nobody waits for it any more when the worker gave up on a graceful stop.
        let _ = sender.send(result);
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| Error::fatal("could not start a thread").cause(error))?;
    Ok(Thread(receiver))
}

impl<T> Thread<T> {
    /// Waits for its end. Cancel-safe.
    pub async fn ended(&mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(_) => Err(Error::fatal("a thread ended without a result")),
        }
    }
}

/// A panic as an error.
pub fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "unknown".to_owned());
    Error::fatal(format!("the task panicked: {text}")).hint("this is a bug in Tapline")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_result() {
        let mut thread = spawn::<()>("t", || panic!("boom {}", 1)).unwrap();
        assert_eq!(
            thread.ended().await.unwrap_err().message(),
            "the task panicked: boom 1"
        );
    }
}
