"""A shop on Flask whose sessions Flask-Session keeps: flask_shop.py URL"""

import logging
import sys

from flask import Flask, request, session
from flask_session import Session
from redis import Redis
from werkzeug.serving import make_server

shop = Flask(__name__)
shop.config["SESSION_TYPE"] = "redis"
shop.config["SESSION_REDIS"] = Redis.from_url(sys.argv[1])
shop.config["SESSION_KEY_PREFIX"] = "flask:"
Session(shop)


@shop.get("/")
def tell():
    if "user" not in session:
        return "nobody"
    return f"{session['user']}: {' '.join(session['cart'])}"


@shop.post("/login")
def login():
    session.update(user=request.args["user"], cart=[])
    shop.session_interface.regenerate(session)
    return tell()


@shop.post("/add")
def add():
    session["cart"] = [*session["cart"], request.args["item"]]
    return tell()


@shop.post("/logout")
def logout():
    session.clear()
    return tell()


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, shop)
    print(f"listening on http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()
