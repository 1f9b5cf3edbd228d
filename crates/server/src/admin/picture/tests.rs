use super::*;

/// Cards of these portions, as drawn: what each keeps, as text, and its level.
fn drawn(portions: &[(&str, &str, &str)], replicas: usize) -> Vec<(String, usize)> {
    let mut nodes: Vec<_> = portions
        .iter()
        .map(|(name, tier, portion)| Card { name: (*name).to_owned(), ..Card::of(portion, tier) })
        .collect();
    draw(&mut nodes, replicas);
    let text = |keeps: &[bool]| keeps.iter().map(|&it| if it { '#' } else { '.' }).collect();
    nodes.iter().map(|card| (text(&card.keeps), card.level)).collect()
}

#[track_caller]
fn check(portions: &[(&str, &str, &str)], replicas: usize, expected: &[(&str, usize)]) {
    let found = drawn(portions, replicas);
    let found: Vec<_> = found.iter().map(|(keeps, level)| (keeps.as_str(), *level)).collect();
    assert_eq!(found, expected, "{portions:?}");
}

#[test]
fn shares_overlap_by_their_replicas() {
    let three = [("a", "", "share"), ("b", "", "share"), ("c", "", "share")];
    check(&three, 1, &[("#..", 0), (".#.", 0), ("..#", 0)]);
    check(&three, 2, &[("##.", 0), (".##", 0), ("#.#", 0)]);
    check(&three, 9, &[("###", 0), ("###", 0), ("###", 0)]);
}

#[test]
fn a_tier_includes_what_it_is_of() {
    let tiers = [
        ("a", "edge", "share"),
        ("b", "edge", "share"),
        ("c", "middle", "of a"),
        ("d", "core", "of c, edge"),
        ("e", "", "all"),
    ];
    check(&tiers, 1, &[("#.", 0), (".#", 0), ("#.", 1), ("##", 2), ("##", 0)]);
    // Who is named and not there, and circles, end.
    check(
        &[("a", "", "of b"), ("b", "", "of a"), ("c", "", "of z")],
        0,
        &[(".", 2), (".", 2), (".", 0)],
    );
}

#[test]
fn portions_are_the_same_or_one_in_the_other_or_neither() {
    let check = |own: [bool; 3], other: [bool; 3], expected: Relation| {
        assert_eq!(relation(&own, &other), expected);
    };
    let (t, f) = (true, false);
    check([t, t, f], [t, t, f], Relation::Same);
    check([t, t, f], [t, f, f], Relation::Includes);
    check([f, t, f], [f, t, t], Relation::Within);
    check([t, t, f], [f, t, t], Relation::Overlaps);
    check([t, f, f], [f, t, t], Relation::Disjoint);
    check([f, f, f], [f, f, f], Relation::Disjoint);
}
