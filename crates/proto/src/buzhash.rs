//! BUZhash, the hash of the cache memory and of placement.
