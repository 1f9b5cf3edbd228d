//! What the shop looks like: whole pages as HTML, without scripts, and escaped by
//! the template library wherever a text stands.
//!
//! In here is what all pages have; each has a module of its own.

pub(crate) mod address;
pub(crate) mod cart;
pub(crate) mod catalogue;
pub(crate) mod checkout;
pub(crate) mod login;
pub(crate) mod orders;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::Inner;
use crate::catalogue::Article;
use crate::form::TOKEN;
use crate::refusal::Refusal;
use crate::visit::Visit;

/// The style sheet and the icon: routes of their own, as the policy wants.
pub(crate) const STYLE: &str = include_str!("style.css");
pub(crate) const ICON: &str = include_str!("../pictures/icon.svg");

/// Whom a page is for, and where it is made.
pub(crate) struct Frame<'a> {
    pub(crate) shop: &'a Inner,
    pub(crate) visit: &'a Visit,
}

/// A page of that title.
pub(crate) fn page(frame: &Frame<'_>, title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Segue music shop" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" type="image/svg+xml" href="/icon.svg";
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                (head(frame))
                main #content tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
                (foot(frame))
            }
        }
    }
}

/// The page of something that is not done.
pub(crate) fn refused(frame: &Frame<'_>, refusal: &Refusal) -> Markup {
    let (path, called) = refusal.on;
    let content = html! {
        p.notice role="alert" { (refusal.text) }
        p { a.button href=(path) { (called) } }
    };
    page(frame, refusal.title, &content)
}

fn head(frame: &Frame<'_>) -> Markup {
    let pieces = frame.visit.basket().pieces();
    html! {
        header.head {
            a.brand href="/" { "segue" span { " music shop" } }
            nav aria-label="Shop" {
                ul {
                    li { a href="/" { "Catalogue" } }
                    li {
                        a href="/cart" {
                            "Cart " span.badge #pieces { (pieces) } span.unseen { " pieces" }
                        }
                    }
                    @if let Some(user) = frame.visit.user() {
                        li { a href="/orders" { "Orders" } }
                        li { a href="/account" #user { (user) } }
                    } @else {
                        li { a href="/login" { "Log in" } }
                    }
                }
            }
        }
    }
}

/// Which node it was, and where the session began: what this shop is there for.
fn foot(frame: &Frame<'_>) -> Markup {
    let node = &frame.shop.node;
    html! {
        footer.foot {
            p {
                "Served by node " strong #node { (node) } ". "
                @if let Some(began_at) = frame.visit.began_at() {
                    "Your session began at node " strong #began-at { (began_at) } ". "
                } @else {
                    "You have no session yet. "
                }
                @if let Some(tls) = &frame.visit.arrival.tls {
                    "TLS began at node " strong { (tls.began_at) }
                    @if tls.resumed { " and was resumed here" }
                    ": " a href=(tls.page) { "more of it" } "."
                }
            }
            p { "A demonstration: nothing is sold, and no money is moved." }
        }
    }
}

/// A form of one button, or of more fields, that has the visitor's token.
fn form(frame: &Frame<'_>, action: &str, class: &str, content: &Markup) -> Markup {
    html! {
        form method="post" action=(action) class=(class) {
            input type="hidden" name=(TOKEN) value=(frame.visit.form_token());
            (content)
        }
    }
}

fn picture(article: &Article) -> Markup {
    // Drawn for this shop, and checked by a test: no text of anybody's.
    PreEscaped(article.picture.to_owned())
}
