// Redpanda Connect's parts as one program: the free core (benthos), its language Bloblang, franz-go for Kafka, and the `wasm` processor.
//
// Connect's own Kafka components and its wasm processor lie in packages that bring every other component along. Those here do the same
// work: kafka_input.go and kafka_output.go as its `kafka_franz`, wasm.go as its `wasm`.
//
// `connect run PIPELINE.yaml`; the pipelines read their topics from variables.
package main

import (
	"context"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
)

func main() {
	service.RunCLI(context.Background())
}
