package mapper

import "unsafe"

// arena is memory outside of the Go heap for the arguments of a call. Each call uses it again. The canonical ABI of the component model
// forbids cabi_realloc to call an import, and a Go allocation may start a garbage collection, which reads clocks.
var arena struct {
	base, used, size uintptr
	// The arguments of the last call were copied: the next call may overwrite them.
	copied bool
	// The Go runtime is initialized. Earlier blocks belong to the WASI adapter and are never freed.
	ready bool
}

func init() { arena.ready = true }

// sbrk grows memory the way the Go runtime does. The runtime expects that nobody else grows it.
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
	if arena.copied {
		arena.copied, arena.used = false, 0
	}
	arena.used = (arena.used + boundary - 1) &^ (boundary - 1)
	if arena.used+wanted > arena.size {
		// The old arena is not freed: it has arguments of this call.
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
