//! Single message transformations and predicates.
