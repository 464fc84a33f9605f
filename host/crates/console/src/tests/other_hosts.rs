//! The pages of a console whose pipelines run in other hosts.

use super::*;

#[tokio::test]
async fn pages_of_several_hosts_name_the_host_and_show_no_figures_without_one() {
    let mut elsewhere = summary("elsewhere");
    (elsewhere.state, elsewhere.plugin, elsewhere.lag) = ("elsewhere".to_owned(), None, 0);
    let mut gone = summary("gone");
    (gone.state, gone.plugin, gone.not_ready) = ("unreachable".to_owned(), None, vec!["not reachable: <b>".to_owned()]);
    let pipelines = json!([summary("a@10.0.0.7:8080"), elsewhere, gone]);
    let answers = || vec![("GET /v1/pipelines", 200, pipelines.clone())];
    let mut browser = Browser::new(api(answers()));
    let page = browser.get("").await;
    assert!(!page.text.contains("on http"), "{}", page.text);
    assert!(page.text.contains("href=\"/base/console/pipelines/elsewhere/dead-letters\""), "{}", page.text);
    assert!(page.text.contains("start the console with --host URL"), "{}", page.text);
    assert!(page.text.contains("not reachable: &lt;b&gt;") && !page.text.contains("loading"), "{}", page.text);
    // In, out, failing, lag, mapping time and version.
    let dashes = |name: &str| page.text.split("<tr").find(|row| row.contains(name)).unwrap().matches(">–<").count();
    assert_eq!((dashes("/elsewhere/"), dashes("/gone\"")), (6, 6), "{}", page.text);
    let reaches = "reaches this host only";
    assert!(!browser.get("/pipelines/a/versions").await.text.contains(reaches));
    let mut browser = Browser::new(TableApi { host: "http://10.0.0.7:8080", ..api(answers()) });
    let page = browser.get("").await;
    assert!(page.text.contains("on http://10.0.0.7:8080"), "{}", page.text);
    let page = browser.get("/pipelines/a%4010.0.0.7%3A8080/versions").await;
    assert!(page.text.contains(reaches) && page.text.contains("<code>http://10.0.0.7:8080</code>"), "{}", page.text);
}
