//! `[admin]`: an address that others reach, and its token.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{Place, check};

#[test]
fn an_admin_address_that_others_reach_has_a_token() {
    check(
        "[admin]\nlisten = \"0.0.0.0:9700\"\n",
        "DIR/segue.toml:2: admin.listen: found no token, and \"0.0.0.0:9700\" is open to others, \
         expected admin.token_file, or a loopback address; `(umask 077; openssl rand -hex 32 > \
         admin.token)` makes one",
    );
    let text = "[admin]\nlisten = \"[::]:9700\"\ntoken_file = \"admin.token\"\n";
    let place = Place::new(text);
    let refused = |expected: &str| {
        let said = place.load().expect_err("refused");
        assert!(
            said.starts_with(&format!("DIR/segue.toml:3: admin.token_file: {expected}")),
            "{said}"
        );
    };
    refused("found DIR/admin.token: No such file");
    let file = place.path("admin.token");
    fs::write(&file, "0123456789abcdef\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    refused("found permissions 0640 of DIR/admin.token, expected 0600 or narrower; run `chmod");
    fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
    assert!(place.load().unwrap().token.is_some());
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    for bad in ["too-short", "0123456789 abcdefgh", &"x".repeat(600)] {
        fs::write(&file, bad).unwrap();
        refused("found ");
    }
    let config = Place::new("[admin]\nlisten = \"[::1]:9700\"\n").load().unwrap();
    assert!(config.token.is_none());
}
