package mapper

// Level is how much a line of the log matters.
type Level uint32

// In the order of the contract.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Log writes a line to the host's log, with the topic, partition and offset of the record being mapped. What is printed to stdout
// (info) and stderr (warn) is logged in the same way. In a test it goes to stderr.
func Log(level Level, line string) {
	log(level, line)
}
