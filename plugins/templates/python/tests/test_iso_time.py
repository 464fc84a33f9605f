import unittest

from iso_time import epoch_seconds


class EpochSecondsTest(unittest.TestCase):
    def test_times_become_epoch_seconds(self):
        for text in (
            "2023-11-01T00:00:00+00:00",
            "2023-11-01T02:00:00+02:00",
            "2023-11-01T00:00:00Z",
            "2023-11-01T00:00:00.5",
        ):
            self.assertEqual(epoch_seconds(text), 1698796800, text)

    def test_what_is_no_time_is_refused(self):
        for text in ("yesterday", "", 5, None):
            with self.assertRaisesRegex(ValueError, "not a time in ISO 8601"):
                epoch_seconds(text)


if __name__ == "__main__":
    unittest.main()
