//! What is sold.

/// An article.
#[derive(Debug)]
pub(crate) struct Article {
    /// Its name in carts and orders.
    pub(crate) sku: &'static str,
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// What a piece costs, in cents.
    pub(crate) minor: u64,
    /// Its picture: an SVG without styles or scripts, drawn for this shop.
    pub(crate) picture: &'static str,
}

/// The article of that name.
pub(crate) fn find(sku: &str) -> Option<&'static Article> {
    ARTICLES.iter().find(|article| article.sku == sku)
}

macro_rules! article {
    ($sku:literal, $name:literal, $minor:literal, $text:literal) => {
        Article {
            sku: $sku,
            name: $name,
            text: $text,
            minor: $minor,
            picture: include_str!(concat!("pictures/", $sku, ".svg")),
        }
    };
}

/// All of them.
pub(crate) const ARTICLES: [Article; 12] = [
    article!("metronome", "Metronome", 5_900, "Walnut, wound by hand. Keeps time when you do not."),
    article!("fork", "Tuning fork", 1_290, "A at 440 Hz, and nothing else, for ever."),
    article!("kalimba", "Kalimba", 3_450, "Seventeen tongues, two thumbs, no wrong notes."),
    article!("ukulele", "Ukulele", 8_900, "Four strings of nylon and a good deal of sun."),
    article!("drum", "Snare drum", 18_900, "Maple, fourteen inches. The neighbours will ask."),
    article!("tambourine", "Tambourine", 2_490, "For who has nothing to do in the verse."),
    article!("record", "Long player", 2_290, "Two sides that go on without a pause."),
    article!("phones", "Headphones", 12_900, "Closed, for late hours and thin walls."),
    article!("stand", "Music stand", 3_990, "Folds to the size of a score, and unfolds in tune."),
    article!("score", "Manuscript book", 890, "Twelve staves a page, all of them still silent."),
    article!("mug", "Mug", 1_490, "Holds three bars of coffee. Handle in F."),
    article!("cable", "Patch cable", 1_190, "Three metres from here to the next movement."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_bring_nothing_that_the_policy_forbids() {
        for article in &ARTICLES {
            let picture = article.picture;
            assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
            for forbidden in ["style", "script", "href", " on"] {
                assert!(!picture.contains(forbidden), "{}: {forbidden}", article.sku);
            }
        }
    }
}
