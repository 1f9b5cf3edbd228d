// A shop on Express whose sessions connect-redis keeps: express.js URL
"use strict";

const express = require("express");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");

const client = createClient({ url: process.argv[2] });
// Without a listener, losing the node would end the program.
client.on("error", (error) => console.error(error.message));

function tell({ session }, answer) {
  answer.send(session.user ? `${session.user}: ${session.cart.join(" ")}` : "nobody");
}

// Answers once the session is stored, or with what went wrong.
function then(request, answer, next) {
  return (error) => (error ? next(error) : tell(request, answer));
}

const shop = express();
shop.use(
  session({
    store: new RedisStore({ client, prefix: "express:", ttl: 600 }),
    secret: "of the test",
    resave: false,
    saveUninitialized: false,
  }),
);
shop.get("/", tell);
shop.post("/login", (request, answer, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error);
    Object.assign(request.session, { user: request.query.user, cart: [] });
    request.session.save(then(request, answer, next));
  });
});
shop.post("/add", (request, answer, next) => {
  request.session.cart.push(request.query.item);
  request.session.save(then(request, answer, next));
});
shop.post("/logout", (request, answer, next) => {
  request.session.destroy((error) => (error ? next(error) : answer.send("nobody")));
});

client.connect().then(() => {
  const server = shop.listen(0, "127.0.0.1", () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
  });
});
