//! Settings of delivery guarantees and commits.

use super::Kind::{Duration, Size, Switch, Text, Whole};
use super::Standard::{Described, Value};
use super::{Setting, setting};

const HEADING: &str = "Delivery";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "delivery",
        "GUARANTEE",
        Text,
        Described("exactly-once with --brokers, at-least-once without"),
        "exactly-once: outputs, dead letters and offsets are committed in one transaction. at-least-once: after a \
         crash, some records are mapped again",
    ),
    setting(
        HEADING,
        "until-end",
        "BOOL",
        Switch,
        Value("false"),
        "Map the records up to the present end of the topic, commit, print the counts and exit: for backfills and tests",
    ),
    setting(
        HEADING,
        "commit-interval",
        "DURATION",
        Duration,
        Value("100ms"),
        "Commit this long after the first record since the last commit, or when --commit-records or --commit-bytes is \
         reached",
    ),
    setting(HEADING, "commit-records", "N", Whole, Value("20000"), "Commit after this many input records"),
    setting(HEADING, "commit-bytes", "SIZE", Size, Value("16MiB"), "Commit after this much input"),
    setting(
        HEADING,
        "transaction-timeout",
        "DURATION",
        Duration,
        Value("30s"),
        "The time after which the broker aborts an open transaction. It must be longer than --commit-interval and no \
         longer than the limit of the broker (15m)",
    ),
    setting(
        HEADING,
        "transactional-id",
        "ID",
        Text,
        Described("a generated id, kept in --state-dir"),
        "The prefix of the transactional ids of the workers. Two hosts must not share it: they would fence each other",
    ),
    setting(
        HEADING,
        "state-dir",
        "DIR",
        Text,
        Described("mapper-host in the user's state folder"),
        "The folder for what must survive a restart: transactional ids, markers of records that are in the plugin, and \
         the versions of the plugin with their history. Only this user may be able to change it. Exactly-once needs it",
    ),
    setting(
        HEADING,
        "drain-timeout",
        "DURATION",
        Duration,
        Value("10s"),
        "How long the host may take after SIGTERM or Ctrl-C to finish and commit the records it has read",
    ),
];
