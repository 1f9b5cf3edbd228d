// A login, a cart and a lock by ioredis: ioredis.js URL-OF-A URL-OF-B
//
// Says "ready" once they are at the first node, and after the next line that it
// hears goes on at the second.
"use strict";

const assert = require("node:assert");
const { once } = require("node:events");
const Redis = require("ioredis");

const [a, b] = process.argv.slice(2).map((url) => {
  const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => null });
  // Without a listener, losing the node would be written about at length.
  client.on("error", () => {});
  return client;
});

async function main() {
  const begun = await a
    .multi()
    .hset("ioredis:session", { user: "ada", items: 1 })
    .expire("ioredis:session", 600)
    .exec();
  assert.deepStrictEqual(begun, [[null, 2], [null, 1]]);
  assert.strictEqual(await a.sadd("ioredis:cart", "tea"), 1);
  assert.strictEqual(await a.set("ioredis:lock", "first", "PX", 600_000, "NX"), "OK");
  assert.strictEqual(await b.hget("ioredis:session", "user"), "ada");
  console.log("ready");

  await once(process.stdin, "data");
  await assert.rejects(a.hget("ioredis:session", "user"), Error);
  const [session, ttl, cart] = await b
    .pipeline()
    .hgetall("ioredis:session")
    .ttl("ioredis:session")
    .smembers("ioredis:cart")
    .exec();
  assert.ok(ttl[1] > 0 && ttl[1] <= 600, `${ttl}`);
  console.log(`${session[1].user}: ${cart[1].join(" ")}`);

  assert.strictEqual(await b.set("ioredis:lock", "second", "PX", 600_000, "NX"), null);
  assert.strictEqual(await b.sadd("ioredis:cart", "jam"), 1);
  assert.strictEqual(await b.hincrby("ioredis:session", "items", 1), 2);
  console.log(`${session[1].user}: ${(await b.smembers("ioredis:cart")).sort().join(" ")}`);
  await b.quit();
  process.stdin.destroy();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
