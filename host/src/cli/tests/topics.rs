//! The input topics: one, a list, or a pattern.

use super::{Command, file, parsed, run_config, wrong};
use mapper_core::input_topics::InputTopics;

const KAFKA: [&str; 4] = ["--plugin", "p.wasm", "--brokers", "k:9092"];

fn inputs(args: &[&str], variables: &[(&str, &str)]) -> InputTopics {
    run_config(&[&KAFKA, args], variables).pipelines.remove(0).input_topics
}

fn names(names: &[&str]) -> InputTopics {
    InputTopics::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn input_topics_are_a_list_or_a_pattern_from_flags_variable_and_file() {
    assert_eq!(inputs(&[], &[]), names(&["visits"]));
    assert_eq!(inputs(&["--input-topics", "a,b"], &[]), names(&["a", "b"]));
    assert_eq!(inputs(&["--input-topics", "a", "--input-topics", "b,c"], &[]), names(&["a", "b", "c"]));
    assert_eq!(inputs(&[], &[("MAPPER_INPUT_TOPICS", "a, b")]), names(&["a", "b"]));
    // The comma is a part of the pattern.
    for pattern in
        [inputs(&["--input-topics", "^v-[a-z]{2,3}$"], &[]), inputs(&[], &[("MAPPER_INPUT_TOPICS", "^v-[a-z]{2,3}$")])]
    {
        assert!(pattern.contains("v-eu") && !pattern.contains("v-e"), "{pattern:?}");
    }
    let of_table = |topics: &str| {
        let text = format!(
            "[[pipeline]]\nname = \"p\"\nplugin = \"p.wasm\"\nbrokers = \"k:9092\"\ninput-topics = {topics}\noutput-topic = \"o\"\n\
             dead-letter-topic = \"d\"\n"
        );
        let file = file(&text);
        match parsed(&["run", "--config", file.path().to_str().unwrap()], &[]) {
            Ok(Command::Run(config)) => config.pipelines[0].input_topics.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of_table("[\"a\", \"b\"]"), names(&["a", "b"]));
    assert_eq!(of_table("\"a\""), names(&["a"]));
    assert!(of_table("\"^v-.*\"").contains("v-eu"));
}

#[test]
fn contradicting_input_topics_are_rejected_with_the_settings() {
    let refused = |args: &[&str], words: &[&str]| {
        let message = wrong(&[&KAFKA, args], &[]);
        assert!(words.iter().all(|word| message.contains(word)), "{args:?}: {message}");
    };
    refused(
        &["--input-topic", "a", "--input-topics", "b"],
        &["flag --input-topic is given, too", "flag --input-topics"],
    );
    refused(&["--input-topics", "a,a"], &["\"a\" is not allowed", "given twice"]);
    refused(&["--input-topics", "a,b c"], &["\"b c\" is not allowed", "a topic name is"]);
    refused(&["--input-topics", "^v-("], &["not a regular expression"]);
    refused(&["--input-topics", "^v-", "--input-topics", "a"], &["one pattern alone"]);
    refused(&["--input-topics", "a,visits_reduced"], &["default of --output-topic", "is also the input topic"]);
    refused(
        &["--input-topics", "^visits"],
        &["\"visits_reduced\" is not allowed", "matches the pattern of the input topics", "flag --input-topics"],
    );
    let demo = wrong(&[&["--plugin", "p.wasm", "--input-topics", "a,b"]], &[]);
    assert!(demo.contains("--input-topics") && demo.contains("--brokers"), "{demo}");
}
