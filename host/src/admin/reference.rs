//! `docs/http-api.md`, from the routes and the types of the answers.

mod letters;
mod schema;

use std::collections::BTreeSet;

use schemars::Schema;

use super::index::ENDPOINTS;
use super::tests::{answer, ask, serve, single};
use letters::{BUSY, LETTERS};
use mapper_api::alerts::AlertPost;
use mapper_api::audit::AuditReport;
use mapper_api::dead_letters::{
    DecisionRequest, DiscardRequest, DiscardedLetters, Letter, LetterGroupDetails, LetterGroups, LetterPage,
    RecordedDecision,
};
use mapper_api::map::{MapRequest, MapResult};
use mapper_api::pipelines::PipelineSummary;
use mapper_api::recent::RecentRecords;
use mapper_api::redrives::{LetterTryOut, Redrive};
use mapper_api::samples::{Samples, TimelineEvent};
use mapper_api::settings::SettingInForce;
use mapper_api::status::Status;
use mapper_api::version_details::VersionList;
use mapper_api::versions::ErrorBody;
use mapper_api::versions::RollbackPlan;
use mapper_api::versions::TermView;
use mapper_api::versions::{Report, ShadowStatus};

const HEAD: &str = "# HTTP API

The admin server listens at `127.0.0.1:8080` (`--admin ADDRESS`; `--admin off` starts none). `GET /` lists the routes, and sends a
browser to the [console](console.md). `mapper-host swap`,
`rollback`, `history` and `shadow` are clients of this API; with `--json` they print its answers.

- The routes from `/status` on are those of the only pipeline. Each pipeline has them below `/v1/pipelines/NAME`, too, as in
  `/v1/pipelines/orders/swap`. If the host has several [pipelines](pipelines.md), a route without that prefix answers 409 with their names,
  and a name that does not exist gets 404.
- Anyone who reaches the server can read your dead letters, and examples of your data in `/status` and `/recent`. If it listens on an address that other machines can reach,
  requests that change something need the token of `--admin-token-file`: `Authorization: Bearer TOKEN`, else 401.
- `--admin-payloads mask` or `off` hides record data, which is marked below, in all answers ([record data](security.md#record-data)). An answer with something hidden has the
  header `mapper-host-payloads` with the mode. A request with this header asks for a stricter mode than that of the host. `off` leaves the fields out. Messages quote no failure. `grep`, with `off` also `key`, and test cases get 403.
- A request from a web page of another origin gets 403. So does a request by another name than that of this machine, if the server
  listens on this machine only.
- Write values instead of the braces: `{fingerprint}` is the fingerprint of a group or its beginning, `{id}` is the `id` of a redrive.
- Requests about dead letters read topics from the beginning, two at a time. Another one waits up to 10 s, and then gets 503.
- Fields of JSON may be added, and are not removed or renamed within a minor version.
- A request must arrive within 10 s and a plugin within 60 s. The answer must be read within 30 s. An address has at most 32 of the 64
  connections; 16 more are for `/livez` and `/readyz`, so that slow clients do not block the probes.
";

const WEBHOOK: &str = "With `--alert-webhook URL` the host is the client: it sends `POST` with an [AlertPost](#alertpost) as `application/json`. Each status
from 200 to 299 accepts the post. After 408, 429, a status from 500 on, or no answer within 10 s, the host repeats the post. After any other status
it drops the groups of the post ([alerts](operations.md#alert-webhook)).";

/// The documentation of a route that the table of routes does not have.
struct Details {
    /// Method and path.
    route: (&'static str, &'static str),
    /// Parameters of the query: name and meaning.
    query: &'static [(&'static str, &'static str)],
    /// The body of the request.
    body: Option<&'static str>,
    /// Status codes and bodies of the answer.
    answers: &'static [(u16, &'static str)],
}

const PLUGIN: Option<&str> =
    Some("The plugin, with `Content-Type: application/wasm`, 64 MiB at most. `curl --data-binary @FILE` sends one");

const STARTING: (u16, &str) = (503, "the host starts or ends, or newer plugins are being sent");

const STARTING_OR_MAPPING: (u16, &str) =
    (503, "the host starts or ends, or another record has been mapped for 10 s; one is mapped at a time");

const SETTINGS: &str = "a list of [SettingInForce](#settinginforce), in the order of [settings](settings.md). Values that may be secret are hidden";

const DETAILS: [Details; 19] = [
    Details {
        route: ("GET", "/livez"),
        query: &[],
        body: None,
        answers: &[
            (200, "`alive`"),
            (
                503,
                "a line for each worker that failed or is stuck. An outage of Kafka is no reason to restart the host",
            ),
        ],
    },
    Details {
        route: ("GET", "/readyz"),
        query: &[],
        body: None,
        answers: &[
            (200, "`ready`"),
            (
                503,
                "a line for each reason: the host starts or ends, a worker is not in the group or is in one step for too long, \
                 Kafka does not answer (`--kafka-unready-after`), a breaker is open",
            ),
        ],
    },
    Details {
        route: ("GET", "/metrics"),
        query: &[],
        body: None,
        answers: &[(
            200,
            "the [metrics](metrics.md), in the text format of Prometheus 0.0.4, or of OpenMetrics 1.0.0 if `Accept` asks for it",
        )],
    },
    Details { route: ("GET", "/status"), query: &[], body: None, answers: &[(200, "[Status](#status)")] },
    Details { route: ("GET", "/samples"), query: &[], body: None, answers: &[(200, "[Samples](#samples)")] },
    Details {
        route: ("GET", "/timeline"),
        query: &[],
        body: None,
        answers: &[(200, "a list of [TimelineEvent](#timelineevent), the latest first")],
    },
    Details { route: ("GET", "/settings"), query: &[], body: None, answers: &[(200, SETTINGS)] },
    Details { route: ("GET", "/v1/settings"), query: &[], body: None, answers: &[(200, SETTINGS)] },
    Details {
        route: ("GET", "/recent"),
        query: &[
            ("verdict=VERDICT", "only records that were `produced`, `skipped` or `failed`"),
            ("key=KEY", "only records with this key"),
        ],
        body: None,
        answers: &[
            (200, "[RecentRecords](#recentrecords), 100 at most"),
            (400, "[ErrorBody](#errorbody): a parameter is unknown or not allowed"),
            STARTING,
        ],
    },
    Details {
        route: ("POST", "/map"),
        query: &[],
        body: Some("[MapRequest](#maprequest), with `Content-Type: application/json`, 86 MiB at most"),
        answers: &[
            (200, "[MapResult](#mapresult)"),
            (400, "[ErrorBody](#errorbody): the body is not allowed"),
            (404, "[ErrorBody](#errorbody): the record at this position is not in the sample of `/recent`"),
            (408, "[ErrorBody](#errorbody): the body was not complete within 60 s"),
            (413, "[ErrorBody](#errorbody): the body or the plugin is too large"),
            (415, "[ErrorBody](#errorbody): another content type"),
            (422, "[ErrorBody](#errorbody): the plugin can't be used"),
            STARTING_OR_MAPPING,
        ],
    },
    Details {
        route: ("GET", "/v1/pipelines"),
        query: &[],
        body: None,
        answers: &[(200, "a list of [PipelineSummary](#pipelinesummary), by name")],
    },
    Details {
        route: ("GET", "/history"),
        query: &[],
        body: None,
        answers: &[(200, "a list of [TermView](#termview), the latest first"), STARTING],
    },
    Details {
        route: ("GET", "/versions"),
        query: &[],
        body: None,
        answers: &[(200, "[VersionList](#versionlist)"), STARTING],
    },
    Details {
        route: ("POST", "/swap"),
        query: &[("dry-run=true", "try the version out, without a swap"), ("force=true", "skip the try-out")],
        body: PLUGIN,
        answers: &[
            (200, "[Report](#report): swapped, the same version already, or tried out"),
            (202, "[Report](#report): not on all workers yet"),
            (400, "[ErrorBody](#errorbody): no body, an unknown parameter, or a body that is not complete"),
            (408, "[ErrorBody](#errorbody): the plugin was not complete within 60 s"),
            (409, "[ErrorBody](#errorbody): another swap is in progress"),
            (413, "[ErrorBody](#errorbody): the plugin is too large"),
            (415, "[ErrorBody](#errorbody): another content type"),
            (422, "[Report](#report): refused"),
            STARTING,
        ],
    },
    Details {
        route: ("GET", "/rollback"),
        query: &[("to=VERSION", "another version than the one before")],
        body: None,
        answers: &[(200, "[RollbackPlan](#rollbackplan)"), (422, "[ErrorBody](#errorbody): no such version"), STARTING],
    },
    Details {
        route: ("POST", "/rollback"),
        query: &[
            ("to=VERSION", "another version than the one before"),
            ("from=DIGEST", "refuse if another version is active by now"),
        ],
        body: None,
        answers: &[
            (200, "[Report](#report)"),
            (202, "[Report](#report): not on all workers yet"),
            (409, "[ErrorBody](#errorbody): a swap is in progress"),
            (422, "[Report](#report): refused"),
            STARTING,
        ],
    },
    Details {
        route: ("GET", "/shadow"),
        query: &[],
        body: None,
        answers: &[(200, "[ShadowStatus](#shadowstatus) of the last shadow, or null"), STARTING],
    },
    Details {
        route: ("POST", "/shadow"),
        query: &[],
        body: PLUGIN,
        answers: &[
            (200, "[ShadowStatus](#shadowstatus)"),
            (409, "[ErrorBody](#errorbody): a swap is in progress"),
            (422, "[ErrorBody](#errorbody): refused"),
            STARTING,
        ],
    },
    Details {
        route: ("DELETE", "/shadow"),
        query: &[],
        body: None,
        answers: &[(200, "[ShadowStatus](#shadowstatus), or null"), STARTING],
    },
];

fn details() -> impl Iterator<Item = Details> {
    DETAILS.into_iter().chain(LETTERS)
}

fn page() -> String {
    let mut page = format!("{HEAD}\n## Routes\n");
    for (method, path, purpose) in ENDPOINTS {
        page += &format!("\n### {method} {path}\n\nPurpose: {purpose}.\n");
        let Some(details) = details().find(|details| details.route == (method, path)) else { continue };
        if let Some(body) = details.body {
            page += &format!("\nBody: {body}.\n");
        }
        page += "\n| | |\n|---|---|\n";
        for (parameter, meaning) in details.query {
            page += &format!("| `?{parameter}` | {meaning} |\n");
        }
        for (status, meaning) in details.answers {
            page += &format!("| {status} | {meaning} |\n");
        }
    }
    let types: [Schema; 26] = [
        schemars::schema_for!(Status),
        schemars::schema_for!(PipelineSummary),
        schemars::schema_for!(Samples),
        schemars::schema_for!(TimelineEvent),
        schemars::schema_for!(SettingInForce),
        schemars::schema_for!(RecentRecords),
        schemars::schema_for!(MapRequest),
        schemars::schema_for!(MapResult),
        schemars::schema_for!(TermView),
        schemars::schema_for!(VersionList),
        schemars::schema_for!(Report),
        schemars::schema_for!(RollbackPlan),
        schemars::schema_for!(ShadowStatus),
        schemars::schema_for!(ErrorBody),
        schemars::schema_for!(AlertPost),
        schemars::schema_for!(LetterGroups),
        schemars::schema_for!(LetterGroupDetails),
        schemars::schema_for!(LetterPage),
        schemars::schema_for!(Letter),
        schemars::schema_for!(DecisionRequest),
        schemars::schema_for!(RecordedDecision),
        schemars::schema_for!(DiscardRequest),
        schemars::schema_for!(DiscardedLetters),
        schemars::schema_for!(LetterTryOut),
        schemars::schema_for!(AuditReport),
        schemars::schema_for!(Redrive),
    ];
    page += &format!("\n## Alert webhook\n\n{WEBHOOK}\n");
    page + "\n## Types\n" + &schema::sections(&types)
}

#[test]
fn http_api_page_follows_from_the_routes_and_types() {
    harness::pages::check("http-api.md", &page());
}

/// The paths that the router has, as its debug text lists them: axum has no other way to ask.
fn paths(router: &axum::Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    let quoted = text.split('"').skip(1).step_by(2);
    let of_named = format!("{}/{{name}}", mapper_api::PIPELINES_PATH);
    quoted
        .filter(|text| text.starts_with('/') && !text.starts_with(&of_named) && !text.contains("{*"))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn routes_of_the_server_are_those_of_the_page() {
    let (registry, _) = single();
    let (_server, address) = serve(&registry);
    let router = super::api_routes(&registry);
    let mut found = BTreeSet::new();
    for path in paths(&router) {
        // No route has this method, so the answer lists those that it has.
        let (head, _) = answer(address, "PATCH", &path);
        assert!(head.starts_with("HTTP/1.1 405 "), "{path}: {head}");
        let allowed = head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_else(|| panic!("{head}"));
        let methods = allowed.split(',').filter(|method| *method != "HEAD");
        found.extend(methods.map(|method| (method.to_owned(), path.clone())));
    }
    // The routes of each pipeline are nested, which shows as this path.
    found.remove(&("GET".to_owned(), "/".to_owned()));
    let owned = |(method, path): (&str, &str)| (method.to_owned(), path.to_owned());
    let listed: BTreeSet<_> = ENDPOINTS.into_iter().map(|(method, path, _)| owned((method, path))).collect();
    let detailed: BTreeSet<_> = details().map(|details| owned(details.route)).collect();
    assert_eq!(found, listed);
    assert_eq!(detailed, listed);
}

#[test]
fn routes_answer_503_while_the_host_starts_if_the_page_says_so() {
    let (_server, address) = serve(&single().0);
    for Details { route: (method, path), answers, .. } in details() {
        let status = ask(address, method, path).0;
        let is_unavailable =
            answers.contains(&STARTING) || answers.contains(&STARTING_OR_MAPPING) || answers.contains(&BUSY);
        assert_eq!(status == 503, is_unavailable, "{method} {path}: {status}");
    }
}
