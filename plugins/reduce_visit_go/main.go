// Reduces a visit to its id, its time in epoch seconds and its page.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"mapper-host.internal/mapper"
)

func init() {
	mapper.Register(mapper.Plugin{Name: "reduce_visit_go", Version: "0.1.0", Process: process})
}

func main() {}

// reduced is what is left of a visit; its id and page pass through, whatever they are.
type reduced struct {
	VisitID   json.RawMessage `json:"visit_id"`
	EventTime int64           `json:"event_time"`
	Page      json.RawMessage `json:"page"`
}

var fields = []string{"visit_id", "event_time", "page"}

func process(record *mapper.Record) ([]mapper.Output, error) {
	if record.Value == nil {
		return nil, errors.New("the record has no value (a tombstone)")
	}
	visit, err := reduce(record.Value)
	if err != nil {
		return nil, err
	}
	value, err := mapper.JSON(visit)
	return []mapper.Output{{Value: value}}, err
}

func reduce(value []byte) (reduced, error) {
	if !utf8.Valid(value) {
		return reduced{}, errors.New("not a visit: not UTF-8")
	}
	// Not a struct, whose fields would be found in upper case too.
	visit, err := mapper.Fields(value, fields...)
	if err != nil {
		return reduced{}, fmt.Errorf("not a visit: %w", err)
	}
	for i, field := range fields {
		if visit[i] == nil {
			return reduced{}, fmt.Errorf("not a visit: missing field %s", field)
		}
	}
	seconds, err := epochSeconds(visit[1])
	return reduced{visit[0], seconds, visit[2]}, err
}

// epochSeconds are the seconds since 1970 of a time in ISO 8601; one without an offset is UTC.
func epochSeconds(value json.RawMessage) (int64, error) {
	var text *string
	if err := json.Unmarshal(value, &text); err != nil || text == nil {
		return 0, errors.New("event_time is not text")
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if moment, err := time.Parse(layout, *text); err == nil {
			return moment.Unix(), nil
		}
	}
	return 0, fmt.Errorf("event_time is not a time in ISO 8601: %q", *text)
}
