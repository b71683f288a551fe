//! A transaction whose requests are sent as they are made: the server works on one while the next is being encoded, and
//! answers are read behind them.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, poll};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, CopyInSink, Error, Statement};

/// How many requests may be unanswered: what bounds the bytes that wait to be sent.
const UNANSWERED: usize = 4;

/// A one-dimensional array in binary form, its elements already written.
#[derive(Default)]
pub(super) struct ArrayParameter {
    pub(super) element: u32,
    pub(super) count: i32,
    pub(super) nulls: bool,
    pub(super) elements: BytesMut,
}

impl std::fmt::Debug for ArrayParameter {
    /// Without the values, which are the user's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} elements]", self.count)
    }
}

impl ToSql for ArrayParameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.reserve(20 + self.elements.len());
        // Dimensions, whether there are nulls, the elements' type; then the size and first index of the dimension.
        out.put_i32(1);
        out.put_i32(i32::from(self.nulls));
        out.put_u32(self.element);
        out.put_i32(self.count);
        out.put_i32(1);
        out.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A request that failed, as its sender numbers them, or none where it is BEGIN or COMMIT; and why.
pub(super) type Failed = (Option<usize>, Error);

type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// A transaction under way. One that is neither [committed](Self::commit) nor [taken back](Self::roll_back) leaves the
/// session in its midst.
pub(super) struct Transaction<'a> {
    client: &'a Client,
    /// One statement is all of it, and so commits by itself.
    alone: bool,
    waiting: std::collections::VecDeque<(Option<usize>, Answer<'a>)>,
    first: Result<(), Failed>,
}

impl<'a> Transaction<'a> {
    /// Begins. `alone`: there will be one statement at most.
    pub(super) async fn begin(client: &'a Client, alone: bool) -> Self {
        let mut transaction = Self {
            client,
            alone,
            waiting: std::collections::VecDeque::new(),
            first: Ok(()),
        };
        if !alone {
            transaction
                .send(None, Box::pin(client.batch_execute("BEGIN")))
                .await;
        }
        transaction
    }

    /// Whether a request has failed, so that all others will.
    pub(super) fn is_over(&self) -> bool {
        self.first.is_err()
    }

    /// Sends SQL without parameters.
    pub(super) async fn simple(&mut self, place: Option<usize>, sql: String) {
        let client = self.client;
        let answer = Box::pin(async move { client.batch_execute(&sql).await });
        self.send(place, answer).await;
    }

    /// Sends a prepared statement.
    pub(super) async fn execute(
        &mut self,
        place: Option<usize>,
        statement: Statement,
        parameters: Vec<ArrayParameter>,
    ) {
        let client = self.client;
        let answer = Box::pin(async move {
            client.execute_raw(&statement, parameters).await?;
            Ok(())
        });
        self.send(place, answer).await;
    }

    /// Sends a COPY FROM STDIN with what `next` gives, and waits for its answer.
    ///
    /// # Errors
    /// Of `next`; the transaction can only be taken back then.
    pub(super) async fn copy<E>(
        &mut self,
        place: Option<usize>,
        statement: &Statement,
        next: impl FnMut() -> Result<Option<Bytes>, E>,
    ) -> Result<(), E> {
        // Its own answer is behind those, which nobody would take from the session meanwhile.
        self.answers(0).await;
        if self.is_over() {
            return Ok(());
        }
        let sink = match self.client.copy_in(statement).await {
            Ok(sink) => sink,
            Err(error) => {
                self.first = Err((place, error));
                return Ok(());
            }
        };
        self.first = stream(sink, next).await?.map_err(|error| (place, error));
        Ok(())
    }

    /// Commits, unless a request has failed.
    pub(super) async fn commit(mut self) -> Result<(), Failed> {
        if !self.alone {
            // After a failure the server takes COMMIT for ROLLBACK.
            let client = self.client;
            self.send(None, Box::pin(client.batch_execute("COMMIT"))).await;
        }
        self.answers(0).await;
        self.first
    }

    /// Takes everything back.
    pub(super) async fn roll_back(mut self) {
        if !self.alone {
            let client = self.client;
            self.send(None, Box::pin(client.batch_execute("ROLLBACK"))).await;
        }
        self.answers(0).await;
    }

    /// A request is sent when its future is polled for the first time, which fixes the order.
    async fn send(&mut self, place: Option<usize>, mut answer: Answer<'a>) {
        match poll!(&mut answer) {
            std::task::Poll::Pending => self.waiting.push_back((place, answer)),
            std::task::Poll::Ready(result) => self.note(place, result),
        }
        // The session's driver writes to the socket: it may be waiting for this very thread.
        tokio::task::yield_now().await;
        self.answers(UNANSWERED).await;
    }

    /// Waits until no more than so many answers are missing.
    async fn answers(&mut self, most: usize) {
        while self.waiting.len() > most {
            if let Some((place, answer)) = self.waiting.pop_front() {
                let result = answer.await;
                self.note(place, result);
            }
        }
    }

    fn note(&mut self, place: Option<usize>, result: Result<(), Error>) {
        if let (Ok(()), Err(error)) = (&self.first, result) {
            self.first = Err((place, error));
        }
    }
}

/// Feeds a COPY. The outer error is `next`'s, after which the server is told that the COPY failed.
async fn stream<E>(
    sink: CopyInSink<Bytes>,
    mut next: impl FnMut() -> Result<Option<Bytes>, E>,
) -> Result<Result<(), Error>, E> {
    let mut sink = std::pin::pin!(sink);
    let mut fed = Ok(());
    while let Some(bytes) = next()? {
        fed = sink.feed(bytes).await;
        if fed.is_err() {
            break;
        }
    }
    // It knows better than a broken channel what is wrong.
    let finished = sink.finish().await.map(drop);
    Ok(finished.and(fed))
}
