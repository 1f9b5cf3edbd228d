//! `segue bench gateway`, in a small size: that it measures, and that what it
//! compares is the same work.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::node::segue;

#[test]
fn the_bench_measures_every_engine() {
    let options = ["--rounds", "1", "--slice", "20ms", "--sessions", "2000", "--json"];
    let measured = segue().args(["bench", "gateway"]).args(options).output().expect("segue runs");
    let told = String::from_utf8_lossy(&measured.stderr);
    assert!(measured.status.success(), "{told}");
    let report: Value = serde_json::from_slice(&measured.stdout).expect("one object of JSON");
    let figures: BTreeMap<&str, f64> = report["figures"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|figure| Some((figure["name"].as_str()?, figure["value"].as_f64()?)))
        .collect();
    for engine in ["segue", "redis", "memcached", "floor"] {
        for case in ["get_pipeline_1", "get_pipeline_16", "set_pipeline_1", "set_pipeline_16"] {
            let cost = figures[format!("{case}_{engine}_cpu").as_str()];
            assert!(cost > 0.0, "{case} at {engine}: {told}");
        }
    }
    for (engine, size) in [("segue", 200), ("redis", 1024), ("memcached", 200)] {
        let memory = figures[format!("memory_{engine}_{size}b").as_str()];
        assert!(memory * 1e6 > 2_000.0 * f64::from(size), "{engine}: {told}");
    }
    assert!(figures["replicated_segue_receiver"] > 0.0, "{told}");
    assert_eq!(figures["replicated_segue_not_there_when_acknowledged"], 0.0, "{told}");
}
