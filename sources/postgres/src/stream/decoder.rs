//! What is known between messages, and what each message makes of it: where the stream stands, and records.
//!
//! After a restart the server sends the transaction within which the last run stopped from its beginning: what was dealt
//! with is skipped by counting events at one LSN.

use std::collections::HashMap;

use tapline_api::Result;
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::filter::Selection;
use tapline_cdc::intern::constant;
use tapline_cdc::signal::Signal;

use super::malformed;
use crate::event::{Events, Origin};
use crate::lsn::Lsn;
use crate::pgoutput::{Column as Sent, Message, Old, Tuple};
use crate::position::{MessageType, Position, Prefix};
use crate::signals::Heard;
use crate::snapshot::sieve::Sieve;
use crate::table::{Plan, Row};
use crate::wire::Block;

/// What is known between messages.
pub(super) struct Decoder {
    /// By relation id; `None` for a table that is not captured.
    pub(super) plans: HashMap<u32, Option<Plan>>,
    pub(super) position: Position,
    /// The position of the last record: what a batch says, as Debezium's offsets do. That a commit followed is told when
    /// nothing else comes.
    pub(super) told: Position,
    /// Whether the position has moved since it last went out.
    pub(super) moved: bool,
    /// Where a keepalive says that the server stands. It becomes the position when nothing else comes: with a change that
    /// follows goes the commit before it, as in Debezium.
    pub(super) idle: Option<Position>,
    pub(super) in_transaction: bool,
    /// Where the transaction at hand was committed.
    pub(super) commits: Lsn,
    pub(super) origin: Origin,
    /// Events so far at `origin.lsn`.
    pub(super) nth: u64,
    /// What a restart has to skip: of a transaction that is still to come, and of the one that has come.
    pub(super) expected: Option<Prefix>,
    pub(super) skipping: Option<Prefix>,
    /// Where the server's log ended when streaming began.
    pub(super) end_at_start: Lsn,
    /// Which logical decoding messages are wanted.
    pub(super) messages: Option<Selection>,
    /// Before a snapshot is resumed: what goes out.
    pub(super) sieve: Option<Sieve>,
    /// The signal table's relation, and what came of it.
    pub(super) signal_relation: Option<u32>,
    pub(super) heard: Vec<Heard>,
}

impl Decoder {
    /// From `position` on; `end` is where the server's log ends now.
    pub(super) fn new(position: Position, end: Lsn, messages: Option<Selection>) -> Self {
        let origin = Origin {
            at: Clock::from_micros(position.ts_usec.unwrap_or(0)),
            lsn: Lsn::NONE,
            last_commit: position.last_commit,
            tx_id: None,
            replication: None,
        };
        Self {
            plans: HashMap::new(),
            position,
            told: position,
            moved: false,
            idle: None,
            in_transaction: false,
            commits: Lsn::NONE,
            origin,
            nth: 0,
            expected: position.within_transaction(),
            skipping: None,
            end_at_start: end,
            messages,
            sieve: None,
            signal_relation: None,
            heard: Vec::new(),
        }
    }

    /// Whether the position moved.
    pub(super) fn on_keepalive(&mut self, end: Lsn) -> bool {
        // Of a transaction whose first part is behind, the rest is still to come; unless all that there was has been sent.
        if self.expected.is_some() && end < self.end_at_start {
            return false;
        }
        let at = self.reached();
        let behind = at.last_commit.or(at.lsn).unwrap_or(Lsn::NONE);
        let moves = !self.in_transaction && end > behind;
        if moves {
            self.expected = None;
            self.idle = Some(Position {
                last_commit: Some(end),
                lsn: Some(end),
                processed: Some(end),
                events: 0,
                message_type: Some(MessageType::Commit),
                snapshot: None,
                ..self.position
            });
            self.moved = true;
        }
        moves
    }

    /// How far everything has come.
    pub(super) fn reached(&self) -> Position {
        self.idle.unwrap_or(self.position)
    }

    /// Nothing else comes: the position is as far as everything has come.
    pub(super) fn rest(&mut self) -> Position {
        self.position = self.reached();
        self.idle = None;
        self.position
    }

    #[inline]
    pub(super) fn on_message(
        &mut self,
        events: &mut Events,
        block: &Block,
        message: Message,
        lsn: Lsn,
        size: usize,
    ) -> Result<()> {
        match message {
            Message::Insert { relation, new } => {
                if self.advance(lsn, MessageType::Insert)
                    && self.hears(relation, block, &new, false)
                    && self.passes(|sieve| sieve.inserted(relation, block.bytes(), &new))
                    && let Some(plan) = find(&self.plans, relation, events)?
                {
                    let row = plan.tuple(block.bytes(), &new, None, &mut events.arena)?;
                    events.created(plan, row, &self.origin, size);
                }
            }
            Message::Update { relation, old, new } => {
                if self.advance(lsn, MessageType::Update)
                    && self.passes(|sieve| sieve.updated(relation, block.bytes(), old.as_ref(), &new))
                    && let Some(plan) = find(&self.plans, relation, events)?
                {
                    let (old, row) = update(plan, events, block, old.as_ref(), &new)?;
                    events.updated(plan, old, row, &self.origin, size);
                }
            }
            Message::Delete { relation, old } => {
                if self.advance(lsn, MessageType::Delete)
                    && self.hears(relation, block, &old.tuple, true)
                    && self.passes(|sieve| sieve.deleted(relation, block.bytes(), &old.tuple))
                    && let Some(plan) = find(&self.plans, relation, events)?
                {
                    let row = plan.tuple(block.bytes(), &old.tuple, None, &mut events.arena)?;
                    events.deleted(plan, row, &self.origin, size);
                }
            }
            Message::Truncate { relations } => {
                // One record per table, all at one LSN.
                for relation in relations {
                    if self.advance(lsn, MessageType::Truncate)
                        && let Some(plan) = find(&self.plans, relation, events)?
                    {
                        events.truncated(plan, &self.origin);
                    }
                }
            }
            Message::Begin {
                final_lsn,
                commit_micros,
                xid,
            } => {
                if let Some(sieve) = &mut self.sieve {
                    sieve.begin(final_lsn);
                }
                self.commits = final_lsn;
                self.begin(lsn, commit_micros, xid);
                events.transaction_began(&self.origin, self.skipping.is_some());
            }
            Message::Commit { commit_micros, .. } => {
                self.commit(lsn, commit_micros);
                events.seen.committed += 1;
                events.transaction_ended(&self.origin);
            }
            Message::Logical {
                transactional,
                prefix,
                content,
                ..
            } => {
                let new = if transactional {
                    self.advance(lsn, MessageType::Message)
                } else {
                    self.step(lsn)
                };
                if new
                    && self
                        .messages
                        .as_ref()
                        .is_some_and(|wanted| wanted.contains(&prefix))
                {
                    let content = block.bytes().slice(content);
                    events.message(&prefix, content, transactional, &self.origin);
                }
            }
            Message::Origin { commit_lsn, name } => {
                self.origin.replication = Some((constant(&name), commit_lsn.as_i64()));
            }
            // A type's name is in the catalog.
            Message::Type | Message::Relation(_) => {}
        }
        Ok(())
    }

    /// Notes what comes of the signal table. Always true.
    #[inline]
    fn hears(&mut self, relation: u32, block: &Block, tuple: &Tuple, deleted: bool) -> bool {
        if self.signal_relation != Some(relation) {
            return true;
        }
        let mut texts = tuple.columns(block.bytes()).map(|column| match column {
            Sent::Text(range) => {
                let text = block.bytes().get(range).unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            }
            _ => String::new(),
        });
        let mut next = || texts.next().unwrap_or_default();
        let (id, kind, data) = (next(), next(), next());
        self.heard.push(if deleted {
            Heard::Deleted(id)
        } else {
            Heard::Inserted(Signal { id, kind, data })
        });
        true
    }

    /// Whether a change goes out, where not all do.
    #[inline]
    fn passes(&self, test: impl FnOnce(&Sieve) -> bool) -> bool {
        self.sieve.as_ref().is_none_or(test)
    }

    fn begin(&mut self, lsn: Lsn, commit_micros: i64, xid: u32) {
        self.in_transaction = true;
        self.idle = None;
        self.nth = 0;
        self.origin.at = Clock::from_micros(commit_micros);
        self.origin.tx_id = Some(i64::from(xid));
        self.origin.replication = None;
        self.origin.lsn = lsn;
        // The transaction within which the last run stopped is the first to come. If another comes, it has gone from
        // the publication.
        self.skipping = self.expected.take().filter(|prefix| prefix.xid == xid);
    }

    fn commit(&mut self, lsn: Lsn, commit_micros: i64) {
        self.in_transaction = false;
        self.skipping = None;
        self.origin.lsn = lsn;
        self.origin.last_commit = Some(lsn);
        self.position = Position {
            last_commit: Some(lsn),
            lsn: Some(lsn),
            processed: Some(lsn),
            events: 0,
            tx_id: self.origin.tx_id,
            ts_usec: Some(commit_micros),
            message_type: Some(MessageType::Commit),
            snapshot: None,
        };
        self.moved = true;
    }

    /// Moves to a message outside of transactions, which is a point of rest as a commit is; false when a former run has
    /// dealt with it: streaming from there, the server sends it again.
    fn step(&mut self, lsn: Lsn) -> bool {
        let at = self.position;
        let behind =
            at.message_type == Some(MessageType::Message) && at.tx_id.is_none() && at.lsn == Some(lsn);
        self.origin.lsn = lsn;
        self.origin.last_commit = Some(lsn);
        self.origin.tx_id = None;
        if behind {
            return false;
        }
        self.idle = None;
        self.position = Position {
            last_commit: Some(lsn),
            lsn: Some(lsn),
            processed: Some(lsn),
            events: 0,
            tx_id: None,
            ts_usec: Some(self.origin.at.micros()),
            message_type: Some(MessageType::Message),
            snapshot: None,
        };
        self.moved = true;
        true
    }

    /// Moves to the next event; false when a former run has dealt with it.
    #[inline]
    fn advance(&mut self, lsn: Lsn, kind: MessageType) -> bool {
        self.nth = if lsn == self.origin.lsn { self.nth + 1 } else { 1 };
        self.origin.lsn = lsn;
        if let Some(prefix) = &self.skipping {
            if prefix.covers(lsn, self.nth) {
                return false;
            }
            self.skipping = None;
        }
        self.position = Position {
            last_commit: self.position.last_commit,
            lsn: Some(lsn),
            processed: Some(lsn),
            events: self.nth,
            tx_id: self.origin.tx_id,
            ts_usec: Some(self.origin.at.micros()),
            message_type: Some(kind),
            snapshot: None,
        };
        self.moved = true;
        true
    }
}

fn find<'a>(
    plans: &'a HashMap<u32, Option<Plan>>,
    relation: u32,
    events: &mut Events,
) -> Result<Option<&'a Plan>> {
    match plans.get(&relation) {
        Some(None) => {
            events.seen.filtered += 1;
            Ok(None)
        }
        Some(plan) => Ok(plan.as_ref()),
        None => Err(malformed(&format!(
            "rows of relation {relation} come before its description"
        ))),
    }
}

type Updated = (Option<(Row, bool)>, Row);

fn update(
    plan: &Plan,
    events: &mut Events,
    block: &Block,
    old: Option<&Old>,
    new: &Tuple,
) -> Result<Updated> {
    let Some(old) = old else {
        return Ok((None, plan.tuple(block.bytes(), new, None, &mut events.arena)?));
    };
    let before = plan.tuple(block.bytes(), &old.tuple, None, &mut events.arena)?;
    // A key-only row is null where it says nothing.
    let whole = (!old.key_only).then_some(&before);
    let after = plan.tuple(block.bytes(), new, whole, &mut events.arena)?;
    Ok((Some((before, old.key_only)), after))
}
