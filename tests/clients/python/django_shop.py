"""A shop on Django whose sessions are in its cache: django_shop.py URL|SETTINGS.py"""

import runpy
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

if sys.argv[1].endswith(".py"):
    of_sessions = {
        name: value
        for name, value in runpy.run_path(sys.argv[1]).items()
        if name.isupper()
    }
else:
    of_sessions = {
        "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
        "CACHES": {
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": sys.argv[1],
                "KEY_PREFIX": "django",
            }
        },
    }
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the test",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    **of_sessions,
)


def tell(request):
    session = request.session
    if "user" not in session:
        return HttpResponse("nobody")
    return HttpResponse(f"{session['user']}: {' '.join(session['cart'])}")


def login(request):
    request.session.cycle_key()
    request.session.update({"user": request.GET["user"], "cart": []})
    return tell(request)


def add(request):
    request.session["cart"] = [*request.session["cart"], request.GET["item"]]
    return tell(request)


def logout(request):
    request.session.flush()
    return tell(request)


urlpatterns = [
    path("", tell),
    path("login", login),
    path("add", add),
    path("logout", logout),
]


class Quiet(WSGIRequestHandler):
    """Requests are not written about."""

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
