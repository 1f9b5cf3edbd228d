"""A login, a cart, a counter and a lock by redis-py: redis_py.py URL-OF-A URL-OF-B

Says "ready" once they are at the first node, and after the next line that it hears
goes on at the second.
"""

import sys

from redis import Redis
from redis.exceptions import ConnectionError, LockNotOwnedError
from redis.lock import Lock

a, b = (Redis.from_url(url, decode_responses=True) for url in sys.argv[1:])


def lock(client):
    return Lock(client, "py:lock", timeout=600, thread_local=False)


def count(client):
    """Adds one, unless somebody else writes meanwhile; then again."""
    return client.transaction(
        lambda pipe: (seen := int(pipe.get("py:count") or 0), pipe.multi(), pipe.set("py:count", seen + 1)),
        "py:count",
    )


with a.pipeline() as pipe:
    pipe.hset("py:session", mapping={"user": "ada", "method": "password"})
    pipe.expire("py:session", 600)
    pipe.zadd("py:cart", {"tea": 1})
    assert pipe.execute() == [2, True, 1]
assert count(a) == [True]
held = lock(a)
assert held.acquire(blocking=False)
assert not lock(b).acquire(blocking=False)
print("ready", flush=True)

sys.stdin.readline()
try:
    raise AssertionError(f"the first node still answers: {a.hgetall('py:session')}")
except ConnectionError:
    pass
session = b.hgetall("py:session")
assert 0 < b.ttl("py:session") <= 600
print(f"{session['user']}: {' '.join(b.zrange('py:cart', 0, -1))}", flush=True)

# The lock is still the one's who took it at the first node.
other, same = lock(b), lock(b)
assert not other.acquire(blocking=False)
other.local.token = b"another"
try:
    other.release()
    raise AssertionError("it was another's")
except LockNotOwnedError:
    pass
same.local.token = held.local.token
assert same.extend(60) and b.pttl("py:lock") > 600_000
assert same.reacquire() and b.pttl("py:lock") <= 600_000
same.release()
assert other.acquire(blocking=False)

assert count(b) == [True] and b.get("py:count") == "2"
assert b.zadd("py:cart", {"jam": 2}) == 1
print(f"{session['user']}: {' '.join(b.zrange('py:cart', 0, -1))}", flush=True)
