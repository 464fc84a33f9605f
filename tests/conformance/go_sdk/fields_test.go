package mapper_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mapper-host.internal/mapper"
)

var documents = []string{
	``, ` `, `null`, `1`, `"a"`, `[]`, `{}`, ` {} `, `{"a":1}`, `{"a":1,"b":"x","a":2}`, ` { "a" : [ 1 , {"a":3} ] , "b" : null } `,
	`{"a":1,}`, `{,"a":1}`, `{"a" 1}`, `{"a":}`, `{"a":1 "b":2}`, `{"a":1}x`, `{"a":1}{}`, `{a:1}`, `{"a":1`, `{"a`, `{"a":"`, `[1,]`, `[1 2]`,
	`{"A":1}`, `{"\u0061":1}`, `{"a\n":1}`, `{"é":1}`, "{\"\xff\":1}", `{"\ufffd":1}`, "{\"a\":\"\xff\"}", "{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", "{\"a\":1}\x00",
	`{"a":"\u00e9\"\\\/\b\f\n\r\t"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u123"}`, `{"a":"\`, `{"a":"\u`, "{\"a\"\v:1}", "\ufeff{}",
	`{"a":0}`, `{"a":-0}`, `{"a":00}`, `{"a":01}`, `{"a":-}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1.5e+10}`, `{"a":1e}`, `{"a":1E-}`, `{"a":1e5,"b":-1.25}`,
	`{"a":true,"b":false,"é":null}`, `{"a":tru}`, `{"a":nul`, `{"a":falsee}`, `{"a":[]}`, `{"a":[[],[{}]],"b":{"b":{"a":1}}}`, `{"a":[}`, `{"a":{]}`,
	`{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
}

// compare compares Fields with what encoding/json makes of the same document.
func compare(t *testing.T, document []byte) {
	t.Helper()
	names := []string{"a", "b", "é", "\ufffd", ""}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(document, &fields)
	values, fieldsErr := mapper.Fields(document, names...)
	if fmt.Sprint(err) != fmt.Sprint(fieldsErr) {
		t.Fatalf("%q: %v instead of %v", document, fieldsErr, err)
	}
	for i := range values {
		if expected := fields[names[i]]; !bytes.Equal(values[i], expected) || (values[i] == nil) != (expected == nil) {
			t.Fatalf("%q: %s is %q instead of %q", document, names[i], values[i], expected)
		}
	}
}

func TestFieldsAreThoseOfEncodingJSON(t *testing.T) {
	for _, document := range documents {
		compare(t, []byte(document))
	}
}

func FuzzFieldsAreThoseOfEncodingJSON(f *testing.F) {
	for _, document := range documents {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, document []byte) { compare(t, document) })
}

func TestOrdinaryDocumentsAreNotLeftToEncodingJSON(t *testing.T) {
	document := []byte(` {"a": {"x": [1, -2.5e3, "\u00e9", true, null]}, "b": "\"", "c": {}} `)
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := mapper.Fields(document, "a", "b"); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 2 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestAppendingToAFieldChangesNoOther(t *testing.T) {
	document := []byte(`{"a":1,"b":2}`)
	values, err := mapper.Fields(document, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	_ = append(values[0], '9')
	if string(document) != `{"a":1,"b":2}` {
		t.Errorf("%s", document)
	}
}
