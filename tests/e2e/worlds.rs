//! Real guests in the plugin runtime: both worlds give the same verdicts.

use mapper_core::record::Batch;
use mapper_core::topic_table::TopicNames;
use mapper_runtime::Grants;

use crate::guests::{WORLDS, batch, limits, load, load_with};

#[test]
fn both_worlds_give_the_same_verdicts() {
    let cases: &[(&[u8], &str)] = &[
        (b"skip", ""),
        (b"keep", "[- key keep Some(1001) kept]"),
        (b"value new", "[- key new Some(1002) kept]"),
        (b"value", "[- key  Some(1003) kept]"),
        (b"tombstone", "[- key null Some(1004) kept]"),
        (b"key other", "[- other key other Some(1005) kept]"),
        (b"null-key", "[- null null-key Some(1006) kept]"),
        (b"topic other", "[other key topic other Some(1007) kept]"),
        (b"time 5", "[- key time 5 Some(5) kept]"),
        (b"headers", "[- key headers Some(1009) a=1,a=null,=\\xff]"),
        (b"no-headers", "[- key no-headers Some(1010) ]"),
        (b"three", "[- key one Some(1011) kept][- k three Some(7) ][other key three Some(1011) kept]"),
        (b"reject why not", "rejected: why not"),
        (b"reject", "rejected: "),
        (b"\xff", "rejected: not UTF-8"),
        (b"see", "[- key visits/3@15 1015 6b6579 736565 h=31 h=null Some(1015) kept]"),
    ];
    let commands: Vec<&[u8]> = cases.iter().map(|(command, _)| *command).collect();
    for world in WORLDS {
        let mut guest = load(limits(), world);
        let seen = guest.verdicts(&batch(&commands));
        for ((command, expected), seen) in cases.iter().zip(seen) {
            assert_eq!(seen, *expected, "{world}: {}", command.escape_ascii());
        }
    }
}

#[test]
fn guest_receives_nulls_and_missing_timestamps() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        let mut batch = Batch::new("visits");
        batch.push((0, 0), -1, None, None, std::iter::empty());
        batch.push((0, 1), -1, None, Some(b"see"), [(&b"\xffname"[..], Some(&b""[..]))].into_iter());
        let seen = guest.verdicts(&batch);
        assert_eq!(seen[0], "rejected: no value", "{world}");
        let value = "visits/0@1 none null 736565 \u{fffd}name=";
        assert_eq!(seen[1], format!("[- null {value} None kept]"), "{world}");
    }
}

#[test]
fn guest_receives_the_topic_and_the_partition_of_each_record_of_a_batch_of_several_topics() {
    let topics = TopicNames::new(["visits", "orders"]);
    let order = topics.number(1, 3).expect("a number");
    for world in WORLDS {
        let mut guest = load(limits(), world);
        let mut batch = Batch { topics: topics.clone(), ..Batch::new("") };
        for (number, offset) in [(0, 5), (order, 5), (order, 6), (1, 9)] {
            batch.push((number, offset), -1, None, Some(b"see"), std::iter::empty());
        }
        let seen = guest.verdicts(&batch);
        for (seen, position) in seen.iter().zip(["visits/0@5", "orders/3@5", "orders/3@6", "visits/1@9"]) {
            assert!(seen.contains(&format!(" {position} ")), "{world}: {seen}");
        }
    }
}

#[test]
fn settings_are_accepted_or_rejected_with_the_error_of_the_plugin() {
    for world in WORLDS {
        assert!(load_with(limits(), Grants::default(), world, &[("greeting", "hello")]).is_ok());
        let refused = load_with(limits(), Grants::default(), world, &[("greeting", "")]).err().expect("refused");
        assert!(refused.contains("rejected its settings: an empty greeting"), "{refused}");
        let refused = load_with(limits(), Grants::default(), world, &[("greetings", "x")]).err().expect("refused");
        assert!(refused.contains("unknown setting 'greetings'; known are: greeting"), "{refused}");
    }
}
