use super::*;
use crate::gateway::memcached::{Limits, Parsed, Parser};
use crate::record::{Hlc, Version, Writer as By};
use crate::web::{Stamp, State};

/// One value, and the requests that work on it one after another.
struct Bench {
    state: State<'static>,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        Self { state: State::nothing(), now: 1_700_000_000_000 }
    }

    /// Has a line done on the value, and gives the reply.
    fn run(&mut self, line: &str) -> String {
        self.now += 1;
        let now = Wall::from_millis(self.now);
        let line = format!("{line}\r\n").replace('|', "\r\n");
        let mut parser = Parser::new(Limits::default());
        let mut input = line.as_bytes();
        let Ok(Some(Parsed::Request(request))) = parser.next(&mut input) else {
            panic!("{line} is no request")
        };
        let version = Version { time: Hlc::at(now), writer: By(1) };
        let stamp = match need(&request.command).expect("it is about a value") {
            Need::OneAnswer => Stamp::Agreed,
            Need::Read | Need::Write => Stamp::Plain(version),
        };
        let mut draft = Draft::new(self.state.clone(), stamp, now);
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, request.answer);
        match &request.command {
            Command::Get { keys, touch } => {
                keys.for_each(|key| {
                    get(&mut draft, key, *touch, &mut writer);
                });
                writer.end();
            }
            Command::Fetch(asked) => {
                fetch(&mut draft, asked, Access::default(), &mut writer);
            }
            Command::Store(given) => store(&mut draft, given, &mut writer),
            Command::Delete(asked) => delete(&mut draft, asked, &mut writer),
            Command::Arithmetic(asked) => count(&mut draft, asked, &mut writer),
            Command::Touch { expiry, .. } => touch(&mut draft, *expiry, &mut writer),
            Command::Inspect { key } => {
                inspect(&draft, key.0, Access::default(), &mut writer);
            }
            other @ (Command::TooLarge { .. }
            | Command::FlushAll { .. }
            | Command::Stats { .. }
            | Command::Verbosity
            | Command::Version
            | Command::Noop
            | Command::Quit) => panic!("{other:?} does not change one value"),
        }
        self.state = draft.into_state();
        String::from_utf8(out).expect("text").replace("\r\n", " ").trim_end().to_owned()
    }

    fn number(&mut self) -> String {
        self.run("mg k c").trim_start_matches("HD c").to_owned()
    }
}

fn check(pairs: &[(&str, &str)]) {
    let mut bench = Bench::new();
    for (line, expected) in pairs {
        assert_eq!(bench.run(line), *expected, "{line}");
    }
}

#[test]
fn values_are_stored_as_asked() {
    check(&[
        ("get k", "END"),
        ("replace k 0 0 1|a", "NOT_STORED"),
        ("append k 0 0 1|a", "NOT_STORED"),
        ("add k 7 0 1|a", "STORED"),
        ("add k 8 0 1|b", "NOT_STORED"),
        ("get k", "VALUE k 7 1 a END"),
        ("append k 9 0 1|b", "STORED"),
        ("prepend k 9 0 1|c", "STORED"),
        ("get k", "VALUE k 7 3 cab END"),
        ("set k 4294967295 0 0|", "STORED"),
        ("get k", "VALUE k 4294967295 0  END"),
        ("incr k 1", "CLIENT_ERROR cannot increment or decrement non-numeric value"),
        ("delete k", "DELETED"),
        ("delete k", "NOT_FOUND"),
        ("set k 0 -1 1|a", "STORED"),
        ("get k", "END"),
    ]);
}

#[test]
fn what_is_over_at_once_is_remembered_as_a_delete_is() {
    let remembered_s = |lines: &[&str]| {
        let mut bench = Bench::new();
        lines.iter().for_each(|line| drop(bench.run(line)));
        assert_eq!(bench.run("get k"), "END");
        (bench.state.ends.deadlines.absolute.as_millis() - bench.now).div_ceil(1_000)
    };
    let (day, month) = (24 * 60 * 60, 30 * 24 * 60 * 60);
    for over in ["set k 0 -1 1|a", "ma k N-1", "mg k N-1"] {
        // For as long as a write is on its way, where nothing was there.
        assert_eq!(remembered_s(&[over]), 10, "{over}");
    }
    for over in ["delete k", "set k 0 -1 1|a", "touch k -1", "ma k T-1"] {
        // As long as what was there could have been.
        assert_eq!(remembered_s(&["set k 0 43200 1|1", over]), day, "{over}");
        assert_eq!(remembered_s(&["set k 0 0 1|1", over]), month, "{over}");
    }
}

#[test]
fn numbers_are_counted() {
    check(&[
        ("incr k 1", "NOT_FOUND"),
        ("ma k N0 J13 v", "VA 2 13"),
        ("set k 5 100 2|10", "STORED"),
        ("decr k 1", "9"),
        ("get k", "VALUE k 5 2 9  END"),
        ("mg k t", "HD t100"),
        ("decr k 100", "0"),
        ("set k 0 0 20|18446744073709551615", "STORED"),
        ("incr k 2", "1"),
        ("ma k MD D1 q", ""),
        ("ma k T-1 v", "VA 1 1"),
        ("get k", "END"),
    ]);
}

#[test]
fn ends_move_and_numbers_stay() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("touch k 10"), "NOT_FOUND");
    assert_eq!(bench.run("set k 1 100 1|a"), "STORED");
    let number = bench.number();
    for line in ["touch k 150", "touch k 10", "touch k 0", "touch k 1000"] {
        assert_eq!(bench.run(line), "TOUCHED", "{line}");
        assert_eq!(bench.number(), number, "{line}");
    }
    assert_eq!(bench.run("gat 20 k"), "VALUE k 1 1 a END");
    assert_eq!(bench.run("mg k t f"), "HD t20 f1");
    // A month is counted from now on, more since 1970.
    assert_eq!(bench.run("touch k 2592000"), "TOUCHED");
    assert_eq!(bench.run("mg k t"), "HD t2592000");
    assert_eq!(bench.run("touch k 1700000060"), "TOUCHED");
    assert_eq!(bench.run("mg k t"), "HD t60");
    assert_eq!(bench.run("touch k 2592001"), "TOUCHED");
    assert_eq!(bench.run("get k"), "END");
}

#[test]
fn who_has_another_number_changes_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("cas k 0 0 1 5|a"), "NOT_FOUND");
    assert_eq!(bench.run("set k 0 0 1|a"), "STORED");
    let first = bench.number();
    assert_eq!(bench.run(&format!("cas k 0 0 1 {first}|b")), "STORED");
    let second = bench.number();
    assert_ne!(first, second);
    assert_eq!(bench.run(&format!("cas k 0 0 1 {first}|c")), "EXISTS");
    assert_eq!(bench.run(&format!("md k C{first}")), "EX");
    assert_eq!(bench.run(&format!("ms k 1 MA C{first}|x")), "EX");
    assert_eq!(bench.run("get k"), "VALUE k 0 1 b END");
    assert_eq!(bench.run(&format!("md k C{second}")), "HD");
}

#[test]
fn what_is_there_already_is_touched_by_a_set_and_written_by_a_cas() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("set k 3 100 1|a"), "STORED");
    let number = bench.number();
    assert_eq!(bench.run("set k 3 150 1|a"), "STORED");
    assert_eq!(bench.number(), number);
    assert_eq!(bench.run("mg k t"), "HD t150");
    for line in ["set k 4 160 1|a".to_owned(), format!("cas k 4 160 1 {number}|a")] {
        bench.run(&line);
        assert_ne!(bench.number(), number, "{line}");
    }
    let number = bench.number();
    // Of two who want the same one has it.
    assert_eq!(bench.run(&format!("cas k 4 165 1 {number}|a")), "STORED");
    assert_eq!(bench.run(&format!("cas k 4 165 1 {number}|a")), "EXISTS");
}

#[test]
fn one_client_is_told_to_bring_a_better_value() {
    check(&[
        ("mg k v", "EN"),
        ("mg k N30 v t", "VA 0 t30 W"),
        ("mg k N30 v", "VA 0 Z"),
        ("ms k 1 T100|a", "HD"),
        ("mg k R30 v", "VA 1 a"),
        ("mg k R200 v", "VA 1 W a"),
        ("mg k R200 v", "VA 1 Z a"),
        ("md k I T50", "HD"),
        ("mg k t", "HD t50 X W"),
        ("mg k t", "HD t50 Z X"),
        ("ms k 1 C5 I|b", "HD"),
        ("mg k v", "VA 1 X W b"),
        ("ms k 1|c", "HD"),
        ("mg k v", "VA 1 c"),
        ("ms k 1 C5|c", "EX"),
    ]);
}

#[test]
fn collections_are_there_and_cannot_be_read() {
    let mut bench = Bench::new();
    let now = Wall::from_millis(bench.now);
    let stamp = Stamp::Plain(Version { time: Hlc::at(now), writer: By(1) });
    let mut draft = Draft::new(State::nothing(), stamp, now);
    draft.set_field(crate::web::Shape::Hash, b"f", b"v");
    bench.state = draft.into_state();
    for (line, expected) in [
        ("get k", "END"),
        ("mg k N0 v", "EN"),
        ("add k 0 0 1|a", "NOT_STORED"),
        ("append k 0 0 1|a", "NOT_STORED"),
        ("cas k 0 0 1 5|a", "EXISTS"),
        ("incr k 1", "CLIENT_ERROR cannot increment or decrement non-numeric value"),
        ("touch k 100", "TOUCHED"),
        ("set k 0 0 1|a", "STORED"),
        ("get k", "VALUE k 0 1 a END"),
    ] {
        assert_eq!(bench.run(line), expected, "{line}");
    }
}
