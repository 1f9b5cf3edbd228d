use proptest::prelude::*;

use super::*;

const SECRET: [u8; 32] = [9; 32];

fn share(weight: u32, replicas: u8) -> Portion {
    Portion { keep: Keep::Share, replicas, weight, tier: String::new() }
}

fn of(names: &[&str]) -> Portion {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Portion { keep: Keep::Of(names), ..Portion::default() }
}

/// Members by number, which is their incarnation; each with the name of its
/// number unless it is given one.
fn members(of: impl IntoIterator<Item = (u128, Portion)>) -> BTreeMap<Incarnation, Member> {
    let member = |(number, portion)| {
        (Incarnation(number), Member { name: format!("node-{number}"), portion })
    };
    of.into_iter().map(member).collect()
}

fn placed(members: BTreeMap<Incarnation, Member>) -> Placement {
    let mut placement = Placement::new(&SECRET);
    placement.update(members);
    placement
}

fn table_of(placement: &Placement) -> Vec<Vec<Incarnation>> {
    Slot::all().map(|slot| placement.holders(slot)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "65,536 is exact")]
fn part(slots: &SlotSet) -> f64 {
    slots.count() as f64 / SLOTS as f64
}

#[test]
fn each_slot_has_its_replicas_and_each_node_its_weight() {
    let check = |weights: &[u32], replicas: u8| {
        let numbers = (1..).zip(weights).map(|(number, &weight)| (number, share(weight, replicas)));
        let placement = placed(members(numbers));
        for slot in Slot::all() {
            assert_eq!(placement.holders(slot).len(), weights.len().min(replicas.into()));
        }
        if replicas == 1 {
            let all: u32 = weights.iter().sum();
            for (number, &weight) in (1..).zip(weights) {
                let found = part(&placement.slots_of(Incarnation(number)));
                let expected = f64::from(weight) / f64::from(all);
                assert!((found / expected - 1.0).abs() < 0.04, "{found}, not {expected}");
            }
        }
    };
    check(&[1, 1, 1, 1], 1);
    check(&[1, 2, 5], 1);
    check(&[256, 256, 1_024], 1);
    check(&[1; 10], 3);
    check(&[1, 1], 3);
}

/// The shares of a hundred equal nodes, three replicas each.
#[test]
fn a_hundred_nodes_have_like_shares() {
    let placement = placed(members((1..=100).map(|number| (number, share(1, 3)))));
    let shares: Vec<f64> =
        (1..=100).map(|number| part(&placement.slots_of(Incarnation(number)))).collect();
    let spread = shares.iter().map(|share| (share / 0.03 - 1.0).powi(2)).sum::<f64>() / 100.0;
    assert!(spread.sqrt() < 0.03, "{spread}");
}

#[test]
fn who_keeps_all_holds_every_slot_after_those_that_share() {
    let mut all = members((1..=3).map(|number| (number, share(1, 1))));
    all.extend(members([(4, Portion::default()), (5, Portion::default())]));
    let placement = placed(all);
    let mut first = SlotSet::none();
    for slot in Slot::all() {
        let holders = placement.holders(slot);
        assert_eq!(holders.len(), 3);
        assert!(holders[0] < Incarnation(4) && holders[1..].iter().all(|&held| held.0 >= 4));
        if holders[1] == Incarnation(4) {
            first.insert(slot);
        }
    }
    assert!((part(&first) - 0.5).abs() < 0.02, "homes are spread over them too");
}

#[test]
fn a_superset_of_supersets() {
    let mut all = members((1..=4).map(|number| (number, share(1, 1))));
    all.extend(members([(5, of(&["node-1", "node-2"])), (6, of(&["node-5", "node-3"]))]));
    let placement = placed(all);
    let [a, b, c, _, third, fourth] =
        [1, 2, 3, 4, 5, 6].map(|number| placement.slots_of(Incarnation(number)));
    let mut expected = a;
    expected.insert_all(&b);
    assert_eq!(third, expected);
    expected.insert_all(&c);
    assert_eq!(fourth, expected);
    assert!(fourth.count() < SLOTS, "node-4's are not among them");
    assert!(placement.troubles(Incarnation(6)).is_empty());
}

#[test]
fn a_tier_is_all_that_are_of_it() {
    let low = |number| (number, Portion { tier: "edge".to_owned(), ..share(1, 1) });
    let mut all = members((1..=3).map(low));
    all.extend(members([(4, share(1, 1)), (5, of(&["edge"]))]));
    let placement = placed(all);
    let mut expected = SlotSet::none();
    (1..=3).for_each(|number| expected.insert_all(&placement.slots_of(Incarnation(number))));
    assert_eq!(placement.slots_of(Incarnation(5)), expected);
}

#[test]
fn circles_and_names_of_nobody_are_found_and_the_rest_counts() {
    let mut all = members([(1, share(1, 1)), (2, share(1, 1))]);
    all.extend(members([(3, of(&["node-4", "node-1", "node-9"])), (4, of(&["node-3"]))]));
    let placement = placed(all);
    let expected = placement.slots_of(Incarnation(1));
    assert_eq!(placement.slots_of(Incarnation(3)), expected);
    assert_eq!(placement.slots_of(Incarnation(4)), expected);
    let troubles: Vec<Trouble> = placement.troubles(Incarnation(3)).into_iter().collect();
    let [nobody, circle] = ["node-9", "node-4"].map(str::to_owned);
    assert_eq!(troubles, [Trouble::Nobody(nobody), Trouble::Circle(circle)]);
}

#[test]
fn a_copy_is_the_same_and_goes_on_by_itself() {
    let all = members((1..=5).map(|number| (number, share(1, 2))));
    let (first, mut copy) = (placed(all.clone()), placed(members([(9, share(1, 3))])));
    copy.copy(&first);
    assert!(table_of(&copy) == table_of(&first) && !copy.update(all.clone()));
    let more: BTreeMap<_, _> =
        all.into_iter().chain(members([(6, Portion::default()), (7, of(&["node-1"]))])).collect();
    copy.update(more.clone());
    let fresh = placed(more);
    assert!(table_of(&copy) == table_of(&fresh));
    for slot in Slot::all() {
        let (mut held, mut all) = (copy.holders(slot), copy.all_holders(slot).collect::<Vec<_>>());
        held.sort_unstable();
        all.sort_unstable();
        assert_eq!(held, all);
    }
}

#[test]
fn the_highest_number_of_replicas_counts() {
    let placement = placed(members([(1, share(1, 1)), (2, share(1, 2)), (3, share(1, 1))]));
    assert_eq!(placement.replicas(), 2);
    assert_eq!(placement.holders(Slot(1)).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the members came about, the same ones make the same placement;
    /// and who comes or goes moves nothing but its own.
    #[test]
    fn placement_is_of_the_members_alone_and_moves_the_least(
        weights in prop::collection::vec(1_u32..5, 2..12),
        replicas in 1_u8..4,
        gone in any::<prop::sample::Index>(),
    ) {
        let all: Vec<(u128, Portion)> =
            (1..).zip(&weights).map(|(number, &weight)| (number, share(weight, replicas))).collect();
        let gone = all[gone.index(all.len())].0;
        let without = members(all.iter().filter(|(number, _)| *number != gone).cloned());
        let all = members(all);
        let (few, many) = (placed(without.clone()), placed(all.clone()));
        let mut changing = placed(without.clone());
        changing.update(all);
        let (before, after) = (table_of(&few), table_of(&many));
        prop_assert!(table_of(&changing) == after);
        changing.update(without);
        prop_assert!(table_of(&changing) == before);
        for &member in changing.members().keys() {
            let holds = |slot: &Slot| before[usize::from(slot.0)].contains(&member);
            prop_assert!(changing.slots_of(member) == Slot::all().filter(holds).collect());
        }
        for (before, after) in before.iter().zip(&after) {
            let kept: Vec<Incarnation> =
                after.iter().copied().filter(|&holder| holder != Incarnation(gone)).collect();
            prop_assert!(before.starts_with(&kept) && before.len() <= kept.len() + 1);
        }
    }
}
