package mapper

// The exports and imports of the world `mapper` (wit/mapper.wit), in the memory layout of the canonical ABI:
// https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md

import (
	"strings"
	"unsafe"
)

// address is a position in linear memory. In Go itself a pointer has 64 bits.
type address = uint32

type text struct{ at, length address }

type optional struct {
	tag   uint32
	bytes text
}

type header struct {
	name  text
	value optional
}

type output struct {
	topic, key, value, headers optional
	timed                      uint64
	timestampMs                int64
}

// result is a result<_, string> or a result<list<output>, string>.
type result struct {
	failed uint32
	list   text
}

// results has the values that the host reads after a call. They stay until the next call.
var results struct {
	result  result
	info    [2]text
	outputs []output
	// The values at the addresses above, so that the garbage collector keeps them.
	alive []any
}

//go:wasmimport mapper-host:mapper/logging@1.0.0 log
func hostLog(level uint32, line string)

func log(level Level, line string) {
	hostLog(uint32(level), utf8(line))
}

//go:wasmexport mapper-host:mapper/plugin@1.0.0#describe
func exportDescribe() unsafe.Pointer {
	results.alive = nil
	results.info = [2]text{lowerText(plugin.Name), lowerText(plugin.Version)}
	return unsafe.Pointer(&results.info)
}

//go:wasmexport mapper-host:mapper/plugin@1.0.0#configure
func exportConfigure(at, length address) unsafe.Pointer {
	var settings Settings
	for _, pair := range items[[2]text](text{at, length}) {
		settings = append(settings, Setting{liftText(pair[0]), liftText(pair[1])})
	}
	arena.copied = true
	results.alive = nil
	return lowerResult(text{}, configure(settings))
}

//go:wasmexport mapper-host:mapper/record-mapper@1.0.0#process
func exportProcess(
	topicAt, topicLength address, partition int32, offset int64, timed uint32, timestampMs int64,
	keyTag uint32, keyAt, keyLength address, valueTag uint32, valueAt, valueLength address, headersAt, headersLength address,
) unsafe.Pointer {
	record := &Record{
		Key:       liftOptional(optional{keyTag, text{keyAt, keyLength}}),
		Value:     liftOptional(optional{valueTag, text{valueAt, valueLength}}),
		Topic:     liftText(text{topicAt, topicLength}),
		Partition: partition,
		Offset:    offset,
	}
	if timed != 0 {
		record.TimestampMs = &timestampMs
	}
	for _, header := range items[header](text{headersAt, headersLength}) {
		record.Headers = append(record.Headers, Header{liftText(header.name), liftOptional(header.value)})
	}
	arena.copied = true
	results.alive = nil
	outputs, err := process(record)
	results.outputs = results.outputs[:0]
	for i := range outputs {
		results.outputs = append(results.outputs, lowerOutput(&outputs[i]))
	}
	return lowerResult(list(results.outputs), err)
}

func lowerResult(ok text, err error) unsafe.Pointer {
	results.result = result{0, ok}
	if err != nil {
		results.result = result{1, lowerText(err.Error())}
	}
	return unsafe.Pointer(&results.result)
}

func lowerOutput(from *Output) output {
	to := output{key: lowerContent(from.Key), value: lowerContent(from.Value)}
	if from.Topic != "" {
		to.topic = optional{1, lowerText(from.Topic)}
	}
	if from.Headers != nil {
		headers := make([]header, len(from.Headers))
		for i, header := range from.Headers {
			headers[i].name = lowerText(header.Name)
			if header.Value != nil {
				headers[i].value = optional{1, lowerBytes(header.Value)}
			}
		}
		results.alive = append(results.alive, headers)
		to.headers = optional{1, list(headers)}
	}
	if from.TimestampMs != nil {
		to.timed, to.timestampMs = 1, *from.TimestampMs
	}
	return to
}

func lowerContent(content Content) optional {
	return optional{uint32(content.kind), lowerBytes(content.bytes)}
}

func lowerBytes(bytes []byte) text {
	results.alive = append(results.alive, bytes)
	return list(bytes)
}

func lowerText(from string) text {
	return lowerBytes([]byte(utf8(from)))
}

// utf8 puts U+FFFD in the place of bytes that are not UTF-8: the contract has no other text.
func utf8(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}

func list[T any](items []T) text {
	return text{address(uintptr(unsafe.Pointer(unsafe.SliceData(items)))), address(len(items))}
}

// items returns a list in the arena. The next call overwrites it.
func items[T any](at text) []T {
	return unsafe.Slice((*T)(pointer(uintptr(at.at))), int(at.length))
}

func liftText(at text) string {
	return string(items[byte](at))
}

func liftOptional(at optional) []byte {
	// The host writes one byte of the tag.
	if at.tag&0xff == 0 {
		return nil
	}
	return append(make([]byte, 0, at.bytes.length), items[byte](at.bytes)...)
}
