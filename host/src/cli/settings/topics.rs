//! Settings of the topics.

use super::Kind::{List, Text, Whole};
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
];
