//! Special files, and directories that other users can change: no command waits for them, executes their content, or fills
//! the memory of the machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use harness::host::{Ended, Host, command};

use crate::{HOST, reduce_visit};

/// Runs a command that must end soon.
fn end(command: &mut Command) -> Ended {
    Host::spawn(command).wait()
}

fn run(dir: &Path, args: &[&str]) -> Ended {
    end(command(HOST).current_dir(dir).args(args).env("HOME", dir))
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo can be run");
    assert!(made.success());
}

#[test]
fn file_that_is_not_regular_is_rejected_by_every_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let plugin = reduce_visit().display().to_string();
    fifo(&dir.join("fifo"));
    fs::create_dir(dir.join("directory")).expect("a directory");
    symlink("/dev/zero", dir.join("zero")).expect("a link");
    for (name, kind) in [("fifo", "a named pipe (FIFO)"), ("zero", "a character device"), ("directory", "a directory")]
    {
        let commands: &[(&[&str], i32)] = &[
            (&["--plugin", name], 3),
            (&["check", name], 3),
            (&["map", name], 3),
            (&["bench", name], 3),
            (&["swap", name, "--admin", "127.0.0.1:1"], 2),
            (&["--config", name, "--plugin", &plugin], 2),
            (&["--plugin", &plugin, "--admin", "127.0.0.1:0", "--admin-token-file", name], 2),
            (&["map", &plugin, name], 2),
            (&["bench", &plugin, "--input", name], 2),
        ];
        for (args, code) in commands {
            let ended = run(dir, args);
            assert_eq!(ended.code, Some(*code), "{args:?}: {}", ended.output);
            assert!(ended.output.contains(name) && ended.output.contains(kind), "{args:?}: {}", ended.output);
        }
    }
    // A directory of cases is read, and its entries must be regular files.
    fs::rename(dir.join("fifo"), dir.join("directory/a.jsonl")).expect("it is there");
    for cases in ["zero", "directory", "directory/a.jsonl"] {
        let ended = run(dir, &["test", &plugin, "--cases", cases]);
        assert_eq!(ended.code, Some(2), "{cases}: {}", ended.output);
        assert!(ended.output.contains("not a regular file"), "{cases}: {}", ended.output);
    }
}

#[test]
fn map_reads_a_pipe_of_the_shell_and_standard_input() {
    let dir = tempfile::tempdir().expect("a directory");
    let plugin = reduce_visit().display().to_string();
    fs::write(dir.path().join("in"), "{\"visit_id\": 1, \"event_time\": \"2023-11-01\", \"page\": \"home\"}\n")
        .expect("a file");
    for line in ["\"$0\" map \"$1\" <(cat in)", "cat in | \"$0\" map \"$1\" -", "\"$0\" map \"$1\" - < in"] {
        let mut shell = Command::new("bash");
        shell
            .current_dir(dir.path())
            .args(["-c", line, HOST, &plugin])
            .env("MAPPER_CACHE_DIR", dir.path().join("cache"));
        let output = shell.output().expect("bash can be run");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("\"event_time\":1698796800"), "{line}: {out}{err}");
    }
}

#[test]
fn exactly_once_without_a_private_state_directory_ends_with_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = dir.path().join("open");
    fs::create_dir_all(open.join("below")).expect("a directory");
    fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("a mode");
    symlink("open", dir.path().join("link")).expect("a link");
    let plugin = reduce_visit().display().to_string();
    let start = |home: Option<&Path>, args: &[&str]| {
        let mut command = command(HOST);
        for name in ["HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        command.env("TMPDIR", dir.path()).envs(home.map(|home| ("HOME", home)));
        // No broker listens there: the command fails before it connects.
        command.args(["--plugin", &plugin, "--brokers", "127.0.0.1:1", "--connect-timeout", "1s"]).args(args);
        end(&mut command)
    };
    let below = open.join("below").display().to_string();
    let link = dir.path().join("link").display().to_string();
    for (home, args, why) in [
        (None, &[][..], "neither XDG_STATE_HOME nor HOME is set"),
        (Some(open.as_path()), &[], "other users can write to it"),
        (None, &["--state-dir", &below], "other users can write to it"),
        (None, &["--state-dir", &link], "a symbolic link to open"),
    ] {
        let ended = start(home, args);
        assert_eq!(ended.code, Some(2), "{home:?} {args:?}: {}", ended.output);
        assert!(ended.output.contains(why) && ended.output.contains("--state-dir"), "{args:?}: {}", ended.output);
    }
    assert!(!dir.path().join("mapper-host").exists(), "a directory for temporary files is not private");
    // A run that needs no state directory continues, here up to Kafka; so does a run with a transactional id.
    for args in [&["--delivery", "at-least-once"][..], &["--transactional-id", "mine"]] {
        let ended = start(None, args);
        assert_eq!(ended.code, Some(4), "{args:?}: {}", ended.output);
        assert!(ended.output.contains("there is no state directory"), "{args:?}: {}", ended.output);
        let lines = ended.output.lines().filter(|line| line.contains("compiled plugins are not cached"));
        assert_eq!(lines.count(), 1, "{args:?}: {}", ended.output);
    }
}

#[test]
fn cache_in_a_directory_that_others_can_change_is_not_used() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    fs::create_dir(&cache).expect("a directory");
    fs::set_permissions(&cache, Permissions::from_mode(0o777)).expect("a mode");
    let plugin = reduce_visit().display().to_string();
    let input = dir.path().join("in");
    fs::write(&input, "").expect("a file");
    let ended = end(command(HOST).args(["map", &plugin, "--cache-dir"]).args([&cache, &input]));
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(ended.output.matches("compiled plugins are not cached").count(), 1, "{}", ended.output);
    assert!(ended.output.contains(&cache.display().to_string()), "{}", ended.output);
    assert_eq!(fs::read_dir(&cache).expect("it is there").count(), 0);
}
