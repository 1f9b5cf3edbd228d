//! Commands for people, in a terminal: real nodes, a real pseudo-terminal, and an
//! emulator that says what a person would see.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

#[path = "../farm/http.rs"]
mod http;
#[expect(dead_code, reason = "it is shared with the farm tests")]
#[path = "../farm/nodes.rs"]
mod nodes;
#[path = "../farm/patience.rs"]
mod patience;
mod terminal;
#[expect(dead_code, reason = "it is shared with the farm tests")]
#[path = "../farm/writer.rs"]
mod writer;

mod sessions;
mod top;
