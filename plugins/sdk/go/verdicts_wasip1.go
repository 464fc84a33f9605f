package mapper

import "unsafe"

// optionalColumn is an option<column>.
type optionalColumn struct {
	tag    uint32
	column column
}

type optionalList struct {
	tag  uint32
	list text
}

type optionalTopics struct {
	tag            uint32
	names, indexes text
}

type optionalHeaders struct {
	tag   uint32
	marks text
	table headerTable
}

// lowered is the record `verdicts` of the contract.
type lowered struct {
	statuses, outputEnds text
	errors               column
	// The record `outputs`.
	values       column
	keys         optionalColumn
	topics       optionalTopics
	headers      optionalHeaders
	timestampsMs optionalList
}

// builder writes the items of a column. Its memory is used again by the next batch.
type builder struct {
	bytes []byte
	ends  []uint32
	marks []byte
	// Whether there is an item that is not bytes.
	isMarked bool
}

func (b *builder) clear() {
	b.bytes, b.ends, b.marks, b.isMarked = b.bytes[:0], b.ends[:0], b.marks[:0], false
}

func (b *builder) add(content []byte, mark byte) {
	b.bytes = append(b.bytes, content...)
	b.ends = append(b.ends, uint32(len(b.bytes)))
	b.marks = append(b.marks, mark)
	b.isMarked = b.isMarked || mark != bytesMark
}

func (b *builder) addContent(content Content) {
	switch content.kind {
	case bytes:
		b.add(content.bytes, bytesMark)
	case null:
		b.add(nil, nullMark)
	default:
		b.add(nil, keepMark)
	}
}

func (b *builder) column() column {
	from := column{bytes: list(b.bytes), ends: list(b.ends)}
	if b.isMarked {
		from.marks = list(b.marks)
	}
	return from
}

// verdicts has the verdicts on a batch under construction. They stay until the next batch.
var verdicts batchVerdicts

type batchVerdicts struct {
	statuses     []byte
	outputEnds   []uint32
	errors       builder
	values, keys builder
	topics       []uint32
	topicNames   []string
	headerMarks  []byte
	headerEnds   []uint32
	headerNames  builder
	headerValues builder
	timestampsMs []int64
	// Whether an output has a part of its own.
	hasKeys, hasHeaders, hasTimestamps bool
	lowered                            lowered
}

func (v *batchVerdicts) begin() {
	v.statuses, v.outputEnds, v.topics, v.topicNames = v.statuses[:0], v.outputEnds[:0], v.topics[:0], v.topicNames[:0]
	v.headerMarks, v.headerEnds, v.timestampsMs = v.headerMarks[:0], v.headerEnds[:0], v.timestampsMs[:0]
	for _, column := range []*builder{&v.errors, &v.values, &v.keys, &v.headerNames, &v.headerValues} {
		column.clear()
	}
	v.hasKeys, v.hasHeaders, v.hasTimestamps = false, false, false
}

// add adds what became of a record.
func (v *batchVerdicts) add(outputs []Output, err error) {
	if err != nil {
		v.errors.add([]byte(utf8(err.Error())), bytesMark)
		v.statuses = append(v.statuses, 1)
	} else {
		for i := range outputs {
			v.addOutput(&outputs[i])
		}
		v.statuses = append(v.statuses, 0)
	}
	v.outputEnds = append(v.outputEnds, uint32(len(v.values.ends)))
}

func (v *batchVerdicts) addOutput(output *Output) {
	v.values.addContent(output.Value)
	v.keys.addContent(output.Key)
	v.hasKeys = v.hasKeys || output.Key.kind != keep
	v.topics = append(v.topics, v.topicIndex(output.Topic))
	timestampMs := absent
	if output.TimestampMs != nil {
		timestampMs, v.hasTimestamps = *output.TimestampMs, true
	}
	v.timestampsMs = append(v.timestampsMs, timestampMs)
	headerMark := byte(keepMark)
	if output.Headers != nil {
		headerMark, v.hasHeaders = bytesMark, true
		for _, header := range output.Headers {
			v.headerNames.add([]byte(utf8(header.Name)), bytesMark)
			mark := byte(bytesMark)
			if header.Value == nil {
				mark = nullMark
			}
			v.headerValues.add(header.Value, mark)
		}
	}
	v.headerMarks = append(v.headerMarks, headerMark)
	v.headerEnds = append(v.headerEnds, uint32(len(v.headerNames.ends)))
}

// topicIndex returns the number of a topic in the list of names. 0 is the default output topic.
func (v *batchVerdicts) topicIndex(topic string) uint32 {
	if topic == "" {
		return 0
	}
	for i, name := range v.topicNames {
		if name == topic {
			return uint32(i + 1)
		}
	}
	v.topicNames = append(v.topicNames, topic)
	return uint32(len(v.topicNames))
}

// finish returns the record `verdicts`. For what it has none of, all outputs keep what their input has.
func (v *batchVerdicts) finish() unsafe.Pointer {
	v.lowered = lowered{
		statuses: list(v.statuses), outputEnds: list(v.outputEnds), errors: v.errors.column(), values: v.values.column(),
	}
	if v.hasKeys {
		v.lowered.keys = optionalColumn{1, v.keys.column()}
	}
	if len(v.topicNames) > 0 {
		names := make([]text, len(v.topicNames))
		for i, name := range v.topicNames {
			names[i] = lowerText(name)
		}
		results.alive = append(results.alive, names)
		v.lowered.topics = optionalTopics{1, list(names), list(v.topics)}
	}
	if v.hasHeaders {
		table := headerTable{list(v.headerEnds), v.headerNames.column(), v.headerValues.column()}
		v.lowered.headers = optionalHeaders{1, list(v.headerMarks), table}
	}
	if v.hasTimestamps {
		v.lowered.timestampsMs = optionalList{1, list(v.timestampsMs)}
	}
	return unsafe.Pointer(&v.lowered)
}
