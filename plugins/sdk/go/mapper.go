// Package mapper is what a mapper for mapper-host is written with: a function from a record to the records to produce.
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

// Plugin is a mapper: who it is and what it does.
type Plugin struct {
	// Name and Version go into logs, metrics and dead letters; at most 200 bytes each.
	Name, Version string
	// Configure is called once, before the first record. An error refuses the settings, and the host doesn't start.
	// Without it the mapper has no settings, and any that is given is refused.
	Configure func(Settings) error
	// Process is called for each record. What it returns is produced in that order; nothing at all skips the record. An
	// error sends the record to the dead letters with that message, a panic with its stack; the mapper lives on.
	Process func(*Record) ([]Output, error)
}

// Header is a header of a record. Names may repeat, and their order counts.
type Header struct {
	Name string
	// Value is nil for Kafka's null, which is not the same as no bytes.
	Value []byte
}

// Record is one record of the input topic. It is the mapper's to keep and to change.
type Record struct {
	// Key is nil for Kafka's null, which is not the same as no bytes.
	Key []byte
	// Value is nil for Kafka's null, a tombstone.
	Value []byte
	// Headers are in the order in which the producer wrote them.
	Headers []Header
	// TimestampMs is in milliseconds since 1970-01-01T00:00:00Z; nil when the record carries none.
	TimestampMs *int64
	Topic       string
	Partition   int32
	Offset      int64
}

// Header returns the value of the last header of that name, which is the one that counts where Kafka's clients ask for one.
func (r *Record) Header(name string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Name == name {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// Output is one record to produce. What is not set is as in the input record.
type Output struct {
	// Topic is one that the host was started with; empty, it is the default output topic.
	Topic      string
	Key, Value Content
	// Headers that are nil are those of the input; an empty list that is not nil is none.
	Headers []Header
	// TimestampMs is in milliseconds since 1970-01-01T00:00:00Z, and not negative.
	TimestampMs *int64
}

// Content is the key or the value of an output. The zero value is that of the input record.
type Content struct {
	kind  contentKind
	bytes []byte
}

type contentKind uint32

// In the order of the contract.
const (
	keep contentKind = iota
	null
	bytes
)

// Null is Kafka's null. As a value it is a tombstone.
var Null = Content{kind: null}

// Bytes are these bytes, even if there are none.
func Bytes(content []byte) Content {
	return Content{bytes, content}
}

// Text is this text.
func Text(content string) Content {
	return Content{bytes, []byte(content)}
}

// JSON is what json.Marshal makes of a value.
func JSON(value any) (Content, error) {
	content, err := json.Marshal(value)
	return Bytes(content), err
}

// Bytes returns the bytes, and whether there are any: neither null nor the content of the input has.
func (c Content) Bytes() ([]byte, bool) {
	return c.bytes, c.kind == bytes
}

var plugin Plugin

// Register makes it the mapper of this program. It must be called from an init function: main is never called.
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

// catch makes an error of a panic: what it says, and where it was.
func catch(err *error) {
	if said := recover(); said != nil {
		stack := string(debug.Stack())
		// From the frame that panicked on: above it are only the runtime and this function.
		if _, below, found := strings.Cut(stack, "\npanic("); found {
			if lines := strings.SplitN(below, "\n", 3); len(lines) == 3 {
				stack = lines[2]
			}
		}
		*err = fmt.Errorf("panic: %v\n%s", said, strings.TrimRight(stack, "\n"))
	}
}
