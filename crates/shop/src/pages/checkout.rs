//! The checkout.

use maud::{Markup, html};
use segue::state::{Address, Payment};

use super::address::shown;
use super::cart::sums;
use super::{Frame, form, page};
use crate::basket::price;
use crate::provider::TestProvider;

/// The page of an order that can be sent.
pub(crate) fn checkout(
    frame: &Frame<'_>,
    number: u32,
    address: &Address,
    was_declined: bool,
) -> Markup {
    let basket = frame.visit.basket();
    let total = basket.total_minor();
    let fields = html! {
        input type="hidden" name="order" value=(number);
        input type="hidden" name="total" value=(total);
        fieldset {
            legend { "Pay by" }
            (card(TestProvider::APPROVED, "Test card that succeeds", true))
            (card(TestProvider::DECLINED, "Test card that is declined", false))
        }
        button type="submit" { "Pay " (price(total)) }
    };
    let content = html! {
        @if was_declined {
            p.notice role="alert" {
                "The card was declined, and nothing was charged. Try another one."
            }
        }
        section aria-labelledby="what" {
            h2 #what { "What" }
            ul {
                @for entry in &basket.entries {
                    li { (entry.pieces) " × " (entry.article.name) " " (price(entry.minor())) }
                }
            }
            (sums(&basket))
        }
        section aria-labelledby="where" {
            h2 #where { "Where to" }
            (shown(address))
            p { a href="/address" { "Change the address" } }
        }
        section aria-labelledby="how" {
            h2 #how { "How" }
            p {
                "This is order " strong { (number) } ". It is paid once, "
                "however often the form is sent. Cards are tokens here: this shop takes no number."
            }
            (form(frame, "/checkout", "stack", &fields))
        }
    };
    page(frame, "Checkout", &content)
}

/// The page of an order that was sent and whose end is not known.
pub(crate) fn under_way(frame: &Frame<'_>, number: u32, payment: &Payment) -> Markup {
    let total = payment.amount().minor();
    let fields = html! {
        input type="hidden" name="order" value=(number);
        input type="hidden" name="total" value=(total);
        button type="submit" { "Go on with order " (number) }
    };
    let content = html! {
        p.notice role="status" {
            "Order " (number) " over " (price(total)) " was sent, and the server that was at it "
            "has not said how it ended. Go on with it: it is paid once."
        }
        (form(frame, "/checkout", "stack", &fields))
    };
    page(frame, "An order is under way", &content)
}

fn card(token: &str, label: &str, is_first: bool) -> Markup {
    html! {
        label.choice for=(token) {
            input #(token) type="radio" name="card" value=(token) checked[is_first] required;
            " " (label)
        }
    }
}
