package mapper

import "unsafe"

// arena is where the host puts arguments, outside the Go heap: cabi_realloc must not call an import, but an allocation of Go may
// start a garbage collection, which reads clocks. It is used again for every call.
var arena struct {
	base, used, size uintptr
	// The arguments of a call were copied: the next one may overwrite them.
	taken bool
	// The runtime is initialized. What was allocated before belongs to the adapter of WASI, and is never used again.
	ready bool
}

func init() { arena.ready = true }

// Go's own way to more memory: its runtime relies on being the only one who grows it.
//
//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

//go:nosplit
//go:wasmexport cabi_realloc
func cabiRealloc(_ unsafe.Pointer, _, align, size uint32) unsafe.Pointer {
	const page = 1 << 16
	boundary, wanted := uintptr(align), uintptr(size)
	if !arena.ready {
		return unsafe.Pointer((uintptr(sbrk(wanted+boundary)) + boundary - 1) &^ (boundary - 1))
	}
	if arena.taken {
		arena.taken, arena.used = false, 0
	}
	arena.used = (arena.used + boundary - 1) &^ (boundary - 1)
	if arena.used+wanted > arena.size {
		// The old one remains as it is: arguments lie in it.
		arena.size = (wanted+2*arena.size)&^(page-1) + page
		arena.base, arena.used = uintptr(sbrk(arena.size)), 0
	}
	at := arena.base + arena.used
	arena.used += wanted
	return pointer(at)
}

// pointer converts an address in linear memory that is outside of the Go heap, so the garbage collector neither moves nor frees it.
func pointer(at uintptr) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(nil), at)
}
