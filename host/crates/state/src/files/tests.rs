//! Special files, and directories that are not private.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::*;

const LIMIT_BYTES: u64 = 16;
const LIMIT: Limit = Limit::new("a test", LIMIT_BYTES);

fn fifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
}

#[test]
fn special_file_is_rejected_with_its_type() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fifo(&at("fifo"));
    fs::create_dir(at("directory")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    for (name, target) in
        [("zero", "/dev/zero"), ("null", "/dev/null"), ("link-to-fifo", "fifo"), ("proc", "/proc/self/status")]
    {
        symlink(target, at(name)).unwrap();
    }
    for (name, expected) in [
        ("fifo", "a named pipe (FIFO)"),
        ("link-to-fifo", "a named pipe (FIFO)"),
        ("directory", "a directory"),
        ("socket", "a socket"),
        ("zero", "a character device"),
        ("null", "a character device"),
        ("proc", "a file of the kernel"),
    ] {
        let error = read(&at(name), LIMIT).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("Set the path of a regular file"), "{name}: {error}");
    }
    assert_eq!(read(&at("none"), LIMIT).unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(at("file"), "content").unwrap();
    symlink("file", at("link")).unwrap();
    assert_eq!(read(&at("link"), LIMIT).unwrap(), b"content");
}

#[test]
fn file_above_the_limit_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, [b'x'; LIMIT_BYTES as usize]).unwrap();
    assert_eq!(read_text(&path, LIMIT).unwrap().len() as u64, LIMIT_BYTES);
    let error = read(&path, Limit::new("a test", LIMIT_BYTES - 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    assert!(error.to_string().contains("file too large: 16 bytes: the limit for a test is 15"), "{error}");
    // A sparse file that is larger than any memory.
    File::options().write(true).open(&path).unwrap().set_len(1 << 42).unwrap();
    assert_eq!(read(&path, LIMIT).unwrap_err().kind(), ErrorKind::FileTooLarge);
    fs::write(&path, [0xff]).unwrap();
    assert_eq!(read_text(&path, LIMIT).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn stream_accepts_an_anonymous_pipe_and_rejects_a_named_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let named = dir.path().join("fifo");
    fifo(&named);
    assert!(open_stream(&named).unwrap_err().to_string().contains("a named pipe (FIFO)"));
    assert!(open_stream(Path::new("/dev/zero")).is_err());
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut stream = open_stream(Path::new(&format!("/dev/fd/{}", reader.as_raw_fd()))).unwrap();
    // The read waits for the writer.
    let writing = std::thread::spawn(move || writer.write_all(b"late"));
    let mut content = String::new();
    drop(reader);
    stream.read_to_string(&mut content).unwrap();
    assert_eq!(content, "late");
    writing.join().unwrap().unwrap();
}

#[test]
fn private_dir_and_its_parents_are_created_with_mode_700() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("a/b");
    let dir = PrivateDir::open(&path).unwrap();
    for made in ["a", "a/b"] {
        assert_eq!(fs::metadata(base.path().join(made)).unwrap().permissions().mode() & 0o777, 0o700, "{made}");
    }
    dir.write("file", b"content").unwrap();
    assert_eq!(fs::metadata(path.join("file")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(dir.dir("c").unwrap().path(), path.join("c"));
    let names: Vec<String> = dir.files().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["file"]);
    dir.remove("file").unwrap();
    dir.remove("file").unwrap();
    assert!(!dir.has("file") && dir.has("c"));
}

#[test]
fn dir_writable_by_others_is_rejected_and_named() {
    let base = tempfile::tempdir().unwrap();
    let open = base.path().join("open");
    fs::create_dir_all(open.join("below/dir")).unwrap();
    let set = |mode| fs::set_permissions(&open, Permissions::from_mode(mode)).unwrap();
    for mode in [0o777, 0o702, 0o3777] {
        set(mode);
        for path in [open.clone(), open.join("below/dir"), open.join("new")] {
            let is_allowed = mode == 0o3777 && path != open;
            let opened = PrivateDir::open(&path);
            assert_eq!(opened.is_ok(), is_allowed, "{mode:o} {}: {opened:?}", path.display());
            if let Err(error) = opened {
                let error = error.to_string();
                assert!(error.starts_with(&format!("{}: other users can write", open.display())), "{error}");
            }
        }
    }
    set(0o755);
    PrivateDir::open(&open.join("below/dir")).unwrap();
}

#[test]
fn symlink_as_target_is_rejected_and_as_ancestor_is_followed() {
    let base = tempfile::tempdir().unwrap();
    let at = |name: &str| base.path().join(name);
    fs::create_dir_all(at("real/dir")).unwrap();
    symlink("real", at("link")).unwrap();
    symlink(at("real/dir"), at("real/absolute")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("nothing", at("broken")).unwrap();
    for name in ["link", "real/absolute", "broken", "link/absolute", "link/../link"] {
        let error = PrivateDir::open(&at(name)).unwrap_err().to_string();
        assert!(error.contains("a symbolic link to"), "{name}: {error}");
    }
    assert!(PrivateDir::open(&at("loop/dir")).is_err());
    for name in ["link/dir", "real/absolute/deeper", "link/../real/dir"] {
        PrivateDir::open(&at(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(at("real/dir/deeper").is_dir());
    fs::write(at("file"), "").unwrap();
    for name in ["file", "file/dir"] {
        assert_eq!(PrivateDir::open(&at(name)).unwrap_err().kind(), ErrorKind::NotADirectory, "{name}");
    }
}

#[test]
fn special_file_in_a_private_dir_is_not_opened() {
    let base = tempfile::tempdir().unwrap();
    let (victim, path) = (base.path().join("victim"), base.path().join("dir"));
    fs::write(&victim, "kept").unwrap();
    let dir = PrivateDir::open(&path).unwrap();
    symlink(&victim, path.join("link")).unwrap();
    symlink(base.path().join("nothing"), path.join("broken")).unwrap();
    fifo(&path.join("fifo"));
    let _socket = UnixListener::bind(path.join("socket")).unwrap();
    for name in ["link", "broken", "fifo", "socket"] {
        assert!(dir.open_file(name).is_err(), "{name}");
        assert!(dir.open_or_create(name).is_err(), "{name}");
        assert!(dir.read(name, LIMIT).is_err(), "{name}");
    }
    assert_eq!(dir.files().unwrap().len(), 0);
    // A write replaces the link, and does not follow it.
    dir.write("link", b"new").unwrap();
    assert_eq!(dir.read("link", LIMIT).unwrap(), b"new");
    assert_eq!(fs::read(&victim).unwrap(), b"kept");
    assert!(!base.path().join("nothing").exists());
}

/// Needs root for chown. The tests of `owner` cover the rule for all users.
#[test]
fn file_or_dir_of_another_user_is_rejected() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    const OTHER: u32 = 65_533;
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("theirs/dir");
    let dir = PrivateDir::open(&path).unwrap();
    dir.write("file", b"").unwrap();
    chown(path.join("file"), Some(OTHER), None).unwrap();
    assert!(dir.open_file("file").unwrap_err().to_string().contains("owned by another user (uid 65533)"));
    symlink("theirs", base.path().join("link")).unwrap();
    std::os::unix::fs::lchown(base.path().join("link"), Some(OTHER), None).unwrap();
    let error = PrivateDir::open(&base.path().join("link/dir")).unwrap_err().to_string();
    assert!(error.contains("a symbolic link owned by another user"), "{error}");
    chown(base.path().join("theirs"), Some(OTHER), None).unwrap();
    let error = PrivateDir::open(&path).unwrap_err().to_string();
    let expected = format!("{}: owned by another user (uid 65533)", base.path().join("theirs").display());
    assert_eq!(error, expected);
}

#[test]
fn dropped_new_file_is_removed() {
    let base = tempfile::tempdir().unwrap();
    let dir = PrivateDir::open(&base.path().join("dir")).unwrap();
    dir.write("file", b"before").unwrap();
    let mut new = dir.new_file().unwrap();
    new.file.write_all(b"half").unwrap();
    drop(new);
    assert_eq!(dir.files().unwrap().len(), 1);
    let mut new = dir.new_file().unwrap();
    new.file.write_all(b"one").unwrap();
    let mut file = new.persist("file").unwrap();
    file.write_all(b" two").unwrap();
    assert_eq!(dir.read("file", LIMIT).unwrap(), b"one two");
}

#[test]
fn folder_follows_the_xdg_specification() {
    use super::folders::Folder;
    use std::path::PathBuf;
    let find = |folder: Folder, variables: &[(&str, &str)]| {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        folder.find(variable)
    };
    let home = ("HOME", "/home/me");
    assert_eq!(find(Folder::Cache, &[home]), Some(PathBuf::from("/home/me/.cache/mapper-host")));
    assert_eq!(find(Folder::State, &[home]), Some(PathBuf::from("/home/me/.local/state/mapper-host")));
    assert_eq!(find(Folder::Cache, &[home, ("XDG_CACHE_HOME", "/c")]), Some(PathBuf::from("/c/mapper-host")));
    assert_eq!(find(Folder::State, &[("XDG_STATE_HOME", "/s")]), Some(PathBuf::from("/s/mapper-host")));
    for useless in ["relative", ""] {
        assert_eq!(find(Folder::Cache, &[("XDG_CACHE_HOME", useless), ("HOME", useless), ("TMPDIR", "/tmp")]), None);
    }
}
