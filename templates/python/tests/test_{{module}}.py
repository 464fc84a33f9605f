import unittest

from mapper_sdk import Record, Rejected
from {{module}} import epoch_seconds, process


class ProcessTest(unittest.TestCase):
    def test_a_visit_is_reduced(self):
        record = Record(b'{"visit_id": "1_2", "event_time": "2023-11-01", "page": "home"}')
        self.assertEqual(
            process(record), {"visit_id": "1_2", "event_time": 1698796800, "page": "home"}
        )

    def test_a_tombstone_is_skipped(self):
        self.assertIsNone(process(Record(None)))

    def test_what_is_no_visit_is_rejected(self):
        for value in (b"{....", b"[1]", b"\xff", b"{}"):
            with self.assertRaises(Rejected, msg=value):
                process(Record(value))


class EpochSecondsTest(unittest.TestCase):
    def test_times_become_epoch_seconds(self):
        for time in (
            "2023-11-01T00:00:00+00:00",
            "2023-11-01T02:00:00+02:00",
            "2023-11-01T00:00:00Z",
            "2023-11-01T00:00:00.5",
        ):
            self.assertEqual(epoch_seconds(time), 1698796800, time)


if __name__ == "__main__":
    unittest.main()
