//! The session store behind Redis' protocol, by real processes: beside a real
//! `redis-server` command by command, under real clients, and across nodes
//! that are killed.

mod alone;
mod bench;
mod client;
mod differential;
mod farm;
#[path = "../farm/http.rs"]
mod http;
mod node;
#[expect(dead_code, reason = "it is shared with the farm tests")]
#[path = "../farm/patience.rs"]
mod patience;
