//! Where an order is sent and billed to.

use maud::{Markup, html};
use segue::state::Address;

use super::{Frame, form, page};

/// An address as it stands in the form's fields, right or wrong.
#[derive(Debug, Default)]
pub(crate) struct Typed {
    pub(crate) name: String,
    pub(crate) street: String,
    pub(crate) more: String,
    pub(crate) city: String,
    pub(crate) region: String,
    pub(crate) postcode: String,
    pub(crate) country: String,
}

impl From<&Address> for Typed {
    fn from(address: &Address) -> Self {
        let mut lines = address.lines().map(str::to_owned);
        Self {
            name: address.name().to_owned(),
            street: lines.next().unwrap_or_default(),
            more: lines.next().unwrap_or_default(),
            city: address.city().to_owned(),
            region: address.region().unwrap_or_default().to_owned(),
            postcode: address.postcode().unwrap_or_default().to_owned(),
            country: address.country().to_owned(),
        }
    }
}

/// Where this shop would send to, by ISO 3166-1.
const COUNTRIES: [(&str, &str); 12] = [
    ("AT", "Austria"),
    ("BE", "Belgium"),
    ("CH", "Switzerland"),
    ("DE", "Germany"),
    ("ES", "Spain"),
    ("FR", "France"),
    ("GB", "United Kingdom"),
    ("IE", "Ireland"),
    ("IT", "Italy"),
    ("NL", "Netherlands"),
    ("PL", "Poland"),
    ("US", "United States"),
];

pub(crate) fn address(frame: &Frame<'_>, typed: &Typed, wrong: Option<&str>) -> Markup {
    let field = |label: &str, name: &str, value: &str, complete: &str, required: bool| {
        html! {
            label for=(name) { (label) @if !required { " (optional)" } }
            input #(name) type="text" name=(name) value=(value) autocomplete=(complete)
                maxlength="120" required[required];
        }
    };
    let fields = html! {
        (field("Full name", "name", &typed.name, "name", true))
        (field("Street and number", "street", &typed.street, "address-line1", true))
        (field("Flat, floor or company", "more", &typed.more, "address-line2", false))
        (field("Town", "city", &typed.city, "address-level2", true))
        (field("Region", "region", &typed.region, "address-level1", false))
        (field("Post code", "postcode", &typed.postcode, "postal-code", false))
        label for="country" { "Country" }
        select #country name="country" autocomplete="country" required {
            @for (code, name) in COUNTRIES {
                option value=(code) selected[code == typed.country] { (name) }
            }
        }
        button type="submit" { "Keep this address" }
    };
    let content = html! {
        @if let Some(wrong) = wrong {
            p.notice role="alert" { (wrong) }
        }
        (form(frame, "/address", "stack", &fields))
    };
    page(frame, "Your address", &content)
}

/// An address on an envelope.
pub(super) fn shown(address: &Address) -> Markup {
    html! {
        address #address {
            (address.name()) br;
            @for line in address.lines() { (line) br; }
            @if let Some(postcode) = address.postcode() { (postcode) " " }
            (address.city()) br;
            @if let Some(region) = address.region() { (region) br; }
            (address.country())
        }
    }
}
