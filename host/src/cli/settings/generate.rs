//! Settings of `mapper-host generate`.

use super::Kind::{Number, Text, Whole};
use super::Standard::{Required, Told, Value};
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
        Told("50 rows, then a pause of 1 to 7 s, as the reference generator"),
        "Send this many rows per second, evenly",
    ),
    setting(VISITS, "count", "N", Whole, Told("until Ctrl-C"), "Stop after this many rows"),
    setting(VISITS, "seed", "N", Whole, Value("0"), "Where the randomness starts: the same seed gives the same rows"),
    setting(
        VISITS,
        "missing-fields",
        "SHARE",
        Number,
        Value("0.5"),
        "Share of rows with some of their fields null, 0 to 1",
    ),
    setting(VISITS, "unparseable", "SHARE", Number, Value("0.04"), "Share of rows that are not JSON, 0 to 1"),
    setting(VISITS, "duplicates", "SHARE", Number, Value("0"), "Share of rows that repeat the one before, 0 to 1"),
    setting(VISITS, "late", "SHARE", Number, Value("0"), "Share of rows whose time is behind their visit's, 0 to 1"),
    setting(kafka::HEADING, "brokers", "LIST", Text, Required, BROKERS_TEXT),
    CONNECT_TIMEOUT,
    KAFKA_PAIRS,
    KAFKA_ALLOW_CODE,
    LOG_FORMAT,
    LOG_LEVEL,
    CONFIG,
];
