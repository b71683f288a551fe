//! A RELATION message: a table version, as the stream and the catalog together describe it.

use tapline_api::Result;

use super::Stream;
use crate::catalog::is_builtin;
use crate::pgoutput::{Relation, ReplicaIdentity};
use crate::table::{Column, Plan, Table};
use crate::types::PgType;

impl Stream<'_> {
    /// A table version: the plan for the rows that follow.
    pub(super) async fn on_relation(&mut self, relation: Relation) -> Result<()> {
        let builtin = is_builtin(&relation.schema, &relation.table);
        let signals = self.options.is_signal_table(&relation.schema, &relation.table);
        if signals {
            self.decoder.signal_relation = Some(relation.id);
        }
        if !signals
            && !self
                .options
                .filters
                .table(&relation.schema, &relation.table, builtin)
        {
            self.decoder.plans.insert(relation.id, None);
            return Ok(());
        }
        let id = relation.id;
        let oids: Vec<u32> = relation.columns.iter().map(|column| column.type_oid).collect();
        let types = self.catalog.types(&oids).await?;
        let name = (relation.schema.as_str(), relation.table.as_str());
        let now = self
            .ahead
            .table(self.catalog, self.options, self.decoder.commits, name)
            .await?;
        let table = merge(relation, types, now);
        // Sent again for a reason that is not ours (another connection's DDL): identity, and all caches, stay.
        if let Some(Some(plan)) = self.decoder.plans.get(&id)
            && plan.table == table
        {
            return Ok(());
        }
        let plan = Plan::new(table, self.options, self.events.source_schema())?;
        self.decoder.plans.insert(id, Some(plan));
        Ok(())
    }
}

/// The stream says which columns of which types the rows have; the catalog, which may be ahead of the stream, adds what
/// the stream does not say: which columns may be null, their defaults, the key's order.
fn merge(relation: Relation, types: Vec<PgType>, now: Option<Table>) -> Table {
    let known = |name: &str| {
        now.as_ref()
            .and_then(|table| table.columns.iter().find(|column| column.name == name))
    };
    // A replica identity that is the whole row says nothing of the key.
    let telling = matches!(
        relation.replica_identity,
        ReplicaIdentity::Default | ReplicaIdentity::Index
    );
    let columns: Vec<Column> = relation
        .columns
        .iter()
        .zip(types)
        .map(|(sent, of)| {
            let known = known(&sent.name);
            Column {
                name: sent.name.clone(),
                of,
                modifier: sent.type_modifier,
                optional: known.map_or(!(telling && sent.key), |column| column.optional),
                default: known.and_then(|column| column.default.clone()),
                generated: false,
                identity: sent.key,
            }
        })
        .collect();
    let position = |name: &str| columns.iter().position(|column| column.name == name);
    let in_catalog: Vec<usize> = now.as_ref().map_or_else(Vec::new, |table| {
        let names = table.key.iter().filter_map(|index| table.columns.get(*index));
        names.filter_map(|column| position(&column.name)).collect()
    });
    let sent: Vec<usize> = (0..columns.len())
        .filter(|i| columns.get(*i).is_some_and(|c| c.identity))
        .collect();
    // By default the identity is the primary key that the rows were written with, whatever has become of it since; the
    // catalog says in which order its columns stand. An index may be another than the key's.
    let primary = relation.replica_identity == ReplicaIdentity::Default && !sent.is_empty();
    let same = in_catalog.len() == sent.len() && sent.iter().all(|index| in_catalog.contains(index));
    let key = if same || now.is_some() && !primary {
        in_catalog
    } else if telling {
        sent
    } else {
        Vec::new()
    };
    Table {
        schema: relation.schema,
        name: relation.table,
        columns,
        key,
        plain: false,
    }
}
