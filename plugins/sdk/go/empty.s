// An assembly file lets the package declare a function without a body (go:linkname in arena_wasip1.go).
