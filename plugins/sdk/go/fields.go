package mapper

import "encoding/json"

// Fields returns the values of the fields of a JSON object that have these names, in the order of the names. The value of a field that the
// object lacks is nil. If a field occurs more than once, its last value counts. A name must match exactly, unlike that of a struct field in
// encoding/json.
//
// It reads the document as json.Unmarshal does into a map[string]json.RawMessage, with the same errors, but makes no copy of the fields: the
// values are parts of the document.
func Fields(document []byte, names ...string) ([]json.RawMessage, error) {
	values := make([]json.RawMessage, len(names))
	scanner := scanner{document: document}
	if scanner.pickFields(names, values) {
		return values, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(document, &fields); err != nil {
		return nil, err
	}
	for i, name := range names {
		values[i] = fields[name]
	}
	return values, nil
}

// maxDepth limits the nesting of a document. A deeper one is left to encoding/json, which has a limit of its own.
const maxDepth = 64

// scanner reads a document from its start to its end. It accepts no document that is not JSON. What it refuses is left to encoding/json.
type scanner struct {
	document []byte
	at       int
}

// isPlain has the bytes that a JSON text may contain without an escape, except its end.
var isPlain = func() (table [256]bool) {
	for b := range table {
		table[b] = b >= ' ' && b != '"' && b != '\\'
	}
	return table
}()

func (s *scanner) pickFields(names []string, values []json.RawMessage) bool {
	s.skipSpace()
	isObject := s.members('{', '}', func() bool {
		name, isName := s.fieldName()
		if !isName {
			return false
		}
		start := s.at
		if !s.skipValue(1) {
			return false
		}
		for i := range names {
			if string(name) == names[i] {
				values[i] = s.document[start:s.at:s.at]
			}
		}
		return true
	})
	s.skipSpace()
	return isObject && s.at == len(s.document)
}

// fieldName reads the name of a field and the colon, up to the start of its value. It refuses a name with an escape or beyond ASCII, which
// needs decoding.
func (s *scanner) fieldName() ([]byte, bool) {
	start := s.at + 1
	if !s.skipText() {
		return nil, false
	}
	name := s.document[start : s.at-1]
	for _, b := range name {
		if b == '\\' || b >= 0x80 {
			return nil, false
		}
	}
	s.skipSpace()
	if !s.skipByte(':') {
		return nil, false
	}
	s.skipSpace()
	return name, true
}

// members reads an object or an array, of which next reads a member.
func (s *scanner) members(start, end byte, next func() bool) bool {
	if !s.skipByte(start) {
		return false
	}
	s.skipSpace()
	if s.skipByte(end) {
		return true
	}
	for next() {
		s.skipSpace()
		if s.skipByte(end) {
			return true
		}
		if !s.skipByte(',') {
			return false
		}
		s.skipSpace()
	}
	return false
}

func (s *scanner) skipValue(depth int) bool {
	switch b := s.peek(); {
	case b == '"':
		return s.skipText()
	case b == '{':
		return depth < maxDepth && s.members('{', '}', func() bool {
			if !s.skipText() {
				return false
			}
			s.skipSpace()
			if !s.skipByte(':') {
				return false
			}
			s.skipSpace()
			return s.skipValue(depth + 1)
		})
	case b == '[':
		return depth < maxDepth && s.members('[', ']', func() bool { return s.skipValue(depth + 1) })
	case b == 't':
		return s.skipWord("true")
	case b == 'f':
		return s.skipWord("false")
	case b == 'n':
		return s.skipWord("null")
	default:
		return s.skipNumber()
	}
}

func (s *scanner) skipText() bool {
	if !s.skipByte('"') {
		return false
	}
	for s.at < len(s.document) {
		switch b := s.document[s.at]; {
		case isPlain[b]:
			s.at++
		case b == '"':
			s.at++
			return true
		case b != '\\' || !s.skipEscape():
			return false
		}
	}
	return false
}

func (s *scanner) skipEscape() bool {
	s.at++
	b := s.peek()
	s.at++
	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if b := s.peek(); !isDigit(b) && (b|0x20 < 'a' || b|0x20 > 'f') {
				return false
			}
			s.at++
		}
		return true
	}
	return false
}

func (s *scanner) skipNumber() bool {
	s.skipByte('-')
	if !s.skipByte('0') && !s.skipDigits() {
		return false
	}
	if s.skipByte('.') && !s.skipDigits() {
		return false
	}
	if s.skipByte('e') || s.skipByte('E') {
		if !s.skipByte('-') {
			s.skipByte('+')
		}
		return s.skipDigits()
	}
	return true
}

func (s *scanner) skipDigits() bool {
	start := s.at
	for isDigit(s.peek()) {
		s.at++
	}
	return s.at > start
}

func (s *scanner) skipWord(word string) bool {
	end := s.at + len(word)
	if end > len(s.document) || string(s.document[s.at:end]) != word {
		return false
	}
	s.at = end
	return true
}

func (s *scanner) skipSpace() {
	for s.at < len(s.document) {
		if b := s.document[s.at]; b != ' ' && b != '\n' && b != '\t' && b != '\r' {
			return
		}
		s.at++
	}
}

func (s *scanner) skipByte(expected byte) bool {
	if s.peek() != expected || s.at >= len(s.document) {
		return false
	}
	s.at++
	return true
}

// peek returns the next byte, or 0 at the end of the document, which no JSON outside of a text contains.
func (s *scanner) peek() byte {
	if s.at < len(s.document) {
		return s.document[s.at]
	}
	return 0
}

func isDigit(b byte) bool {
	return '0' <= b && b <= '9'
}
