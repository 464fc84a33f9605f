package main

import (
	"testing"

	"mapper-host/mapper"
)

func TestAVisitIsReduced(t *testing.T) {
	value := []byte(`{"visit_id": "1_2", "event_time": "2023-11-01", "page": "home"}`)
	outputs, err := process(&mapper.Record{Value: value})
	if err != nil || len(outputs) != 1 {
		t.Fatalf("%v, %v", outputs, err)
	}
	const want = `{"visit_id":"1_2","event_time":1698796800,"page":"home"}`
	if got, _ := outputs[0].Value.Bytes(); string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestATombstoneIsSkipped(t *testing.T) {
	if outputs, err := process(&mapper.Record{}); err != nil || len(outputs) != 0 {
		t.Errorf("%v, %v", outputs, err)
	}
}

func TestWhatIsNoVisitIsRejected(t *testing.T) {
	for _, value := range []string{"{....", "[1]", "\xff", "{}"} {
		if outputs, err := process(&mapper.Record{Value: []byte(value)}); err == nil {
			t.Errorf("%q: %v", value, outputs)
		}
	}
}

func TestTimesBecomeEpochSeconds(t *testing.T) {
	for _, text := range []string{
		"2023-11-01T00:00:00+00:00", "2023-11-01T02:00:00+02:00", "2023-11-01T00:00:00Z", "2023-11-01T00:00:00.5",
	} {
		if seconds, err := epochSeconds(text); err != nil || seconds != 1698796800 {
			t.Errorf("%s: %d, %v", text, seconds, err)
		}
	}
}
