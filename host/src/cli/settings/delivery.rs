//! Settings of how sure and how often is committed.

use super::Kind::{Duration, Size, Switch, Text, Whole};
use super::Standard::{Told, Value};
use super::{Setting, setting};

const HEADING: &str = "Delivery";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "delivery",
        "GUARANTEE",
        Text,
        Told("exactly-once with --brokers, at-least-once without"),
        "exactly-once: outputs, dead letters and offsets in one transaction. at-least-once: after a crash some records are \
         handled again",
    ),
    setting(
        HEADING,
        "until-end",
        "BOOL",
        Switch,
        Value("false"),
        "Process what is there at the start, commit, print the \
         counts and exit: for backfills and tests",
    ),
    setting(
        HEADING,
        "commit-interval",
        "DURATION",
        Duration,
        Value("100ms"),
        "Commit this long after the first record \
         since the last commit; with --commit-records and --commit-bytes, whichever comes first",
    ),
    setting(HEADING, "commit-records", "N", Whole, Value("20000"), "Commit after this many input records"),
    setting(HEADING, "commit-bytes", "SIZE", Size, Value("16MiB"), "Commit after this much input"),
    setting(
        HEADING,
        "transaction-timeout",
        "DURATION",
        Duration,
        Value("30s"),
        "How long the broker lets a transaction \
         stay open before it aborts it; longer than --commit-interval, and no longer than the broker's own limit (15m)",
    ),
    setting(
        HEADING,
        "transactional-id",
        "ID",
        Text,
        Told("one of its own, kept in --state-dir"),
        "What the transactional ids of the \
         workers start with. Two hosts must not share it: they would fence each other",
    ),
    setting(
        HEADING,
        "state-dir",
        "DIR",
        Text,
        Told("mapper-host in the user's state folder"),
        "Where the host keeps what must survive a restart: the transactional ids of its own, which records the plugin has, and the \
         versions of the plugin with their history. Only this user may be able to change it; exactly-once needs one",
    ),
    setting(
        HEADING,
        "drain-timeout",
        "DURATION",
        Duration,
        Value("10s"),
        "How long work in hand may take to finish and commit after SIGTERM or Ctrl-C",
    ),
];
