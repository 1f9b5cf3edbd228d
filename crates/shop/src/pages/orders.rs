//! What was ordered.

use maud::{Markup, html};
use segue::state::Payment;

use super::{Frame, page};
use crate::basket::{Basket, price};

/// The list of paid orders, the last one first.
pub(crate) fn orders(frame: &Frame<'_>, paid: &[(u32, Payment)], is_under_way: bool) -> Markup {
    let content = html! {
        @if is_under_way {
            p.notice role="status" {
                "An order is under way. " a href="/checkout" { "Go on with it" } "."
            }
        }
        @if paid.is_empty() {
            p { "You have paid for nothing yet." }
            p { a.button href="/" { "To the catalogue" } }
        } @else {
            ul.orders {
                @for (number, payment) in paid.iter().rev() {
                    li {
                        a href=(format!("/orders/{number}")) { "Order " (number) }
                        span { (price(payment.amount().minor())) }
                    }
                }
            }
        }
    };
    page(frame, "Your orders", &content)
}

/// One of them.
pub(crate) fn order(frame: &Frame<'_>, number: u32, payment: &Payment) -> Markup {
    let content = html! {
        p.done role="status" { "Paid, once: " strong #paid { (price(payment.amount().minor())) } }
        ul {
            @for entry in Basket::ordered(payment.order()) {
                li { (entry.pieces) " × " (entry.article.name) }
            }
        }
        @if let Some(reference) = payment.reference() {
            p { "The provider calls it " code #reference { (reference) } "." }
        }
        p { a.button href="/" { "Go on shopping" } }
    };
    page(frame, &format!("Order {number}"), &content)
}
