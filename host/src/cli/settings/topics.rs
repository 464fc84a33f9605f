//! Settings of the topics.

use super::Kind::{List, Switch, Text, Topics, Whole};
use super::Standard::{Described, Empty, Value};
use super::{Setting, setting};

pub(super) const HEADING: &str = "Topics";

pub(super) const CREATE_TOPICS: Setting = setting(
    HEADING,
    "create-topics",
    "PARTITIONS",
    Whole,
    Described("none: a missing topic is an error"),
    "Create the topics that do not exist, with this many partitions each",
);

pub(super) const DEAD_LETTER_TOPIC: Setting = setting(
    HEADING,
    "dead-letter-topic",
    "TOPIC",
    Text,
    Value("visits_dlq"),
    "The topic for records that the plugin fails on, with the reason",
);

pub(super) const STATE_TOPIC: Setting = setting(
    HEADING,
    "state-topic",
    "TOPIC",
    Text,
    Described("the dead-letter topic with .state after its name"),
    "The compacted topic that has what was done about dead letters and their groups. The dlq commands create it on their first write. \
     A run reads it for the metrics and alerts of groups",
);

pub(super) const SETTINGS: &[Setting] = &[
    setting(HEADING, "input-topic", "TOPIC", Text, Value("visits"), "The topic to read"),
    setting(
        HEADING,
        "input-topics",
        "TOPICS",
        Topics,
        Empty,
        "Several topics to read, with commas between them, or a pattern such as ^visits-.*, which also reads topics that are created \
         later. Instead of --input-topic",
    ),
    setting(
        HEADING,
        "output-topic",
        "TOPIC",
        Text,
        Value("visits_reduced"),
        "The topic for outputs that do not name a topic",
    ),
    DEAD_LETTER_TOPIC,
    STATE_TOPIC,
    setting(
        HEADING,
        "extra-topic",
        "TOPIC",
        List,
        Empty,
        "Another topic that the plugin may name for an output. Repeat the flag for several. In the variable, put commas \
         between them",
    ),
    setting(
        HEADING,
        "ledger-topic",
        "TOPIC",
        Text,
        Described("none: no ledger is written"),
        "The topic for the ledger: each transaction writes one record for each input partition that it advances, with the offsets, \
         the outputs and the dead letters, for mapper-host audit",
    ),
    CREATE_TOPICS,
    setting(
        HEADING,
        "on-topic-recreated",
        "WHAT",
        Text,
        Value("restart"),
        "What to do if the input topic was deleted and created again, or ends before the committed offset. restart: \
         read it from its beginning. halt: end with exit code 4",
    ),
    setting(
        HEADING,
        "on-gap",
        "WHAT",
        Text,
        Value("continue"),
        "What to do if records were removed from the input topic before the host read them, by retention or \
         DeleteRecords. continue: count them as missed and read on after them. halt: end with exit code 4",
    ),
    setting(
        HEADING,
        "input-is-dead-letters",
        "BOOL",
        Switch,
        Value("false"),
        "Map the dead letters of a host as they are. Without it, the host refuses an input topic that contains dead \
         letters",
    ),
];
