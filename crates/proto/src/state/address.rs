//! A postal address, to bill or to send to.

use zeroize::Zeroizing;

use super::codec::{self, Writing};
use super::error::StateError;
use super::{Text, Type};
use crate::wire::codec::Malformed;

/// The longest name or line: what a label has room for, in any script.
const MAX_LINE_BYTES: usize = 256;
/// The most lines between name and city (ISO 19160-4 has fewer).
const MAX_LINES: usize = 4;
/// The longest post code: those of the world have up to ten characters.
const MAX_POSTCODE_BYTES: usize = 32;
const SCHEMA: u8 = 1;

/// An address. `Debug` shows lengths only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    name: Text,
    lines: Vec<Text>,
    city: Text,
    region: Option<Text>,
    postcode: Option<Text>,
    country: [u8; 2],
}

/// The fields of an address as they were written, yet to be looked at.
#[derive(Clone, Copy)]
pub struct AddressForm<'a> {
    /// To whom.
    pub name: &'a str,
    /// Street, number, floor: one to four lines.
    pub lines: &'a [&'a str],
    /// The city.
    pub city: &'a str,
    /// State or province; empty where there is none.
    pub region: &'a str,
    /// Post code; empty where there is none.
    pub postcode: &'a str,
    /// Two capital letters (ISO 3166-1).
    pub country: &'a str,
}

impl Address {
    /// An address of what was written into a form.
    ///
    /// # Errors
    ///
    /// [`StateError`], which names the field.
    pub fn new(form: &AddressForm<'_>) -> Result<Self, StateError> {
        let found = form.lines.len();
        if found == 0 {
            return Err(StateError::Empty { field: "the street" });
        }
        if found > MAX_LINES {
            let field = "lines of an address";
            return Err(StateError::TooMany { field, found, limit: MAX_LINES });
        }
        let line = |field, text: &str| Text::new(field, text, MAX_LINE_BYTES);
        let optional = |field, text: &str, limit| {
            (!text.is_empty()).then(|| Text::new(field, text, limit)).transpose()
        };
        Ok(Self {
            name: line("the name", form.name)?,
            lines: form
                .lines
                .iter()
                .map(|text| line("the street", text))
                .collect::<Result<_, _>>()?,
            city: line("the city", form.city)?,
            region: optional("the region", form.region, MAX_LINE_BYTES)?,
            postcode: optional("the post code", form.postcode, MAX_POSTCODE_BYTES)?,
            country: country(form.country)?,
        })
    }

    /// To whom.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Street, number, floor.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(Text::as_str)
    }

    /// The city.
    #[must_use]
    pub fn city(&self) -> &str {
        self.city.as_str()
    }

    /// State or province.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_ref().map(Text::as_str)
    }

    /// Post code.
    #[must_use]
    pub fn postcode(&self) -> Option<&str> {
        self.postcode.as_ref().map(Text::as_str)
    }

    /// Two capital letters (ISO 3166-1).
    #[must_use]
    pub fn country(&self) -> &str {
        std::str::from_utf8(&self.country).expect("capital letters")
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writing = Writing::new(Type::Address, SCHEMA);
        writing.text(&self.name);
        writing.count(self.lines.len());
        self.lines.iter().for_each(|line| writing.text(line));
        writing.text(&self.city);
        writing.option(self.region.as_ref(), Writing::text);
        writing.option(self.postcode.as_ref(), Writing::text);
        writing.bytes(&self.country);
        writing.finish()
    }

    /// Reads what [`Address::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, _) = codec::open(bytes, Type::Address, SCHEMA)?;
        let name = codec::text(&mut reader, "name", MAX_LINE_BYTES)?;
        let count = reader.u32("lines")?;
        if !(1..=MAX_LINES).contains(&usize::try_from(count).unwrap_or(usize::MAX)) {
            return Err(Malformed::Invalid("lines"));
        }
        let lines = (0..count).map(|_| codec::text(&mut reader, "line", MAX_LINE_BYTES));
        let lines = lines.collect::<Result<_, _>>()?;
        let address = Self {
            name,
            lines,
            city: codec::text(&mut reader, "city", MAX_LINE_BYTES)?,
            region: codec::option(&mut reader, "region", |reader| {
                codec::text(reader, "region", MAX_LINE_BYTES)
            })?,
            postcode: codec::option(&mut reader, "post code", |reader| {
                codec::text(reader, "post code", MAX_POSTCODE_BYTES)
            })?,
            country: reader.array("country")?,
        };
        reader.finish("address")?;
        if !address.country.iter().all(u8::is_ascii_uppercase) {
            return Err(Malformed::Invalid("country"));
        }
        Ok(address)
    }
}

fn country(text: &str) -> Result<[u8; 2], StateError> {
    let letters = <[u8; 2]>::try_from(text.as_bytes()).ok();
    letters.filter(|letters| letters.iter().all(u8::is_ascii_uppercase)).ok_or(StateError::Form {
        field: "the country",
        expected: "two capital letters (ISO 3166-1)",
    })
}

impl std::fmt::Debug for AddressForm<'_> {
    /// How many lines it has: the rest is a person's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AddressForm({} lines)", self.lines.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: AddressForm<'_> = AddressForm {
        name: "Ada Lovelace",
        lines: &["12 St James's Square"],
        city: "London",
        region: "",
        postcode: "SW1Y 4JH",
        country: "GB",
    };

    #[test]
    fn an_address_reads_as_it_was_written() {
        let address = Address::new(&FORM).unwrap();
        assert_eq!(Address::decode(&address.encode()), Ok(address.clone()));
        assert_eq!((address.region(), address.postcode()), (None, Some("SW1Y 4JH")));
        let shown = format!("{address:?}");
        assert!(!shown.contains("Ada") && !shown.contains("London"), "{shown}");
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_field() {
        let check = |form: AddressForm<'_>, expected: &str| {
            let refused = Address::new(&form).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
        };
        let large = "x".repeat(1 << 20);
        check(AddressForm { city: &large, ..FORM }, "the city has 1048576 bytes: at most 256");
        check(AddressForm { name: "", ..FORM }, "the name is empty");
        check(AddressForm { lines: &[], ..FORM }, "the street is empty");
        check(AddressForm { lines: &["x"; 5], ..FORM }, "5 lines of an address");
        check(AddressForm { country: "gb", ..FORM }, "the country does not have its form");
        check(AddressForm { city: "a\nb", ..FORM }, "the city has control characters");
        let card = AddressForm { lines: &["4111-1111-1111-1111"], ..FORM };
        check(card, "the street holds what looks like the number of a payment card");
        assert!(!Address::new(&card).unwrap_err().to_string().contains("4111"));
    }
}
