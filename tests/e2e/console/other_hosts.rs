//! `mapper-host console`: the pages of pipelines that run in other processes, on a real Kafka.

use std::net::TcpListener;

use harness::host;
use serde_json::Value;

use super::*;
use crate::admin::get;
use crate::console::every_page::check_axe;
use crate::pipelines::Several;

const RECORDS: [&[u8]; 20] = [b"value"; 20];

/// A process of `mapper-host console`.
struct Console {
    host: Host,
    address: String,
}

impl Console {
    fn start(args: &[&str]) -> Self {
        let mut command = host::command(HOST);
        command.args(["console", "--admin", "127.0.0.1:0", "--log-level", "info"]).args(args);
        let mut host = Host::spawn(&mut command);
        let address = crate::admin::address(&mut host);
        Self { host, address }
    }

    fn page(&self, path: &str) -> String {
        format!("http://{}/console{path}", self.address)
    }

    /// A pipeline of the list; null if it is not there.
    fn listed(&self, name: &str) -> Value {
        let list: Value = serde_json::from_str(&get(&self.address, "/v1/pipelines").1).expect("JSON");
        let found = list.as_array().expect("a list").iter().find(|pipeline| pipeline["name"] == name);
        found.cloned().unwrap_or_default()
    }

    fn wait_until(&self, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        crate::swap::wait_for(what, || reached(self));
    }

    /// Ends it, which must succeed.
    fn stop(self) -> String {
        let ended = self.host.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        ended.output
    }
}

#[test]
fn dead_letters_are_decided_about_and_redriven_while_no_host_runs() {
    let Stage { job, host, dir, driver, .. } = Stage::new("console-elsewhere", "rejects", &RECORDS, &[]);
    let plugin = dir.path().join("two.wasm");
    fs::write(&plugin, version("two")).expect("a file");
    assert_eq!(host.stop().code, Some(0));
    let (brokers, group) = (job.kafka.brokers(), job.group.as_str());
    let topics = ["--dead-letter-topic", &job.dead_letters, "--output-topic", &job.output, "--input-topic", &job.input];
    let console = Console::start(&[&["--brokers", brokers, "--consumer-group", group][..], &topics].concat());
    in_browser(&driver, true, async |tab| {
        tab.goto(&console.page("")).await;
        tab.wait_for("runs elsewhere").await;
        tab.click("default").await;
        tab.wait_for("20 open letters").await;
        for page in ["", "/live", "/versions", "/playground"] {
            tab.goto(&console.page(&format!("/pipelines/default{page}"))).await;
            tab.element("main h1").await;
            // The playground asks only when it maps a record.
            assert_eq!(tab.text().await.contains("Start the console with --host URL"), page != "/playground", "{page}");
        }
        tab.click("Dead letters").await;
        tab.click_on("tbody th a").await;
        tab.wait_for("20, 100 % of all letters").await;
        tab.fill("#reason", "ticket 42").await;
        tab.click("Acknowledge").await;
        tab.wait_for("acknowledged by").await;
        tab.fill("#try-plugin", &plugin.display().to_string()).await;
        tab.click("Upload and try").await;
        tab.wait_for("20 of 20 letters pass").await;
        tab.clear("#batches").await;
        tab.fill("#batches", "all").await;
        tab.click("Redrive").await;
        tab.accept().await;
        tab.wait_and_reload_for("20 of 20 done").await;
        tab.goto(&console.page("/pipelines/default/dead-letters?state=all")).await;
        tab.wait_and_reload_for("0 open letters").await;
    });
    assert_eq!(topics::read_all(job.kafka, &job.output).len(), 20);
    let path = "/v1/pipelines/default/redrives";
    let (status, why) = crate::admin::ask(&console.address, "POST", path).expect("an answer");
    assert!(status == 409 && why.contains("Upload the plugin"), "{status} {why}");
    let output = console.stop();
    assert!(output.contains("the console is at http://127.0.0.1:"), "{output}");
}

/// A file with a token.
fn token_file(dir: &TempDir, name: &str, token: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, token).expect("a file");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    path.display().to_string()
}

#[test]
fn swap_in_the_console_reaches_the_named_host_only() {
    const OWN: &str = "0123456789abcdef-console";
    let dir = TempDir::new().expect("a folder");
    let own = token_file(&dir, "own", OWN);
    let of_hosts = token_file(&dir, "hosts", "0123456789abcdef-of-hosts");
    let start = |name| Stage::new(name, "one", &RECORDS, &["--admin-token-file", &of_hosts]);
    let (one, other) = (start("console-host-1"), start("console-host-2"));
    let hosts = ["--host", one.address(), "--host", other.address()];
    let console = Console::start(&[&hosts[..], &["--admin-token-file", &own, "--host-token-file", &of_hosts]].concat());
    let (name, axe) = (format!("default@{}", one.address()), harness::browser::axe());
    in_browser(&one.driver, true, async |tab| {
        tab.goto(&console.page("/login")).await;
        tab.fill("#token", OWN).await;
        tab.click("Keep it until the browser is closed").await;
        tab.wait_for("2 pipelines").await;
        tab.wait_for(&format!("default@{}", other.address())).await;
        check_axe(&tab, "the list of several hosts", &axe).await;
        tab.click(&name).await;
        tab.wait_for("Last hour").await;
        assert!(tab.text().await.contains("20 in"), "{}", tab.text().await);
        tab.click("Versions").await;
        tab.wait_for("reaches this host only").await;
        check_axe(&tab, "the versions of one of several hosts", &axe).await;
        tab.fill("#plugin", &one.plugin("two")).await;
        tab.click("Upload and try out").await;
        tab.wait_for("The try-out succeeded").await;
        tab.click("Swap").await;
        tab.accept().await;
        tab.wait_for("The version is active on all workers").await;
        tab.click("Live").await;
        tab.wait_for("20 records of a sample of 20").await;
        tab.click("Playground").await;
        tab.fill("#record-value", "a").await;
        tab.click("Map").await;
        // With the version that the host has now.
        tab.wait_for("two 0 0").await;
    });
    let terms = |stage: &Stage<'_>| {
        let history: Value = serde_json::from_str(&get(stage.address(), "/history").1).expect("JSON");
        history.as_array().expect("a list").len()
    };
    assert_eq!((terms(&one), terms(&other)), (2, 1));
    let output = console.stop();
    assert!(!output.contains("0123456789abcdef"), "no log has a token: {output}");
}

#[test]
fn pipelines_of_several_hosts_are_in_one_list_and_a_host_that_is_gone_breaks_no_page() {
    let (orders, clicks) = (Several::new(&["orders"]), Several::new(&["clicks"]));
    let (mut of_orders, mut of_clicks) = (orders.start(), clicks.start());
    let [one, other] = [&mut of_orders, &mut of_clicks].map(crate::admin::address);
    orders.put("orders", &["keep", "reject why not"]);
    clicks.put("clicks", &["keep"]);
    let file = orders.file().display().to_string();
    let console = Console::start(&["--config", &file, "--host", &one, "--host", &other]);
    console.wait_until("both pipelines have committed", |console| {
        console.listed("orders")["records_in"] == 2 && console.listed("clicks")["records_in"] == 1
    });
    let letters = "/v1/pipelines/orders/dead-letters/groups";
    let open = || {
        let (status, body) = get(&console.address, letters);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).expect("JSON")["letters"]["open"].as_u64()
    };
    assert_eq!(open(), Some(1));
    // The other pipeline is not in the file, so its host answers.
    let (status, body) = get(&console.address, "/v1/pipelines/clicks/status");
    assert!(status == 200 && body.contains("\"pipeline\":\"clicks\""), "{status} {body}");
    let recent = |console: &Console| get(&console.address, "/v1/pipelines/orders/recent");
    let masked = Console::start(&["--host", &one, "--admin-payloads", "mask"]);
    for (console, is_shown) in [(&console, true), (&masked, false)] {
        let (status, body) = recent(console);
        assert_eq!((status, body.contains("reject why not")), (200, is_shown), "{body}");
        assert!(body.contains("\"verdict\":\"failed\""), "{body}");
    }
    masked.stop();

    of_orders.kill();
    let gone = console.listed("orders");
    assert_eq!(gone["state"], "unreachable", "{gone}");
    let why = gone["not_ready"].to_string();
    assert!(why.contains(&format!("the host is not reachable: http://{one}")), "{why}");
    assert_eq!(console.listed("clicks")["state"], "running");
    assert_eq!(open(), Some(1), "Kafka has the dead letters");
    for (path, expected) in [
        ("/console", 200),
        ("/console/pipelines/clicks", 200),
        ("/console/pipelines/orders/dead-letters", 200),
        ("/console/pipelines/orders", 502),
        ("/console/pipelines/orders/versions", 502),
    ] {
        let (status, page) = get(&console.address, path);
        let shows_why = page.contains("the host is not reachable");
        assert_eq!((status, shows_why), (expected, expected == 502 || path == "/console"), "{path}: {page}");
    }
    console.stop();
    assert_eq!(of_clicks.stop().code, Some(0));
}

#[test]
fn console_on_an_address_in_use_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = taken.local_addr().expect("an address").to_string();
    let mut command = host::command(HOST);
    let ended = Host::spawn(command.args(["console", "--host", "127.0.0.1:1", "--admin", &address])).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    let expected = format!("the console cannot listen: {address}: ");
    assert!(ended.output.contains(&expected) && ended.output.contains("--admin ADDRESS"), "{}", ended.output);
}
