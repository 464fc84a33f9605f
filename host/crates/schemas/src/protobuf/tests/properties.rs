//! Random messages, in both directions.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::generate::message;
use super::*;

thread_local! {
    static FIRST: First = First::new(ALL);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn message_to_json_and_back_is_the_same_message(seed in any::<u64>()) {
        FIRST.with(|all| {
            let original = message(&all.descriptor, 4, &mut SmallRng::seed_from_u64(seed));
            let json = all.decode(&original.encode_to_vec()).unwrap();
            let theirs: serde_json::Value = serde_json::from_str(&serde_json::to_string(&original).unwrap()).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), theirs, "{}", json);
            let back = all.encode(&json).unwrap();
            // `-0.0` and numbers are compared by their bits in the second text.
            prop_assert_eq!(all.decode(&back).unwrap(), json.clone());
            // Their form for debugging has no end: types contain each other.
            prop_assert!(all.message(&back) == all.message(&original.encode_to_vec()), "{}", json);
            Ok(())
        })?;
    }

    #[test]
    fn damaged_bytes_and_texts_are_values_or_errors(seed in any::<u64>(), damage in any::<u64>()) {
        FIRST.with(|all| {
            let mut bytes = message(&all.descriptor, 3, &mut SmallRng::seed_from_u64(seed)).encode_to_vec();
            let mut text = all.decode(&bytes).unwrap().into_bytes();
            let mut rng = SmallRng::seed_from_u64(damage);
            crate::damage::damage(&mut bytes, &mut rng);
            if let Ok(json) = all.decode(&bytes) {
                let again = all.encode(&json).map_err(|error| TestCaseError::fail(format!("{error}: {json}")))?;
                prop_assert_eq!(all.decode(&again).unwrap(), json);
            }
            crate::damage::damage(&mut text, &mut rng);
            let mut out = Vec::new();
            if all.schema.encode(&all.descriptor, &text, &mut out).is_ok() {
                // The JSON `",a"` of a FieldMask has an empty path, which has no form in JSON.
                let back = all.decode(&out);
                prop_assert!(back.map_or_else(|error| error.reason().contains("of a google.protobuf.FieldMask"), |_| true));
            }
            Ok(())
        })?;
    }
}
