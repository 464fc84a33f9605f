//! The documentation of the routes for dead letters.

use super::Details;

/// Starting, or too many at once.
pub(super) const BUSY: (u16, &str) =
    (503, "[ErrorBody](#errorbody): the pipeline starts, or other requests read dead letters");
const KAFKA: (u16, &str) = (502, "[ErrorBody](#errorbody): Kafka does not answer, or refuses the request");
const PARAMETERS: (u16, &str) = (400, "[ErrorBody](#errorbody): a parameter is unknown or not allowed");
const NO_LETTER: (u16, &str) = (404, "[ErrorBody](#errorbody): no such pipeline, topic, group or letter");
const DECISION: (u16, &str) =
    (400, "[ErrorBody](#errorbody): the body or a parameter is not allowed, or several groups begin so");
const CONTENT_TYPE: (u16, &str) = (415, "[ErrorBody](#errorbody): another content type");
const RECORDED: (u16, &str) = (200, "[RecordedDecision](#recordeddecision)");
const STATES: (u16, &str) =
    (422, "[ErrorBody](#errorbody): the state topic can't be used, for example because it is not compacted");

const GROUP: (&str, &str) =
    ("group=GROUP", "letters of this group: a fingerprint or its beginning; or a position, as `position`");
const SOURCE: (&str, &str) = (
    "source=RANGE",
    "letters of these records: `TOPIC/PARTITION@FROM..TO`, such as `visits/0@100..200`; without `TO`, all from the offset `FROM` on",
);
const SINCE: (&str, &str) =
    ("since=TIME", "letters that failed at this time or later: `2026-11-27T10:00:00Z`, or `2h` for two hours ago");
const UNTIL: (&str, &str) = ("until=TIME", "letters that failed before this time");
const KIND: (&str, &str) = ("kind=KIND", "letters of this kind of failure, or of this class of exception");
const VERSION: (&str, &str) = (
    "version=VERSION",
    "letters of this version of the plugin: its number, `NAME@NUMBER`, or the beginning of its digest",
);
const KEY: (&str, &str) = ("key=KEY", "letters of records with this key");
const GREP: (&str, &str) = ("grep=TEXT", "letters with this text in the message or in the value of the record");
const STATE: (&str, &str) = (
    "state=STATE",
    "`open` (default), `closed` or `all` letters; or the open letters of groups in a [state](#lettergroupstate)",
);

const DECISION_BODY: Option<&str> = Some("[DecisionRequest](#decisionrequest), with `Content-Type: application/json`");

const fn decision(path: &'static str) -> Details {
    Details {
        route: ("POST", path),
        query: &[],
        body: DECISION_BODY,
        answers: &[RECORDED, DECISION, NO_LETTER, CONTENT_TYPE, STATES, KAFKA, BUSY],
    }
}

const PLUGIN: Option<&str> = Some(
    "The plugin, with `Content-Type: application/wasm`, 64 MiB at most. Without a body and a content type, it is the active version",
);
const ATTEMPTS: (&str, &str) =
    ("max-attempts=N", "leave out letters whose records have failed this many times; 5 by default");
const LIMIT: (&str, &str) = ("limit=N", "end after this many letters");
const UPLOAD: (u16, &str) = (408, "[ErrorBody](#errorbody): the plugin was not complete within 60 s");
const TOO_LARGE: (u16, &str) = (413, "[ErrorBody](#errorbody): the plugin is too large");
const REFUSED: (u16, &str) =
    (422, "[ErrorBody](#errorbody): the plugin or the state topic can't be used; `step` is that of the plugin");
const NO_REDRIVE: (u16, &str) = (404, "[ErrorBody](#errorbody): no such pipeline or redrive");

pub(super) const LETTERS: [Details; 18] = [
    Details {
        route: ("GET", "/dead-letters/groups"),
        query: &[
            GROUP,
            SOURCE,
            SINCE,
            UNTIL,
            KIND,
            VERSION,
            KEY,
            GREP,
            STATE,
            ("limit=N", "the N largest groups; 100 by default, 1000 at most"),
        ],
        body: None,
        answers: &[(200, "[LetterGroups](#lettergroups)"), PARAMETERS, NO_LETTER, KAFKA, BUSY],
    },
    Details {
        route: ("GET", "/dead-letters/groups/{fingerprint}"),
        query: &[SOURCE, SINCE, UNTIL, KIND, VERSION, KEY, GREP, STATE],
        body: None,
        answers: &[(200, "[LetterGroupDetails](#lettergroupdetails)"), PARAMETERS, NO_LETTER, KAFKA, BUSY],
    },
    Details {
        route: ("GET", "/dead-letters"),
        query: &[
            GROUP,
            SOURCE,
            SINCE,
            UNTIL,
            KIND,
            VERSION,
            KEY,
            GREP,
            STATE,
            ("after=TOPIC/PARTITION@OFFSET", "letters after this one: `next` of the page before"),
            ("limit=N", "the most letters; 100 by default, 1000 at most. A page has about 4 MiB of letters at most"),
        ],
        body: None,
        answers: &[(200, "[LetterPage](#letterpage)"), PARAMETERS, NO_LETTER, KAFKA, BUSY],
    },
    Details {
        route: ("GET", "/dead-letters/letter"),
        query: &[(
            "position=TOPIC/PARTITION@OFFSET",
            "the position of a letter, or of the record that failed. The `@` can be sent as `%40`",
        )],
        body: None,
        answers: &[
            (200, "a list of [Letter](#letter): one, or those of the record"),
            PARAMETERS,
            NO_LETTER,
            KAFKA,
            BUSY,
        ],
    },
    Details {
        route: ("GET", "/dead-letters/cases"),
        query: &[
            GROUP,
            SOURCE,
            SINCE,
            UNTIL,
            KIND,
            VERSION,
            KEY,
            GREP,
            STATE,
            ("limit=N", "the most cases; 20 by default, 1000 at most"),
        ],
        body: None,
        answers: &[
            (
                200,
                "[test cases](cases.md), one JSON object a line. The header `mapper-host-left-out` has the number of letters whose records were \
                 cut. An answer has about 16 MiB at most",
            ),
            PARAMETERS,
            NO_LETTER,
            KAFKA,
            BUSY,
        ],
    },
    decision("/dead-letters/groups/{fingerprint}/acknowledge"),
    decision("/dead-letters/groups/{fingerprint}/resolve"),
    decision("/dead-letters/groups/{fingerprint}/mute"),
    decision("/dead-letters/groups/{fingerprint}/reopen"),
    Details {
        route: ("POST", "/dead-letters/discard"),
        query: &[GROUP, SOURCE, SINCE, UNTIL, KIND, VERSION, KEY, GREP, STATE],
        body: Some(
            "[DiscardRequest](#discardrequest), with `Content-Type: application/json`. At least one filter other than the state is required",
        ),
        answers: &[
            (200, "[DiscardedLetters](#discardedletters)"),
            DECISION,
            NO_LETTER,
            CONTENT_TYPE,
            STATES,
            KAFKA,
            BUSY,
        ],
    },
    Details {
        route: ("POST", "/dead-letters/try"),
        query: &[GROUP, SOURCE, SINCE, UNTIL, KIND, VERSION, KEY, GREP, STATE, LIMIT, ATTEMPTS],
        body: PLUGIN,
        answers: &[
            (200, "[LetterTryOut](#lettertryout), when all letters are mapped. It ends if the client goes away"),
            PARAMETERS,
            NO_LETTER,
            UPLOAD,
            TOO_LARGE,
            CONTENT_TYPE,
            REFUSED,
            KAFKA,
            BUSY,
        ],
    },
    Details {
        route: ("GET", "/audit"),
        query: &[
            (
                "since=TIME",
                "only what was committed since this time: `2026-11-27T10:00:00Z`, or `2h` for two hours ago",
            ),
            ("timeout=DURATION", "end the audit after this time: 1m by default, 10m at most"),
        ],
        body: None,
        answers: &[
            (
                200,
                "[AuditReport](#auditreport), when all is read. The audit ends if the client goes away. One runs at a time",
            ),
            PARAMETERS,
            (
                422,
                "[ErrorBody](#errorbody): the pipeline has no ledger, or there are more than 4 000 000 records that the audit must keep: dead letters, \
                 resolutions, and with `--provenance headers` outputs",
            ),
            KAFKA,
            BUSY,
            (504, "[ErrorBody](#errorbody): the time is over"),
        ],
    },
    Details {
        route: ("GET", "/redrives"),
        query: &[],
        body: None,
        answers: &[
            (
                200,
                "a list of [Redrive](#redrive): the one that runs and the last 16 that this process has started, the latest first",
            ),
            NO_REDRIVE,
            BUSY,
        ],
    },
    Details {
        route: ("POST", "/redrives"),
        query: &[
            GROUP,
            SOURCE,
            SINCE,
            UNTIL,
            KIND,
            VERSION,
            KEY,
            GREP,
            STATE,
            LIMIT,
            ATTEMPTS,
            ("rate=N", "the most letters per second"),
            ("batches=N,N,all", "wait for `continue` after so many letters"),
            ("yes=true", "do not wait between batches; stop there if there is a new group of failures"),
            (
                "stop-on-regression=true",
                "stop after the transaction in which a record fails in a way that no letter has",
            ),
            ("stale-keys=WHAT", "`warn` (default), `skip` or `allow` letters whose key has a newer output"),
            ("to-input=true", "write the records to their input topics again, instead of mapping them; without a body"),
            ("take-over=true", "start although another process redrives the topic; that redrive is ended"),
            ("dry-run=true", "as `POST /dead-letters/try`"),
        ],
        body: PLUGIN,
        answers: &[
            (202, "[Redrive](#redrive): it has begun. It goes on if the client goes away. `Location` has its path"),
            (200, "[LetterTryOut](#lettertryout) with `dry-run`"),
            PARAMETERS,
            NO_LETTER,
            UPLOAD,
            (
                409,
                "[ErrorBody](#errorbody): another redrive runs, with who runs it. There is one for each pipeline and dead-letter topic",
            ),
            TOO_LARGE,
            CONTENT_TYPE,
            REFUSED,
            KAFKA,
            BUSY,
        ],
    },
    Details {
        route: ("GET", "/redrives/{id}"),
        query: &[],
        body: None,
        answers: &[(200, "[Redrive](#redrive)"), NO_REDRIVE, BUSY],
    },
    Details {
        route: ("GET", "/redrives/{id}/events"),
        query: &[],
        body: None,
        answers: &[
            (
                200,
                "server-sent events (`text/event-stream`), each with a [Redrive](#redrive) as `data`: the event `progress` now and after changes, 5 per \
                 second at most; and `ended` as the last one. 16 clients can follow redrives at a time; a client beyond gets 503",
            ),
            NO_REDRIVE,
            BUSY,
        ],
    },
    Details {
        route: ("POST", "/redrives/{id}/continue"),
        query: &[],
        body: None,
        answers: &[(200, "[Redrive](#redrive)"), NO_REDRIVE, (409, "[ErrorBody](#errorbody): it does not wait"), BUSY],
    },
    Details {
        route: ("DELETE", "/redrives/{id}"),
        query: &[],
        body: None,
        answers: &[
            (202, "[Redrive](#redrive): it stops after the open transaction"),
            (200, "[Redrive](#redrive): it has ended already"),
            NO_REDRIVE,
            BUSY,
        ],
    },
];
