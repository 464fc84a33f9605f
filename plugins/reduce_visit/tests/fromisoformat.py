"""Writes fromisoformat.jsonl: what CPython 3.11 makes of some 600 texts.

Re-make the file, always with Python 3.11 (other versions differ), with:

    python3.11 plugins/reduce_visit/tests/fromisoformat.py > plugins/reduce_visit/tests/fromisoformat.jsonl

The texts are the same on every run: the random ones come from a fixed seed.
For a larger comparison, give another count of random texts, and another seed if wanted:

    python3.11 fromisoformat.py 300000 7
"""

import json
import random
import sys
from datetime import datetime, timedelta, timezone

CHOSEN = """
2023-11-01T00:00:00+00:00|2023-11-01T12:34:56+02:00|2023-11-01T12:34:56-11:30|2023-11-01 12:34:56+02:00
2023-11-01|20231101|2023-11-01T12|2023-11-01T12:34|2023-11-01T12:34:56|20231101T000000|20231101T1234
2023-11-01T123456|20231101T12:34:56|2023-11-01T12:34:56Z|20231101T123456Z|2023-11-01T12:34:56z|2023-11-01T12Z
2023-11-01T12:34:56.7|2023-11-01T12:34:56,7|2023-11-01T12:34:56.789|2023-11-01T12:34:56.123456
2023-11-01T12:34:56.1234567|2023-11-01T12:34:56.12345678901234567890|2023-11-01T12:34:56.999999999+01:00
2023-11-01T12:34:56.|2023-11-01T12:34:56,|2023-11-01T12:34:56.+01:00|2023-11-01T12:34:56.12x|2023-11-01T12:34:56.123456x
2023-11-01T12:34:56.123456x+01:00|2023-11-01T12:34:56:123|2023-11-01T123456789|2023-11-01T12.5|2023-11-01T12:34.5
2023-11-01T12:+05:00|2023-11-01T12:34:+05:00|2023-11-01T12:34:56:+05:00|2023-11-01T12:|2023-11-01T12:34:|2023-11-01T12:34:56:
2023-11-01T12:3456|2023-11-01T1234:56|2023-11-01T1|2023-11-01T123|2023-11-01T12345|2023-11-01T|20231101T
2023-11-01T12+05|2023-11-01T12-0530|2023-11-01T12+05:30:15|2023-11-01T12+053015|2023-11-01T12+05:30:15.25
2023-11-01T12-05:30:15.25|2023-11-01T12+053015.25|2023-11-01T12+05.5|2023-11-01T12+|2023-11-01T12-|2023-11-01T12+5
2023-11-01T12+053|2023-11-01T12+05:|2023-11-01T12+05:3|2023-11-01T12+05:30:|2023-11-01T12+05:30Z|2023-11-01T12Z+05:30
2023-11-01T12ZZ|2023-11-01T12+-05|2023-11-01T+05:00|2023-11-01TZ|2023-11-01T12 +05:00|2023-11-01T12:00:00 Z
2023-11-01T12+00:00:00.5|2023-11-01T12-00:00:00.5|2023-11-01T12+00:00:01.5|2023-11-01T12-00:00:01.5|2023-11-01T12-00:00
2023-11-01T12+23:59|2023-11-01T12-23:59|2023-11-01T12+23:59:59.999999|2023-11-01T12-23:59:59.999999|2023-11-01T12+23:60
2023-11-01T12+24:00|2023-11-01T12-24:00|2023-11-01T12-24:00:00.1|2023-11-01T12+99:99:99.999999|2023-11-01T12-99:99:99.999999
2023-11-01T12:00:00+24:00|2023-11-01T12:00:00-24:00|2023-13-01T25:00:00+24:00|2023-13-01T25:00:00+01:00
2023-11-01T24:00:00|2023-11-01T24:00:00+00:00|2023-11-01T23:60|2023-11-01T23:59:60|2023-11-01T23:59:60Z|2023-11-01T99:99:99
2023-00-01|2023-13-01|2023-13-32|2023-11-00|2023-11-31|2023-02-29|2024-02-29|2024-02-30|2000-02-29|1900-02-29|2100-02-29
0000-01-01|0000-00-00|0001-01-01|0001-01-01T00:00:00+23:59|9999-12-31|9999-12-31T23:59:59-23:59|9999-12-31T23:59:59.999999
9999-12-31T23:59:59.999984|9999-12-31T23:59:59.999985|0001-01-01T00:00:00.000001|0001-01-01T00:00:00.5+12:00
4000-01-01T00:00:00.999999|2300-01-01T00:00:00.999999|10000-01-01|-2023-11-01|+2023-11-01|2023-1-1|2023-11-1|23-11-01
1970-01-01|1969-12-31T23:59:59|1969-12-31T23:59:59.5|1969-12-31T23:59:58.999999|1969-12-31T23:59:59.000001|1960-02-29T12:00:00.25
1969-12-31T23:59:58.5|1969-12-31T23:59:59.999999|1900-01-01T00:00:00.1-00:30|1970-01-01T00:00:00+00:00:01.5
2023-W44|2023W44|2023-W44-3|2023W443|2023-W44-1T12:34|2023W441T12:34|2023-W44T12:34|2023W44T12:34|2023W44T1234|2023-W44-30
2023-W44-0000|2023-W44-|2023-W44-T12|2023-W44-3T|2023-W443|2023W44-3|2023W4430|2023W44300|2023W443000|2023W4431200|2023W44312005
2023W44 3|2023-W4|2023W4|2023-W444-3|2023-w44-3|2023-W00-1|2023-W01-0|2023-W01-8|2023-W52-7|2023-W53-1|2020-W53-5|2026-W53-7
2015-W53|2004-W53-6|2000-W53|1970-W01-1|1970-W01-4|0001-W01-1|0000-W01-1|0000-W52|0000-W53|9999-W52-5|9999-W52-6|9999-W52-7|9999-W53
2023-305|2023305|2023-11|202311|2023|20231|2023111|2023-110|2023-1101|202311-01|2023/11/01|2023.11.01|2023-11-01-12:34
2023-11-01:12:34|2023-11-01+12:34|2023-11-01Z12:34|2023-11-01012:34|2023-11-01\u00e912:34|2023-11-01\u20ac12:34|2023-11-01\U0001f60012:34
2023-11-01\U0001f60012:34:56+02:00|20231101\u00e912:34|2023W44\u00e912:34|2023W443\u20ac12:34|2023-W44\U0001f60012:34|2023-11-01\u00e9
2023-11-01\U0001f600|2023-11-0\u00e9|2023-11-01\u00e9\u00e912|\u0662\u0660\u0662\u0663-11-01|2023-11-01T\u0661\u0662:00|2023-11-01T12:00\u00e9
2023-11-01T12:00:00.\u0661|\u00e9\u00e9\u00e9\u00e9|\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9|\uff12\uff10\uff12\uff13-11-01|2023\u201011\u201001|2023-11-01T12:00\u221205:00
2023-11-01T12:34\0|2023-11-01T12\0|2023-11-01\0|2023-11-01\x0012:34|2023-11-01T12Z\0x|2023-11-01T12:34:56.123456\0x|2023-11-01T12+05:00\0
2023-11-01T12:34:56.1\0|\0\0\0\0\0\0\0|now|None|nan|1698796800|1698796800.5| 2023-11-01|2023-11-01 |2023-11-01T12:34 |\t2023-11-01
it's|it's "so"|"so"|back\\slash|tab\there|return\rhere|\x07\x7f|\xa0|\xad|\u200b|\u2028|\u3000|e\u0301|\u0301|\ue000|\U000e0001|\u0378|\U0001f600
2023-11-01T12:00:00+0a:00|2023-11-01T12:00:00+00:0a|2023-11-01T12:0a:00+00:00|2023-1a-01T12:00:00+00:00|2o23-11-01T12:00:00+00:00
2023-11-01T12:00:00*00:00|2023-11-01T12:00:00+00-00|2023-11-01T12-00:00+00:00|2023-11:01T12:00:00+00:00|2023-W44-3T12:00:00+00:00
"""
CHOSEN = [text for line in CHOSEN.strip("\n").split("\n") for text in line.split("|")] + ["", "\n", "2023-11-01\n12:34"]

SEPARATORS = "TTTT   t_-+:Z0W.é€😀\0"
INSERTED = "0123456789" * 3 + "::--++TTWWZZ.,, t'\"\\\n\0é€😀٣"


def valid(rng):
    """A time in one of the forms that `fromisoformat` takes."""
    if rng.random() < 0.1:
        day = rng.choice([datetime(year, 2, 29) for year in (4, 1600, 1968, 2000, 2024, 9996)])
    elif rng.random() < 0.3:
        day = datetime(1, 1, 1) + timedelta(days=rng.randrange(3652059))
    else:
        day = datetime(1965, 1, 1) + timedelta(days=rng.randrange(30000))
    year, week, weekday = day.isocalendar()
    dates = [f"{day:%m-%d}", f"{day:%m%d}", f"W{week:02}-{weekday}", f"W{week:02}{weekday}", f"W{week:02}"]
    form = rng.choice([0, 0, 0, 0, 1, 2, 3, 4, 5])
    dash = "-" if form in (0, 2, 4) else ""
    text = f"{year if form > 1 else day.year:04}{dash}{dates[min(form, 4)]}"
    if rng.random() < 0.1:
        return text
    text += rng.choice(SEPARATORS) + clock(rng, 24)
    zone = rng.random()
    if zone < 0.2:
        text += "Z"
    elif zone < 0.8:
        text += rng.choice("+-") + clock(rng, rng.choice([1, 15, 25]))
    return text


def clock(rng, hours):
    """A time of day, or an offset, to the precision that chance wants."""
    colon = rng.choice([":", ":", ""])
    parts = [f"{rng.randrange(hours):02}", f"{rng.randrange(60):02}", f"{rng.randrange(60):02}"]
    text = colon.join(parts[: rng.choice([1, 2, 2, 3, 3, 3])])
    if rng.random() < 0.3:
        text += rng.choice(".,") + "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 9)))
    return text


def mutated(rng, text):
    """The text with a few characters deleted, inserted, replaced or swapped."""
    characters = list(text)
    for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3])):
        at = rng.randrange(len(characters)) if characters else 0
        match rng.randrange(4):
            case 0:
                del characters[at : at + 1]
            case 1:
                characters.insert(at, rng.choice(INSERTED))
            case 2:
                characters[at : at + 1] = [rng.choice(INSERTED)]
            case _:
                characters[at : at + 2] = reversed(characters[at : at + 2])
    return "".join(characters)


def outcome(text):
    """What Python makes of the text, with naive times taken for UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        return {"error": str(error)}
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return {"timestamp": int(time.timestamp())}


def main():
    if sys.version_info[:2] != (3, 11):
        sys.exit("this wants Python 3.11")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 335
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 311)
    texts = CHOSEN + [mutated(rng, valid(rng)) for _ in range(count)]
    for text in dict.fromkeys(texts):
        print(json.dumps({"text": text, **outcome(text)}))


if __name__ == "__main__":
    main()
