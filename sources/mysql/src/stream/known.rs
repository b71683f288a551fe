//! Which schema rows are read by. Where none is known, or it does not fit, it is taken from the server where that is
//! provably the one of this place; else the table is held, or as the options say.

use std::sync::Arc;

use tapline_api::{Error, Result};
use tapline_cdc::options::OnFailure;

use super::Stream;
use crate::ahead;
use crate::binlog::table_map::TableMap;
use crate::ddl::{self, Change, ChangeKind};
use crate::schema::{Table, TableId, Tables};
use crate::table::{Layout, Plan};

impl Stream<'_> {
    /// The plan for a TABLE_MAP. Where no schema is known, or it does not fit, it is taken from the server where that is
    /// provably the one of this place; else the table is held, or as the options say.
    pub(super) async fn plan_of(&mut self, map: &TableMap) -> Result<Option<(Arc<Plan>, Layout)>> {
        let id = TableId::new(map.database.as_str(), map.table.as_str());
        if self.quarantine.holds(&id) {
            return Ok(None);
        }
        let why = match self.tables.get(&id).cloned() {
            Some(table) => {
                let plan = match self
                    .plans
                    .get(&id)
                    .filter(|plan| Arc::ptr_eq(&plan.table, &table))
                {
                    Some(plan) => plan.clone(),
                    None => Arc::new(Plan::new(table, self.options, self.events.source_schema())?),
                };
                match plan.layout(map) {
                    Ok(layout) => {
                        self.plans.insert(id, plan.clone());
                        return Ok(Some((plan, layout)));
                    }
                    Err(why) => why.to_string(),
                }
            }
            None => self
                .unknown
                .get(&id)
                .cloned()
                .unwrap_or_else(|| "the schema history does not have it".to_owned()),
        };
        if let Some(found) = self.servers_plan(&id, map).await? {
            tracing::warn!(table = %id, why, "schema is taken from the server, where it is that of this place");
            return Ok(Some(found));
        }
        let text = format!("the schema of {id} is not known: {why}");
        match self.options.on_unknown_schema {
            Some(OnFailure::Fail) => Err(self.at_place(Error::fatal(text)).hint(
                "take a snapshot again, or leave its changes out by inconsistent.schema.handling.mode=warn",
            )),
            Some(OnFailure::Warn) => {
                tracing::warn!("{text}; its changes are skipped");
                Ok(None)
            }
            Some(OnFailure::Skip) => Ok(None),
            None => {
                self.hold(id, &why);
                Ok(None)
            }
        }
    }

    /// The tables with the one that the server would make so.
    pub(super) fn table_of(&self, id: &TableId, statement: &str) -> Result<(Tables, Arc<Table>), String> {
        let mut tables = self.tables.clone();
        ddl::apply(&mut tables, &self.options.dialect(), &id.database, statement)
            .map_err(|error| error.to_string())?;
        let table = tables.get(id).cloned();
        let table = table.ok_or_else(|| "it makes no table of that name".to_owned())?;
        Plan::new(table.clone(), self.options, self.events.source_schema())
            .map_err(|error| error.message().to_owned())?;
        Ok((tables, table))
    }

    /// The server's schema, if it is provably that of this place: no statement from here to the end of the log names the
    /// table; or the log names its columns, and all of them agree.
    async fn servers_plan(&mut self, id: &TableId, map: &TableMap) -> Result<Option<(Arc<Plan>, Layout)>> {
        let Some(statement) = self.catalog.create_table(id).await? else {
            return Ok(None);
        };
        let Ok((tables, table)) = self.table_of(id, &statement) else {
            return Ok(None);
        };
        let plan = Arc::new(Plan::new(
            table.clone(),
            self.options,
            self.events.source_schema(),
        )?);
        let Ok(layout) = plan.layout(map) else {
            return Ok(None);
        };
        let end = self.catalog.end().await?.place();
        let here = (self.tracker.file.clone(), self.tracker.pos);
        let (options, server) = (self.options, self.server);
        let changed = ahead::names_table(options, server, (&here.0, here.1), &end, &id.table);
        let unchanged = match changed.await {
            Ok(named) => named == Some(false),
            Err(error) => {
                tracing::warn!(table = %id, %error, "looking ahead in the log failed");
                false
            }
        };
        if !unchanged && map.names.is_empty() {
            return Ok(None);
        }
        self.tables = tables;
        self.unknown.remove(id);
        self.former.remove(id);
        self.adopt(id, table, statement).await?;
        self.plans.insert(id.clone(), plan.clone());
        Ok(Some((plan, layout)))
    }

    /// Writes a table that the server has told of to the history.
    pub(super) async fn adopt(&mut self, id: &TableId, table: Arc<Table>, statement: String) -> Result<()> {
        let change = Change {
            kind: ChangeKind::Alter,
            database: id.database.clone(),
            table: Some(id.clone()),
            previous: None,
            after: Some(table),
            statement,
        };
        self.keep(&change).await
    }
}
