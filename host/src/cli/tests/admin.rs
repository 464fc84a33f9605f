//! The address and the token of the admin server, for the server and for its clients, and the collector of spans.

use super::*;
use crate::config::RemoteCommand;
use mapper_api::payloads::Payloads;

#[test]
fn configured_admin_address_is_required() {
    let address = "127.0.0.1:8080".parse().unwrap();
    let config = run_config(&[PLUGIN, &["--admin", "localhost:8080"]], &[]);
    assert_eq!(config.admin, Some(AdminConfig { address, asked: true }));
    assert_eq!(run_config(&[PLUGIN], &[("MAPPER_ADMIN", "off")]).admin, None);
}

#[test]
fn public_admin_address_needs_a_token_file() {
    for address in ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:8080"] {
        let message = wrong(&[PLUGIN, &["--admin", address]], &[]);
        assert!(message.contains("--admin-token-file") && message.contains(address), "{message}");
        let config = run_config(&[PLUGIN, &["--admin", address, "--admin-token-file", "t"]], &[]);
        assert_eq!(config.admin_token_file.as_deref(), Some(std::path::Path::new("t")));
    }
    assert_eq!(run_config(&[PLUGIN, &["--admin", "[::1]:8080"]], &[]).admin_token_file, None);
}

#[test]
fn payloads_are_masked_by_default_if_other_machines_can_reach_the_server() {
    let public = &["--admin", "0.0.0.0:8080", "--admin-token-file", "t"];
    let mode = |arguments: &[&str], variables: &[_]| run_config(&[PLUGIN, arguments], variables).admin_payloads;
    assert_eq!(mode(&[], &[]), Payloads::Show);
    assert_eq!(mode(&["--admin", "[::1]:8080"], &[]), Payloads::Show);
    assert_eq!(mode(&["--admin", "off"], &[]), Payloads::Show);
    assert_eq!(mode(public, &[]), Payloads::Mask);
    assert_eq!(mode(public, &[("MAPPER_ADMIN_PAYLOADS", "show")]), Payloads::Show);
    assert_eq!(mode(&["--admin-payloads", "off"], &[]), Payloads::Off);
    let message = wrong(&[PLUGIN, &["--admin-payloads", "hide"]], &[]);
    assert_eq!(message, "flag --admin-payloads: \"hide\" is not allowed: give show, mask or off");
}

#[test]
fn remote_commands_use_the_configured_admin_address() {
    let remote = |arguments: &[&str], variables: &[(&str, &str)]| match parsed(arguments, variables) {
        Ok(Command::Remote(config)) => config,
        other => panic!("{arguments:?}: {other:?}"),
    };
    let config =
        remote(&["swap", "p.wasm", "--dry-run"], &[("MAPPER_ADMIN", "0.0.0.0:9999"), ("MAPPER_ADMIN_TOKEN_FILE", "t")]);
    assert_eq!(config.url, "http://127.0.0.1:9999");
    assert_eq!(config.token_file.as_deref(), Some(std::path::Path::new("t")));
    assert_eq!(config.command, RemoteCommand::Swap { file: "p.wasm".into(), dry_run: true, force: false });
    assert_eq!(remote(&["rollback"], &[]).url, "http://127.0.0.1:8080");
    assert_eq!(remote(&["rollback"], &[]).command, RemoteCommand::Rollback { to: None, yes: false });
    let named = RemoteCommand::Rollback { to: Some("pick@1.2".into()), yes: true };
    assert_eq!(remote(&["rollback", "--to", "pick@1.2", "--yes"], &[]).command, named);
    assert_eq!(remote(&["shadow", "--stop"], &[]).command, RemoteCommand::StopShadow);
    assert_eq!(remote(&["history", "--json"], &[]).command, RemoteCommand::History);
    for arguments in [&["swap"][..], &["shadow"], &["shadow", "p.wasm", "--stop"]] {
        wrong(&[arguments], &[]);
    }
    assert!(wrong(&[&["rollback", "--admin", "off"]], &[]).contains("the address of the admin server"));
}

#[test]
fn otlp_endpoint_is_read_from_the_setting_or_the_standard_variables() {
    let tracing = |arguments: &[&str], variables: &[_]| {
        run_config(&[PLUGIN, arguments], variables).tracing.map(|tracing| (tracing.endpoint, tracing.service))
    };
    let to = |url: &str| Some((url.to_owned(), "mapper-host".to_owned()));
    let [all, traces] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    let flag = &["--otlp-endpoint", "http://flag:4318"];
    assert_eq!(tracing(&[], &[("OTEL_SERVICE_NAME", "x")]), None);
    assert_eq!(tracing(&[], &[(all, "")]), None);
    assert_eq!(tracing(&[], &[(all, "http://all/")]), to("http://all/v1/traces"));
    assert_eq!(tracing(&[], &[(all, "http://all"), (traces, "http://traces/x")]), to("http://traces/x"));
    assert_eq!(tracing(flag, &[(all, "http://all")]), to("http://flag:4318/v1/traces"));
    assert_eq!(tracing(&["--otlp-endpoint", "off"], &[(all, "http://all")]), None);
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert_eq!(tracing(&[], &[(all, "http://all"), off]), None);
    }
    let named = tracing(flag, &[("OTEL_SERVICE_NAME", "my-service")]);
    assert_eq!(named, Some(("http://flag:4318/v1/traces".to_owned(), "my-service".to_owned())));
    let protocol = |name| wrong(&[PLUGIN, flag], &[(name, "grpc")]);
    for name in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] {
        assert!(protocol(name).starts_with(&format!("variable {name}: \"grpc\" is not allowed")), "{}", protocol(name));
    }
    let message = wrong(&[PLUGIN], &[(all, "https://all")]);
    assert!(message.starts_with(&format!("variable {all}: \"https://all\" is not allowed")), "{message}");
}

#[test]
fn alert_webhook_is_a_setting_of_the_process_and_its_value_is_in_no_message() {
    let url = "https://user:hunter2@alerts.example.com/hunter2?token=hunter2";
    let config = run_config(&[PLUGIN, &["--alert-webhook", url]], &[]);
    assert_eq!(config.alert_webhook.as_ref().map(ToString::to_string).as_deref(), Some("https://alerts.example.com/…"));
    assert!(!format!("{config:?}").contains("hunter2"));
    let insecure = "http://user:hunter2@alerts.example.com/hunter2";
    for (arguments, variables, origin) in [
        (&["--alert-webhook", insecure][..], &[][..], "flag --alert-webhook: the value"),
        (&[], &[("MAPPER_ALERT_WEBHOOK", insecure)], "variable MAPPER_ALERT_WEBHOOK: the value"),
        (&["--alert-webhook", "hunter2"], &[], "give an https:// URL"),
        (&["--alert-webhook", ""], &[], "it is empty"),
        (&["--alert-webhook", insecure, "--alert-webhook", url], &[], "alert-webhook"),
    ] {
        let message = wrong(&[PLUGIN, arguments], variables);
        assert!(message.contains(origin) && !message.contains("hunter2"), "{message}");
    }
    assert_eq!(run_config(&[PLUGIN], &[]).alert_webhook, None);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.toml");
    for file in [
        "alert-webhook = [\"https://host/hunter2\"]",
        "alert-webhook = \"ftp://hunter2\"",
        "alert-webhook = \"https://host/hunter2",
        "[[pipeline]]\nname = \"a\"\nalert-webhook = \"https://host/hunter2\"",
    ] {
        std::fs::write(&path, file).unwrap();
        let message = wrong(&[PLUGIN, &["--config", path.to_str().unwrap()]], &[]);
        assert!(message.contains("host.toml") && !message.contains("hunter2"), "{file}: {message}");
    }
}
