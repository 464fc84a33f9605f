package mapper

import (
	"fmt"
	"slices"
	"strings"
)

// Setting is a setting that the host was started with (--set KEY=VALUE).
type Setting struct{ Key, Value string }

// Settings are the settings that the host was started with, in ascending order of their keys. Each key occurs once.
type Settings []Setting

// Get returns the value of a setting, and whether it was given.
func (s Settings) Get(key string) (string, bool) {
	for _, setting := range s {
		if setting.Key == key {
			return setting.Value, true
		}
	}
	return "", false
}

// Required returns the value of a required setting. The error, if the setting was not given, names it.
func (s Settings) Required(key string) (string, error) {
	value, found := s.Get(key)
	if !found {
		return "", fmt.Errorf("the setting '%[1]s' is missing; give it with --set %[1]s=VALUE", key)
	}
	return value, nil
}

// Only checks that there are no settings except these, so that a misspelled one is reported. The error names the unknown setting and the
// known ones.
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
