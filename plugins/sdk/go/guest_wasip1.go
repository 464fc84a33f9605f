package mapper

// The exports and imports of the world `mapper` (wit/mapper.wit), as the component model's canonical ABI lays them out.

import (
	"strings"
	"unsafe"
)

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

// What the host reads after a call has returned; kept until the next one.
var kept struct {
	result  result
	info    [2]text
	outputs []output
	// What the addresses above point at.
	alive []any
}

//go:wasmimport mapper-host:mapper/logging@1.0.0 log
func hostLog(level uint32, line string)

func log(level Level, line string) {
	hostLog(uint32(level), utf8(line))
}

//go:wasmexport mapper-host:mapper/plugin@1.0.0#describe
func exportDescribe() unsafe.Pointer {
	kept.alive = nil
	kept.info = [2]text{giveText(plugin.Name), giveText(plugin.Version)}
	return unsafe.Pointer(&kept.info)
}

//go:wasmexport mapper-host:mapper/plugin@1.0.0#configure
func exportConfigure(at, length address) unsafe.Pointer {
	var settings Settings
	for _, pair := range items[[2]text](text{at, length}) {
		settings = append(settings, Setting{takeText(pair[0]), takeText(pair[1])})
	}
	arena.taken = true
	kept.alive = nil
	return give(text{}, configure(settings))
}

//go:wasmexport mapper-host:mapper/record-mapper@1.0.0#process
func exportProcess(
	topicAt, topicLength address, partition int32, offset int64, timed uint32, timestampMs int64,
	keyTag uint32, keyAt, keyLength address, valueTag uint32, valueAt, valueLength address, headersAt, headersLength address,
) unsafe.Pointer {
	record := &Record{
		Key:       takeOptional(optional{keyTag, text{keyAt, keyLength}}),
		Value:     takeOptional(optional{valueTag, text{valueAt, valueLength}}),
		Topic:     takeText(text{topicAt, topicLength}),
		Partition: partition,
		Offset:    offset,
	}
	if timed != 0 {
		record.TimestampMs = &timestampMs
	}
	for _, header := range items[header](text{headersAt, headersLength}) {
		record.Headers = append(record.Headers, Header{takeText(header.name), takeOptional(header.value)})
	}
	arena.taken = true
	kept.alive = nil
	outputs, err := process(record)
	kept.outputs = kept.outputs[:0]
	for i := range outputs {
		kept.outputs = append(kept.outputs, giveOutput(&outputs[i]))
	}
	return give(list(kept.outputs), err)
}

func give(ok text, err error) unsafe.Pointer {
	kept.result = result{0, ok}
	if err != nil {
		kept.result = result{1, giveText(err.Error())}
	}
	return unsafe.Pointer(&kept.result)
}

func giveOutput(from *Output) output {
	to := output{key: giveContent(from.Key), value: giveContent(from.Value)}
	if from.Topic != "" {
		to.topic = optional{1, giveText(from.Topic)}
	}
	if from.Headers != nil {
		headers := make([]header, len(from.Headers))
		for i, header := range from.Headers {
			headers[i].name = giveText(header.Name)
			if header.Value != nil {
				headers[i].value = optional{1, giveBytes(header.Value)}
			}
		}
		kept.alive = append(kept.alive, headers)
		to.headers = optional{1, list(headers)}
	}
	if from.TimestampMs != nil {
		to.timed, to.timestampMs = 1, *from.TimestampMs
	}
	return to
}

func giveContent(content Content) optional {
	return optional{uint32(content.kind), giveBytes(content.bytes)}
}

func giveBytes(bytes []byte) text {
	kept.alive = append(kept.alive, bytes)
	return list(bytes)
}

func giveText(given string) text {
	return giveBytes([]byte(utf8(given)))
}

// utf8 replaces what is no UTF-8, which the contract has no place for.
func utf8(given string) string {
	return strings.ToValidUTF8(given, "\uFFFD")
}

func list[T any](items []T) text {
	return text{address(uintptr(unsafe.Pointer(unsafe.SliceData(items)))), address(len(items))}
}

// items are those in the arena: they are overwritten by the next call.
func items[T any](at text) []T {
	return unsafe.Slice((*T)(pointer(uintptr(at.at))), int(at.length))
}

func takeText(at text) string {
	return string(items[byte](at))
}

func takeOptional(at optional) []byte {
	// Of the tag only one byte is written.
	if at.tag&0xff == 0 {
		return nil
	}
	return append(make([]byte, 0, at.bytes.length), items[byte](at.bytes)...)
}
