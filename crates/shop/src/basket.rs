//! What a cart comes to: articles that there are, what they cost, and where they
//! go.
//!
//! Of the farm's cart the items are known by their names alone. Delivery is one
//! of them: it has its price, once, and the address as an attribute, so that both
//! are where the cart is.

use segue::state::{Cart, StateId};

use crate::catalogue::{self, Article};
use crate::letters;

/// The item that is the delivery, and its attribute that is the address's id.
pub(crate) const DELIVERY: &str = "delivery";
pub(crate) const ADDRESS: &str = "address";

/// What a delivery costs, in cents.
pub(crate) const DELIVERY_MINOR: u64 = 490;

/// How many pieces of an article the shop sells at once. Two nodes that add at
/// once may come to more; that is sold all the same.
pub(crate) const MAX_PIECES: u64 = 99;

/// The currency of all prices.
pub(crate) const CURRENCY: &str = "EUR";

/// What is in a cart, as the shop sees it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Basket {
    pub(crate) entries: Vec<Entry>,
    /// Names of items that are in the cart and that the shop does not have.
    pub(crate) unknown: Vec<String>,
    /// The address's id, once there is one.
    pub(crate) address: Option<StateId>,
    pub(crate) has_delivery: bool,
}

/// An article in a cart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) article: &'static Article,
    pub(crate) pieces: u64,
}

impl Entry {
    pub(crate) const fn minor(&self) -> u64 {
        self.article.minor * self.pieces
    }
}

impl Basket {
    pub(crate) fn of(cart: &Cart) -> Self {
        let mut basket = Self::default();
        for line in cart.lines() {
            if line.sku == DELIVERY {
                basket.has_delivery = true;
                basket.address = line.attribute(ADDRESS).and_then(letters::id);
            } else if let Some(article) = catalogue::find(line.sku) {
                basket.entries.push(Entry { article, pieces: line.quantity });
            } else {
                basket.unknown.push(line.sku.to_owned());
            }
        }
        basket
    }

    /// How many pieces of articles.
    pub(crate) fn pieces(&self) -> u64 {
        self.entries.iter().map(|entry| entry.pieces).sum()
    }

    /// What the articles cost.
    pub(crate) fn articles_minor(&self) -> u64 {
        self.entries.iter().map(Entry::minor).sum()
    }

    /// What has to be paid.
    pub(crate) fn total_minor(&self) -> u64 {
        if self.entries.is_empty() { 0 } else { self.articles_minor() + DELIVERY_MINOR }
    }

    /// The order as a text, by which two are the same. All articles of the
    /// catalogue at once have less than the 255 bytes that a payment takes.
    pub(crate) fn order(&self) -> String {
        let item = |entry: &Entry| format!("{}:{}", entry.article.sku, entry.pieces);
        self.entries.iter().map(item).collect::<Vec<_>>().join(" ")
    }

    /// The articles of an order that [`Basket::order`] wrote.
    pub(crate) fn ordered(order: &str) -> Vec<Entry> {
        let entry = |item: &str| {
            let (sku, pieces) = item.split_once(':')?;
            Some(Entry { article: catalogue::find(sku)?, pieces: pieces.parse().ok()? })
        };
        order.split(' ').filter_map(entry).collect()
    }
}

/// Cents as people read them.
pub(crate) fn price(minor: u64) -> String {
    let (whole, cents) = (minor / 100, minor % 100);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("€\u{a0}{grouped}.{cents:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::ARTICLES;

    #[test]
    fn prices_read_well() {
        let check = |minor, expected: &str| assert_eq!(price(minor), expected);
        check(5, "€\u{a0}0.05");
        check(1_290, "€\u{a0}12.90");
        check(123_456_789, "€\u{a0}1,234,567.89");
    }

    #[test]
    fn the_largest_order_fits_and_reads_back() {
        let pieces = 100_000;
        let entries: Vec<_> = ARTICLES.iter().map(|article| Entry { article, pieces }).collect();
        let basket = Basket { entries, ..Basket::default() };
        let order = basket.order();
        assert!(order.len() <= 255, "{} bytes", order.len());
        let read = Basket { entries: Basket::ordered(&order), ..Basket::default() };
        assert_eq!((read.total_minor(), read.order()), (basket.total_minor(), order));
        assert_eq!(Basket::default().total_minor(), 0, "nothing costs no delivery");
    }
}
