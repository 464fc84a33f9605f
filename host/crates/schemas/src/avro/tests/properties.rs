//! Random schemas and values, in both directions.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::generate::{Generator, Names, expected, value};
use super::*;

struct Case {
    schema: AvroSchema,
    theirs: Schema,
    names: Names,
    /// The value in the binary encoding, as the other implementation writes it.
    bytes: Vec<u8>,
    value: apache_avro::types::Value,
    options: Options,
}

fn case(seed: u64) -> Case {
    let mut rng = SmallRng::seed_from_u64(seed);
    let text = Generator::new(&mut rng).schema(4).to_string();
    let times = if rng.random() { Times::Iso } else { Times::Epoch };
    let longs = if rng.random() { Longs::Number } else { Longs::String };
    let options = Options { times, longs };
    let schema = parse_with(&text, options).unwrap_or_else(|error| panic!("{text}: {error}"));
    let theirs = Schema::parse_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let resolved = ResolvedSchema::try_from(&theirs).unwrap();
    let names = resolved.get_names().iter().map(|(name, schema)| (name.clone(), (*schema).clone())).collect();
    let value = value(&theirs, &names, 5, &mut rng);
    let writer = GenericDatumWriter::builder(&theirs).build().unwrap();
    let bytes = writer.write_value_to_vec(value.clone()).unwrap_or_else(|error| panic!("{text} {value:?}: {error}"));
    Case { schema, theirs, names, bytes, value, options }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn bytes_to_json_and_back_are_the_same_bytes(seed in any::<u64>()) {
        let case = case(seed);
        let json = decode(&case.schema, &case.bytes).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&shown, &expected(&case.theirs, &case.names, &case.value, case.options));
        prop_assert_eq!(encode(&case.schema, &json).unwrap(), case.bytes, "{}", json);
    }

    #[test]
    fn json_to_bytes_and_back_is_the_same_json(seed in any::<u64>(), pretty in any::<bool>()) {
        let case = case(seed);
        let json = expected(&case.theirs, &case.names, &case.value, case.options);
        // The keys of this text are sorted, so records come in another order than their fields.
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        let bytes = encode(&case.schema, &text).unwrap();
        let back: serde_json::Value = serde_json::from_str(&decode(&case.schema, &bytes).unwrap()).unwrap();
        prop_assert_eq!(&back, &json);
        let reader = GenericDatumReader::builder(&case.theirs).build().unwrap();
        let read = reader.read_value(&mut bytes.as_slice()).unwrap();
        prop_assert_eq!(expected(&case.theirs, &case.names, &read, case.options), json);
    }

    #[test]
    fn damaged_bytes_and_texts_are_values_or_errors(seed in any::<u64>(), damage in any::<u64>()) {
        let case = case(seed);
        let mut rng = SmallRng::seed_from_u64(damage);
        let mut bytes = case.bytes.clone();
        crate::damage::damage(&mut bytes, &mut rng);
        if let Ok(json) = decode(&case.schema, &bytes) {
            let again = encode(&case.schema, &json).unwrap();
            prop_assert_eq!(decode(&case.schema, &again).unwrap(), json);
        }
        let mut text = decode(&case.schema, &case.bytes).unwrap().into_bytes();
        crate::damage::damage(&mut text, &mut rng);
        let mut out = Vec::new();
        if case.schema.encode(&text, &mut out).is_ok() {
            decode(&case.schema, &out).unwrap();
        }
    }
}
