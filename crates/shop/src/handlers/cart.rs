//! Putting things into the cart and taking them out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::{frame, page};
use crate::basket::MAX_PIECES;
use crate::catalogue;
use crate::form::Form;
use crate::refusal::Refusal;
use crate::visit::{self, Who, see};
use crate::writes::made;
use crate::{Inner, pages};

pub(super) async fn show(State(shop): State<Arc<Inner>>, Extension(visit): Who) -> Response {
    page(&pages::cart::cart(&frame(&shop, &visit)))
}

pub(super) async fn add(State(shop): State<Arc<Inner>>, form: Form) -> Result<Response, Refusal> {
    let sku = sold(&form)?;
    let pieces = pieces(&form)?;
    let held = held(&form, sku);
    if pieces == 0 || pieces > MAX_PIECES.saturating_sub(held) {
        return Err(too_many());
    }
    let (cart, id) = visit::cart(&shop, &form.visit).await?;
    made(shop.carts.add(&cart, sku, pieces).await)?;
    Ok(see("/cart", id.as_ref()))
}

pub(super) async fn set(State(shop): State<Arc<Inner>>, form: Form) -> Result<Response, Refusal> {
    let sku = sold(&form)?;
    let wanted = pieces(&form)?;
    let held = held(&form, sku);
    // What two nodes have added at once may be more, and may become less.
    if wanted > MAX_PIECES.max(held) {
        return Err(too_many());
    }
    let (cart, id) = visit::cart(&shop, &form.visit).await?;
    // The difference is what is written, so that what another window adds at the
    // same time is not undone.
    if wanted == 0 {
        made(shop.carts.remove(&cart, sku).await)?;
    } else if wanted > held {
        made(shop.carts.add(&cart, sku, wanted - held).await)?;
    } else if wanted < held {
        made(shop.carts.take(&cart, sku, held - wanted).await)?;
    }
    Ok(see("/cart", id.as_ref()))
}

/// Takes an item out, also one that is not sold.
pub(super) async fn remove(
    State(shop): State<Arc<Inner>>,
    form: Form,
) -> Result<Response, Refusal> {
    if let Some((cart, held)) = &form.visit.cart {
        let sku = form.get("sku");
        if held.quantity(sku) > 0 {
            made(shop.carts.remove(cart, sku).await)?;
        }
    }
    Ok(see("/cart", None))
}

/// The article that a form names.
fn sold(form: &Form) -> Result<&'static str, Refusal> {
    let article = catalogue::find(form.text("sku"));
    let unknown = || Refusal::unusable("There is no such article.");
    Ok(article.ok_or_else(unknown)?.sku)
}

fn pieces(form: &Form) -> Result<u64, Refusal> {
    form.number("pieces").ok_or_else(too_many)
}

fn held(form: &Form, sku: &str) -> u64 {
    form.visit.cart.as_ref().map_or(0, |(_, cart)| cart.quantity(sku))
}

fn too_many() -> Refusal {
    Refusal::unusable(format!("Of one article 1 to {MAX_PIECES} pieces are sold at once."))
        .on("/cart", "Back to the cart")
}
