//! A guest has no access to the machine, except what is granted by name.

use mapper_runtime::{GrantedDir, Grants, Limits};

use crate::guests::{Guest, WORLDS, batch, limits, load, load_with};

/// The values that these commands return, one record per command.
fn values(guest: &mut Guest, commands: &[&str]) -> Vec<String> {
    let commands: Vec<&[u8]> = commands.iter().map(|command| command.as_bytes()).collect();
    let actual = guest.verdicts(&batch(&commands));
    actual
        .iter()
        .map(|actual| {
            let value = actual.strip_prefix("[- key ").and_then(|actual| actual.rsplit_once(" Some("));
            value.map_or_else(|| actual.clone(), |(value, _)| value.to_owned())
        })
        .collect()
}

fn granted(world: &str, grants: Grants) -> Guest {
    load_with(limits(), grants, world, &[]).expect("it loads")
}

#[test]
fn guest_has_no_files_network_environment_or_arguments() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("secret");
    std::fs::write(&file, "secret").expect("a file");
    let file = file.display();
    // A listener exists, so a failed connection is caused by the sandbox.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    for world in WORLDS {
        let mut guest = load(limits(), world);
        let actual = values(
            &mut guest,
            &[
                "environment",
                &format!("read {file}"),
                &format!("write {file}"),
                "read /etc/hostname",
                "read ../../../../etc/hostname",
                &format!("connect {address}"),
                "listen 127.0.0.1:0",
                "resolve localhost",
            ],
        );
        assert_eq!(actual[0], "[] []", "{world}");
        for actual in &actual[1..] {
            assert!(actual.starts_with("error: "), "{world}: {actual}");
        }
        assert_eq!(std::fs::read_to_string(dir.path().join("secret")).expect("it is there"), "secret");
    }
    listener.set_nonblocking(true).expect("it can be asked without waiting");
    assert_eq!(listener.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn guest_has_only_what_is_granted() {
    let dir = tempfile::tempdir().expect("a folder");
    let (shared, own) = (dir.path().join("shared"), dir.path().join("own"));
    for dir in [&shared, &own] {
        std::fs::create_dir(dir).expect("a folder");
        std::fs::write(dir.join("file"), "content").expect("a file");
    }
    std::fs::write(dir.path().join("beside"), "secret").expect("a file");
    std::os::unix::fs::symlink("../beside", shared.join("way-out")).expect("a link");
    for world in WORLDS {
        let grants = Grants {
            env: vec![("REGION".to_owned(), "north".to_owned())],
            dirs: vec![
                GrantedDir { host: shared.clone(), guest: "/shared".to_owned(), writable: false },
                GrantedDir { host: own.clone(), guest: "/own".to_owned(), writable: true },
            ],
            ..Grants::default()
        };
        let mut guest = granted(world, grants);
        let actual = values(
            &mut guest,
            &[
                "environment",
                "read /shared/file",
                "write /own/new",
                "write /shared/file",
                "read /shared/../beside",
                "read /shared/way-out",
                "read /elsewhere/file",
            ],
        );
        assert_eq!(actual[..3], ["[\"REGION=north\"] []", "content", "written"], "{world}");
        for actual in &actual[3..] {
            assert!(actual.starts_with("error: "), "{world}: {actual}");
        }
        assert_eq!(std::fs::read_to_string(own.join("new")).expect("it was written"), "written");
        assert_eq!(std::fs::read_to_string(shared.join("file")).expect("it is there"), "content");
    }
}

#[test]
fn open_files_of_an_instance_are_limited_to_regular_files_and_a_maximum() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("file"), "content").expect("a file");
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("fifo")).status().expect("mkfifo can be run");
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).expect("a socket");
    for world in WORLDS {
        let granted_dir = GrantedDir { host: dir.path().to_owned(), guest: "/dir".to_owned(), writable: true };
        let mut guest = granted(world, Grants { dirs: vec![granted_dir], ..Grants::default() });
        let actual = values(&mut guest, &["open file /dir/file", "open file /dir/file", "read /dir/file"]);
        for actual in &actual[..2] {
            let (number, error) = actual.split_once(' ').expect("a number and an error");
            let number: usize = number.parse().expect("a number");
            // The granted directory is one of the 64, and the guest's own run-time system may have opened some.
            assert!((50..64).contains(&number) && error != "none", "{world}: {actual}");
        }
        // Closed files free their handles.
        assert_eq!(actual[2], "content", "{world}");
        let listings = values(&mut guest, &["open listing /dir"]).remove(0);
        let number: usize = listings.split_once(' ').and_then(|(number, _)| number.parse().ok()).expect("a number");
        assert!((30..=64).contains(&number), "{world}: {listings}");
        // The pipe has no writer: an open would wait for ever.
        for name in ["fifo", "socket"] {
            let actual = values(&mut guest, &[&format!("read /dir/{name}"), &format!("write /dir/{name}")]);
            assert!(actual.iter().all(|actual| actual.starts_with("error: ")), "{world}, {name}: {actual:?}");
        }
    }
}

#[test]
fn deterministic_guest_gives_the_same_verdict_for_the_same_record() {
    // Rust keeps the seed of its hash maps for the life of an instance, so each record needs its own instance.
    let limits = Limits { recycle_after: std::num::NonZeroUsize::new(1), ..limits() };
    let fixed = |world| {
        let grants = Grants { deterministic: true, ..Grants::default() };
        load_with(limits, grants, world, &[]).expect("it loads")
    };
    for world in WORLDS {
        let first = values(&mut fixed(world), &["random", "clocks", "random"]);
        assert_eq!(first[1], "946684800 0", "{world}");
        // The same records, each on an instance of its own.
        let mut commands: Vec<&[u8]> = vec![b"random", b"clocks", b"random"];
        for index in 0..3 {
            let single = batch(&commands).slice(index..index + 1);
            let actual = fixed(world).verdicts(&single).remove(0);
            assert!(actual.contains(&first[index]), "{world}, {index}: {actual} {first:?}");
        }
        // Other records have other numbers; without the setting the same record has other numbers, too.
        assert_ne!(first[0], first[2], "{world}");
        commands.truncate(1);
        let random = || values(&mut load(limits, world), &["random"]);
        assert_ne!(random(), random(), "{world}");
        let clocks = &values(&mut load(limits, world), &["clocks"])[0];
        let (now, slept) = clocks.split_once(' ').expect("two numbers");
        assert!(now.parse().is_ok_and(|now: u64| now > 946_684_800), "{world}: {clocks}");
        assert!(slept.parse().is_ok_and(|slept: u64| slept >= 2_000_000), "{world}: {clocks}");
    }
}
