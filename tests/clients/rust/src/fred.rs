//! A login, a cart and a counter by fred: `fred URL-OF-A URL-OF-B`
//!
//! Says "ready" once they are at the first node, and after the next line that it
//! hears goes on at the second.

use std::collections::HashMap;
use std::error::Error;

use fred::prelude::{
    Client, ClientLike, Config, Expiration, HashesInterface, KeysInterface, SetOptions,
    SetsInterface, TransactionInterface,
};
use fred::types::RespVersion;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let urls: Vec<_> = std::env::args().skip(1).collect();
    let [a, b] = urls.as_slice() else { return Err("fred URL-OF-A URL-OF-B".into()) };
    // Each of the protocol's versions once.
    let a = client(a, RespVersion::RESP2).await?;
    let b = client(b, RespVersion::RESP3).await?;

    let begin = a.multi();
    let _: () = begin.hset("fred:session", ("user", "ada")).await?;
    let _: () = begin.expire("fred:session", 600, None).await?;
    let done: (i64, i64) = begin.exec(true).await?;
    assert_eq!(done, (1, 1));
    let added: i64 = a.sadd("fred:cart", "tea").await?;
    assert_eq!(added, 1);
    assert_eq!(take_lock(&a, "first").await?.as_deref(), Some("OK"));
    assert_eq!(a.incr::<i64, _>("fred:count").await?, 1);
    println!("ready");

    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    let session: HashMap<String, String> = b.hgetall("fred:session").await?;
    let left: i64 = b.ttl("fred:session").await?;
    assert!((1..=600).contains(&left), "{left}");
    println!("{}: {}", session["user"], cart(&b).await?);

    assert_eq!(take_lock(&b, "second").await?, None);
    assert_eq!(b.incr::<i64, _>("fred:count").await?, 2);
    let added: i64 = b.sadd("fred:cart", "jam").await?;
    assert_eq!(added, 1);
    println!("{}: {}", session["user"], cart(&b).await?);
    Ok(b.quit().await?)
}

async fn client(url: &str, version: RespVersion) -> Result<Client, fred::error::Error> {
    let mut config = Config::from_url(url)?;
    config.version = version;
    let client = Client::new(config, None, None, None);
    client.init().await?;
    Ok(client)
}

async fn take_lock(at: &Client, whose: &str) -> Result<Option<String>, fred::error::Error> {
    let (end, if_free) = (Some(Expiration::PX(600_000)), Some(SetOptions::NX));
    at.set("fred:lock", whose, end, if_free, false).await
}

async fn cart(at: &Client) -> Result<String, fred::error::Error> {
    let mut cart: Vec<String> = at.smembers("fred:cart").await?;
    cart.sort();
    Ok(cart.join(" "))
}
