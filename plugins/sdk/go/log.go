package mapper

// Level is the severity of a line of the log.
type Level uint32

// The levels, in the order of the contract.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Log writes a line to the log of the host, with the topic, partition and offset of the current record. The host cuts a line after 8 KiB
// (wit/mapper.wit). Lines on stdout (level info) and stderr (level warn) are logged, too. In a native build, as for tests, the line goes to
// stderr.
func Log(level Level, line string) {
	log(level, line)
}
