import assert from "node:assert/strict";
import { test } from "node:test";

import { Record, Rejected } from "mapper-sdk";
import { epochSeconds, process } from "../src/index.ts";

test("a visit is reduced", () => {
  const record = new Record('{"visit_id": "1_2", "event_time": "2023-11-01", "page": "home"}');
  assert.deepEqual(process(record), { visit_id: "1_2", event_time: 1698796800, page: "home" });
});

test("a tombstone is skipped", () => {
  assert.equal(process(new Record(null)), null);
});

test("what is no visit is rejected", () => {
  for (const value of ["{....", "[1]", Uint8Array.of(255), "{}", '{"event_time": 5}']) {
    assert.throws(() => process(new Record(value)), Rejected, String(value));
  }
});

test("times become epoch seconds", () => {
  for (const time of ["2023-11-01T00:00:00+00:00", "2023-11-01T02:00:00+02:00", "2023-11-01T00:00:00Z", "2023-11-01T00:00:00.5"]) {
    assert.equal(epochSeconds(time), 1698796800, time);
  }
});
