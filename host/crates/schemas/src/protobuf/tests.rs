//! Every type in both directions, against the serializer of `prost-reflect`, which passes the conformance tests of Protobuf.

mod files;
mod forms;
mod generate;
mod limits;
mod properties;
mod unknown;

use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message;

use super::*;

/// All types of fields, and all well-known types.
const ALL: &str = r#"
syntax = "proto3";
package test;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

enum Color { COLOR_UNSPECIFIED = 0; RED = 1; BLUE = -2; }

message All {
  double double_field = 1;
  float float_field = 2;
  int32 int32_field = 3;
  int64 int64_field = 4;
  uint32 uint32_field = 5;
  uint64 uint64_field = 6;
  sint32 sint32_field = 7;
  sint64 sint64_field = 8;
  fixed32 fixed32_field = 9;
  fixed64 fixed64_field = 10;
  sfixed32 sfixed32_field = 11;
  sfixed64 sfixed64_field = 12;
  bool bool_field = 13;
  string string_field = 14;
  bytes bytes_field = 15;
  Color color = 16;
  All child = 17;
  optional int64 maybe = 18;
  repeated double doubles = 19;
  repeated string strings = 20;
  repeated All children = 21;
  repeated Color colors = 22;
  map<string, All> by_name = 23;
  map<int32, string> by_number = 24;
  map<bool, int64> by_flag = 25;
  map<uint64, Color> by_size = 26;
  oneof choice {
    string text = 27;
    int64 number = 28;
    All message = 29;
    google.protobuf.NullValue nothing = 30;
  }
  google.protobuf.Timestamp time = 31;
  google.protobuf.Duration duration = 32;
  google.protobuf.FieldMask mask = 33;
  google.protobuf.Struct struct = 34;
  google.protobuf.Value value = 35;
  google.protobuf.ListValue list = 36;
  google.protobuf.Empty empty = 37;
  google.protobuf.Any any = 38;
  google.protobuf.DoubleValue double_value = 39;
  google.protobuf.FloatValue float_value = 40;
  google.protobuf.Int64Value int64_value = 41;
  google.protobuf.UInt64Value uint64_value = 42;
  google.protobuf.Int32Value int32_value = 43;
  google.protobuf.UInt32Value uint32_value = 44;
  google.protobuf.BoolValue bool_value = 45;
  google.protobuf.StringValue string_value = 46;
  google.protobuf.BytesValue bytes_value = 47;
  repeated google.protobuf.Timestamp times = 48;
  map<string, google.protobuf.Duration> durations = 49;
  string renamed = 50 [json_name = "other-name"];
}

message Other { int32 one = 1; google.protobuf.Any any = 2; Other other = 3; message Inner { int64 two = 2; } }
"#;

fn parse_with(text: &str, unknown_fields: UnknownFields) -> ProtobufSchema {
    ProtobufSchema::parse(text, &[], unknown_fields, Limits::default()).unwrap()
}

/// A file with one message type, or the first of it.
struct First {
    schema: ProtobufSchema,
    descriptor: MessageDescriptor,
}

impl First {
    fn new(text: &str) -> Self {
        Self::of(parse_with(text, UnknownFields::Keep))
    }

    fn of(schema: ProtobufSchema) -> Self {
        let descriptor = schema.message_at(&[0]).unwrap();
        Self { schema, descriptor }
    }

    /// A message with these fields.
    fn proto3(fields: &str) -> Self {
        Self::new(&format!("syntax = \"proto3\"; message Visit {{ {fields} }}"))
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, Failure> {
        let mut out = b"before".to_vec();
        let result = self.schema.decode(&self.descriptor, bytes, &mut out);
        let text = String::from_utf8(out).unwrap();
        let written = text.strip_prefix("before").unwrap();
        assert!(result.is_ok() || written.is_empty(), "an error leaves nothing behind");
        result.map(|()| written.to_owned())
    }

    fn encode(&self, json: &str) -> Result<Vec<u8>, Failure> {
        let mut out = b"before".to_vec();
        let result = self.schema.encode(&self.descriptor, json.as_bytes(), &mut out);
        let written = out.strip_prefix(b"before").unwrap().to_vec();
        assert!(result.is_ok() || written.is_empty(), "an error leaves nothing behind");
        result.map(|()| written)
    }

    fn refused(&self, json: &str) -> String {
        self.encode(json).unwrap_err().to_string()
    }

    fn message(&self, bytes: &[u8]) -> DynamicMessage {
        DynamicMessage::decode(self.descriptor.clone(), bytes).unwrap()
    }
}
