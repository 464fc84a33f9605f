// Package isotime reads times in ISO 8601.
package isotime

import (
	"fmt"
	"time"
)

// EpochSeconds returns the seconds since 1970 of a time; one without an offset is UTC.
func EpochSeconds(text string) (int64, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if moment, err := time.Parse(layout, text); err == nil {
			return moment.Unix(), nil
		}
	}
	return 0, fmt.Errorf("not a time in ISO 8601: %q", text)
}
