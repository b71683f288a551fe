//! Layouts: the table and columns that records of a shape are written to.
//!
//! Two shapes may come to the same layout: tables sharded at the source, or a schema that a converter has built anew.
//! Rows of one layout are written by one statement, and what a dialect derives from a layout it caches by its id.

use std::sync::Arc;

use tapline_api::{SchemaRef, Value};

use crate::names::TableId;

/// A column to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    /// Its name in the catalog.
    pub(crate) name: Arc<str>,
    /// The name of its field.
    pub(crate) field: Arc<str>,
    pub(crate) schema: SchemaRef,
    /// Whether it belongs to the primary key.
    pub(crate) key: bool,
    /// Stands for null.
    pub(crate) stand_in: Option<Value>,
}

/// A table's columns, those of the key first.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Unique in its task, never reused.
    pub(crate) id: u32,
    pub(crate) table: TableId,
    pub(crate) columns: Vec<Column>,
    /// How many columns make up the key.
    pub(crate) keys: usize,
    /// The id of the layout that has only the key's columns; its own, if there are no others.
    pub(crate) key_id: u32,
}

/// All layouts of a task, each once.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    all: Vec<Arc<Layout>>,
    next: u32,
}

impl Layouts {
    /// The layout with these columns, `keys` of which come first and make up the key, and the layout of the key alone.
    pub(crate) fn intern(&mut self, table: &TableId, columns: Vec<Column>, keys: usize) -> Arc<Layout> {
        let key_columns = columns.get(..keys).unwrap_or_default().to_vec();
        let key = self.add(table, key_columns, keys, None);
        if columns.len() == keys {
            return key;
        }
        self.add(table, columns, keys, Some(key.id))
    }

    /// The layout of the key alone.
    pub(crate) fn key_of(&self, layout: &Arc<Layout>) -> Arc<Layout> {
        self.all
            .iter()
            .find(|known| known.id == layout.key_id)
            .unwrap_or(layout)
            .clone()
    }

    /// Forgets them all; ids go on.
    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    fn add(
        &mut self,
        table: &TableId,
        columns: Vec<Column>,
        keys: usize,
        key_id: Option<u32>,
    ) -> Arc<Layout> {
        let same =
            |known: &&Arc<Layout>| known.table == *table && known.keys == keys && known.columns == columns;
        if let Some(known) = self.all.iter().find(same) {
            return known.clone();
        }
        let id = self.next;
        self.next += 1;
        let layout = Arc::new(Layout {
            id,
            table: table.clone(),
            columns,
            keys,
            key_id: key_id.unwrap_or(id),
        });
        self.all.push(layout.clone());
        layout
    }
}
