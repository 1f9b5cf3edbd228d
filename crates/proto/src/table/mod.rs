//! The cache memory of a node.
