//! A transaction in one round trip: everything is sent before the first answer is read.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;

use bytes::{BufMut, BytesMut};
use futures_util::poll;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Statement};

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

/// One statement of a transaction.
pub(super) enum Request {
    /// SQL without parameters.
    Simple(String),
    /// A prepared statement.
    Execute(Statement, Vec<ArrayParameter>),
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// Runs requests in one transaction.
///
/// # Errors
/// The first request that failed, if it was one of them rather than the COMMIT, and why. Nothing of the transaction is
/// left, unless the connection was lost during the COMMIT.
pub(super) async fn run(client: &Client, requests: &[Request]) -> Result<(), (Option<usize>, Error)> {
    if let [request] = requests {
        return answer(client, request).await.map_err(|error| (Some(0), error));
    }
    let mut answers: Vec<(Option<usize>, Answer<'_>)> = Vec::with_capacity(requests.len() + 2);
    answers.push((None, Box::pin(client.batch_execute("BEGIN"))));
    for (i, request) in requests.iter().enumerate() {
        answers.push((Some(i), answer(client, request)));
    }
    answers.push((None, Box::pin(client.batch_execute("COMMIT"))));
    // A request is sent when its future is polled for the first time: this fixes their order.
    let mut first = Ok(());
    let mut waiting = Vec::with_capacity(answers.len());
    for (i, mut answer) in answers {
        match poll!(&mut answer) {
            std::task::Poll::Pending => waiting.push((i, answer)),
            std::task::Poll::Ready(result) => first = first.and(result.map_err(|error| (i, error))),
        }
    }
    // After a failure the server refuses the rest of the transaction and takes COMMIT for ROLLBACK.
    for (i, answer) in waiting {
        let result = answer.await;
        if first.is_ok() {
            first = result.map_err(|error| (i, error));
        }
    }
    first
}

fn answer<'a>(client: &'a Client, request: &'a Request) -> Answer<'a> {
    match request {
        Request::Simple(sql) => Box::pin(client.batch_execute(sql)),
        Request::Execute(statement, parameters) => Box::pin(async move {
            client.execute_raw(statement, parameters).await?;
            Ok(())
        }),
    }
}
