//! Whether a node keeps more than it may.

use proto::load::Load;

use crate::farm::Farm;

/// Nothing that is bounded outgrows its bound, at any node.
///
/// # Errors
///
/// What has, and where.
pub fn check_farm(farm: &Farm) -> Result<(), String> {
    for (number, running) in farm.nodes.iter().enumerate() {
        if let Some(running) = running {
            check(running.node.loads()).map_err(|what| format!("node {number} keeps {what}"))?;
        }
    }
    Ok(())
}

fn check(loads: impl IntoIterator<Item = Load>) -> Result<(), String> {
    match loads.into_iter().find(|load| load.used > load.limit) {
        Some(Load { what, used, limit }) => Err(format!("{used} {what}, at most {limit}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_found() {
        let load = |used| Load { what: "gaps", used, limit: 7 };
        assert_eq!(check([load(0), load(7)]), Ok(()));
        assert_eq!(check([load(7), load(8)]), Err("8 gaps, at most 7".into()));
    }
}
