use super::*;

const HERE: Caller = Caller(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
const OTHER: Caller = Caller(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)));

fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
    given.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn open() -> Access {
    Access::new([127, 0, 0, 1].into(), None, false)
}

fn guarded() -> Access {
    Access::new([10, 0, 0, 1].into(), Some(Token::new(b"of the operators")), false)
}

/// What becomes of a request to `access`, in a word.
#[track_caller]
fn check(
    (access, caller): (&Access, Caller),
    request: &str,
    given: &[(&'static str, &str)],
    expected: &str,
) {
    let (method, path) = request.split_once(' ').unwrap();
    let judged = access.judge(caller, &method.parse().unwrap(), path, &headers(given));
    let word = match judged {
        Ok(()) => "answered",
        Err(Refusal::Unknown) => "unknown",
        Err(Refusal::Wrong) => "wrong",
        Err(Refusal::Forbidden(_)) => "forbidden",
    };
    assert_eq!(word, expected, "{request} {given:?}");
}

#[test]
fn loopback_answers_its_own_under_its_own_names() {
    let access = open();
    for (host, expected) in [
        ("127.0.0.1:9700", "answered"),
        ("127.8.9.10", "answered"),
        ("localhost:1", "answered"),
        ("LOCALHOST", "answered"),
        ("[::1]:9700", "answered"),
        ("rebound.example:9700", "forbidden"),
        ("localhost.rebound.example", "forbidden"),
        ("127.0.0.1.rebound.example", "forbidden"),
        ("10.0.0.1", "forbidden"),
        ("", "forbidden"),
        ("a b", "forbidden"),
    ] {
        check((&access, HERE), "GET /api/status", &[("host", host)], expected);
        check((&access, HERE), "POST /api/drain", &[("host", host)], expected);
        check((&access, OTHER), "GET /api/status", &[("host", host)], "forbidden");
        check((&access, OTHER), "GET /healthz", &[("host", host)], "answered");
    }
    check((&access, HERE), "GET /", &[], "answered");
}

#[test]
fn pages_of_others_get_nothing_but_a_link() {
    let access = open();
    let host = ("host", "127.0.0.1:9700");
    for (site, expected) in [
        ("same-origin", "answered"),
        ("none", "answered"),
        ("same-site", "forbidden"),
        ("cross-site", "forbidden"),
    ] {
        for request in ["GET /", "GET /api/status", "GET /api/events", "GET /metrics"] {
            check((&access, HERE), request, &[host, ("sec-fetch-site", site)], expected);
        }
        let order = [host, ("sec-fetch-site", site), ("x-segue-order", "1")];
        check((&access, HERE), "POST /api/sessions/end", &order, expected);
    }
    for (origin, expected) in [
        ("http://127.0.0.1:9700", "answered"),
        ("http://127.0.0.1:9701", "forbidden"),
        ("http://evil.example", "forbidden"),
        ("null", "forbidden"),
    ] {
        let order = [host, ("origin", origin), ("x-segue-order", "1")];
        check((&access, HERE), "POST /api/drain", &order, expected);
    }
    let link = [
        host,
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    check((&access, HERE), "GET /", &link, "answered");
    check((&access, HERE), "GET /api/status", &link, "forbidden");
    check((&access, HERE), "POST /", &link, "forbidden");
    let framed = [link[0], link[1], link[2], ("sec-fetch-dest", "iframe")];
    check((&access, HERE), "GET /", &framed, "forbidden");
}

#[test]
fn a_browser_orders_with_a_header_that_no_form_has() {
    let own = [("host", "127.0.0.1:9700"), ("sec-fetch-site", "same-origin")];
    check((&open(), HERE), "POST /api/sessions/end", &own, "forbidden");
    let header = [own[0], own[1], ("x-segue-order", "1")];
    check((&open(), HERE), "POST /api/sessions/end", &header, "answered");
    check((&open(), HERE), "POST /api/sessions/end", &own[..1], "answered");
}

#[test]
fn where_there_is_a_token_it_is_asked_of_everybody() {
    let access = guarded();
    let (cookie, _) = access.token().unwrap().cookie(SystemTime::now());
    let cookie = format!("theme=dark; {COOKIE_NAME}={cookie}");
    for caller in [HERE, OTHER] {
        let who = (&access, caller);
        for request in ["GET /", "GET /api/status", "GET /metrics", "POST /api/drain"] {
            check(who, request, &[], "unknown");
            check(who, request, &[("authorization", "Bearer of the operators")], "answered");
            check(who, request, &[("authorization", "Bearer of others")], "wrong");
            check(who, request, &[("authorization", "Basic b3A=")], "wrong");
            check(who, request, &[("cookie", &cookie)], "answered");
            check(who, request, &[("cookie", &format!("{COOKIE_NAME}=1.2"))], "unknown");
        }
        for request in ["GET /healthz", "GET /readyz", "GET /page.css", "POST /login"] {
            check(who, request, &[("host", "anything")], "answered");
        }
    }
    let foreign = [("cookie", &*cookie), ("sec-fetch-site", "same-site"), ("x-segue-order", "1")];
    check((&access, OTHER), "POST /api/drain", &foreign, "forbidden");
    let metrics = Access::new([10, 0, 0, 1].into(), Some(Token::new(b"t")), true);
    check((&metrics, OTHER), "GET /metrics", &[], "answered");
    check((&metrics, OTHER), "GET /api/status", &[], "unknown");
}
