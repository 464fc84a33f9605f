//! `mapper-host check` and `mapper-host bench`, shell completions and man pages.

use std::path::Path;

use serde_json::Value;

use crate::author::run;

#[test]
fn check_accepts_a_mapper_and_rejects_other_files() {
    let plugin = crate::reduce_visit().display().to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let (code, out, err) = run(dir, &["check", &plugin]);
    assert_eq!(code, Some(0), "{out}{err}");
    for words in [
        "is        reduce_visit 0.1.0, a component",
        "contract  mapper-host:mapper@1.0.0, world mapper-batch",
        "sha256 ",
        "compile   ",
        " MiB of 64MiB memory",
        "provided     mapper-host:mapper/progress@1.0.0: ",
        "valid     yes",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (code, out, err) = run(dir, &["check", &plugin, "--json"]);
    assert_eq!(code, Some(0), "{err}");
    let json: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&json["valid"], &json["name"], &json["contract"]),
        (&true.into(), &"reduce_visit".into(), &"1.0.0".into())
    );
    assert!(json["start_memory_bytes"].as_u64() > Some(1 << 16) && json["compile_ms"].as_f64() > Some(0.0), "{out}");
    assert!(
        json["imports"]
            .as_array()
            .is_some_and(|imports| imports.iter().all(|import| import["description"].is_string()))
    );

    std::fs::write(dir.join("text.wasm"), "hello").expect("a file");
    std::fs::write(dir.join("module.wasm"), b"\0asm\x01\0\0\0").expect("a file");
    for (args, form, words) in [
        (&["check", "text.wasm"][..], "not WebAssembly", "not WebAssembly"),
        (&["check", "module.wasm"], "a core module", "not a component: a core WebAssembly module"),
        (&["check", &plugin, "--set", "a=1"], "a component", "unknown setting 'a'"),
        (&["check", &plugin, "--memory-limit", "1MiB"], "a component", "memory"),
    ] {
        let (code, out, _) = run(dir, args);
        assert!(code == Some(3) && out.contains(form) && out.contains(words), "{args:?}: {out}");
        let (code, out, _) = run(dir, &[args, &["--json"]].concat());
        let json: Value = serde_json::from_str(&out).expect("JSON");
        assert!(code == Some(3) && json["valid"] == false, "{args:?}: {out}");
        assert!(json["reason"].as_str().is_some_and(|reason| reason.contains(words)), "{args:?}: {out}");
    }
    let (code, _, err) = run(dir, &["check", "none.wasm"]);
    assert!(code == Some(3) && err.contains("none.wasm: No such file"), "{err}");
    assert_eq!(run(dir, &["check", "--contract"]).1, "mapper-host:mapper@1.0.0\n");
    assert_eq!(
        run(dir, &["check", "--contract", "--json"]).1,
        "{\"package\":\"mapper-host:mapper\",\"versions\":[\"1.0.0\"]}\n"
    );
}

#[test]
fn bench_is_compared_with_the_last_run() {
    let plugin = crate::reduce_visit().display().to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let state = dir.join("state").display().to_string();
    let (code, out, err) = run(dir, &["bench", &plugin, "--state-dir", &state]);
    assert_eq!(code, Some(0), "{err}");
    for words in [
        "generated visits (set another input with --input FILE): 20000 records",
        "batches of 500, p50",
        "one by one, p99",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(!out.contains("before: "), "{out}");
    std::fs::write(dir.join("in.jsonl"), "{\"visit_id\": 1}\n\n[]\n").expect("a file");
    let (code, out, err) = run(dir, &["bench", &plugin, "--state-dir", &state, "--input", "in.jsonl"]);
    assert_eq!(code, Some(0), "{err}");
    for words in ["in.jsonl: 2 records, ", "   before: ", "   ×", "100.0 % of the records failed", "with other records"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    std::fs::write(dir.join("in.jsonl"), "\n").expect("a file");
    let (code, _, err) = run(dir, &["bench", &plugin, "--state-dir", &state, "--input", "in.jsonl"]);
    assert!(code == Some(2) && err.contains("in.jsonl: the input has no records"), "{err}");
}

#[test]
fn completions_and_man_pages_are_printed_and_written() {
    let dir = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, err) = run(dir.path(), &["completions", shell]);
        assert!(code == Some(0) && out.contains("from-topic"), "{shell}: {err}");
    }
    let (code, out, err) = run(dir.path(), &["man"]);
    assert!(code == Some(0) && out.contains(".SH NAME"), "{err}");
    let (code, _, err) = run(dir.path(), &["man", "--dir", "."]);
    assert_eq!(code, Some(0), "{err}");
    for (page, section) in
        [("mapper-host.1", "SUBCOMMANDS"), ("mapper-host-test.1", "OPTIONS"), ("mapper-host-run.1", "OPTIONS")]
    {
        let text = std::fs::read_to_string(dir.path().join(page)).expect(page);
        assert!(text.contains(&format!(".SH {section}\n")), "{page}");
    }
    let (code, _, err) = run(dir.path(), &["man", "--dir", "none"]);
    assert!(code == Some(1) && err.contains("writing none/mapper-host.1"), "{err}");
    assert!(!Path::new("none").exists());
}
