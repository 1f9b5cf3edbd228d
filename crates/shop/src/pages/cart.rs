//! The cart.

use maud::{Markup, html};

use super::{Frame, form, page, picture};
use crate::basket::{Basket, DELIVERY_MINOR, Entry, MAX_PIECES, price};

pub(crate) fn cart(frame: &Frame<'_>) -> Markup {
    let basket = frame.visit.basket();
    let content = html! {
        @if basket.entries.is_empty() && basket.unknown.is_empty() {
            p { "Nothing is in it yet." }
            p { a.button href="/" { "To the catalogue" } }
        } @else {
            ul.lines {
                @for entry in &basket.entries {
                    li { (line(frame, entry)) }
                }
                @for sku in &basket.unknown {
                    li { (unknown(frame, sku)) }
                }
            }
            (sums(&basket))
            @if !basket.entries.is_empty() {
                p { a.button href="/checkout" { "To the checkout" } }
            }
        }
    };
    page(frame, "Cart", &content)
}

/// What it costs, line by line.
pub(super) fn sums(basket: &Basket) -> Markup {
    html! {
        dl.sums {
            dt { "Articles" } dd { (price(basket.articles_minor())) }
            @if !basket.entries.is_empty() {
                dt { "Delivery" } dd { (price(DELIVERY_MINOR)) }
                dt { strong { "Total" } }
                dd { strong #total { (price(basket.total_minor())) } }
            }
        }
    }
}

fn line(frame: &Frame<'_>, entry: &Entry) -> Markup {
    let Entry { article, pieces } = *entry;
    let field = format!("pieces-{}", article.sku);
    // Two nodes that add at once may come to more than one asks for.
    let most = MAX_PIECES.max(pieces);
    let change = html! {
        input type="hidden" name="sku" value=(article.sku);
        label for=(field) { "Pieces" span.unseen { " of " (article.name) } }
        input #(field) type="number" name="pieces" value=(pieces) min="0" max=(most) required;
        button.quiet type="submit" { "Change" span.unseen { " " (article.name) } }
    };
    html! {
        div.line {
            div.picture { (picture(article)) }
            div {
                h2 { (article.name) }
                p.price { (price(entry.minor())) }
                div.row {
                    (form(frame, "/cart/set", "row", &change))
                    (take_out(frame, article.sku, article.name))
                }
            }
        }
    }
}

fn unknown(frame: &Frame<'_>, sku: &str) -> Markup {
    html! {
        div.line {
            div.picture {}
            div {
                h2 { (sku) }
                p { "This is not sold here." }
                (take_out(frame, sku, sku))
            }
        }
    }
}

fn take_out(frame: &Frame<'_>, sku: &str, name: &str) -> Markup {
    let button = html! {
        input type="hidden" name="sku" value=(sku);
        button.quiet type="submit" { "Take out" span.unseen { " " (name) } }
    };
    form(frame, "/cart/remove", "row", &button)
}
