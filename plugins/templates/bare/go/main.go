// Passes each record on as it is.
package main

import "mapper-host.internal/mapper"

func init() {
	mapper.Register(mapper.Plugin{Name: "{{name}}", Version: "0.1.0", Process: process})
}

// main is never called: the plugin is a library.
func main() {}

// process is called for each record; what it returns is written to the output topic. An error makes a dead letter.
func process(record *mapper.Record) ([]mapper.Output, error) {
	return []mapper.Output{{}}, nil
}
