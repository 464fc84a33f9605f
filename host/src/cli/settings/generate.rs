//! Settings of `mapper-host generate`.

use super::Kind::{Number, Text, Whole};
use super::Standard::{Described, Required, Value};
use super::kafka::{BROKERS_TEXT, CONNECT_TIMEOUT, KAFKA_ALLOW_CODE, KAFKA_PAIRS};
use super::output::{CONFIG, LOG_FORMAT, LOG_LEVEL};
use super::topics::CREATE_TOPICS;
use super::{Setting, kafka, setting, topics};

const VISITS: &str = "Visits";

pub(super) const SETTINGS: &[Setting] = &[
    setting(topics::HEADING, "topic", "TOPIC", Text, Value("visits"), "The topic to fill"),
    CREATE_TOPICS,
    setting(
        VISITS,
        "rate",
        "ROWS_PER_SECOND",
        Number,
        Described("50 rows, then a pause of 1 to 7 s, as the reference generator"),
        "Send this many rows per second, evenly",
    ),
    setting(VISITS, "count", "N", Whole, Described("until Ctrl-C"), "Stop after this many rows"),
    setting(
        VISITS,
        "seed",
        "N",
        Whole,
        Value("0"),
        "The seed of the random numbers: the same seed gives the same rows",
    ),
    setting(
        VISITS,
        "missing-fields",
        "SHARE",
        Number,
        Value("0.5"),
        "The share of rows in which some fields are null, 0 to 1",
    ),
    setting(VISITS, "unparseable", "SHARE", Number, Value("0.04"), "The share of rows that are not JSON, 0 to 1"),
    setting(VISITS, "duplicates", "SHARE", Number, Value("0"), "The share of rows that repeat the row before, 0 to 1"),
    setting(
        VISITS,
        "late",
        "SHARE",
        Number,
        Value("0"),
        "The share of rows whose time is before that of their visit, 0 to 1",
    ),
    setting(kafka::HEADING, "brokers", "LIST", Text, Required, BROKERS_TEXT),
    CONNECT_TIMEOUT,
    KAFKA_PAIRS,
    KAFKA_ALLOW_CODE,
    LOG_FORMAT,
    LOG_LEVEL,
    CONFIG,
];
