//! The released contract never changes, and plugins built against it still work (`wit/README.md`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mapper_core::identity::Digest;
use mapper_core::record::Batch;
use mapper_runtime::CONTRACT_VERSION;

use crate::guests::{limits, load};

/// Every released version, with the digest of its file.
const RELEASED: [(&str, &str); 1] = [("1.0.0", "70096d20b8e85955f1f80724fd519bf37e2a403a91869f476550ceccc2580cf2")];

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}

#[test]
fn released_contract_is_never_changed() {
    let dirs = fs::read_dir(wit().join("released")).expect("the released versions lie there");
    let found: BTreeMap<String, String> = dirs
        .map(|dir| {
            let dir = dir.expect("a folder");
            let file = fs::read(dir.path().join("mapper.wit")).expect("each version is one file");
            (dir.file_name().to_string_lossy().into_owned(), Digest::hash_bytes(&file).to_string())
        })
        .collect();
    let expected = RELEASED.map(|(version, digest)| (version.to_owned(), digest.to_owned()));
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn current_contract_is_the_released_one_or_has_its_own_version() {
    let today = fs::read_to_string(wit().join("mapper.wit")).expect("the contract");
    assert!(today.contains(&format!("package mapper-host:mapper@{CONTRACT_VERSION};")), "the host speaks another one");
    let Ok(released) = fs::read_to_string(wit().join("released").join(CONTRACT_VERSION).join("mapper.wit")) else {
        return;
    };
    // Comments may change; functions and types may not.
    let code = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(code(&today), code(&released), "a changed contract has a new version");
}

/// All tests of `commands_record` cover the world of single records; it is built against the released files, too.
#[test]
fn guest_of_the_batch_world_of_1_0_0_still_works() {
    let mut guest = load(limits(), "tests/guests/flat_1_0_0");
    let mut batch = Batch::new("visits");
    batch.push((1, 5), 9, Some(b"key"), Some(b"value"), [(&b"h"[..], Some(&b"1"[..])), (b"h", None)].into_iter());
    batch.push((1, 6), -1, None, None, std::iter::empty());
    batch.push((2, 7), 10, None, Some(b""), std::iter::empty());
    let seen = guest.verdicts(&batch);
    assert_eq!(seen.len(), 3);
    assert!(seen[0].contains("visits 1 5 9 3 5 2"), "{seen:?}");
    assert_eq!(seen[1], "rejected: no value");
    assert!(seen[2].contains("visits 2 7 10 0 0 2"), "{seen:?}");
}
