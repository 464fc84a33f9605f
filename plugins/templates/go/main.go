// Reduces a visit to its id, its time in epoch seconds and its page.
package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"mapper-host.internal/mapper"

	"{{name}}/isotime"
)

func init() {
	mapper.Register(mapper.Plugin{Name: "{{name}}", Version: "0.1.0", Process: process})
}

// main is never called: the plugin is a library.
func main() {}

type visit struct {
	VisitID   *string `json:"visit_id"`
	EventTime *string `json:"event_time"`
	Page      *string `json:"page"`
}

type reduced struct {
	VisitID   *string `json:"visit_id"`
	EventTime int64   `json:"event_time"`
	Page      *string `json:"page"`
}

// process is called for each record; what it returns is written to the output topic, under the key of the record.
func process(record *mapper.Record) ([]mapper.Output, error) {
	// A tombstone, a record without a value, is skipped.
	if record.Value == nil {
		return nil, nil
	}
	var full visit
	if err := json.Unmarshal(record.Value, &full); err != nil {
		return nil, fmt.Errorf("not a visit: %w", err)
	}
	small, err := reduce(full)
	if err != nil {
		return nil, err
	}
	value, err := mapper.JSON(small)
	return []mapper.Output{{Value: value}}, err
}

// reduce returns what is left of a visit.
func reduce(full visit) (reduced, error) {
	if full.EventTime == nil {
		return reduced{}, errors.New("the visit has no event_time")
	}
	seconds, err := isotime.EpochSeconds(*full.EventTime)
	if err != nil {
		return reduced{}, fmt.Errorf("event_time is %w", err)
	}
	return reduced{full.VisitID, seconds, full.Page}, nil
}
