package mapper

import "unsafe"

// marks are the kinds of an item of a column, in the numbers of the contract.
const (
	bytesMark = iota
	nullMark
	keepMark
)

// absent is the timestamp of a record without one. In an output it stands for the timestamp of the input record.
const absent int64 = -1

type column struct{ bytes, ends, marks text }

type headerTable struct {
	ends          text
	names, values column
}

type batch struct {
	topic, partitions, offsets, timestampsMs text
	keys, values                             column
	// The host writes one byte of the tag.
	headersTag uint32
	headers    headerTable
}

// input reads the items of a column, in their order.
type input struct {
	bytes []byte
	ends  []uint32
	marks []byte
	next  int
	start uint32
}

func newInput(from column) input {
	return input{bytes: items[byte](from.bytes), ends: items[uint32](from.ends), marks: items[byte](from.marks)}
}

// read returns the next item, which the next call of the host overwrites. It is nil for Kafka's null.
func (in *input) read() []byte {
	end := in.ends[in.next]
	item := in.bytes[in.start:end:end]
	if len(in.marks) > 0 && in.marks[in.next] == nullMark {
		item = nil
	}
	in.start = end
	in.next++
	return item
}

// timedRecord is a record and its timestamp in one allocation.
type timedRecord struct {
	Record
	timestampMs int64
}

//go:wasmexport mapper-host:mapper/batch-mapper@1.0.0#process
func exportProcess(at address) unsafe.Pointer {
	batch := (*batch)(pointer(uintptr(at)))
	partitions, offsets := items[int32](batch.partitions), items[int64](batch.offsets)
	timestampsMs := items[int64](batch.timestampsMs)
	keys, values, headers := newInput(batch.keys), newInput(batch.values), newHeaderInput(batch)
	topic := liftText(batch.topic)
	verdicts.begin()
	results.alive = nil
	position.isInBatch, position.due = true, 0
	for i := range offsets {
		position.current = uint32(i)
		if position.current >= position.due {
			reportPosition()
		}
		key, value := copyPair(keys.read(), values.read())
		record := &timedRecord{
			Record: Record{
				Key: key, Value: value, Headers: headers.read(), Topic: topic, Partition: partitions[i], Offset: offsets[i],
			},
			timestampMs: timestampsMs[i],
		}
		if record.timestampMs != absent {
			record.TimestampMs = &record.timestampMs
		}
		verdicts.add(process(&record.Record))
	}
	position.isInBatch = false
	arena.copied = true
	return verdicts.finish()
}

// copyPair copies the key and the value of a record into one allocation. Appending to either copies it again.
func copyPair(key, value []byte) ([]byte, []byte) {
	both := make([]byte, len(key)+len(value))
	at := copy(both, key)
	copy(both[at:], value)
	if key != nil {
		key = both[:at:at]
	}
	if value != nil {
		value = both[at:]
	}
	return key, value
}

// headerInput reads the headers of each record, in the order of the records.
type headerInput struct {
	ends          []uint32
	names, values input
	next          int
	start         uint32
}

func newHeaderInput(from *batch) headerInput {
	if from.headersTag&0xff == 0 {
		return headerInput{}
	}
	table := from.headers
	return headerInput{ends: items[uint32](table.ends), names: newInput(table.names), values: newInput(table.values)}
}

func (in *headerInput) read() []Header {
	if in.ends == nil {
		return nil
	}
	end := in.ends[in.next]
	var headers []Header
	for range end - in.start {
		name := string(in.names.read())
		_, value := copyPair(nil, in.values.read())
		headers = append(headers, Header{name, value})
	}
	in.start = end
	in.next++
	return headers
}
