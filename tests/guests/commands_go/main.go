// A guest that does what its records say, as ../commands.rs does.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"mapper-host.internal/mapper"
)

func init() {
	mapper.Register(mapper.Plugin{Name: "commands_go", Version: "0.1.0", Configure: configure, Process: process})
}

func main() {}

func configure(settings mapper.Settings) error {
	if greeting, found := settings.Get("greeting"); found && greeting == "" {
		return errors.New("an empty greeting")
	}
	return settings.Only("greeting")
}

func process(record *mapper.Record) ([]mapper.Output, error) {
	if record.Value == nil {
		return nil, errors.New("no value")
	}
	if !utf8.Valid(record.Value) {
		return nil, errors.New("not UTF-8")
	}
	word, rest, _ := strings.Cut(string(record.Value), " ")
	var out mapper.Output
	switch word {
	case "skip":
		return nil, nil
	case "keep":
	case "value":
		out.Value = mapper.Text(rest)
	case "tombstone":
		out.Value = mapper.Null
	case "key":
		out.Key = mapper.Text(rest)
	case "null-key":
		out.Key = mapper.Null
	case "topic":
		out.Topic = rest
	case "time":
		time, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return nil, err
		}
		out.TimestampMs = &time
	case "headers":
		out.Headers = []mapper.Header{{Name: "a", Value: []byte("1")}, {Name: "a"}, {Name: "", Value: []byte{0xff}}}
	case "no-headers":
		out.Headers = []mapper.Header{}
	case "three":
		seven := int64(7)
		return []mapper.Output{
			{Value: mapper.Text("one")},
			{Key: mapper.Text("k"), TimestampMs: &seven, Headers: []mapper.Header{}},
			{Topic: "other"},
		}, nil
	case "see":
		out.Value = mapper.Text(see(record))
	case "reject":
		return nil, errors.New(rest)
	case "panic":
		panic(rest)
	case "spin":
		for {
		}
	case "recurse":
		out.Value = mapper.Text(strconv.Itoa(recurse(0)))
	case "allocate":
		var hoard [][]byte
		for {
			hoard = append(hoard, make([]byte, 1<<20))
		}
	case "exit":
		os.Exit(3)
	case "print":
		fmt.Println(rest)
	case "log":
		mapper.Log(mapper.Info, rest)
	default:
		return nil, fmt.Errorf("unknown command %s", word)
	}
	return []mapper.Output{out}, nil
}

func see(record *mapper.Record) string {
	text := func(content []byte) string {
		if content == nil {
			return "null"
		}
		return hex.EncodeToString(content)
	}
	timestamp := "none"
	if record.TimestampMs != nil {
		timestamp = strconv.FormatInt(*record.TimestampMs, 10)
	}
	seen := fmt.Sprintf("%s/%d@%d %s %s %s", record.Topic, record.Partition, record.Offset, timestamp, text(record.Key), text(record.Value))
	for _, header := range record.Headers {
		seen += fmt.Sprintf(" %s=%s", header.Name, text(header.Value))
	}
	return seen
}

func recurse(depth int) int {
	return recurse(depth+1) + 1
}
