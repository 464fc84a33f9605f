//! The settings of the limits and the grants of a plugin.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::{PLUGIN, run, wrong};
use mapper_runtime::{GrantedDir, Grants, Limits};

#[test]
fn every_limit_can_be_set() {
    let config = run(
        &[
            PLUGIN,
            &["--record-timeout=20ms", "--memory-limit=128MiB", "--table-limit=5000", "--stack-limit=1MiB"],
            &["--output-limit=1MiB", "--recycle-after=1000", "--compile-timeout=5s", "--compile-memory=256MiB"],
        ],
        &[],
    );
    let limits = Limits {
        record_timeout: Duration::from_millis(20),
        memory_bytes: 128 << 20,
        table_elements: 5000,
        stack_bytes: 1 << 20,
        output_bytes: 1 << 20,
        recycle_after: NonZeroUsize::new(1000),
        compile_timeout: Duration::from_secs(5),
        compile_memory_bytes: 256 << 20,
    };
    assert_eq!((config.limits, config.grants), (limits, Grants::default()));
}

#[test]
fn sandbox_limit_out_of_range_is_rejected() {
    for (argument, allowed) in [
        ("--table-limit=999", "give a whole number from 1000 to 10000000"),
        ("--stack-limit=63KiB", "give a size from 64KiB to 1MiB, such as 64KiB, 16MiB or a plain number of bytes"),
        ("--stack-limit=2MiB", "give a size from 64KiB to 1MiB, such as 64KiB, 16MiB or a plain number of bytes"),
        ("--output-limit=1KiB", "give a size from 64KiB to 1GiB, such as 64KiB, 16MiB or a plain number of bytes"),
        ("--recycle-after=0", "give a whole number, 1 or more"),
        ("--compile-timeout=900ms", "give a duration from 1s to 1h with its unit, such as 500ms, 2s or 1m"),
        (
            "--compile-memory=63MiB",
            "give a size from 64MiB to 1024GiB, such as 64KiB, 16MiB or a plain number of bytes",
        ),
        ("--deterministic=perhaps", "give true or false"),
    ] {
        let (flag, value) = argument.split_once('=').unwrap();
        assert_eq!(wrong(&[PLUGIN, &[argument]], &[]), format!("flag {flag}: {value:?} is not allowed: {allowed}"));
    }
}

#[test]
fn grants_are_named_and_variables_have_the_value_at_the_start() {
    let environment = [("TZ", "Europe/Zurich"), ("REGION", "north=1"), ("SECRET", "no")];
    let given = &["--allow-env", "TZ", "--allow-env", "REGION", "--allow-env", "TZ", "--deterministic"];
    let dirs = &["--allow-dir", "/srv/geo::/geo:ro", "--allow-dir", "out::/out"];
    let config = run(&[PLUGIN, given, dirs], &environment);
    let dir =
        |host: &str, guest: &str, writable| GrantedDir { host: PathBuf::from(host), guest: guest.into(), writable };
    let granted = Grants {
        env: vec![("TZ".into(), "Europe/Zurich".into()), ("REGION".into(), "north=1".into())],
        dirs: vec![dir("/srv/geo", "/geo", false), dir("out", "/out", true)],
        deterministic: true,
    };
    assert_eq!(config.grants, granted);
    let by_variable = [("TZ", "Europe/Zurich"), ("MAPPER_ALLOW_ENV", "TZ"), ("MAPPER_ALLOW_DIR", "/a::/a, /b::/b:ro")];
    let config = run(&[PLUGIN], &by_variable);
    assert_eq!((config.grants.env.len(), config.grants.dirs.len()), (1, 2));
}

#[test]
fn invalid_grant_is_rejected() {
    let form = "give HOST::GUEST or HOST::GUEST:ro, such as /srv/geo::/geo:ro";
    for (flag, value, allowed) in [
        ("--allow-env", "ABSENT", "the host's environment has no such variable; set it, or leave it out here"),
        ("--allow-env", "A=1", "give the name of a variable, such as TZ; its value is the host's"),
        ("--allow-dir", "/srv/geo", form),
        ("--allow-dir", "::/geo", form),
        ("--allow-dir", "/srv::", form),
        ("--allow-dir", "/srv:::ro", form),
        ("--allow-dir", "/srv::/geo:rw", form),
    ] {
        let expected = format!("flag {flag}: {value:?} is not allowed: {allowed}");
        assert_eq!(wrong(&[PLUGIN, &[flag, value]], &[]), expected);
    }
    let twice = wrong(&[PLUGIN, &["--allow-dir", "/a::/x", "--allow-dir", "/b::/x:ro"]], &[]);
    assert!(twice.contains("another granted folder has the same path in the plugin"), "{twice}");
}
