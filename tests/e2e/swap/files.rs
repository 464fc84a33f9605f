//! The plugin file: every way to replace it is a swap, and no other change is.

use std::io::Write;
use std::os::unix::fs::symlink;

use harness::kafka::Kafka;
use mapper_versions::Trigger;

use super::*;

/// With brokers the file is watched only with the flag; the log shows the events of the watch.
const SEEN: [&str; 4] = ["--watch", "on", "--log-level", "info,mapper_versions=debug"];

fn args(more: &[&'static str]) -> Vec<&'static str> {
    ARGS.into_iter().chain(SEEN).chain(more.iter().copied()).collect()
}

#[track_caller]
fn swapped_to(host: &mut Host, bytes: &[u8], by: Trigger) {
    wait_for("the swap", || status(host).current.digest == digest(bytes) && status(host).swapping.is_none());
    assert_eq!(status(host).by, by);
}

#[test]
fn write_and_rename_of_the_plugin_file_swap_and_touch_does_not() {
    let file = File::new("one");
    let job = job("file", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    fs::write(file.path(), version("two")).expect("a write");
    swapped_to(&mut host, &version("two"), Trigger::File);
    // There is no request to answer, so the result of the try-out is in the log.
    host.wait_for("records=20 cases=0 same=0 different=20 broken=0 fixed=0");
    file.replace(&version("three"));
    swapped_to(&mut host, &version("three"), Trigger::File);
    fs::write(file.path(), version("three")).expect("a touch");
    host.wait_for("the plugin file has the same content as before");
    file.replace(&version("four"));
    swapped_to(&mut host, &version("four"), Trigger::File);
    assert_eq!(client(&mut host).history().expect("a history").len(), 4, "the touch was no swap");
    // As vim saves: it renames the old file and writes a new one.
    fs::rename(file.path(), file.at("plugin.wasm~")).expect("a rename");
    fs::write(file.path(), version("five")).expect("a write");
    fs::remove_file(file.at("plugin.wasm~")).expect("it was there");
    swapped_to(&mut host, &version("five"), Trigger::File);
    warm_up(&job, 40);
}

#[test]
fn incomplete_plugin_file_is_not_read() {
    let file = File::new("one");
    let job = job("parts", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    let bytes = version("two");
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    fs::write(file.path(), first).expect("a write");
    host.wait_for("the plugin file is incomplete");
    assert_eq!(status(&mut host).last, None, "a part is not a refusal");
    fs::File::options().append(true).open(file.path()).and_then(|mut file| file.write_all(rest)).expect("a write");
    swapped_to(&mut host, &bytes, Trigger::File);
    // A file that is truncated, as cp does, and then written in parts without a close.
    let bytes = version("three");
    let mut writer = fs::File::create(file.path()).expect("a write");
    for part in bytes.chunks(bytes.len() / 5) {
        writer.write_all(part).expect("a write");
        writer.sync_all().expect("a write");
    }
    drop(writer);
    swapped_to(&mut host, &bytes, Trigger::File);
    assert_eq!(client(&mut host).history().expect("a history").len(), 3);
}

#[test]
fn switched_symlink_is_a_swap() {
    let file = File::new("one");
    // As Kubernetes mounts a ConfigMap: the path leads through the symlink ..data, which is switched.
    for word in ["one", "two"] {
        fs::create_dir(file.at(word)).expect("a folder");
        fs::write(file.at(word).join("plugin.wasm"), version(word)).expect("a file");
    }
    fs::remove_file(file.path()).expect("it was there");
    symlink("one", file.at("..data")).expect("a link");
    symlink("..data/plugin.wasm", file.path()).expect("a link");
    let job = job("link", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    symlink("two", file.at("..data_tmp")).expect("a link");
    fs::rename(file.at("..data_tmp"), file.at("..data")).expect("a rename");
    swapped_to(&mut host, &version("two"), Trigger::File);
}

#[test]
fn deleted_and_restored_plugin_file_is_no_swap() {
    let file = File::new("one");
    let job = job("gone", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    fs::remove_file(file.path()).expect("it was there");
    host.wait_for("the plugin file was deleted");
    warm_up(&job, 40);
    fs::write(file.path(), version("one")).expect("a file");
    host.wait_for("the plugin file has the same content as before");
    assert_eq!(client(&mut host).history().expect("a history").len(), 1);
    file.replace(&version("two"));
    swapped_to(&mut host, &version("two"), Trigger::File);
}

#[test]
fn sighup_without_the_watch_requests_a_swap() {
    let file = File::new("one");
    let job = job("hangup", Kafka::shared(), &file.path());
    let mut host = job.start(&ARGS);
    host.wait_for("the plugin file is not watched");
    warm_up(&job, 20);
    host.signal(libc::SIGHUP);
    host.wait_for("this version is active already");
    file.replace(&version("two"));
    host.signal(libc::SIGHUP);
    swapped_to(&mut host, &version("two"), Trigger::Signal);
    file.replace(b"not a plugin");
    host.signal(libc::SIGHUP);
    host.wait_for("refused the swap");
    warm_up(&job, 40);
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}
