//! The table of all settings: from it come the flags, the variables, the keys of the file, the defaults and the help.

/// One setting: `--name`, `MAPPER_NAME` and `name = …`.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) placeholder: &'static str,
    pub(crate) kind: Kind,
    pub(crate) standard: Standard,
    pub(crate) heading: &'static str,
    pub(crate) help: &'static str,
}

/// What a setting holds. It decides how often the flag may be given, and the type in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Duration,
    Whole,
    Number,
    Size,
    Switch,
    List,
    Pairs,
}

/// What holds when a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standard {
    /// This text, read like any that is given.
    Value(&'static str),
    /// Something that depends on others, in words.
    Told(&'static str),
    /// It must be given.
    Required,
    /// None of it.
    Empty,
}

use Kind::{Duration, List, Number, Pairs, Size, Switch, Text, Whole};
use Standard::{Empty, Required, Told, Value};

impl Setting {
    /// The name of the environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// What `--help` and the table show as the default.
    pub(crate) fn default_text(&self) -> Option<&'static str> {
        match self.standard {
            Value(text) | Told(text) => Some(text),
            Required | Empty => None,
        }
    }
}

/// What all our environment variables start with.
pub(crate) const VARIABLE_PREFIX: &str = "MAPPER_";

const PLUGIN: &str = "Plugin";
const TOPICS: &str = "Topics";
const VISITS: &str = "Visits";
const DELIVERY: &str = "Delivery";
const LIMITS: &str = "Limits";
const KAFKA: &str = "Kafka";
const OUTPUT: &str = "Output";
/// Under which clap lists `--help` itself.
pub(crate) const OPTIONS: &str = "Options";

const fn setting(
    heading: &'static str,
    name: &'static str,
    placeholder: &'static str,
    kind: Kind,
    standard: Standard,
    help: &'static str,
) -> Setting {
    Setting { name, placeholder, kind, standard, heading, help }
}

const BROKERS_TEXT: &str = "Kafka brokers, as host:port,host:port";
const KAFKA_PAIRS: Setting = setting(
    KAFKA,
    "kafka",
    "KEY=VALUE",
    Pairs,
    Empty,
    "A librdkafka property, such as \
     security.protocol=ssl or sasl.username=me; repeat it for more. Those that delivery depends on belong to the host and \
     are refused with the reason. In the variable, entries stand in lines of their own, or in one line between ';'",
);
const CONNECT_TIMEOUT: Setting = setting(
    KAFKA,
    "connect-timeout",
    "DURATION",
    Duration,
    Value("30s"),
    "How long to try to reach Kafka at the start",
);
const CREATE_TOPICS: Setting = setting(
    TOPICS,
    "create-topics",
    "PARTITIONS",
    Whole,
    Told("a missing topic is an error"),
    "Create the topics that don't exist, with this many partitions each",
);
const LOG_FORMAT: Setting =
    setting(OUTPUT, "log-format", "FORMAT", Text, Value("text"), "text, for people, or json, one object a line");
const LOG_LEVEL: Setting = setting(
    OUTPUT,
    "log-level",
    "LEVEL",
    Text,
    Value("info"),
    "off, error, warn, info, debug or trace, or directives such as info,kafka=debug",
);
const CONFIG: Setting = setting(
    OPTIONS,
    "config",
    "FILE",
    Text,
    Empty,
    "A TOML file with settings: the keys are the flags \
     without their dashes in front, [kafka] and [set] are tables. A flag beats a variable, which beats the file",
);

/// Settings of `host run`.
pub(crate) const RUN: &[Setting] = &[
    setting(
        PLUGIN,
        "plugin",
        "FILE",
        Text,
        Required,
        "The plugin, a WebAssembly component, such as \
         plugins/reduce_visit.wasm. If it doesn't exist but its project lies beside it, it is built first",
    ),
    setting(
        PLUGIN,
        "set",
        "KEY=VALUE",
        Pairs,
        Empty,
        "Configuration of the plugin itself; repeat it for more. In the \
         variable, entries stand in lines of their own, or in one line between ';'",
    ),
    setting(
        PLUGIN,
        "cache-dir",
        "DIR",
        Text,
        Told("mapper-host in the user's cache folder"),
        "Where compiled plugins are kept, so that one seen before starts at once",
    ),
    setting(TOPICS, "input-topic", "TOPIC", Text, Value("visits"), "Where records come from"),
    setting(TOPICS, "output-topic", "TOPIC", Text, Value("visits_reduced"), "Where outputs go that don't name a topic"),
    setting(
        TOPICS,
        "dead-letter-topic",
        "TOPIC",
        Text,
        Value("visits_dlq"),
        "Where records go that the plugin fails on, with the reason",
    ),
    setting(
        TOPICS,
        "extra-topic",
        "TOPIC",
        List,
        Empty,
        "Another topic that the plugin may name for an output; repeat it \
         for more. In the variable, put commas between them",
    ),
    CREATE_TOPICS,
    setting(
        DELIVERY,
        "delivery",
        "GUARANTEE",
        Text,
        Told("exactly-once with --brokers, at-least-once without"),
        "exactly-once: outputs, dead letters and offsets in one transaction. at-least-once: after a crash some records are \
         handled again",
    ),
    setting(
        DELIVERY,
        "until-end",
        "BOOL",
        Switch,
        Value("false"),
        "Process what is there at the start, commit, print the \
         counts and exit: for backfills and tests",
    ),
    setting(
        DELIVERY,
        "commit-interval",
        "DURATION",
        Duration,
        Value("100ms"),
        "Commit this long after the first record \
         since the last commit; with --commit-records and --commit-bytes, whichever comes first",
    ),
    setting(DELIVERY, "commit-records", "N", Whole, Value("20000"), "Commit after this many input records"),
    setting(DELIVERY, "commit-bytes", "SIZE", Size, Value("16MiB"), "Commit after this much input"),
    setting(
        DELIVERY,
        "transaction-timeout",
        "DURATION",
        Duration,
        Value("30s"),
        "How long the broker lets a transaction \
         stay open before it aborts it; longer than --commit-interval, and no longer than the broker's own limit (15m)",
    ),
    setting(
        DELIVERY,
        "transactional-id",
        "ID",
        Text,
        Told("one of its own, kept in --state-dir"),
        "What the transactional ids of the \
         workers start with. Two hosts must not share it: they would fence each other",
    ),
    setting(
        DELIVERY,
        "state-dir",
        "DIR",
        Text,
        Told("mapper-host in the user's state folder"),
        "Where the host keeps what must survive a restart: the transactional ids of its own",
    ),
    setting(
        DELIVERY,
        "drain-timeout",
        "DURATION",
        Duration,
        Value("10s"),
        "How long work in hand may take to finish and commit after SIGTERM or Ctrl-C",
    ),
    setting(
        LIMITS,
        "workers",
        "N",
        Whole,
        Value("2"),
        "Threads that map, each with a consumer and an instance of its own; \
         more than the input has partitions are idle. The default is the parallelism of the reference job",
    ),
    setting(LIMITS, "batch-records", "N", Whole, Value("500"), "Records the plugin is given in one call, at most"),
    setting(
        LIMITS,
        "record-timeout",
        "DURATION",
        Duration,
        Value("1s"),
        "How long the plugin may take over one record; beyond, the record is a dead letter",
    ),
    setting(LIMITS, "memory-limit", "SIZE", Size, Value("64MiB"), "Memory of the plugin, per worker"),
    setting(KAFKA, "brokers", "LIST", Text, Told("a demo on an embedded broker"), BROKERS_TEXT),
    setting(KAFKA, "group", "NAME", Text, Value("visits_reader"), "The consumer group"),
    CONNECT_TIMEOUT,
    setting(
        KAFKA,
        "session-timeout",
        "DURATION",
        Duration,
        Value("45s"),
        "How long a host may be silent before its partitions are given to others",
    ),
    KAFKA_PAIRS,
    LOG_FORMAT,
    LOG_LEVEL,
    CONFIG,
];

/// Settings of `host generate`.
pub(crate) const GENERATE: &[Setting] = &[
    setting(TOPICS, "topic", "TOPIC", Text, Value("visits"), "The topic to fill"),
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
    setting(KAFKA, "brokers", "LIST", Text, Required, BROKERS_TEXT),
    CONNECT_TIMEOUT,
    KAFKA_PAIRS,
    LOG_FORMAT,
    LOG_LEVEL,
    CONFIG,
];

/// Every setting once: one environment and one file may serve both commands.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    let only_generate = GENERATE.iter().filter(|setting| RUN.iter().all(|other| other.name != setting.name));
    RUN.iter().chain(only_generate)
}

/// The known name nearest to one that is not known, if it is near enough to be meant.
pub(crate) fn near(unknown: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let distance = |name: &String| strsim::damerau_levenshtein(unknown, name);
    let nearest = known.into_iter().min_by_key(distance)?;
    (distance(&nearest) <= nearest.len().div_ceil(3)).then_some(nearest)
}
