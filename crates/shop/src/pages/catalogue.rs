//! The catalogue.

use maud::{Markup, html};

use super::{Frame, form, page, picture};
use crate::basket::{MAX_PIECES, price};
use crate::catalogue::{ARTICLES, Article};

pub(crate) fn catalogue(frame: &Frame<'_>) -> Markup {
    let content = html! {
        p.lead {
            "Twelve things that go on without a pause. Put something into the cart, "
            "have the server killed, and go on at another one."
        }
        ul.articles {
            @for article in &ARTICLES {
                li { (card(frame, article)) }
            }
        }
    };
    page(frame, "Catalogue", &content)
}

fn card(frame: &Frame<'_>, article: &Article) -> Markup {
    let field = format!("pieces-{}", article.sku);
    let add = html! {
        input type="hidden" name="sku" value=(article.sku);
        label.unseen for=(field) { "Pieces of " (article.name) }
        input #(field) type="number" name="pieces" value="1" min="1" max=(MAX_PIECES) required;
        button type="submit" { "Add " span.unseen { (article.name) " " } "to cart" }
    };
    html! {
        article.card {
            div.picture { (picture(article)) }
            h2 { (article.name) }
            p { (article.text) }
            p.price { (price(article.minor)) }
            (form(frame, "/cart/add", "row", &add))
        }
    }
}
