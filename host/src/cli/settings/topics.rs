//! Settings of the topics.

use super::Kind::{List, Switch, Text, Whole};
use super::Standard::{Empty, Told, Value};
use super::{Setting, setting};

pub(super) const HEADING: &str = "Topics";

pub(super) const CREATE_TOPICS: Setting = setting(
    HEADING,
    "create-topics",
    "PARTITIONS",
    Whole,
    Told("a missing topic is an error"),
    "Create the topics that don't exist, with this many partitions each",
);

pub(super) const SETTINGS: &[Setting] = &[
    setting(HEADING, "input-topic", "TOPIC", Text, Value("visits"), "Where records come from"),
    setting(
        HEADING,
        "output-topic",
        "TOPIC",
        Text,
        Value("visits_reduced"),
        "Where outputs go that don't name a topic",
    ),
    setting(
        HEADING,
        "dead-letter-topic",
        "TOPIC",
        Text,
        Value("visits_dlq"),
        "Where records go that the plugin fails on, with the reason",
    ),
    setting(
        HEADING,
        "extra-topic",
        "TOPIC",
        List,
        Empty,
        "Another topic that the plugin may name for an output; repeat it \
         for more. In the variable, put commas between them",
    ),
    CREATE_TOPICS,
    setting(
        HEADING,
        "on-topic-recreated",
        "WHAT",
        Text,
        Value("restart"),
        "What to do when the input topic was deleted and created again, or is shorter than the committed offset. restart: read \
         it from its beginning. halt: end with exit code 4",
    ),
    setting(
        HEADING,
        "on-gap",
        "WHAT",
        Text,
        Value("continue"),
        "What to do when records were removed from the input topic before the host read them, by retention or DeleteRecords. \
         continue: count them as missed and go on behind them. halt: end with exit code 4",
    ),
    setting(
        HEADING,
        "input-is-dead-letters",
        "BOOL",
        Switch,
        Value("false"),
        "Map the dead letters of a host as they are. Without it, the host refuses an input topic that contains dead letters",
    ),
];
