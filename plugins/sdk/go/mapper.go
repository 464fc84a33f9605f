// Package mapper is the SDK for mappers of mapper-host: a mapper is a function from a record to the records to produce.
//
//	func init() {
//		mapper.Register(mapper.Plugin{Name: "shout", Version: "0.1.0", Process: process})
//	}
//
//	func main() {}
//
//	func process(record *mapper.Record) ([]mapper.Output, error) {
//		return []mapper.Output{{Value: mapper.Bytes(bytes.ToUpper(record.Value))}}, nil
//	}
package mapper

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
)

// Plugin is a mapper.
type Plugin struct {
	// Name and Version are for logs, metrics and dead letters, in UTF-8, at most 200 bytes each (wit/mapper.wit).
	Name, Version string
	// Configure is called once per instance, before the first record. If it returns an error or panics, the host does not start and
	// prints the message. If it is nil, the mapper refuses every setting.
	Configure func(Settings) error
	// Process is called for each record. The host produces the outputs in their order. Without outputs it skips the record. An error
	// sends the record to the dead letters with its message, and a panic does so with its stack. The mapper goes on in both cases.
	Process func(*Record) ([]Output, error)
}

// Header is a header of a record. A name may occur more than once, and the order of the headers counts.
type Header struct {
	// Name has U+FFFD in the place of bytes that are not UTF-8.
	Name string
	// Value is nil for Kafka's null. It differs from an empty slice.
	Value []byte
}

// Record is a record of the input topic. The mapper may change it and may use it after the call.
type Record struct {
	// Key is nil for Kafka's null. It differs from an empty slice.
	Key []byte
	// Value is nil for Kafka's null, a tombstone (https://kafka.apache.org/documentation/#compaction). It differs from an empty slice.
	Value []byte
	// Headers are in the order in which the producer wrote them.
	Headers []Header
	// TimestampMs is in milliseconds since 1970-01-01T00:00:00Z. It is nil if the record has no timestamp.
	TimestampMs *int64
	// Topic, Partition and Offset are the position that the host read the record from.
	Topic     string
	Partition int32
	Offset    int64
}

// Header returns the value of the last header with this name, and whether there is one. Headers.lastHeader of Kafka's Java client
// returns the same header.
func (r *Record) Header(name string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Name == name {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// Output is a record to produce. A field with its zero value is that of the input record.
type Output struct {
	// Topic is one that the host was started with (--output-topic, --extra-topic). Any other fails the record with invalid-output. An empty
	// text is the default output topic.
	Topic      string
	Key, Value Content
	// Headers are those of the input record if nil. An empty slice that is not nil means no headers.
	Headers []Header
	// TimestampMs is in milliseconds since 1970-01-01T00:00:00Z. Kafka has no negative timestamps: a negative one fails the record.
	TimestampMs *int64
}

// Content is the key or the value of an output. The zero value stands for that of the input record.
type Content struct {
	kind  contentKind
	bytes []byte
}

type contentKind uint32

// The kinds, in the order of the contract.
const (
	keep contentKind = iota
	null
	bytes
)

// Null is Kafka's null. As a value it is a tombstone (https://kafka.apache.org/documentation/#compaction).
var Null = Content{kind: null}

// Bytes returns the content of these bytes. A nil slice is no bytes, and not Kafka's null.
func Bytes(content []byte) Content {
	return Content{bytes, content}
}

// Text returns the content of the bytes of this text.
func Text(content string) Content {
	return Content{bytes, []byte(content)}
}

// JSON returns the content that json.Marshal writes for a value, with its error.
func JSON(value any) (Content, error) {
	content, err := json.Marshal(value)
	return Bytes(content), err
}

// Bytes returns the bytes, and whether the content is bytes: it is not for Null and for the zero value.
func (c Content) Bytes() ([]byte, bool) {
	return c.bytes, c.kind == bytes
}

var plugin Plugin

// Register sets the mapper of this program. Call it from an init function: the host never calls main. It panics without a function Process.
func Register(p Plugin) {
	if p.Process == nil {
		panic("a mapper without a function Process")
	}
	if p.Configure == nil {
		p.Configure = func(settings Settings) error { return settings.Only() }
	}
	plugin = p
}

func configure(settings Settings) (err error) {
	defer catch(&err)
	return plugin.Configure(settings)
}

func process(record *Record) (outputs []Output, err error) {
	defer catch(&err)
	if plugin.Process == nil {
		return nil, fmt.Errorf("no mapper is registered: call mapper.Register from an init function")
	}
	outputs, err = plugin.Process(record)
	for _, output := range outputs {
		if output.TimestampMs != nil && *output.TimestampMs < 0 {
			return nil, fmt.Errorf("the timestamp of an output is %d, but it may not be negative", *output.TimestampMs)
		}
	}
	return outputs, err
}

// catch recovers from a panic and returns it as an error with its message and stack.
func catch(err *error) {
	if cause := recover(); cause != nil {
		stack := string(debug.Stack())
		// Begin at the frame that panicked: the frames above it are those of the runtime and of this function.
		if _, below, found := strings.Cut(stack, "\npanic("); found {
			if lines := strings.SplitN(below, "\n", 3); len(lines) == 3 {
				stack = lines[2]
			}
		}
		*err = fmt.Errorf("panic: %v\n%s", cause, strings.TrimRight(stack, "\n"))
	}
}
