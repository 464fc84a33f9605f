package isotime

import "testing"

func TestTimesBecomeEpochSeconds(t *testing.T) {
	for _, text := range []string{
		"2023-11-01T00:00:00+00:00", "2023-11-01T02:00:00+02:00", "2023-11-01T00:00:00Z", "2023-11-01T00:00:00.5",
	} {
		if seconds, err := EpochSeconds(text); err != nil || seconds != 1698796800 {
			t.Errorf("%s: %d, %v", text, seconds, err)
		}
	}
}

func TestWhatIsNoTimeIsRefused(t *testing.T) {
	for _, text := range []string{"yesterday", ""} {
		if seconds, err := EpochSeconds(text); err == nil {
			t.Errorf("%q: %d", text, seconds)
		}
	}
}
