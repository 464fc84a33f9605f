import json
import unittest

from mapper_sdk import Output, Record, Rejected

DOCUMENTS = [
    b"", b" ", b"null", b"1", b"-0.5e3", b'"a"', b"{}", b'{"a": [1, {"b": null}], "a": 2}', b' {"a": 1}\r\n', b"{} x", b"{}{}", b"[1,]",
    b"{'a': 1}", b'{"a": 1', b"NaN", b"Infinity", b"nul", b'"\\u00e9\\ud83d\\ude00"', b'"\\ud800"', b'"\n"', b"\x00", b"1\x00", b"\x001",
    "\ufeff{}".encode(), '"é😀"'.encode(), '{"é": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-16-le"), "1".encode("utf-32-be"),
    b'"\xff"', b'"\xed\xa0\x80"', b"[" * 100 + b"]" * 100,
]
VALUES = [
    None, True, 0, -1.5, float("nan"), "", 'é😀"\\\n', "\ud800", [], {}, {"a": [1, {"b": None}], "é": "x"}, {1: 2, None: 3, True: 4}, (1, 2),
]


class Records(unittest.TestCase):
    def test_json_is_that_of_json_loads(self):
        for document in DOCUMENTS:
            with self.subTest(document):
                try:
                    expected = repr(json.loads(document))
                except ValueError as error:
                    with self.assertRaises(Rejected) as raised:
                        Record(document).json()
                    self.assertEqual(str(raised.exception), str(error))
                else:
                    self.assertEqual(repr(Record(document).json()), expected)

    def test_json_of_a_tombstone_is_rejected(self):
        with self.assertRaises(Rejected) as raised:
            Record(None).json()
        self.assertEqual(str(raised.exception), "the record has no value (a tombstone)")

    def test_output_is_that_of_json_dumps(self):
        for value in VALUES:
            with self.subTest(value):
                self.assertEqual(Output(json=value).value, json.dumps(value).encode())

    def test_value_without_a_json_form_has_no_effect_on_the_next(self):
        value = {"a": [object()]}
        with self.assertRaises(TypeError):
            Output(json=value)
        value["a"][0] = value
        with self.assertRaises(ValueError):
            Output(json=value)
        value["a"][0] = [[], []]
        self.assertEqual(Output(json=value).value, b'{"a": [[[], []]]}')


if __name__ == "__main__":
    unittest.main()
