package mapper

import (
	"fmt"
	"slices"
	"strings"
)

// Setting is one that --set KEY=VALUE gave.
type Setting struct{ Key, Value string }

// Settings are those that the host was started with, in ascending order of their keys.
type Settings []Setting

// Get returns the value of a setting, and whether it is there.
func (s Settings) Get(key string) (string, bool) {
	for _, setting := range s {
		if setting.Key == key {
			return setting.Value, true
		}
	}
	return "", false
}

// Required returns the value of a setting that must be there.
func (s Settings) Required(key string) (string, error) {
	value, found := s.Get(key)
	if !found {
		return "", fmt.Errorf("the setting '%[1]s' is missing; give it with --set %[1]s=VALUE", key)
	}
	return value, nil
}

// Only checks that there is no setting but these, so that a mistyped one is seen.
func (s Settings) Only(known ...string) error {
	for _, setting := range s {
		if slices.Contains(known, setting.Key) {
			continue
		}
		if len(known) == 0 {
			return fmt.Errorf("unknown setting '%s': this mapper has no settings", setting.Key)
		}
		return fmt.Errorf("unknown setting '%s'; known are: %s", setting.Key, strings.Join(known, ", "))
	}
	return nil
}
