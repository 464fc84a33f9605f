package mapper

// The exports and imports of the world `mapper-batch` (wit/mapper.wit), in the memory layout of the canonical ABI:
// https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md

import (
	"strings"
	"unsafe"
)

// address is a position in linear memory. In Go itself a pointer has 64 bits.
type address = uint32

type text struct{ at, length address }

// result is a result<_, string>.
type result struct {
	failed  uint32
	message text
}

// results has the values that the host reads after a call. They stay until the next call.
var results struct {
	result result
	info   [2]text
	// The values at the addresses above, so that the garbage collector keeps them.
	alive []any
}

//go:wasmimport mapper-host:mapper/logging@1.0.0 log
func hostLog(level uint32, line string)

//go:wasmimport mapper-host:mapper/progress@1.0.0 at
func hostProgress(index uint32) uint32

// position is the index of the current record. The host gets it as rarely as it allows, and before each line of the log.
var position struct {
	current, due uint32
	isInBatch    bool
}

// reportPosition reports the current record to the host, which answers at which record it wants the next report.
func reportPosition() {
	if position.isInBatch {
		position.due = hostProgress(position.current)
	}
}

func log(level Level, line string) {
	reportPosition()
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
	results.result = result{}
	if err := configure(settings); err != nil {
		results.result = result{1, lowerText(err.Error())}
	}
	return unsafe.Pointer(&results.result)
}

func lowerText(from string) text {
	bytes := []byte(utf8(from))
	results.alive = append(results.alive, bytes)
	return list(bytes)
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
