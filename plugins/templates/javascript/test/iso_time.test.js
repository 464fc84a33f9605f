import assert from "node:assert/strict";
import { test } from "node:test";

import { Rejected } from "mapper-sdk";
import { epochSeconds } from "../src/iso_time.js";

test("times become epoch seconds", () => {
  for (const time of ["2023-11-01T00:00:00+00:00", "2023-11-01T02:00:00+02:00", "2023-11-01T00:00:00Z", "2023-11-01T00:00:00.5"]) {
    assert.equal(epochSeconds(time), 1698796800, time);
  }
});

test("what is no time is rejected", () => {
  for (const time of ["yesterday", "", 5, null]) {
    assert.throws(() => epochSeconds(time), Rejected, String(time));
  }
});
