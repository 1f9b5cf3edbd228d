//! The address: kept by itself, and named by the delivery in the cart.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use segue::state::{Address, AddressForm, Error, StateError, StateId};

use super::{frame, page};
use crate::basket::{ADDRESS, DELIVERY};
use crate::form::Form;
use crate::pages::address::Typed;
use crate::refusal::{Refusal, sentence};
use crate::visit::{self, Visit, Who, see};
use crate::writes::{begun, made};
use crate::{Inner, letters, pages};

pub(super) async fn show(State(shop): State<Arc<Inner>>, Extension(visit): Who) -> Response {
    if visit.user().is_none() {
        return see("/login?next=address", None);
    }
    let typed = kept(&shop, &visit).await.map(|(_, address)| Typed::from(&address));
    page(&pages::address::address(&frame(&shop, &visit), &typed.unwrap_or_default(), None))
}

/// The address that the cart goes to.
pub(super) async fn kept(shop: &Inner, visit: &Visit) -> Option<(StateId, Address)> {
    let id = visit.basket().address?;
    shop.addresses.get(&id).await.map(|address| (id, address))
}

pub(super) async fn keep(State(shop): State<Arc<Inner>>, form: Form) -> Result<Response, Refusal> {
    if form.visit.user().is_none() {
        return Ok(see("/login?next=address", None));
    }
    let typed = typed(&form);
    let address = match address(&typed) {
        Ok(address) => address,
        Err(error) => {
            let frame = frame(&shop, &form.visit);
            let shown = pages::address::address(&frame, &typed, Some(&sentence(&error)));
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&shown)).into_response());
        }
    };
    if let Some((id, _)) = kept(&shop, &form.visit).await {
        match shop.addresses.replace(&id, &address).await {
            // It has ended this moment.
            Err(Error::NotFound) => {}
            replaced => {
                made(replaced)?;
                return Ok(see("/checkout", None));
            }
        }
    }
    let id = begun(|| shop.addresses.add(&address)).await?;
    let (cart, session) = visit::cart(&shop, &form.visit).await?;
    if !form.visit.basket().has_delivery {
        made(shop.carts.add(&cart, DELIVERY, 1).await)?;
    }
    let named = letters::of(id.as_bytes());
    made(shop.carts.set_attribute(&cart, DELIVERY, (ADDRESS, Some(&named))).await)?;
    Ok(see("/checkout", session.as_ref()))
}

fn typed(form: &Form) -> Typed {
    let text = |name| form.text(name).to_owned();
    Typed {
        name: text("name"),
        street: text("street"),
        more: text("more"),
        city: text("city"),
        region: text("region"),
        postcode: text("postcode"),
        country: text("country"),
    }
}

fn address(typed: &Typed) -> Result<Address, StateError> {
    let lines = [typed.street.as_str(), typed.more.as_str()];
    let lines = if typed.more.is_empty() { &lines[..1] } else { &lines[..] };
    Address::new(&AddressForm {
        name: &typed.name,
        lines,
        city: &typed.city,
        region: &typed.region,
        postcode: &typed.postcode,
        country: &typed.country,
    })
}
